//! The places of connections: those that `max_connections` allows, and some beyond for probes.
//!
//! Callers that wait hold a connection each, so they can take all there are. An orchestrator whose
//! probes then found no answer would kill a service that is well. So more connections are accepted
//! than are served. The request of one beyond is read, answered if it is a probe, and else refused.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places beyond the limit.
pub const PROBES: usize = 16;

/// All the places there are.
#[derive(Clone)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    /// Of all of them, the ones that are served.
    served: Arc<Semaphore>,
}

/// Lets one more connection in. Nothing that is served is held for a connection still to come.
pub(super) struct Entry {
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(connections: usize) -> Self {
        let served = connections.clamp(1, Semaphore::MAX_PERMITS - PROBES);
        Self {
            all: Arc::new(Semaphore::new(served + PROBES)),
            served: Arc::new(Semaphore::new(served)),
        }
    }

    pub(super) fn are_full(&self) -> bool {
        self.served.available_permits() == 0
    }

    /// Waits until one more connection may come in.
    pub(super) async fn entry(&self) -> Entry {
        match self.all.clone().acquire_owned().await {
            Ok(permit) => Entry { _permit: permit },
            // No code closes a semaphore here.
            Err(_) => std::future::pending().await,
        }
    }

    /// The place of a connection that has come in, one for probes if there is no other.
    pub(super) fn place(&self, entry: Entry) -> Place {
        let for_probes = AtomicBool::new(true);
        let (served, places) = (Mutex::default(), self.clone());
        let place = Place { _entry: entry, served, for_probes, places };
        place.become_served();
        place
    }
}

/// The place of one connection, which is given back with this value.
pub(super) struct Place {
    _entry: Entry,
    served: Mutex<Option<OwnedSemaphorePermit>>,
    for_probes: AtomicBool,
    places: Places,
}

impl Place {
    pub(super) fn is_for_probes(&self) -> bool {
        self.for_probes.load(Ordering::Relaxed)
    }

    /// Takes a place that came free meanwhile, and tells whether there was one.
    pub(super) fn become_served(&self) -> bool {
        let Ok(permit) = self.places.served.clone().try_acquire_owned() else { return false };
        *self.served.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
        self.for_probes.store(false, Ordering::Relaxed);
        true
    }
}
