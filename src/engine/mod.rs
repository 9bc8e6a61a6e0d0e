//! The engine: it claims jobs, runs them, and settles their outcomes.

mod agenda;
mod completer;
mod dispatcher;
mod executor;
mod figures;
mod fronts;
mod heartbeat;
mod lanes;
#[cfg(feature = "faults")]
mod mutant;
mod running;
mod settler;
mod slots;

use std::sync::{Arc, RwLock};
use std::time::Duration;

use slots::Slots;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::events::{Duties, Events};
use crate::job::WorkerId;
use crate::shutdown::Shutdown;
use crate::store::task::TaskRow;
use crate::store::worker::Registration;
use crate::store::{Result, Store};
use crate::tasks::Registry;

/// What the engine is started with.
#[derive(Clone)]
pub struct EngineConfig {
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
}

/// Who this process is to the others; made anew when it was taken for lost.
#[derive(Clone)]
pub struct Identity(Arc<RwLock<WorkerId>>);

impl Identity {
    fn new() -> Self {
        Self(Arc::new(RwLock::new(WorkerId(Uuid::now_v7()))))
    }

    pub fn worker(&self) -> WorkerId {
        *self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn renew(&self, worker: WorkerId) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = worker;
    }
}

/// How much this instance has to do.
#[derive(Clone)]
pub struct Load(Arc<Slots>);

impl Load {
    /// Jobs that run.
    pub fn running(&self) -> usize {
        self.0.usage().0
    }

    /// Jobs that could run besides.
    pub fn free(&self) -> usize {
        self.0.usage().1
    }
}

/// The running engine.
pub struct Engine {
    pub identity: Identity,
    /// What the leader does, and who is to be rescued: for the maintenance services.
    pub duties: Duties,
    claims: TaskTracker,
    pub load: Load,
    jobs: TaskTracker,
    services: TaskTracker,
    shutdown: Shutdown,
    store: Store,
}

impl Engine {
    /// Registers this process and starts to work.
    pub async fn start(
        config: EngineConfig,
        registry: Registry,
        store: Store,
        events: Events,
        shutdown: Shutdown,
    ) -> Result<Self> {
        let identity = Identity::new();
        let registration = Registration {
            name: config.name.clone(),
            host: config.host.clone(),
            lost_after_seconds: config.lost_after.as_secs_f64(),
            slots: config.slots,
            queues: config.queues.clone(),
            tasks: if config.slots == 0 {
                Vec::new()
            } else {
                registry.iter().map(|(name, _)| name.to_string()).collect()
            },
        };
        store.worker_register(identity.worker(), &registration).await?;
        store.task_register(&task_rows(&registry)).await?;

        let (claims, jobs, services) = (TaskTracker::new(), TaskTracker::new(), TaskTracker::new());
        let running = running::Running::default();
        let slots = Arc::new(Slots::new(config.slots));
        let (duties, load) = (Duties::default(), Load(slots.clone()));
        let (settle, settlements) = mpsc::channel(completer::WAITING_MOST);
        let (reports, progress) = mpsc::channel(1024);
        services.spawn(completer::run(store.clone(), settlements, running.clone(), events.clone()));
        services.spawn(completer::report(store.clone(), progress));
        services.spawn(
            heartbeat::Heartbeat {
                store: store.clone(),
                slots: slots.clone(),
                identity: identity.clone(),
                registration,
                running: running.clone(),
                events: events.clone(),
                duties: duties.clone(),
                every: config.heartbeat,
                settle: settle.clone(),
                shutdown: shutdown.clone(),
            }
            .run(),
        );
        let executor = Arc::new(executor::Executor {
            registry: registry.clone(),
            running: running.clone(),
            slots: slots.clone(),
            settle,
            reports,
            default_timeout: config.default_timeout,
            tracker: jobs.clone(),
            figures: figures::JobFigures::default(),
            pauses: events.pauses.clone(),
        });
        services.spawn(running.clone().obey(events.clone(), shutdown.clone()));
        claims.spawn(
            dispatcher::Dispatcher::new(
                config,
                &registry,
                store.clone(),
                events,
                identity.clone(),
                slots,
                executor,
            )
            .run(shutdown.clone()),
        );
        Ok(Self { identity, duties, load, claims, jobs, services, shutdown, store })
    }

    /// Waits until every job that runs has ended and its outcome is settled, and says goodbye. Call it once the shutdown is
    /// draining; it ends soon after `cancelling`.
    pub async fn drain(&self) {
        // A claim in flight may still start jobs, so the dispatcher goes first.
        self.claims.close();
        self.claims.wait().await;
        self.jobs.close();
        // The executors and the heartbeat hold the completer's channel: with the last of them it ends.
        self.jobs.wait().await;
        self.shutdown.stopping.cancel();
        self.services.close();
        self.services.wait().await;
        if let Err(error) = self.store.worker_remove(self.identity.worker()).await {
            tracing::warn!(%error, "could not say goodbye; the others will notice in a while");
        }
    }
}

fn task_rows(registry: &Registry) -> Vec<TaskRow> {
    registry
        .iter()
        .map(|(name, task)| TaskRow {
            name: name.clone(),
            description: task.description.to_owned(),
            max_attempts: task.max_attempts,
            timeout_seconds: task.timeout.map(|timeout| timeout.as_secs_f64()),
            backoff: Some(task.backoff),
            payload_schema: task.payload_schema.clone(),
            result_schema: task.result_schema.clone(),
            example: task.example.clone(),
        })
        .collect()
}
