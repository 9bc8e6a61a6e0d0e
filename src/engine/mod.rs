//! The engine: it claims jobs for the slots of this process, runs them, and hands their outcomes
//! over to be settled.

mod assembly;
mod dispatcher;
mod executor;
mod fence;
mod figures;
mod heartbeat;
mod running;
mod slots;
mod ticks;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::client::Client;
use crate::events::{Events, Leadership};
use crate::job::WorkerId;
use crate::shutdown::Shutdown;
use crate::store::{Error, Store};
use crate::supervise::{Loop, Supervisor};
use crate::tasks::Registry;
use running::Running;
use slots::Slots;

/// How long deregistering may take. The others take this instance for lost in any case.
const DEREGISTER_MOST: Duration = Duration::from_secs(2);

/// The settings of the engine.
#[derive(Clone)]
pub(crate) struct EngineConfig {
    pub name: String,
    pub host: String,
    /// Jobs that run at a time.
    pub slots: usize,
    /// Which queues it serves; empty: all.
    pub queues: Vec<String>,
    pub poll_interval: Duration,
    pub heartbeat: Duration,
    pub lost_after: Duration,
    pub default_timeout: Duration,
    /// Whether handlers stop while no heartbeat can be confirmed.
    pub stops_on_silence: bool,
}

/// The parts of an engine.
#[derive(Clone)]
pub(crate) struct Parts {
    pub config: EngineConfig,
    /// The same whenever a start is tried again.
    pub identity: Identity,
    pub registry: Registry,
    /// For jobs that submit others.
    pub client: Client,
    pub store: Store,
    pub events: Events,
    pub supervisor: Supervisor,
    pub shutdown: Shutdown,
}

/// Who this process is to the others; a new one when it was taken for lost.
#[derive(Clone)]
pub(crate) struct Identity(Arc<RwLock<WorkerId>>);

impl Identity {
    pub(crate) fn anew() -> Self {
        Self(Arc::new(RwLock::new(WorkerId(Uuid::now_v7()))))
    }

    pub(crate) fn worker(&self) -> WorkerId {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew(&self, worker: WorkerId) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = worker;
    }
}

/// How much this instance has to do.
#[derive(Clone)]
pub(crate) struct Load(Arc<Slots>);

impl Load {
    /// Jobs that run.
    pub(crate) fn running(&self) -> usize {
        self.0.usage().0
    }

    /// Jobs that could run besides.
    pub(crate) fn free(&self) -> usize {
        self.0.usage().1
    }
}

/// The loops of an engine, which the composition root spawns.
pub(crate) struct Loops {
    /// For the runtime of the handlers.
    pub main: Vec<Loop>,
    /// Keeps the leases. It belongs on a thread that handlers cannot block.
    pub lifeline: Loop,
}

/// The engine. It works once its [`Loops`] are spawned.
pub(crate) struct Engine {
    /// Who leads the maintenance services, and whether somebody is to be rescued.
    pub leadership: Leadership,
    pub load: Load,
    identity: Identity,
    /// Tracks the dispatcher.
    claims: TaskTracker,
    /// Tracks the jobs that run.
    jobs: TaskTracker,
    /// Tracks every other loop.
    services: TaskTracker,
    running: Running,
    /// Nothing will be settled any more.
    settled: CancellationToken,
    shutdown: Shutdown,
    store: Store,
}

impl Engine {
    /// Waits until every job that runs has ended and its outcome is settled, and deregisters this
    /// instance. Call it once the shutdown is draining; it ends soon after `cancelling`.
    pub(crate) async fn drain(&self) {
        // A claim in flight may still start jobs, so the dispatcher goes first.
        self.claims.close();
        self.claims.wait().await;
        self.jobs.close();
        self.jobs.wait().await;
        // Until then heartbeats keep the leases, or others would run again what has only to be
        // written.
        tokio::select! {
            () = self.running.emptied() => {}
            () = self.settled.cancelled() => {}
        }
        // The executors and the heartbeat hold the completer's channel: with the last of them it
        // ends.
        self.shutdown.stopping.cancel();
        self.services.close();
        self.services.wait().await;
        let removing = timeout(DEREGISTER_MOST, self.store.worker_remove(self.identity.worker()));
        let silence = |_| Err(Error::Unknown("no answer in time".into()));
        if let Err(error) = removing.await.unwrap_or_else(silence) {
            tracing::warn!(%error,
                "could not deregister this instance; the others will consider it lost after lost_after_seconds");
        }
    }
}
