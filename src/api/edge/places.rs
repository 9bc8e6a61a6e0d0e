//! The places of connections: those that `max_connections` allows, and some beyond for probes.
//!
//! Callers that wait hold a connection each, so they can take all there are. An orchestrator whose probes then found no
//! answer would kill a service that is well. So more connections are accepted than are served: one beyond has its
//! request read, is answered if it is a probe, and refused if it is not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places beyond the limit.
pub const PROBES: usize = 16;

/// All the places there are.
#[derive(Clone)]
pub(super) struct Places {
    served: Arc<Semaphore>,
    probes: Arc<Semaphore>,
}

impl Places {
    pub(super) fn new(connections: usize) -> Self {
        let served = connections.clamp(1, Semaphore::MAX_PERMITS);
        Self { served: Arc::new(Semaphore::new(served)), probes: Arc::new(Semaphore::new(PROBES)) }
    }

    pub(super) fn are_full(&self) -> bool {
        self.served.available_permits() == 0
    }

    /// Waits for a place, one for probes if there is no other.
    pub(super) async fn take(&self) -> Place {
        let (served, probes) = (self.served.clone(), self.probes.clone());
        tokio::select! {
            biased;
            Ok(permit) = served.acquire_owned() => Place::new(self, permit, false),
            Ok(permit) = probes.acquire_owned() => Place::new(self, permit, true),
            // Nobody closes a semaphore here.
            else => std::future::pending().await,
        }
    }
}

/// The place of one connection, which is given back with this value.
pub(super) struct Place {
    permit: Mutex<OwnedSemaphorePermit>,
    for_probes: AtomicBool,
    places: Places,
}

impl Place {
    fn new(places: &Places, permit: OwnedSemaphorePermit, for_probes: bool) -> Self {
        let for_probes = AtomicBool::new(for_probes);
        Self { permit: Mutex::new(permit), for_probes, places: places.clone() }
    }

    pub(super) fn is_for_probes(&self) -> bool {
        self.for_probes.load(Ordering::Relaxed)
    }

    /// Takes a place that came free meanwhile, and tells whether there was one.
    pub(super) fn become_served(&self) -> bool {
        let Ok(permit) = self.places.served.clone().try_acquire_owned() else { return false };
        *self.permit.lock().unwrap_or_else(PoisonError::into_inner) = permit;
        self.for_probes.store(false, Ordering::Relaxed);
        true
    }
}
