//! Submissions, group-committed: while one INSERT is in flight the next ones gather. When none is,
//! a submission is written at once, in its caller's own task. An exception is the moment after a
//! group of many, when the next waits until half as many have come again. A caller who goes away
//! meanwhile does not know whether it was written.
//!
//! Two writers take turns at one channel, and fly together only when many jobs of the library have
//! gathered or an INSERT takes long. Two that are always in flight halve small batches, which costs
//! more than it gains. One alone leaves the processor idle during its flush (64 callers of the
//! library, measured alternately: 37,000 durable jobs/s, and 54,000 so). Jobs with a unique key go
//! by a channel of their own ([`keyed`]), or one open SQL transaction that holds a key would stall
//! everybody. So do those that may be repeated (`repeats`).
//!
//! An answer is given after a flushed COMMIT and never before. Ids are made first, so a COMMIT
//! whose answer was lost is repeated, and inserts nothing twice.

mod announce;
mod answers;
mod gather;
mod ids;
mod keyed;
#[cfg(feature = "service")]
mod repeats;
mod turns;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use metrics::counter;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

use crate::events::{Defaults, Gates, Wakes};
use crate::job::JobId;
use crate::job::submission::{FieldError, Submission};
use crate::job::written::Written;
use crate::store::Store;
use crate::supervise::{Inbox, Loop, Supervisor, is_spent};
use gather::Plain;
use ids::Ids;
use keyed::Keyed;
#[cfg(feature = "service")]
pub(crate) use repeats::{RepeatError, Repeats};
use turns::Turns;
use writer::Writer;

/// How long a submission may take before its caller is told that the database is not there.
const PATIENCE: Duration = Duration::from_millis(1_900);
/// How long a list may take whatever its size, and for how many bytes of payloads it may take a
/// second more.
const LIST_PATIENCE: Duration = Duration::from_secs(2);
const BYTES_A_SECOND: usize = 4 * 1024 * 1024;
/// Submissions on their way; beyond, callers wait for a place.
const WAITING_MOST: usize = 10_000;
/// The door of submissions from this process's own code.
pub(crate) const LIBRARY: &str = "library";

/// Why a submission was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// The rule book has something against it: everything that is wrong, with JSON pointers into
    /// the list for a list.
    #[error("nothing was submitted: {}", words(.0))]
    Invalid(Vec<FieldError>),
    /// Other jobs hold the unique keys of these submissions (by their index).
    #[error("another job holds the unique key")]
    Conflict(Vec<(usize, JobId)>),
    /// Nothing was written.
    #[error("the database cannot be reached; nothing was submitted: {0}")]
    Unavailable(String),
    /// It was sent to the database, and nobody knows whether it was kept.
    #[error("the database did not confirm the submission: {0}")]
    Unknown(String),
    /// An open transaction holds the unique key, or a lock on a table that the submission
    /// needs.
    #[error(
        "an open transaction holds the unique key or locks a table of jobs; nothing was submitted"
    )]
    KeyBusy,
    /// The database refused it.
    #[error("the database refused the submission: {0}")]
    Refused(String),
}

impl SubmitError {
    /// Stable, for programs; the HTTP API has the same codes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "validation_failed",
            Self::Conflict(_) => "unique_key_conflict",
            Self::Unavailable(_) => "database_unavailable",
            Self::Unknown(_) => "outcome_unknown",
            Self::KeyBusy => "unique_key_busy",
            Self::Refused(_) => "internal_error",
        }
    }
}

fn list_patience(jobs: &[Submission]) -> Duration {
    let bytes: usize = jobs.iter().map(|job| job.payload.as_str().len()).sum();
    LIST_PATIENCE + Duration::from_secs_f64(bytes as f64 / BYTES_A_SECOND as f64)
}

pub(crate) fn words(faults: &[FieldError]) -> String {
    let words: Vec<String> =
        faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.message)).collect();
    words.join("; ")
}

type Answer = Result<Written, SubmitError>;

struct Request {
    id: JobId,
    job: Submission,
    /// When its caller is to be answered, whatever the answer is.
    deadline: Instant,
    /// Whether an earlier try may have been kept.
    sent: bool,
    /// How it came in.
    door: &'static str,
    answer: oneshot::Sender<Answer>,
}

/// Takes submissions. Clones share the writers.
#[derive(Clone)]
pub(crate) struct Submitter {
    store: Store,
    wakes: Option<Wakes>,
    gates: Gates,
    /// The priorities of queues.
    defaults: Defaults,
    ids: Ids,
    /// How these submissions come in, for the metrics.
    door: &'static str,
    plain: mpsc::Sender<Request>,
    turns: Arc<Turns>,
    keyed: mpsc::Sender<Request>,
    /// Of the writers.
    supervisor: Supervisor,
    lists: Keyed,
}

impl Submitter {
    /// The way to its writers, and the writers, which end when every clone is gone. `wakes` are
    /// those of the dispatcher beside them, if there is one.
    pub(crate) fn new(
        store: Store,
        wakes: Option<Wakes>,
        gates: Gates,
        defaults: Defaults,
        supervisor: &Supervisor,
    ) -> (Self, Vec<Loop>) {
        let (plain, plain_requests) = mpsc::channel(WAITING_MOST);
        let (keyed, keyed_requests) = mpsc::channel(WAITING_MOST);
        let ids = Ids::new(store.clock.clone());
        let turns = Arc::new(Turns::new());
        let gathering = Arc::new(Plain::new(plain_requests, turns.clone()));
        let supervisor = supervisor.clone();
        let writer = Writer { store: store.clone(), wakes: wakes.clone(), gates: gates.clone() };
        let lists = Keyed::new(writer, supervisor.clone());
        let door = "http";
        let submitter = Self {
            ids,
            door,
            store,
            wakes,
            gates,
            defaults,
            plain,
            turns,
            keyed,
            supervisor,
            lists,
        };
        let requests = Arc::new(Mutex::new(keyed_requests));
        let writers = vec![
            submitter.keep_writer(gathering.clone()),
            submitter.keep_writer(gathering),
            submitter.keep_keyed_writer(requests),
        ];
        (submitter, writers)
    }

