//! Events inside this process, and notices between the instances. A [`Notice`] is heard, and its
//! content is handed on here. All of it coalesces, so that a flood costs no more than its distinct
//! parts.

mod defaults;
mod ends;
mod gates;
mod leadership;
mod leftovers;
mod notice;
mod operations;
mod pauses;
mod wakes;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, broadcast};

pub(crate) use defaults::Defaults;
pub(crate) use ends::Ends;
pub(crate) use gates::{Asked, Freed, Gates, Turn};
pub(crate) use leadership::Leadership;
pub(crate) use leftovers::{Left, Leftovers};
pub(crate) use notice::{IDS_MOST, Notice};
pub(crate) use operations::Operations;
pub(crate) use pauses::Pauses;
pub(crate) use wakes::{Pending, Source, Wakes};

use crate::job::fields::QueueChange;
use crate::job::{JobId, LeaseId};
use crate::queue::QueueName;

/// Everything that this process is told, and tells itself.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    pub wakes: Wakes,
    pub ends: Ends,
    pub leftovers: Leftovers,
    pub pauses: Pauses,
    /// Turns of concurrency keys.
    pub gates: Gates,
    /// A job may end by itself sooner than is known.
    pub expiries: Arc<Notify>,
    /// The settings of queues.
    pub defaults: Defaults,
    pub operations: Operations,
    /// Jobs whose running handlers are to be cancelled.
    pub cancels: broadcast::Sender<(LeaseId, JobId)>,
    /// Whether notifications are heard.
    pub listening: Arc<AtomicBool>,
}

impl Events {
    /// Hands on what another instance or the database says.
    pub(crate) fn hear(&self, notice: Notice) {
        match notice {
            Notice::Lane(lane) => {
                self.wakes.wake(|pending| pending.lane(lane, Source::Notify));
            }
            Notice::Queue(queue) => self.wakes.wake(|pending| pending.queue(queue)),
            Notice::Keyed(queue) => self.gates.look_at(queue),
            Notice::Pause(_) => self.pauses.ask(),
            Notice::Expiry => self.expiries.notify_one(),
            Notice::Settings => self.defaults.ask(),
            Notice::Operation => self.operations.tell(),
            Notice::Suspects => self.wakes.wake(|pending| pending.suspects = true),
            Notice::Cancel(lease, job) => {
                // An error says that no handler runs here.
                let _ = self.cancels.send((lease, job));
            }
            Notice::Ended(_) | Notice::SomeEnded => self.ends.hear(notice),
            // Of another listener.
            Notice::Canary(_) => {}
        }
    }

    /// This process has changed the settings of a queue.
    pub(crate) fn learn(&self, change: QueueChange) {
        self.learned(self.defaults.learn(change));
    }

    /// The database says that settings of queues are these: all of them, if it was asked for all at
    /// `all_at`.
    pub(crate) fn looked(&self, changes: Vec<QueueChange>, all_at: Option<Instant>) {
        self.learned(match all_at {
            Some(asked_at) => self.defaults.found(changes, asked_at),
            None => self.defaults.seen(changes),
        });
    }

    fn learned(&self, is_new: bool) {
        if is_new {
            // A job may have a limit now, or a key more turns.
            self.expiries.notify_one();
            self.gates.turns_changed();
        }
    }

    /// Nothing of this queue starts here from now on that was claimed before.
    pub(crate) fn pause(&self, queue: QueueName) {
        self.pauses.pause(queue);
        self.wakes.wake(|pending| pending.paused = true);
    }

    /// The database says that these queues are paused, and was asked at `asked_at`: nothing of them
    /// starts here that was claimed before that.
    pub(crate) fn paused(&self, queues: Vec<QueueName>, asked_at: Instant) {
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
            gates: Gates::default(),
            expiries: Arc::default(),
            defaults: Defaults::default(),
            operations: Operations::default(),
            cancels: broadcast::channel(1024).0,
            listening: Arc::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
