//! Turns of concurrency keys, on their way to the loop that gives them on.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::lock;
use crate::job::JobId;
use crate::queue::QueueName;

/// The most queues that are remembered one by one: any role can notify of as many as it likes.
const QUEUES_MOST: usize = 1000;
/// The most turns that wait to be given on. Beyond, the leader finds them.
const TURNS_MOST: usize = 100_000;

/// The turn that a job has among those of its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Turn {
    pub queue: QueueName,
    pub key: String,
    /// Whether the others pass while the job waits for another attempt.
    pub yields: bool,
}

/// Turns of a queue that jobs have given back.
#[derive(Debug, Default)]
pub(crate) struct Freed {
    pub keys: HashSet<String>,
    /// Jobs that wait for another attempt, and let others pass.
    pub yielding: Vec<JobId>,
}

/// What is to be done since the last look.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Queues of which jobs may have a turn.
    pub queues: HashSet<QueueName>,
    /// There may be more of them than are named.
    pub all: bool,
    pub freed: HashMap<QueueName, Freed>,
    turns: usize,
}

/// The way of turns to the loop that gives them on. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gates(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    asked: Mutex<Asked>,
    some: Notify,
    /// Keys of a queue may have more turns.
    changed: Notify,
}

impl Gates {
    /// A job that had a turn has ended.
    pub(crate) fn give_back(&self, turn: &Turn) {
        self.add(turn, None);
    }

    /// A job waits for another attempt, and others of its key are to pass.
    pub(crate) fn let_pass(&self, turn: &Turn, job: JobId) {
        self.add(turn, Some(job));
    }

    fn add(&self, turn: &Turn, yielding: Option<JobId>) {
        {
            let asked = &mut *lock(&self.0.asked);
            if asked.turns >= TURNS_MOST {
                return;
            }
            asked.turns += 1;
            let freed = asked.freed.entry(turn.queue.clone()).or_default();
            freed.keys.insert(turn.key.clone());
            freed.yielding.extend(yielding);
        }
        self.0.some.notify_one();
    }

    /// Jobs of this queue may have a turn.
    pub(crate) fn look_at(&self, queue: QueueName) {
        {
            let asked = &mut *lock(&self.0.asked);
            if asked.queues.len() < QUEUES_MOST {
                asked.queues.insert(queue);
            } else {
                asked.all |= !asked.queues.contains(&queue);
            }
        }
        self.0.some.notify_one();
    }

    /// Something may have been missed.
    pub(crate) fn look_at_all(&self) {
        lock(&self.0.asked).all = true;
        self.0.some.notify_one();
    }

    /// Everything since the last call.
    pub(crate) fn take(&self) -> Asked {
        std::mem::take(&mut lock(&self.0.asked))
    }

    /// Returns when there may be something to take; what came before the call counts.
    pub(crate) async fn asked(&self) {
        self.0.some.notified().await;
    }

    /// Settings of queues have changed, so their keys may have more turns.
    pub(crate) fn turns_changed(&self) {
        self.0.changed.notify_one();
    }

    /// Returns when keys may have more turns.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn turns_and_queues_without_number_are_left_to_a_look_at_all() {
        let queue = |nth: usize| QueueName::trusted(&format!("q{nth}"));
        let (gates, job) = (Gates::default(), JobId(Uuid::now_v7()));
        let turn = Turn { queue: queue(1), key: "k".into(), yields: true };
        gates.give_back(&turn);
        gates.let_pass(&turn, job);
        for nth in 0..QUEUES_MOST {
            gates.look_at(queue(nth));
            gates.look_at(queue(0));
        }
        let asked = gates.take();
        assert_eq!((asked.queues.len(), asked.all), (QUEUES_MOST, false));
        let freed = &asked.freed[&turn.queue];
        assert_eq!((freed.keys.len(), &freed.yielding), (1, &vec![job]));
        for nth in 0..=QUEUES_MOST {
            gates.look_at(queue(nth));
        }
        assert!(gates.take().all);
        for _ in 0..=TURNS_MOST {
            gates.let_pass(&turn, job);
        }
        assert_eq!(gates.take().freed[&turn.queue].yielding.len(), TURNS_MOST);
    }
}
