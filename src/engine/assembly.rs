//! How an engine is put together. Its loops are made here and spawned by the composition root.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use super::dispatcher::Dispatcher;
use super::executor::Executor;
use super::fence::{Confirmed, Fence};
use super::figures::JobFigures;
use super::heartbeat::Heartbeat;
use super::running::Running;
use super::slots::Slots;
use super::ticks::Ticks;
use super::{Engine, Load, Loops, Parts};
use crate::events::Leadership;
use crate::settling::Settling;
use crate::store::Result;
use crate::store::task::TaskRow;
use crate::store::worker::{RegisterOver, Registration};
use crate::supervise::{Inbox, Loop};
use crate::tasks::{Around, Registry};

impl Engine {
    /// Registers this process, and makes the engine and its loops.
    ///
    /// # Errors
    /// When the database refuses to register it.
    pub(crate) async fn new(parts: Parts) -> Result<(Self, Loops)> {
        let registration = registration(&parts);
        parts.store.task_register(&task_rows(&parts.registry)).await?;
        let sent = Instant::now();
        let (worker, over) = (parts.identity.worker(), RegisterOver::Upkeep);
        parts.store.worker_register(worker, &registration, over).await?;
        Ok(Assembly::new(parts).build(registration, sent))
    }
}

/// An engine in the making.
struct Assembly {
    parts: Parts,
    running: Running,
    slots: Arc<Slots>,
    leadership: Leadership,
    claims: TaskTracker,
    jobs: TaskTracker,
    services: TaskTracker,
}

impl Assembly {
    fn new(parts: Parts) -> Self {
        Self {
            slots: Arc::new(Slots::new(parts.config.slots)),
            running: Running::default(),
            leadership: Leadership::default(),
            claims: TaskTracker::new(),
            jobs: TaskTracker::new(),
            services: TaskTracker::new(),
            parts,
        }
    }

    /// `sent`: when the registration was sent.
    fn build(self, registration: Registration, sent: Instant) -> (Engine, Loops) {
        let Parts { store, events, supervisor, shutdown, .. } = &self.parts;
        let holding = self.running.clone();
        let let_go = Arc::new(move |keys: &[_]| holding.end_all(keys.iter().copied()));
        let (settling, mut services) = Settling::new(store, events, let_go, supervisor, shutdown);
        let ticks = Ticks::new();
        services.push(self.tick(ticks.clone()));
        services.push(self.obey());
        let mut main: Vec<Loop> =
            services.into_iter().map(|it| self.services.track_future(it).boxed()).collect();
        let lifeline = self.lifeline(registration, sent, ticks, &settling);
        main.push(self.claims.track_future(self.dispatch(&settling)).boxed());
        // Tracked, since the drain waits for it: a late heartbeat would register again.
        let lifeline = self.services.track_future(lifeline).boxed();
        (self.engine(settling), Loops { main, lifeline })
    }

    fn engine(self, settling: Settling) -> Engine {
        let Parts { identity, store, shutdown, .. } = self.parts;
        Engine {
            leadership: self.leadership,
            load: Load(self.slots),
            identity,
            claims: self.claims,
            jobs: self.jobs,
            services: self.services,
            running: self.running,
            settled: settling.over,
            shutdown,
            store,
        }
    }

    /// The main runtime says that it runs.
    fn tick(&self, ticks: Ticks) -> Loop {
        let Parts { supervisor, shutdown, .. } = &self.parts;
        let told = shutdown.clone();
        supervisor
            .keep_until(&shutdown.stopping, "ticker", move || ticks.clone().tick(told.clone()))
    }

    /// Handlers hear of cancellations, and of the end of the grace period.
    fn obey(&self) -> Loop {
        let Parts { supervisor, shutdown, .. } = &self.parts;
        let (running, told) = (self.running.clone(), shutdown.clone());
        let cancels: Inbox<_> = Arc::new(Mutex::new(self.parts.events.cancels.subscribe()));
        supervisor.keep_until(&shutdown.stopping, "obeyer", move || {
            running.clone().obey(cancels.clone(), told.clone())
        })
    }

    /// The heartbeat, and the fence that stands while it is not confirmed.
    fn lifeline(
        &self,
        registration: Registration,
        sent: Instant,
        ticks: Ticks,
        settling: &Settling,
    ) -> Loop {
        let Parts { config, identity, store, events, shutdown, .. } = self.parts.clone();
        let confirmed = Confirmed::new(sent);
        let fence = Fence {
            running: self.running.clone(),
            slots: self.slots.clone(),
            confirmed: confirmed.clone(),
            lost_after: config.lost_after,
            stops: config.stops_on_silence,
            shutdown: shutdown.clone(),
        };
        let heartbeat: Inbox<_> = Arc::new(Mutex::new(Heartbeat {
            store,
            identity,
            registration,
            running: self.running.clone(),
            slots: self.slots.clone(),
            events,
            leadership: self.leadership.clone(),
            every: config.heartbeat,
            settle: settling.outcomes.clone(),
            shutdown,
            ticks,
            confirmed,
            default_timeout: config.default_timeout,
            connected_since: Some(Instant::now()),
            orphaned: HashSet::new(),
            anew: None,
        }));
        let Parts { supervisor, shutdown, .. } = &self.parts;
        let over = &shutdown.stopping;
        let beating =
            supervisor.keep_until(over, "heartbeat", move || Heartbeat::run(heartbeat.clone()));
        let fencing = supervisor.keep_until(over, "fence", move || fence.clone().run());
        async move { tokio::join!(beating, fencing) }.map(drop).boxed()
    }

    /// The dispatcher, and the executor that it hands jobs to.
    fn dispatch(&self, settling: &Settling) -> Loop {
        let Parts { config, identity, registry, client, store, events, supervisor, shutdown } =
            self.parts.clone();
        let around = Around { reports: settling.reports.clone(), client };
        let slots = self.slots.clone();
        let executor = Arc::new(Executor {
            registry: registry.clone(),
            running: self.running.clone(),
            slots: slots.clone(),
            settle: settling.outcomes.clone(),
            room: settling.room.clone(),
            around: Arc::new(around),
            cancelling: shutdown.cancelling.clone(),
            default_timeout: config.default_timeout,
            tracker: self.jobs.clone(),
            figures: JobFigures::default(),
            pauses: events.pauses.clone(),
            defaults: events.defaults.clone(),
            suspect_running: Arc::default(),
        });
        let (draining, idle) = (shutdown.draining.clone(), config.slots == 0);
        let dispatching = supervisor.keep(
            "dispatcher",
            move || idle || draining.is_cancelled(),
            move || {
                // The knowledge of one that panicked is not trusted: the next looks at everything
                // first.
                let dispatcher = Dispatcher::new(
                    config.clone(),
                    &registry,
                    store.clone(),
                    events.clone(),
                    identity.clone(),
                    slots.clone(),
                    executor.clone(),
                );
                dispatcher.run(shutdown.clone())
            },
        );
        dispatching.boxed()
    }
}

fn registration(parts: &Parts) -> Registration {
    let Parts { config, registry, .. } = parts;
    let tasks = registry.iter().map(|(name, _)| name.to_string());
    Registration {
        name: config.name.clone(),
        host: config.host.clone(),
        lost_after_seconds: config.lost_after.as_secs_f64(),
        slots: config.slots,
        queues: config.queues.clone(),
        tasks: if config.slots == 0 { Vec::new() } else { tasks.collect() },
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