    fn keep_writer(&self, gathering: Arc<Plain>) -> Loop {
        let (writer, gathered) = (self.writer(), gathering.clone());
        let kept = self.supervisor.clone().keep(
            "writer",
            move || gathered.is_spent(),
            move || writer.clone().run(gathering.clone()),
        );
        kept.boxed()
    }

    fn keep_keyed_writer(&self, requests: Inbox<mpsc::Receiver<Request>>) -> Loop {
        let (keyed, gathered) = (self.lists.clone(), requests.clone());
        let kept = self.supervisor.clone().keep(
            "keyed-writer",
            move || is_spent(&gathered),
            move || keyed.clone().run(requests.clone()),
        );
        kept.boxed()
    }

    /// The same, for submissions that come in by another door than HTTP.
    pub(crate) fn through(self, door: &'static str) -> Self {
        Self { door, ..self }
    }

    /// The database's time, as far as it is known here.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.store.clock.now()
    }

    /// Submits one job. Answers after its COMMIT is flushed.
    pub(crate) async fn submit(&self, mut job: Submission) -> Answer {
        self.fill(&mut job);
        let deadline = Instant::now() + PATIENCE;
        self.be_sure_of_the_time(deadline).await?;
        let id = self.ids.next();
        let answer = if job.unique.is_some() {
            self.hand_over(&self.keyed, id, job, deadline).await
        } else if let Some(_turn) = self.turns.at_once() {
            // No other caller waits: it spares two hand-overs between tasks.
            self.writer().write_one(&(id, job), deadline).await
        } else {
            self.hand_over(&self.plain, id, job, deadline).await
        };
        self.count(answer.as_ref().map(std::slice::from_ref));
        answer
    }

    /// Submits a list of jobs in one transaction: all of them or none. Answers in their order.
    pub(crate) async fn submit_many(
        &self,
        mut jobs: Vec<Submission>,
    ) -> Result<Vec<Written>, SubmitError> {
        jobs.iter_mut().for_each(|job| self.fill(job));
        let (writer, deadline) = (self.writer(), Instant::now() + list_patience(&jobs));
        self.be_sure_of_the_time(deadline).await?;
        let jobs: Vec<(JobId, Submission)> =
            jobs.into_iter().map(|job| (self.ids.next(), job)).collect();
        let answer = if jobs.iter().all(|(_, job)| job.unique.is_none()) {
            let created = |(id, job): &(JobId, Submission)| writer.created(*id, job);
            let inserted = writer.insert(&jobs, deadline).await;
            inserted.map(|()| jobs.iter().map(created).collect())
        } else {
            self.lists.write_list(&jobs, deadline).await
        };
        self.count(answer.as_deref());
        if answer.is_ok() {
            writer.announce(&jobs);
        }
        answer
    }

    /// Gives a job the default of its queue, by which claims order.
    fn fill(&self, job: &mut Submission) {
        if job.priority.is_none() {
            job.priority = self.defaults.priority(&job.queue);
        }
    }

    /// An id says when its job was submitted, and in which week its rows lie.
    async fn be_sure_of_the_time(&self, deadline: Instant) -> Result<(), SubmitError> {
        let sure = self.store.clock_be_sure(deadline).await;
        sure.map_err(|error| SubmitError::Unavailable(error.to_string()))
    }

    fn count(&self, answer: Result<&[Written], &SubmitError>) {
        let count = |outcome: &'static str, submissions: usize| {
            counter!("reveille_jobs_submitted_total", "door" => self.door, "outcome" => outcome)
                .increment(submissions as u64);
        };
        match answer {
            Ok(all) => all.iter().for_each(|written| count(written.outcome.as_str(), 1)),
            Err(SubmitError::Conflict(rejected)) => count("rejected", rejected.len()),
            Err(_) => {}
        }
    }

    /// Has one of the writers write it, and waits for its answer.
    async fn hand_over(
        &self,
        writers: &mpsc::Sender<Request>,
        id: JobId,
        job: Submission,
        deadline: Instant,
    ) -> Answer {
        let (answer, answered) = oneshot::channel();
        let plain = job.unique.is_none();
        let request = Request { id, job, deadline, sent: false, door: self.door, answer };
        writers.send(request).await.map_err(|_| self.ended())?;
        if plain && self.door == LIBRARY {
            self.turns.arrived(&self.plain);
        }
        // The writer that had it panicked, perhaps after it was sent.
        let lost = |_| SubmitError::Unknown("its writer ended before it had an answer".into());
        answered.await.map_err(lost)?
    }

    /// The writers are gone: the service stops, or they could not be kept alive.
    fn ended(&self) -> SubmitError {
        let why = self.supervisor.failure().map(ToString::to_string);
        SubmitError::Unavailable(why.unwrap_or_else(|| "the service is stopping".into()))
    }

    fn writer(&self) -> Writer {
        let (store, wakes) = (self.store.clone(), self.wakes.clone());
        Writer { store, wakes, gates: self.gates.clone() }
    }
}
