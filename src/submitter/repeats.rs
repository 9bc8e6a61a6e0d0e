//! Submissions that may be repeated, in rounds of their own. Each is written with its first answer
//! in one transaction. So a caller whose answer was lost sends it again, to this instance or
//! another, and is told what became of the first.
//!
//! A key is under way once in a process: a second request is refused at once. A key
//! that another instance writes at the moment is waited for as long as its commit should take.
//! Nobody waits for a key that is held for longer. A request that meets a held unique key, or that
//! the database refuses, leaves the round. It goes on alone, as in [`keyed`](super::keyed). Lists
//! are written each by itself.
//!
//! A principal has a bounded number of keys. They are counted now and then, the more often the
//! fewer are left, and never while somebody waits, but for the first time. So a few more may be
//! kept.

mod quota;
mod writer;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use metrics::counter;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::gather::Weighs;
use super::keyed::LIST_KEY_WAIT;
use super::{PATIENCE, SubmitError, Submitter, WAITING_MOST, list_patience};
use crate::job::JobId;
use crate::job::idempotency::Repeatable;
use crate::job::submission::Submission;
use crate::job::written::Written;
use crate::supervise::{Loop, Supervisor, is_spent};
use quota::Quota;
use writer::RepeatWriter;

/// Why a request that may be repeated has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum RepeatError {
    /// Its submission was not accepted.
    #[error(transparent)]
    Submission(#[from] SubmitError),
    /// The key belongs to other content.
    #[error("the key was used for other content")]
    Reused,
    /// The first request with the key is under way.
    #[error("the first request with the key is under way")]
    Busy,
    /// The principal may have no more keys.
    #[error("the principal has too many keys")]
    Full,
}

/// The answer to a request that may be repeated.
#[derive(Clone, Debug)]
pub(crate) struct Repeated {
    /// Of its jobs, in their order.
    pub written: Vec<Written>,
    /// It is the answer that an earlier request was given.
    pub replayed: bool,
}

type Answer = Result<Repeated, RepeatError>;

/// The key of a request that is under way in this process, as long as this lives.
struct Flight {
    all: Arc<Mutex<HashSet<Name>>>,
    name: Name,
}

/// Principal, path and key.
type Name = (String, &'static str, String);

impl Flight {
    fn of(all: &Arc<Mutex<HashSet<Name>>>, request: &Repeatable) -> Option<Self> {
        let name = (request.principal.clone(), request.path, request.key.clone());
        let new = all.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        new.then(|| Self { all: all.clone(), name })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

/// A request on its way.
struct Request {
    request: Repeatable,
    admitted: bool,
    /// Its only job.
    job: (JobId, Submission),
    deadline: Instant,
    /// Whether an earlier try may have been kept.
    sent: bool,
    /// Lives until it is answered, whether or not its caller waits for that.
    flight: Flight,
    answer: oneshot::Sender<Answer>,
}

impl Weighs for Request {
    fn bytes(&self) -> usize {
        self.job.1.payload.as_str().len()
    }
}

/// Takes submissions that may be repeated. Clones share the writer.
#[derive(Clone)]
pub(crate) struct Repeats {
    submitter: Submitter,
    writer: RepeatWriter,
    requests: mpsc::Sender<Request>,
    flights: Arc<Mutex<HashSet<Name>>>,
    quota: Arc<Quota>,
}

impl Repeats {
    /// Beside a submitter, and its writer. Answers are kept for so long.
    pub(crate) fn new(
        submitter: &Submitter,
        keep: Duration,
        supervisor: &Supervisor,
    ) -> (Self, Loop) {
        let (requests, inbox) = mpsc::channel(WAITING_MOST);
        let writer = RepeatWriter {
            keyed: submitter.lists.clone(),
            store: submitter.store.clone(),
            keep,
            supervisor: supervisor.clone(),
        };
        let inbox = Arc::new(tokio::sync::Mutex::new(inbox));
        let (kept, gathered) = (writer.clone(), inbox.clone());
        let writing = supervisor.clone().keep(
            "repeats-writer",
            move || is_spent(&gathered),
            move || kept.clone().run(inbox.clone()),
        );
        let quota = Arc::new(Quota::new());
        let submitter = submitter.clone();
        let it = Self { submitter, writer, requests, flights: Arc::default(), quota };
        (it, writing.boxed())
    }

    /// Submits the jobs of a request, all or none, or finds what an earlier one was answered.
    pub(crate) async fn submit(&self, request: Repeatable, jobs: Vec<Submission>) -> Answer {
        let answer = self.answer(request, jobs).await;
        let outcome = match &answer {
            Ok(repeated) if repeated.replayed => "replayed",
            Ok(_) => "stored",
            Err(RepeatError::Reused) => "reused",
            Err(RepeatError::Busy) => "busy",
            Err(RepeatError::Full) => "full",
            Err(RepeatError::Submission(_)) => "refused",
        };
        counter!("reveille_idempotent_requests_total", "outcome" => outcome).increment(1);
        match &answer {
            Ok(repeated) if repeated.replayed => {}
            Ok(repeated) => self.submitter.count(Ok(repeated.written.as_slice())),
            Err(RepeatError::Submission(error)) => self.submitter.count(Err(error)),
            Err(_) => {}
        }
        answer
    }

    async fn answer(&self, request: Repeatable, mut jobs: Vec<Submission>) -> Answer {
        jobs.iter_mut().for_each(|job| self.submitter.fill(job));
        let flight = Flight::of(&self.flights, &request).ok_or(RepeatError::Busy)?;
        let patience = if jobs.len() == 1 { PATIENCE } else { list_patience(&jobs) };
        let deadline = Instant::now() + patience;
        self.submitter.be_sure_of_the_time(deadline).await?;
        let admitted = self.quota.admits(&self.submitter.store, &request.principal, deadline).await;
        let mut jobs: Vec<(JobId, Submission)> =
            jobs.into_iter().map(|job| (self.submitter.ids.next(), job)).collect();
        let (principal, alone) = (request.principal.clone(), jobs.len() == 1);
        let answer = if alone && let Some(job) = jobs.pop() {
            let (answer, answered) = oneshot::channel();
            let sent = false;
            let it = Request { request, admitted, job, deadline, sent, flight, answer };
            self.requests.send(it).await.map_err(|_| self.submitter.ended())?;
            // The writer that had it panicked, perhaps after it was sent.
            let lost = |_| SubmitError::Unknown("its writer ended before it had an answer".into());
            answered.await.map_err(lost)?
        } else {
            let last = Instant::now() + LIST_KEY_WAIT;
            self.writer.take_turns(&request, admitted, &jobs, false, last, deadline).await
        };
        if answer.as_ref().is_ok_and(|answer| !answer.replayed) {
            self.quota.kept(&principal);
        }
        answer
    }
}
