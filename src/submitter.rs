//! Submissions, group-committed: while one INSERT is in flight the next ones gather, and none waits when none is in flight.
//!
//! Two writers take turns at one channel. A trial with poem, two connections and one UNNEST insert gave 63,000 durable
//! `POST`/s from 64 connections, beside 20,000/s of single-row inserts from as many sessions. Jobs with a unique key go by a
//! channel of their own, or one open SQL transaction that holds a key would stall everybody.
//!
//! An answer is given after a flushed COMMIT and never before. Ids are made first, so a COMMIT whose answer was lost is
//! repeated, and inserts nothing twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use metrics::{counter, histogram};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::events::{Source, Wakes};
use crate::job::JobId;
use crate::job::state::Status;
use crate::job::submission::{FieldError, Submission};
use crate::store::submission::{Ids, Outcome, Written, lane_of, seconds_until};
use crate::store::{Error, Store};

/// How long a submission may take before its caller is told that the database is not there.
const PATIENCE: Duration = Duration::from_millis(1_900);
/// Rows and payload bytes of one INSERT.
const ROWS_MOST: usize = 500;
const BYTES_MOST: usize = 4 << 20;
/// Submissions on their way; beyond, callers wait for a place.
const WAITING_MOST: usize = 10_000;

/// Why a submission was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// The rule book has something against it: everything that is wrong, with JSON pointers into the list for a list.
    #[error("nothing was submitted: {}", words(.0))]
    Invalid(Vec<FieldError>),
    /// Jobs that have not ended hold the unique keys of these submissions (by their index).
    #[error("a job that has not ended holds the unique key")]
    Conflict(Vec<(usize, JobId)>),
    /// Nothing was written.
    #[error("the database cannot be reached; nothing was submitted: {0}")]
    Unavailable(String),
    /// It was sent to the database, and nobody knows whether it was kept.
    #[error("the database did not confirm the submission: {0}")]
    Unknown(String),
    /// Somebody's open transaction holds the unique key.
    #[error("an open transaction holds the unique key; nothing was submitted")]
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

fn words(faults: &[FieldError]) -> String {
    let words: Vec<String> =
        faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.message)).collect();
    words.join("; ")
}

type Answer = Result<Written, SubmitError>;

struct Request {
    id: JobId,
    job: Submission,
    answer: oneshot::Sender<Answer>,
}

/// Takes submissions. Clones share the writers.
#[derive(Clone)]
pub struct Submitter {
    store: Store,
    wakes: Wakes,
    ids: Ids,
    plain: mpsc::Sender<Request>,
    keyed: mpsc::Sender<Request>,
}

impl Submitter {
    /// Starts the writers on `tracker`; they end when every clone is gone.
    pub fn start(store: Store, wakes: Wakes, tracker: &TaskTracker) -> Self {
        let (plain, plain_requests) = mpsc::channel(WAITING_MOST);
        let (keyed, keyed_requests) = mpsc::channel(WAITING_MOST);
        let submitter = Self { ids: Ids::new(store.clock.clone()), store, wakes, plain, keyed };
        let writer = |submitter: &Self| Writer {
            store: submitter.store.clone(),
            wakes: submitter.wakes.clone(),
        };
        let plain_requests = Arc::new(Mutex::new(plain_requests));
        for _ in 0..2 {
            tracker.spawn(writer(&submitter).run_plain(plain_requests.clone()));
        }
        tracker.spawn(writer(&submitter).run_keyed(keyed_requests));
        submitter
    }

    /// The database's time, as far as it is known here.
    pub fn now(&self) -> DateTime<Utc> {
        self.store.clock.now()
    }

