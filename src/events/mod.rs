//! What happens inside this process: wakes on their way to the dispatcher, and the ends of jobs on their way to those who
//! wait for them. Both coalesce, so that a flood of either costs no more than its distinct parts.

mod pauses;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, broadcast, watch};

pub use pauses::Pauses;

use crate::job::{JobId, LeaseId};
use crate::queue::{Lane, QueueName};

/// Why the dispatcher looked, and found what it claimed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Source {
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
    pub const ALL: [Self; 5] = [Self::Notify, Self::Local, Self::Drain, Self::Timer, Self::Poll];

    pub fn as_str(self) -> &'static str {
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
pub struct Pending {
    pub lanes: HashMap<Lane, Source>,
    /// Queues of which every lane is to be looked at.
    pub queues: HashSet<QueueName>,
    /// There were more of them than are kept: every lane is to be looked at.
    pub all_queues: bool,
    pub suspects: bool,
    /// Everything is to be looked at, each lane from its front: the listener may have missed something.
    pub everything: bool,
    /// A queue was paused: what is held of it goes back.
    pub paused: bool,
}

/// The most queues that are remembered one by one: any role can notify of as many as it likes.
const QUEUES_MOST: usize = 100;

impl Pending {
    pub fn is_empty(&self) -> bool {
        let flags = self.suspects || self.everything || self.paused || self.all_queues;
        self.lanes.is_empty() && self.queues.is_empty() && !flags
    }

    /// Every lane of this queue is to be looked at.
    pub fn queue(&mut self, queue: QueueName) {
        if self.queues.len() < QUEUES_MOST {
            self.queues.insert(queue);
        } else if !self.queues.contains(&queue) {
            self.all_queues = true;
        }
    }
}

/// The way of wakes to the dispatcher.
#[derive(Clone, Debug, Default)]
pub struct Wakes(Arc<(Mutex<Pending>, Notify)>);

impl Wakes {
    /// Adds to what is pending, and wakes the dispatcher.
    pub fn wake(&self, add: impl FnOnce(&mut Pending)) {
        add(&mut lock(&self.0.0));
        self.0.1.notify_one();
    }

    /// A lane has jobs that are due, or will be soon.
    pub fn lane(&self, lane: Lane, source: Source) {
        self.wake(|pending| {
            pending.lanes.entry(lane).or_insert(source);
        });
    }

    /// Everything that came since the last call.
    pub fn take(&self) -> Pending {
        std::mem::take(&mut lock(&self.0.0))
    }

    /// Returns when there may be something to take; a wake before the call counts.
    pub async fn wait(&self) {
        self.0.1.notified().await;
    }
}

/// The ends of jobs, for those who wait for them.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    waiting: Arc<Mutex<HashMap<JobId, watch::Sender<u64>>>>,
    unnamed: Arc<Notify>,
}

impl Ends {
    /// Arms a wait. Arm first, look at the job then, and wait last: an end in between is not missed.
    pub fn watch(&self, id: JobId) -> Waiting {
        let mut waiting = lock(&self.waiting);
        let seen = waiting.entry(id).or_insert_with(|| watch::channel(0).0).subscribe();
        Waiting { id, seen, ends: self.clone() }
    }

    /// These jobs have ended.
    pub fn ended(&self, ids: impl IntoIterator<Item = JobId>) {
        let waiting = lock(&self.waiting);
        if waiting.is_empty() {
            return;
        }
        for id in ids {
            if let Some(sender) = waiting.get(&id) {
                sender.send_modify(|times| *times += 1);
            }
        }
    }

    /// Some jobs may have ended, and nobody says which. Calls coalesce until [`Ends::unnamed`] returns.
    pub fn some_ended(&self) {
        self.unnamed.notify_one();
    }

    /// Returns when jobs may have ended that were not named.
    pub async fn unnamed(&self) {
        self.unnamed.notified().await;
    }

    /// The jobs that are waited for.
    pub fn awaited(&self) -> Vec<JobId> {
        lock(&self.waiting).keys().copied().collect()
    }
}

/// Somebody who waits for the end of a job.
#[derive(Debug)]
pub struct Waiting {
    id: JobId,
    seen: watch::Receiver<u64>,
    ends: Ends,
}

