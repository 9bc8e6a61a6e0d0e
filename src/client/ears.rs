//! The connection of a client that hears which jobs have ended.

use std::sync::OnceLock;

use tokio::runtime::Handle;
use tokio_util::sync::DropGuard;

use crate::events::{Ends, Events};
use crate::listener;
use crate::shutdown::Shutdown;
use crate::store::{Store, Target};
use crate::supervise::Supervisor;

/// Listens from the first wait on, until the client is dropped. It does so on the runtime on which
/// the client was made. That of the caller who waits first may end before the others have waited.
pub(super) struct Ears {
    target: Target,
    store: Store,
    ends: Ends,
    supervisor: Supervisor,
    runtime: Handle,
    listening: OnceLock<DropGuard>,
}

impl Ears {
    pub(super) fn new(target: Target, store: Store, ends: Ends, supervisor: Supervisor) -> Self {
        let (runtime, listening) = (Handle::current(), OnceLock::new());
        Self { target, store, ends, supervisor, runtime, listening }
    }

    /// Listens, if it does not yet.
    pub(super) fn listen(&self) {
        self.listening.get_or_init(|| {
            let shutdown = Shutdown::default();
            let (target, ends, stop) = (self.target.clone(), self.ends.clone(), shutdown.clone());
            let hear = move || listener::run_for_ends(target.clone(), ends.clone(), stop.clone());
            let events = Events { ends: self.ends.clone(), ..Events::default() };
            let (store, stop) = (self.store.clone(), shutdown.clone());
            let look = move || listener::look_for_ends(store.clone(), events.clone(), stop.clone());
            let over = &shutdown.stopping;
            self.runtime.spawn(self.supervisor.keep_until(over, "client-listener", hear));
            self.runtime.spawn(self.supervisor.keep_until(over, "client-ends", look));
            shutdown.stopping.drop_guard()
        });
    }
}