    /// Submits one job. Answers after its COMMIT is flushed.
    pub async fn submit(&self, job: Submission) -> Answer {
        let (answer, answered) = oneshot::channel();
        let channel = if job.unique.is_some() { &self.keyed } else { &self.plain };
        let request = Request { id: self.ids.next(), job, answer };
        let ended = || SubmitError::Unavailable("the service is stopping".into());
        channel.send(request).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    /// Submits a list of jobs in one transaction: all of them or none. Answers in their order.
    pub async fn submit_many(&self, jobs: Vec<Submission>) -> Result<Vec<Written>, SubmitError> {
        let jobs: Vec<(JobId, Submission)> =
            jobs.into_iter().map(|job| (self.ids.next(), job)).collect();
        let writer = Writer { store: self.store.clone(), wakes: self.wakes.clone() };
        if jobs.iter().all(|(_, job)| job.unique.is_none()) {
            writer.insert(&jobs).await?;
            writer.announce(&jobs);
            return Ok(jobs.iter().map(|(id, job)| writer.created(*id, job)).collect());
        }
        let written = writer.insert_keyed(&jobs).await?;
        writer.announce(&jobs);
        Ok(written)
    }
}

struct Writer {
    store: Store,
    wakes: Wakes,
}

impl Writer {
    async fn run_plain(self, requests: Arc<Mutex<mpsc::Receiver<Request>>>) {
        loop {
            // Whoever holds the lock gathers; the other one's INSERT is in flight meanwhile.
            let Some(batch) = gather(&mut *requests.lock().await).await else { return };
            self.write(batch).await;
        }
    }

    async fn write(&self, batch: Vec<Request>) {
        let (jobs, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|request| ((request.id, request.job), request.answer)).unzip();
        let result = self.insert(&jobs).await;
        if let (Err(SubmitError::Refused(_)), true) = (&result, jobs.len() > 1) {
            // One bad row must not fail its neighbours.
            for (job, answer) in jobs.into_iter().zip(answers) {
                let result = self.insert(std::slice::from_ref(&job)).await;
                if result.is_ok() {
                    self.announce(std::slice::from_ref(&job));
                }
                let _ = answer.send(result.map(|()| self.created(job.0, &job.1)));
            }
            return;
        }
        if result.is_ok() {
            self.announce(&jobs);
        }
        for ((id, job), answer) in jobs.iter().zip(answers) {
            let _ = answer.send(result.clone().map(|()| self.created(*id, job)));
        }
    }

    async fn run_keyed(self, mut requests: mpsc::Receiver<Request>) {
        let mut later: Vec<Request> = Vec::new();
        loop {
            if later.is_empty() {
                match gather(&mut requests).await {
                    Some(batch) => later = batch,
                    None => return,
                }
            }
            let round = take_round(&mut later);
            self.write_keyed(round).await;
        }
    }

    async fn write_keyed(&self, round: Vec<Request>) {
        let (jobs, answers): (Vec<_>, Vec<_>) =
            round.into_iter().map(|request| ((request.id, request.job), request.answer)).unzip();
        match self.store.job_submit_keyed(&jobs).await {
            Ok(written) => {
                self.announce(&jobs);
                for (written, answer) in written.into_iter().zip(answers) {
                    let _ = answer.send(written.map_err(|id| SubmitError::Conflict(vec![(0, id)])));
                }
            }
            // One key is held by an open transaction, or the statement failed for one of them: each goes alone, and none
            // waits for the others.
            Err(_) => {
                for (job, answer) in jobs.into_iter().zip(answers) {
                    let writer = Self { store: self.store.clone(), wakes: self.wakes.clone() };
                    tokio::spawn(async move {
                        let jobs = [job];
                        let result = writer.insert_keyed(&jobs).await;
                        if result.is_ok() {
                            writer.announce(&jobs);
                        }
                        let first = |mut all: Vec<Written>| {
                            all.pop().ok_or(SubmitError::Refused("no answer".into()))
                        };
                        let _ = answer.send(result.and_then(first));
                    });
                }
            }
        }
    }

