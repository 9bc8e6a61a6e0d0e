//! Submissions with a unique key, in rounds: each key once. An open SQL transaction that holds keys is waited for only by the
//! submissions of those keys. A round gives up on them soon and asks which they are, which takes some 1 ms for each. Those leave
//! the rounds until their submissions, which go on alone and take turns at one connection, are answered.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::gather::{gather, gather_more};
use super::writer::Writer;
use super::{Answer, Request, SubmitError};
use crate::job::JobId;
use crate::job::submission::Submission;
use crate::queue::QueueName;
use crate::store::Error;
use crate::supervise::Inbox;

/// How long a round waits for a key: longer than another instance takes to commit it.
const ROUND_WAIT: Duration = Duration::from_millis(50);
/// How often a round is tried without the keys that turned out to be held.
const TOGETHER: usize = 3;
/// How long those that go alone wait for their keys, shared among all of them, and at least each.
const KEY_WAIT: Duration = Duration::from_millis(200);
const TURN_LEAST: Duration = Duration::from_millis(5);
/// The state of a statement that waited for a lock in vain.
const LOCKED: &str = "55P03";

type Key = (QueueName, String);

#[derive(Clone)]
pub(super) struct Keyed {
    writer: Writer,
    /// How many submissions of a key go alone.
    busy: Arc<Mutex<HashMap<Key, usize>>>,
    turn: Arc<Semaphore>,
}

impl Keyed {
    pub(super) fn new(writer: Writer) -> Self {
        Self { writer, busy: Arc::default(), turn: Arc::new(Semaphore::new(1)) }
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
            self.write(take_round(&mut waiting)).await;
        }
    }

    /// Writes a round. What an open transaction holds is found out without waiting for it, and leaves the round.
    async fn write(&self, mut round: Vec<Request>) {
        for _ in 0..TOGETHER {
            match self.write_all(round).await {
                Written::All => return,
                Written::Apart(rest) => return self.write_apart(rest).await,
                Written::Held(rest) => round = self.without_held(rest).await,
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
        // If that cannot be found out, it may be any of them.
        let held = self.writer.store.key_held(&jobs, deadline).await;
        let held = held.unwrap_or_else(|_| (0..round.len()).collect());
        let (alone, free): (Vec<_>, Vec<_>) =
            round.into_iter().enumerate().partition(|(nth, _)| held.contains(nth));
        alone.into_iter().for_each(|(_, request)| self.go_alone(request));
        free.into_iter().map(|(_, request)| request).collect()
    }

    /// Tries once to write all of them together.
    async fn write_all(&self, round: Vec<Request>) -> Written {
        let (mut jobs, deadline) = parts(&round);
        match self.writer.store.job_submit_keyed(&jobs, true, ROUND_WAIT, deadline).await {
            Ok(all) => {
                let mut written = all.iter().map(Result::is_ok);
                jobs.retain(|_| written.next().unwrap_or_default());
                if !jobs.is_empty() {
                    self.writer.announce(&jobs);
                }
                for (written, request) in all.into_iter().zip(round) {
                    let answer = written.map_err(|id| SubmitError::Conflict(vec![(0, id)]));
                    let _ = request.answer.send(answer);
                }
                Written::All
            }
            Err(error) if error.state() == Some(LOCKED) => Written::Held(round),
            Err(error) => {
                let sent = matches!(error, Error::Unknown(_));
                Written::Apart(
                    round.into_iter().map(|request| Request { sent, ..request }).collect(),
                )
            }
        }
    }

    async fn try_one(&self, request: &Request, key_wait: Duration) -> Answer {
        let jobs = [(request.id, request.job.clone())];
        let (sent, deadline) = (request.sent, request.deadline);
        let mut all = self.writer.insert_keyed(&jobs, sent, key_wait, deadline).await?;
        self.writer.announce(&jobs);
        all.pop().ok_or_else(|| SubmitError::Refused("the database gave no answer".into()))
    }

    /// Tries until the key is free or the deadline has come. The key stays out of the rounds until the last of its
    /// submissions is answered.
    fn go_alone(&self, request: Request) {
        let (keyed, held) = (self.clone(), key(&request.job));
        *self.busy().entry(held.clone()).or_default() += 1;
        tokio::spawn(async move {
            // A try that the deadline cuts off would leave its caller in doubt.
            let last = request.deadline - 2 * KEY_WAIT;
            let answer = loop {
                let Ok(_turn) = timeout_at(last, keyed.turn.acquire()).await else {
                    break Err(SubmitError::KeyBusy);
                };
                match keyed.try_one(&request, keyed.turn_length()).await {
                    Err(SubmitError::KeyBusy) if Instant::now() < last => {}
                    answer => break answer,
                }
            };
            let answer = match answer {
                Err(SubmitError::KeyBusy) if request.sent => {
                    Err(SubmitError::Unknown("an open transaction holds the unique key".into()))
                }
                answer => answer,
            };
            keyed.leave(&held);
            let _ = request.answer.send(answer);
        });
    }

    /// How long one that goes alone waits for its key in its turn: the more go alone, the shorter.
    fn turn_length(&self) -> Duration {
        let alone: usize = self.busy().values().sum();
        (KEY_WAIT / u32::try_from(alone).unwrap_or(u32::MAX).max(1)).max(TURN_LEAST)
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

/// What became of a round.
enum Written {
    All,
    /// Somebody holds at least one of the keys.
    Held(Vec<Request>),
    /// Whatever is in the way may be in the way of one of them only.
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
