//! The engine: it claims jobs, runs them, and settles their outcomes.

mod dispatcher;
mod executor;
mod figures;
mod heartbeat;
mod running;
mod slots;

use std::collections::HashSet;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use heartbeat::Heartbeat;
use running::Running;
use slots::Slots;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::client::Client;
use crate::events::{Events, Leadership};
use crate::job::WorkerId;
use crate::settling::{self, Completer, Room, WAITING_MOST};
use crate::shutdown::Shutdown;
use crate::store::task::TaskRow;
use crate::store::worker::{RegisterOver, Registration};
use crate::store::{Error, Result, Store};
use crate::supervise::{Inbox, Supervisor, is_spent};
use crate::tasks::{Around, Registry};

/// How long saying goodbye may take. The others notice in a while in any case.
const GOODBYE_MOST: Duration = Duration::from_secs(2);

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
    /// Whether handlers stop while no heartbeat can be confirmed.
    pub stops_on_silence: bool,
}

/// What is done here.
pub struct Work {
    pub registry: Registry,
    /// For jobs that submit others.
    pub client: Client,
}

/// Who this process is to the others; made anew when it was taken for lost.
#[derive(Clone)]
pub struct Identity(Arc<RwLock<WorkerId>>);

impl Identity {
    pub fn anew() -> Self {
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
    pub leadership: Leadership,
    claims: TaskTracker,
    pub load: Load,
    jobs: TaskTracker,
    services: TaskTracker,
    running: Running,
    /// Nothing will be settled any more.
    settled: CancellationToken,
    shutdown: Shutdown,
    store: Store,
}

impl Engine {
    /// Registers this process as `identity`, which is the same whenever this is tried again, and starts to work. The future keeps
    /// its leases; it belongs on a thread that handlers cannot block.
    ///
    /// # Errors
    /// When the database refuses to register it.
    pub async fn start(
        config: EngineConfig,
        identity: Identity,
        work: Work,
        store: Store,
        events: Events,
        supervisor: Supervisor,
        shutdown: Shutdown,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static)> {
        let registry = work.registry;
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
        store.task_register(&task_rows(&registry)).await?;
        let registering = Instant::now();
        let over = RegisterOver::Upkeep;
        store.worker_register(identity.worker(), &registration, over).await?;

        let (claims, jobs, services) = (TaskTracker::new(), TaskTracker::new(), TaskTracker::new());
        let running = Running::default();
        let slots = Arc::new(Slots::new(config.slots));
        let (leadership, load) = (Leadership::default(), Load(slots.clone()));
        let (settle, settlements) = mpsc::channel(WAITING_MOST);
        let (reports, progress) = mpsc::channel(1024);
        let (tell, told) = mpsc::unbounded_channel();
        let (stopping, settled) = (&shutdown.stopping, CancellationToken::new());
        let holding = running.clone();
        let let_go = Arc::new(move |keys: &[_]| holding.end_all(keys.iter().copied()));
        let completer = Inbox::new(Mutex::new(Completer::new(
            store.clone(),
            let_go,
            events.clone(),
            settlements,
            tell,
        )));
        let settling = completer.clone();
        let completing = supervisor.clone().keep(
            "completer",
            move || Completer::is_over(&settling),
            move || Completer::run(completer.clone()),
        );
        // Else it would go on in the program of somebody who has shut the service down, for as long as the database is away.
        let (abandoned, over) = (shutdown.abandoned.clone(), settled.clone().drop_guard());
        services.spawn(async move {
            abandoned.run_until_cancelled(completing).await;
            drop(over);
        });
        let (told, telling) = (Inbox::new(Mutex::new(told)), store.clone());
        let hearing = told.clone();
        services.spawn(supervisor.clone().keep(
            "teller",
            move || is_spent(&hearing),
            move || settling::tell_others(telling.clone(), told.clone()),
        ));
        let (progress, reporting) = (Inbox::new(Mutex::new(progress)), store.clone());
        let reported = progress.clone();
        services.spawn(supervisor.clone().keep(
            "reporter",
            move || is_spent(&reported),
            move || settling::report(reporting.clone(), progress.clone()),
        ));

        let ticks = heartbeat::Ticks::new();
        let (ticking, leaving) = (ticks.clone(), shutdown.clone());
        services.spawn(
            supervisor.clone().keep_until(stopping.clone(), "ticker", move || {
                ticking.clone().tick(leaving.clone())
            }),
        );
        let confirmed = heartbeat::Confirmed::new(registering);
        let fence = heartbeat::Fence {
            running: running.clone(),
            slots: slots.clone(),
            confirmed: confirmed.clone(),
            lost_after: config.lost_after,
            stops: config.stops_on_silence,
            shutdown: shutdown.clone(),
        };
        let heartbeat = Heartbeat {
            store: store.clone(),
            slots: slots.clone(),
            identity: identity.clone(),
            registration,
            running: running.clone(),
            events: events.clone(),
            leadership: leadership.clone(),
            every: config.heartbeat,
            settle: settle.clone(),
            shutdown: shutdown.clone(),
            ticks,
            confirmed,
            default_timeout: config.default_timeout,
            connected_since: Some(Instant::now()),
            orphaned: HashSet::new(),
            anew: None,
        };
        let heartbeat = Inbox::new(Mutex::new(heartbeat));
        let beating = supervisor
            .clone()
            .keep_until(stopping.clone(), "heartbeat", move || Heartbeat::run(heartbeat.clone()));
        let fencing =
            supervisor.clone().keep_until(stopping.clone(), "fence", move || fence.clone().run());
        // The drain waits for them, or a late heartbeat would register anew.
        let token = services.token();
        let lifeline = async move {
            tokio::join!(beating, fencing);
            drop(token);
        };

        let executor = Arc::new(executor::Executor {
            registry: registry.clone(),
            running: running.clone(),
            slots: slots.clone(),
            settle,
            room: Room::new(),
            around: Arc::new(Around { reports, client: work.client }),
            cancelling: shutdown.cancelling.clone(),
            default_timeout: config.default_timeout,
            tracker: jobs.clone(),
            figures: figures::JobFigures::default(),
            pauses: events.pauses.clone(),
            suspect_running: Arc::default(),
        });
        let cancels = Inbox::new(Mutex::new(events.cancels.subscribe()));
        let (leaving, obeying) = (shutdown.clone(), running.clone());
        services.spawn(supervisor.clone().keep_until(stopping.clone(), "obeyer", move || {
            obeying.clone().obey(cancels.clone(), leaving.clone())
        }));
        let (draining, leaving) = (shutdown.draining.clone(), shutdown.clone());
        let (claiming, worker) = (store.clone(), identity.clone());
        claims.spawn(supervisor.keep(
            "dispatcher",
            move || config.slots == 0 || draining.is_cancelled(),
            move || {
                // What one knew that panicked is not trusted: the next looks at everything first.
                let dispatcher = dispatcher::Dispatcher::new(
                    config.clone(),
                    &registry,
                    claiming.clone(),
                    events.clone(),
                    worker.clone(),
                    slots.clone(),
                    executor.clone(),
                );
                dispatcher.run(leaving.clone())
            },
        ));
        let engine = Self {
            identity,
            leadership,
            load,
            claims,
            jobs,
            services,
            running,
            settled,
            shutdown,
            store,
        };
        Ok((engine, lifeline))
    }

    /// Waits until every job that runs has ended and its outcome is settled, and says goodbye. Call it once the shutdown is
    /// draining; it ends soon after `cancelling`.
    pub async fn drain(&self) {
        // A claim in flight may still start jobs, so the dispatcher goes first.
        self.claims.close();
        self.claims.wait().await;
        self.jobs.close();
        self.jobs.wait().await;
        // Until then heartbeats keep the leases, or others would run again what has only to be written.
        tokio::select! {
            () = self.running.emptied() => {}
            () = self.settled.cancelled() => {}
        }
        // The executors and the heartbeat hold the completer's channel: with the last of them it ends.
        self.shutdown.stopping.cancel();
        self.services.close();
        self.services.wait().await;
        let goodbye = timeout(GOODBYE_MOST, self.store.worker_remove(self.identity.worker())).await;
        let said = goodbye.unwrap_or_else(|_| Err(Error::Unknown("no answer in time".into())));
        if let Err(error) = said {
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