    /// Inserts until it is settled or patience runs out.
    async fn insert(&self, jobs: &[(JobId, Submission)]) -> Result<(), SubmitError> {
        let begun = Instant::now();
        let (mut sent, mut announce) = (false, true);
        let mut partitions = false;
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let error =
                match tokio::time::timeout(left, self.store.job_submit(jobs, announce)).await {
                    Ok(Ok(())) => {
                        histogram!("reveille_submit_batch_size").record(as_f64(jobs.len()));
                        return Ok(());
                    }
                    Ok(Err(error)) => error,
                    // The call was given up in the middle: it may have been sent.
                    Err(_) => Error::Unknown("no answer in time".into()),
                };
            sent |= matches!(error, Error::Unknown(_));
            match error.state() {
                // The queue of notifications is full. The jobs matter more than their announcement; the poll finds them.
                Some("54000") if announce => announce = false,
                Some("23514") if !partitions => {
                    partitions = true;
                    let _ = self.store.partition_ensure().await;
                }
                _ if error.is_passing() && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                _ => return Err(refusal(&error, sent)),
            }
        }
    }

    async fn insert_keyed(
        &self,
        jobs: &[(JobId, Submission)],
    ) -> Result<Vec<Written>, SubmitError> {
        let call = tokio::time::timeout(PATIENCE, self.store.job_submit_keyed(jobs));
        let written = match call.await {
            Ok(Ok(written)) => written,
            Ok(Err(error)) if error.state() == Some("55P03") => return Err(SubmitError::KeyBusy),
            Ok(Err(error)) => return Err(refusal(&error, matches!(error, Error::Unknown(_)))),
            Err(_) => return Err(SubmitError::Unknown("no answer in time".into())),
        };
        let mut rejected = Vec::new();
        let mut accepted = Vec::with_capacity(written.len());
        for (nth, written) in written.into_iter().enumerate() {
            match written {
                Ok(written) => accepted.push(written),
                Err(holder) => rejected.push((nth, holder)),
            }
        }
        if rejected.is_empty() { Ok(accepted) } else { Err(SubmitError::Conflict(rejected)) }
    }

    /// Wakes this process's own dispatcher at once; the others hear of it from PostgreSQL.
    fn announce(&self, jobs: &[(JobId, Submission)]) {
        let now = self.store.clock.now();
        self.wakes.wake(|pending| {
            let mut last = None;
            for (_, job) in jobs {
                let lane = lane_of(job);
                if last.as_ref() == Some(&lane) || seconds_until(job, now) > 120.0 {
                    continue;
                }
                pending.lanes.entry(lane.clone()).or_insert(Source::Local);
                last = Some(lane);
            }
        });
        counter!("reveille_jobs_submitted_total").increment(jobs.len() as u64);
    }

    fn created(&self, id: JobId, job: &Submission) -> Written {
        let waits = seconds_until(job, self.store.clock.now()) > 0.0;
        let status = if waits { Status::Scheduled } else { Status::Queued };
        Written { job_id: id, status, outcome: Outcome::Created }
    }
}

/// Everything that has gathered, and at least one; `None` when no more will come.
async fn gather(requests: &mut mpsc::Receiver<Request>) -> Option<Vec<Request>> {
    let first = requests.recv().await?;
    let mut bytes = first.job.payload.as_str().len();
    let mut batch = vec![first];
    while batch.len() < ROWS_MOST && bytes < BYTES_MOST {
        let Ok(request) = requests.try_recv() else { break };
        bytes += request.job.payload.as_str().len();
        batch.push(request);
    }
    Some(batch)
}

/// Each key once, in the order of keys; what repeats one waits for the next round.
fn take_round(requests: &mut Vec<Request>) -> Vec<Request> {
    let mut round: Vec<Request> = Vec::new();
    let mut later = Vec::new();
    for request in requests.drain(..) {
        let key = |request: &Request| {
            (
                request.job.queue.clone(),
                request.job.unique.as_ref().map(|unique| unique.key.clone()),
            )
        };
        if round.iter().any(|taken| key(taken) == key(&request)) {
            later.push(request)
        } else {
            round.push(request)
        }
    }
    *requests = later;
    round
}

fn refusal(error: &Error, sent: bool) -> SubmitError {
    match error {
        _ if sent => SubmitError::Unknown(error.to_string()),
        Error::Unavailable(_) | Error::Busy { .. } => SubmitError::Unavailable(error.to_string()),
        _ => SubmitError::Refused(error.to_string()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of rows")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
