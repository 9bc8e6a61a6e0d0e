//! The jobs that this process holds, whose handlers run until their outcome is settled; and why one
//! of them is to stop.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::settling::Key;
use crate::shutdown::Shutdown;
use crate::supervise::Inbox;

/// Jobs whose cancellation was announced.
pub(super) type Cancels = broadcast::Receiver<Key>;

/// Why a handler is to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// A caller cancelled the job.
    Cancelled = 1,
    /// The lease is gone: whatever it does counts for nothing.
    Lost = 2,
    /// The service leaves.
    Leaving = 3,
    /// No heartbeat was confirmed for so long that the lease may be gone.
    Silent = 4,
}

/// The way to tell a handler to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Handle {
    pub(super) token: CancellationToken,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    reason: AtomicU8,
    /// When its attempt is to have ended; not set before it begins.
    until: OnceLock<Instant>,
}

impl Handle {
    /// Answers whether it was not told before: the first reason counts.
    fn stop(&self, stop: Stop) -> bool {
        let first =
            self.state.reason.compare_exchange(0, stop as u8, Ordering::AcqRel, Ordering::Acquire);
        self.token.cancel();
        first.is_ok()
    }

    pub(super) fn reason(&self) -> Option<Stop> {
        match self.state.reason.load(Ordering::Acquire) {
            1 => Some(Stop::Cancelled),
            2 => Some(Stop::Lost),
            3 => Some(Stop::Leaving),
            4 => Some(Stop::Silent),
            _ => None,
        }
    }

    /// Its attempt begins, and may take so long.
    pub(super) fn begins(&self, limit: Duration) {
        if let Some(until) = Instant::now().checked_add(limit) {
            let _ = self.state.until.set(until);
        }
    }
}

/// All of them.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Shared>);

#[derive(Default)]
struct Shared {
    handles: Mutex<HashMap<Key, Handle>>,
    /// Told when the last one has ended.
    emptied: Notify,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Handle>> {
        self.0.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, key: Key) -> Handle {
        let handle = Handle::default();
        self.lock().insert(key, handle.clone());
        handle
    }

    pub(super) fn end(&self, key: Key) {
        self.end_all(std::iter::once(key));
    }

    pub(super) fn end_all(&self, keys: impl Iterator<Item = Key>) {
        let mut running = self.lock();
        for key in keys {
            running.remove(&key);
        }
        if running.is_empty() {
            self.0.emptied.notify_one();
        }
    }

    /// Returns when every outcome is settled. For one caller, once nothing more begins.
    pub(super) async fn emptied(&self) {
        while !self.lock().is_empty() {
            self.0.emptied.notified().await;
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

    /// Whether a handler runs that is within its time.
    pub(super) fn any_in_time(&self) -> bool {
        let now = Instant::now();
        let in_time = |handle: &Handle| handle.state.until.get().is_some_and(|until| now < *until);
        self.lock().values().any(in_time)
    }

    /// Answers how many were not told before.
    pub(super) fn stop_all(&self, stop: Stop) -> usize {
        let running = self.lock();
        running.values().filter(|handle| handle.stop(stop)).count()
    }

    /// Passes on cancellations, and at the end of the grace period the word to leave.
    pub(super) async fn obey(self, cancels: Inbox<Cancels>, shutdown: Shutdown) {
        let mut cancels = cancels.lock().await;
        loop {
            tokio::select! {
                heard = cancels.recv() => match heard {
                    Ok(key) => self.stop(key, Stop::Cancelled),
                    // The missed ones come with the next heartbeat.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
                () = shutdown.cancelling.cancelled() => break,
                () = shutdown.stopping.cancelled() => return,
            }
        }
        // A claim that was in flight may still start a job: say it until the end.
        let mut again = tokio::time::interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                _ = again.tick() => drop(self.stop_all(Stop::Leaving)),
                () = shutdown.stopping.cancelled() => return,
            }
        }
    }
}
