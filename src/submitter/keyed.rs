//! Submissions with a unique key, in rounds: each key once. An open SQL transaction that holds keys
//! is waited for only by the submissions of those keys. A round gives up on them soon and asks
//! which they are, which takes some 1 ms for each. Those leave the rounds until their submissions,
//! which go on alone and take turns at one connection, are answered.
//!
//! Lists with unique keys are written here too, each by itself. A list that meets a held key takes
//! turns with the submissions that go alone. Statements with keys never have all connections of
//! submissions at a time. So keys that are held keep no submission without a key waiting. No more
//! than one statement waits for a key for longer than a round does.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time::{Instant, timeout_at};

use super::gather::{gather, gather_more};
use super::writer::Writer;
use super::{Answer, Request, SubmitError};
use crate::job::JobId;
use crate::job::submission::Submission;
use crate::job::written::Written;
use crate::queue::QueueName;
use crate::supervise::{Inbox, Supervisor};

/// How long a round waits for a key: longer than another instance takes to commit it.
pub(super) const ROUND_WAIT: Duration = Duration::from_millis(50);
/// How often a round is tried without the keys that turned out to be held.
const TOGETHER: usize = 3;
/// How long those that go alone wait for their keys, shared among all of them, and at least each.
pub(super) const KEY_WAIT: Duration = Duration::from_millis(200);
const TURN_LEAST: Duration = Duration::from_millis(5);
/// How long a list waits for its keys in all: not so long that its deadline comes first.
pub(super) const LIST_KEY_WAIT: Duration = Duration::from_millis(1_400);

type Key = (QueueName, String);

#[derive(Clone)]
pub(super) struct Keyed {
    pub(super) writer: Writer,
    /// How many submissions of a key go alone.
    busy: Arc<Mutex<HashMap<Key, usize>>>,
    /// How many lists are being written.
    lists: Arc<AtomicUsize>,
    /// The turn to wait for a key.
    pub(super) turn: Arc<Semaphore>,
    /// Connections that statements with keys may have at a time.
    places: Arc<Semaphore>,
    supervisor: Supervisor,
}

/// A list that is being written, as long as this lives.
struct Listed<'a>(&'a AtomicUsize);

impl<'a> Listed<'a> {
    /// Answers how many there are with it, too.
    fn new(lists: &'a AtomicUsize) -> (Self, usize) {
        let before = lists.fetch_add(1, Ordering::Relaxed);
        (Self(lists), before + 1)
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Keyed {
    pub(super) fn new(writer: Writer, supervisor: Supervisor) -> Self {
        let places = writer.store.submissions_most().saturating_sub(1).max(1);
        let (turn, places) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(places)));
        Self { writer, busy: Arc::default(), lists: Arc::default(), turn, places, supervisor }
    }

    pub(super) async fn run(self, requests: Inbox<mpsc::Receiver<Request>>) {
        let mut requests = requests.lock().await;
        let mut waiting: Vec<Request> = Vec::new();
        loop {
            if waiting.is_empty() {
                match gather(&mut requests).await {
                    Some(batch) => waiting = batch,
                    None => return,
                }
            } else {
                gather_more(&mut requests, &mut waiting);
            }
            let busy = self.busy().clone();
            for request in waiting.extract_if(.., |request| busy.contains_key(&key(&request.job))) {
                self.go_alone(request);
            }
            let round = take_round(&mut waiting);
            if !round.is_empty() {
                self.write(round).await;
            }
        }
    }

    /// Writes a round. Keys that an open transaction holds are found out without waiting for it,
    /// and leave the round.
    async fn write(&self, mut round: Vec<Request>) {
        for _ in 0..TOGETHER {
            match self.write_all(round).await {
                Outcome::All => return,
                Outcome::Apart(rest) => return self.write_apart(rest).await,
                Outcome::Held(rest) => round = self.without_held(rest).await,
            }
            if round.is_empty() {
                return;
            }
        }
        round.into_iter().for_each(|request| self.go_alone(request));
    }