impl Waiting {
    /// Returns when the job may have ended since the last call, or since the wait was armed.
    pub async fn changed(&mut self) {
        // The sender lives as long as somebody waits, so this is no error.
        let _ = self.seen.changed().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = lock(&self.ends.waiting);
        if waiting.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.remove(&self.id);
        }
    }
}

/// Whether this instance leads the maintenance services, as its heartbeat finds out, and whether somebody is to be rescued.
#[derive(Clone, Debug, Default)]
pub struct Leadership {
    leads: Arc<watch::Sender<bool>>,
    rescue: Arc<Notify>,
}

impl Leadership {
    /// Whether this instance leads the singleton services.
    pub fn leads(&self) -> bool {
        *self.leads.borrow()
    }

    /// Returns when this instance leads.
    pub async fn led(&self) {
        // The sender is here, so this is no error.
        let _ = self.leads.subscribe().wait_for(|leads| *leads).await;
    }

    /// Answers whether that is new.
    pub(crate) fn set_leads(&self, leads: bool) -> bool {
        self.leads.send_replace(leads) != leads
    }

    /// Returns when somebody is to be rescued; a call before counts.
    pub async fn rescue(&self) {
        self.rescue.notified().await;
    }

    /// Somebody is to be rescued.
    pub(crate) fn call_to_rescue(&self) {
        self.rescue.notify_one();
    }
}

/// The most jobs whose leavings wait; the oldest are forgotten beyond.
const LEFT_MOST: usize = 100_000;

/// The way of what outcomes leave behind to the tidier.
#[derive(Clone, Debug, Default)]
pub struct Leftovers(Arc<(Mutex<Left>, Notify)>);

/// Jobs whose outcomes leave something behind.
#[derive(Debug, Default)]
pub struct Left {
    /// They have ended, and may hold a unique key.
    pub ended: Vec<JobId>,
    /// They have snoozed, and may have done so many times.
    pub snoozed: Vec<JobId>,
    closed: bool,
}

impl Leftovers {
    /// Adds jobs that have ended and may hold a unique key, and jobs that have snoozed.
    pub fn add(&self, ended: Vec<JobId>, snoozed: Vec<JobId>) {
        if ended.is_empty() && snoozed.is_empty() {
            return;
        }
        {
            let Left { ended: all_ended, snoozed: all_snoozed, .. } = &mut *lock(&self.0.0);
            for (all, ids) in [(all_ended, ended), (all_snoozed, snoozed)] {
                all.extend(ids);
                all.drain(..all.len().saturating_sub(LEFT_MOST));
            }
        }
        self.0.1.notify_one();
    }

    /// What came since the last call, at least one; `None` when no more will come. For one taker.
    pub async fn take(&self) -> Option<Left> {
        loop {
            {
                let mut left = lock(&self.0.0);
                if !left.ended.is_empty() || !left.snoozed.is_empty() {
                    let closed = left.closed;
                    let taken = std::mem::take(&mut *left);
                    left.closed = closed;
                    return Some(taken);
                }
                if left.closed {
                    return None;
                }
            }
            self.0.1.notified().await;
        }
    }

    /// No more will come.
    pub fn close(&self) {
        lock(&self.0.0).closed = true;
        self.0.1.notify_one();
    }
}

/// What this process is told, and tells itself.
#[derive(Clone, Debug)]
pub struct Events {
    pub wakes: Wakes,
    pub ends: Ends,
    pub leftovers: Leftovers,
    pub pauses: Pauses,
    /// Jobs whose running handlers are to be cancelled.
    pub cancels: broadcast::Sender<(LeaseId, JobId)>,
    /// Whether notifications are heard.
    pub listening: Arc<AtomicBool>,
}

impl Events {
    /// Nothing of this queue starts here from now on that was claimed before.
    pub fn pause(&self, queue: QueueName) {
        self.pauses.pause(queue);
        self.wakes.wake(|pending| pending.paused = true);
    }

    /// The database says that these queues are paused, and was asked at `asked_at`: nothing of them starts here that was
    /// claimed before that.
    pub fn paused(&self, queues: Vec<QueueName>, asked_at: Instant) {
        let any = !queues.is_empty();
        self.pauses.found(queues, asked_at);
        if any {
            self.wakes.wake(|pending| pending.paused = true);
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        Self {
            wakes: Wakes::default(),
            ends: Ends::default(),
            leftovers: Leftovers::default(),
            pauses: Pauses::default(),
            cancels: broadcast::channel(1024).0,
            listening: Arc::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).expect("a name")
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
