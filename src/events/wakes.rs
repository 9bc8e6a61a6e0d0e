//! Wakes on their way to the dispatcher. They coalesce.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::lock;
use crate::queue::{Lane, QueueName};

/// Why the dispatcher looked, and found what it claimed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Source {
    /// PostgreSQL told.
    Notify,
    /// A submission through this very process.
    Local,
    /// The claim before came back full, or began behind the front.
    Drain,
    /// The time of a delayed job came.
    Timer,
    /// The slow look at everything.
    Poll,
}

impl Source {
    pub(crate) const ALL: [Self; 5] =
        [Self::Notify, Self::Local, Self::Drain, Self::Timer, Self::Poll];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Notify => "notify",
            Self::Local => "local",
            Self::Drain => "drain",
            Self::Timer => "timer",
            Self::Poll => "poll",
        }
    }
}

/// Wakes that the dispatcher has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub lanes: HashMap<Lane, Source>,
    /// Queues of which every lane is to be looked at.
    pub queues: HashSet<QueueName>,
    /// There were more of them than are kept: every lane is to be looked at.
    pub all_queues: bool,
    pub suspects: bool,
    /// Everything is to be looked at, each lane from its front: the listener may have missed
    /// something.
    pub everything: bool,
    /// A queue was paused: what is held of it goes back.
    pub paused: bool,
}

/// The most queues and lanes that are remembered one by one: any role can notify of as many as it
/// likes.
const QUEUES_MOST: usize = 100;
const LANES_MOST: usize = 10_000;

impl Pending {
    /// Every lane of this queue is to be looked at.
    pub(crate) fn queue(&mut self, queue: QueueName) {
        if self.queues.len() < QUEUES_MOST {
            self.queues.insert(queue);
        } else if !self.queues.contains(&queue) {
            self.all_queues = true;
        }
    }

    /// This lane has jobs that are due, or will be soon.
    pub(crate) fn lane(&mut self, lane: Lane, source: Source) {
        if self.lanes.len() < LANES_MOST {
            self.lanes.entry(lane).or_insert(source);
        } else if !self.lanes.contains_key(&lane) {
            self.all_queues = true;
        }
    }
}

/// The way of wakes to the dispatcher.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wakes(Arc<(Mutex<Pending>, Notify)>);

impl Wakes {
    /// Adds to what is pending, and wakes the dispatcher.
    pub(crate) fn wake(&self, add: impl FnOnce(&mut Pending)) {
        add(&mut lock(&self.0.0));
        self.0.1.notify_one();
    }

    /// Everything that came since the last call.
    pub(crate) fn take(&self) -> Pending {
        std::mem::take(&mut lock(&self.0.0))
    }

    /// Returns when there may be something to take; a wake before the call counts.
    pub(crate) async fn wait(&self) {
        self.0.1.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::TaskName;

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).expect("a name")
    }

    #[test]
    fn of_lanes_without_number_everything_is_looked_at() {
        let lane = |nth: usize| Lane {
            queue: queue(&format!("q{nth}")),
            task: TaskName::trusted("noop"),
            priority: 5,
        };
        let mut pending = Pending::default();
        for nth in 0..LANES_MOST {
            pending.lane(lane(nth), Source::Notify);
            pending.lane(lane(0), Source::Notify);
        }
        assert!(!pending.all_queues);
        pending.lane(lane(LANES_MOST), Source::Notify);
        assert_eq!((pending.lanes.len(), pending.all_queues), (LANES_MOST, true));
    }

    #[test]
    fn of_queues_without_number_everything_is_looked_at() {
        let mut pending = Pending::default();
        for nth in 0..QUEUES_MOST {
            pending.queue(queue(&format!("q{nth}")));
            pending.queue(queue("q0"));
        }
        assert!(!pending.all_queues);
        pending.queue(queue("more"));
        assert_eq!((pending.queues.len(), pending.all_queues), (QUEUES_MOST, true));
    }
}