    /// Writes one by one what was refused together: one bad row must not fail its neighbours.
    async fn write_apart(&self, round: Vec<Request>) {
        for request in round {
            if request.sent {
                self.go_alone(request);
                continue;
            }
            match self.try_one(&request, ROUND_WAIT).await {
                Err(SubmitError::KeyBusy) => self.go_alone(request),
                answer => drop(request.answer.send(answer)),
            }
        }
    }

    /// Sends those on their own way whose keys somebody holds, and answers the others.
    async fn without_held(&self, round: Vec<Request>) -> Vec<Request> {
        let (jobs, deadline) = parts(&round);
        let held = match self.place(deadline).await {
            Ok(_place) => self.writer.store.key_held(&jobs, deadline).await.ok(),
            Err(_) => None,
        };
        // If that cannot be found out, it may be any of them.
        let held = held.unwrap_or_else(|| (0..round.len()).collect());
        let (alone, free): (Vec<_>, Vec<_>) =
            round.into_iter().enumerate().partition(|(nth, _)| held.contains(nth));
        alone.into_iter().for_each(|(_, request)| self.go_alone(request));
        free.into_iter().map(|(_, request)| request).collect()
    }

    /// Tries once to write all of them together.
    async fn write_all(&self, round: Vec<Request>) -> Outcome {
        let (mut jobs, deadline) = parts(&round);
        let _place = match self.place(deadline).await {
            Ok(place) => place,
            Err(error) => {
                for request in round {
                    let _ = request.answer.send(Err(error.clone()));
                }
                return Outcome::All;
            }
        };
        match self.writer.store.job_submit_keyed(&jobs, true, ROUND_WAIT, deadline).await {
            Ok(all) => {
                self.writer.store.disk.found_room();
                let mut written = all.iter().map(Result::is_ok);
                jobs.retain(|_| written.next().unwrap_or_default());
                if !jobs.is_empty() {
                    self.writer.announce(&jobs);
                }
                for (written, request) in all.into_iter().zip(round) {
                    let answer = written.map_err(|id| SubmitError::Conflict(vec![(0, id)]));
                    let _ = request.answer.send(answer);
                }
                Outcome::All
            }
            Err(error) if error.is_locked() => Outcome::Held(round),
            Err(error) => {
                let sent = error.may_be_done();
                Outcome::Apart(
                    round.into_iter().map(|request| Request { sent, ..request }).collect(),
                )
            }
        }
    }

    async fn try_one(&self, request: &Request, key_wait: Duration) -> Answer {
        let jobs = [(request.id, request.job.clone())];
        let (sent, deadline) = (request.sent, request.deadline);
        let _place = self.place(deadline).await?;
        let mut all = self.writer.insert_keyed(&jobs, sent, key_wait, deadline).await?;
        self.writer.announce(&jobs);
        all.pop().ok_or_else(|| SubmitError::Refused("the database gave no answer".into()))
    }

    /// Writes a list of which some have a unique key, all or none.
    pub(super) async fn write_list(
        &self,
        jobs: &[(JobId, Submission)],
        deadline: Instant,
    ) -> Result<Vec<Written>, SubmitError> {
        let last = Instant::now() + LIST_KEY_WAIT;
        let (_listed, lists) = Listed::new(&self.lists);
        let mut answer = self.try_list(jobs, shared(ROUND_WAIT, lists), deadline).await;
        while matches!(answer, Err(SubmitError::KeyBusy))
            && Instant::now() < last
            && let Ok(_turn) = timeout_at(last, self.turn.acquire()).await
        {
            answer = self.try_list(jobs, self.turn_length(), deadline).await;
        }
        answer
    }

    async fn try_list(
        &self,
        jobs: &[(JobId, Submission)],
        key_wait: Duration,
        deadline: Instant,
    ) -> Result<Vec<Written>, SubmitError> {
        let _place = self.place(deadline).await?;
        self.writer.insert_keyed(jobs, false, key_wait, deadline).await
    }

