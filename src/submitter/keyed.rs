//! Submissions with a unique key, in rounds: each key once. An open SQL transaction that holds a key is waited for only by the
//! submissions of that key: a round gives up on it soon, its others are written one by one, and the key leaves the rounds
//! until its submissions, which go on alone and take turns at one connection, are answered.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout_at};

use super::gather::{gather, gather_more};
use super::writer::Writer;
use super::{Answer, Request, SubmitError};
use crate::job::submission::Submission;
use crate::queue::QueueName;
use crate::store::Error;

/// How long one try waits for a key that an open transaction holds.
const KEY_WAIT: Duration = Duration::from_millis(200);

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

    pub(super) async fn run(self, mut requests: mpsc::Receiver<Request>) {
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

    async fn write(&self, round: Vec<Request>) {
        let round = if round.len() > 1 { self.write_all(round).await } else { round };
        for request in round {
            if request.sent {
                self.go_alone(request);
                continue;
            }
            match self.try_one(&request).await {
                Err(SubmitError::KeyBusy) => self.go_alone(request),
                answer => drop(request.answer.send(answer)),
            }
        }
    }

    /// Tries once to write all of them together. Answers those that are still to be written: whatever is in the way may be in
    /// the way of one of them only.
    async fn write_all(&self, round: Vec<Request>) -> Vec<Request> {
        let deadline =
            round.iter().map(|request| request.deadline).min().unwrap_or_else(Instant::now);
        let jobs: Vec<_> = round.iter().map(|request| (request.id, request.job.clone())).collect();
        match self.writer.store.job_submit_keyed(&jobs, true, KEY_WAIT, deadline).await {
            Ok(all) => {
                self.writer.announce(&jobs);
                for (written, request) in all.into_iter().zip(round) {
                    let answer = written.map_err(|id| SubmitError::Conflict(vec![(0, id)]));
                    let _ = request.answer.send(answer);
                }
                Vec::new()
            }
            Err(error) => {
                let sent = matches!(error, Error::Unknown(_));
                round.into_iter().map(|request| Request { sent, ..request }).collect()
            }
        }
    }

    async fn try_one(&self, request: &Request) -> Answer {
        let jobs = [(request.id, request.job.clone())];
        let (sent, deadline) = (request.sent, request.deadline);
        let mut all = self.writer.insert_keyed(&jobs, sent, KEY_WAIT, deadline).await?;
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
                match keyed.try_one(&request).await {
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

fn key(job: &Submission) -> Key {
    (job.queue.clone(), job.unique.as_ref().map(|unique| unique.key.clone()).unwrap_or_default())
}

/// Each key once; what repeats one waits for the next round.
fn take_round(requests: &mut Vec<Request>) -> Vec<Request> {
    let mut taken = HashSet::new();
    requests.extract_if(.., |request| taken.insert(key(&request.job))).collect()
}
