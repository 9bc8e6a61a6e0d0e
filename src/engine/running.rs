//! What this process holds: jobs whose handlers run, until their outcome is settled; and why one of them is to stop.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::events::Events;
use crate::job::{JobId, LeaseId};
use crate::shutdown::Shutdown;

pub(super) type Key = (LeaseId, JobId);

/// Why a handler is to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// Somebody cancelled the job.
    Cancelled = 1,
    /// The lease is gone: whatever it does counts for nothing.
    Lost = 2,
    /// The service leaves.
    Leaving = 3,
}

/// What a handler is told by.
#[derive(Clone, Debug, Default)]
pub(super) struct Handle {
    pub(super) token: CancellationToken,
    reason: Arc<AtomicU8>,
}

impl Handle {
    fn stop(&self, stop: Stop) {
        // The first reason counts.
        let _ = self.reason.compare_exchange(0, stop as u8, Ordering::AcqRel, Ordering::Acquire);
        self.token.cancel();
    }

    pub(super) fn reason(&self) -> Option<Stop> {
        match self.reason.load(Ordering::Acquire) {
            1 => Some(Stop::Cancelled),
            2 => Some(Stop::Lost),
            3 => Some(Stop::Leaving),
            _ => None,
        }
    }
}

/// All of them.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<Key, Handle>>>);

impl Running {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, key: Key) -> Handle {
        let handle = Handle::default();
        self.lock().insert(key, handle.clone());
        handle
    }

    pub(super) fn end(&self, key: Key) {
        self.lock().remove(&key);
    }

    pub(super) fn end_all(&self, keys: impl Iterator<Item = Key>) {
        let mut running = self.lock();
        for key in keys {
            running.remove(&key);
        }
    }

    pub(super) fn keys(&self) -> HashSet<Key> {
        self.lock().keys().copied().collect()
    }

    pub(super) fn stop(&self, key: Key, stop: Stop) {
        if let Some(handle) = self.lock().get(&key) {
            handle.stop(stop);
        }
    }

    pub(super) fn stop_all(&self, stop: Stop) {
        for handle in self.lock().values() {
            handle.stop(stop);
        }
    }

    /// Passes on cancellations, and at the end of the grace period the word to leave.
    pub(super) async fn obey(self, events: Events, shutdown: Shutdown) {
        let mut cancels = events.cancels.subscribe();
        loop {
            tokio::select! {
                heard = cancels.recv() => match heard {
                    Ok(key) => self.stop(key, Stop::Cancelled),
                    // What was missed comes with the next heartbeat.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                () = shutdown.cancelling.cancelled() => break,
                () = shutdown.stopping.cancelled() => return,
            }
        }
        // A claim that was in flight may still start a job: say it until the end.
        let mut again = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            tokio::select! {
                _ = again.tick() => self.stop_all(Stop::Leaving),
                () = shutdown.stopping.cancelled() => return,
            }
        }
    }
}