    /// A place for a statement with keys.
    pub(super) async fn place(
        &self,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>, SubmitError> {
        match timeout_at(deadline, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(SubmitError::Unavailable("no connection was free in time".into())),
        }
    }

    /// Has the submission tried until its key is free or its deadline has come. The key stays out
    /// of the rounds until the last of its submissions is answered.
    fn go_alone(&self, request: Request) {
        let (keyed, held) = (self.clone(), key(&request.job));
        *self.busy().entry(held.clone()).or_default() += 1;
        tokio::spawn(async move {
            let answer = keyed.supervisor.once("keyed-alone", keyed.try_alone(&request)).await;
            let panicked = || {
                let why = "the service failed while it wrote the submission; its log says why";
                Err(SubmitError::Unknown(why.into()))
            };
            keyed.leave(&held);
            let _ = request.answer.send(answer.unwrap_or_else(panicked));
        });
    }

    async fn try_alone(&self, request: &Request) -> Answer {
        // A try that the deadline cuts off would leave its caller in doubt.
        let last = request.deadline - 2 * KEY_WAIT;
        let answer = loop {
            let Ok(_turn) = timeout_at(last, self.turn.acquire()).await else {
                break Err(SubmitError::KeyBusy);
            };
            match self.try_one(request, self.turn_length()).await {
                Err(SubmitError::KeyBusy) if Instant::now() < last => {}
                answer => break answer,
            }
        };
        if request.sent { answer.map_err(in_doubt) } else { answer }
    }

    /// How long a key is waited for in a turn: the more take turns, the shorter.
    pub(super) fn turn_length(&self) -> Duration {
        let alone: usize = self.busy().values().sum();
        shared(KEY_WAIT, alone + self.lists.load(Ordering::Relaxed))
    }

    fn leave(&self, key: &Key) {
        let mut busy = self.busy();
        if let Some(alone) = busy.get_mut(key) {
            *alone -= 1;
            if *alone == 0 {
                busy.remove(key);
            }
        }
    }

    fn busy(&self) -> std::sync::MutexGuard<'_, HashMap<Key, usize>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of a submission that may have been kept by an earlier try: nobody may be told that
/// nothing was submitted.
pub(super) fn in_doubt(error: SubmitError) -> SubmitError {
    match error {
        SubmitError::KeyBusy => {
            SubmitError::Unknown("an open transaction holds the unique key".into())
        }
        SubmitError::Unavailable(why) => SubmitError::Unknown(why),
        error => error,
    }
}

/// A wait that so many share.
fn shared(wait: Duration, by: usize) -> Duration {
    (wait / u32::try_from(by).unwrap_or(u32::MAX).max(1)).max(TURN_LEAST)
}

/// The outcome of a round.
enum Outcome {
    All,
    /// Another session holds at least one of the keys.
    Held(Vec<Request>),
    /// The obstacle may be in the way of one of them only.
    Apart(Vec<Request>),
}

/// The jobs of a round, and when the first of its callers is to be answered.
fn parts(round: &[Request]) -> (Vec<(JobId, Submission)>, Instant) {
    let deadline = round.iter().map(|request| request.deadline).min().unwrap_or_else(Instant::now);
    (round.iter().map(|request| (request.id, request.job.clone())).collect(), deadline)
}

fn key(job: &Submission) -> Key {
    (job.queue.clone(), job.unique.as_ref().map(|unique| unique.key.clone()).unwrap_or_default())
}

/// Each key once; what repeats one waits for the next round.
fn take_round(requests: &mut Vec<Request>) -> Vec<Request> {
    let mut taken = HashSet::new();
    requests.extract_if(.., |request| taken.insert(key(&request.job))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_have_been_kept_by_an_earlier_try_is_never_told_that_nothing_was_submitted() {
        for error in [SubmitError::KeyBusy, SubmitError::Unavailable("no connection".into())] {
            let error = in_doubt(error);
            assert!(matches!(error, SubmitError::Unknown(_)), "{error:?}");
        }
        let conflict = in_doubt(SubmitError::Conflict(Vec::new()));
        assert!(matches!(conflict, SubmitError::Conflict(_)), "{conflict:?}");
    }
}
