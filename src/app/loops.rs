//! The loops of a service. They are made where they belong, and spawned here: no other module
//! spawns one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::OptionFuture;
use tokio_util::task::TaskTracker;

use super::lifeline;
use super::metrics::MetricsReader;
use crate::config::Config;
use crate::engine::{self, Engine};
use crate::events::{Events, Leadership};
use crate::listener;
use crate::maintenance::{
    self, Auditor, Expirer, Forgetter, LeaderService, Letters, LostTurns, Partitions, Pruner,
    Remover,
};
use crate::shutdown::Shutdown;
use crate::store::job::Keep;
use crate::store::{Store, Target};
use crate::supervise::{Loop, Supervisor};

/// Spawns loops, and knows when all of them have ended.
pub(super) struct Loops {
    pub(super) store: Store,
    pub(super) events: Events,
    pub(super) supervisor: Supervisor,
    pub(super) shutdown: Shutdown,
    pub(super) tracker: TaskTracker,
}

impl Loops {
    pub(super) fn spawn(&self, loops: Vec<Loop>) {
        for each in loops {
            self.tracker.spawn(each);
        }
    }

    /// The engine's loops. The loops that keep the leases run on a thread of their own. The
    /// listener runs beside them, if there is a connection that can listen.
    pub(super) fn run_engine(
        &self,
        engine: engine::Loops,
        direct: Option<Target>,
    ) -> anyhow::Result<()> {
        self.spawn(engine.main);
        if direct.is_none() {
            tracing::warn!(
                "behind a pooler and without listen_database_url nothing can be listened to: the poll finds jobs of others"
            );
        }
        let listening = direct.map(|direct| {
            let (events, shutdown) = (self.events.clone(), self.shutdown.clone());
            self.supervisor.keep_until(&self.shutdown.stopping, "listener", move || {
                listener::run(direct.clone(), events.clone(), shutdown.clone())
            })
        });
        let (lifeline, token) = (engine.lifeline, self.tracker.token());
        lifeline::start(async move {
            tokio::join!(lifeline, OptionFuture::from(listening));
            drop(token);
        })
    }

    /// Looks at the database for what notices do not say. `poll` is how often that is done without
    /// a notice.
    pub(super) fn look(&self, poll: Duration) {
        let of = || (self.store.clone(), self.events.clone(), self.shutdown.clone());
        let (store, events, shutdown) = of();
        self.keep("ends", move || {
            listener::look_for_ends(store.clone(), events.clone(), shutdown.clone())
        });
        let (store, events, shutdown) = of();
        self.keep("pauses", move || {
            listener::look_for_pauses(store.clone(), events.clone(), shutdown.clone())
        });
        let (store, events, shutdown) = of();
        self.keep("settings", move || {
            listener::look_for_settings(store.clone(), events.clone(), poll, shutdown.clone())
        });
    }

    /// Keeps the house. `direct` is for what a PgBouncer cannot do.
    pub(super) fn maintain(&self, config: &Config, direct: &Target, engine: &Engine) {
        let leadership = &engine.leadership;
        let (store, led, budget) = (self.store.clone(), leadership.clone(), config.crash_budget);
        let (left, shutdown) = (self.events.leftovers.clone(), self.shutdown.clone());
        self.keep("rescuer", move || {
            maintenance::rescue(store.clone(), led.clone(), left.clone(), budget, shutdown.clone())
        });
        let (store, events, led) = (self.store.clone(), self.events.clone(), leadership.clone());
        let (poll, shutdown) = (config.poll_interval, self.shutdown.clone());
        self.keep("resumer", move || {
            maintenance::resume(store.clone(), events.clone(), led.clone(), poll, shutdown.clone())
        });
        let (store, left) = (self.store.clone(), self.events.leftovers.clone());
        let stopping = self.shutdown.stopping.clone();
        self.keep("tidier", move || {
            maintenance::tidy(store.clone(), left.clone(), stopping.clone())
        });
        if config.workers > 0 {
            let (store, events) = (self.store.clone(), self.events.clone());
            let shutdown = self.shutdown.clone();
            self.keep("turns", move || {
                maintenance::give_turns(store.clone(), events.clone(), poll, shutdown.clone())
            });
        }
        let turns = LostTurns::new(self.store.clone(), self.events.clone());
        self.lead("lost-turns", turns, leadership);
        let (store, events, led) = (self.store.clone(), self.events.clone(), leadership.clone());
        let shutdown = self.shutdown.clone();
        self.keep("operations", move || {
            maintenance::operate(store.clone(), events.clone(), led.clone(), shutdown.clone())
        });
        let keep =
            Keep { completed: config.keep_completed, failed_or_cancelled: config.keep_failed };
        let (store, direct) = (self.store.clone(), direct.clone());
        self.lead("partitions", Partitions { store, direct, keep }, leadership);
        let expirer = Expirer::new(self.store.clone(), self.events.clone(), config.poll_interval);
        self.lead("expirer", expirer, leadership);
        self.lead("letters", Letters { store: self.store.clone() }, leadership);
        self.lead("auditor", Auditor { store: self.store.clone() }, leadership);
        self.lead(
            "pruner",
            Pruner::new(self.store.clone(), self.events.defaults.clone(), keep),
            leadership,
        );
        self.lead("forgetter", Forgetter { store: self.store.clone() }, leadership);
        let (store, keep_answers) = (self.store.clone(), config.keep_idempotency);
        self.lead("remover", Remover { store, keep_answers }, leadership);
    }

    /// Keeps the metrics, and gives up when a loop cannot be kept alive.
    pub(super) fn watch(&self, reader: &MetricsReader) {
        let (reader, shutdown) = (reader.clone(), self.shutdown.clone());
        self.keep("metrics", move || reader.clone().keep(shutdown.clone()));
        self.tracker.spawn(give_up(self.supervisor.clone(), self.shutdown.clone()));
    }

    /// A service that only the leader runs.
    fn lead(&self, name: &'static str, service: impl LeaderService, leadership: &Leadership) {
        let (service, leadership) = (Arc::new(service), leadership.clone());
        let shutdown = self.shutdown.clone();
        self.keep(name, move || {
            maintenance::lead(service.clone(), leadership.clone(), shutdown.clone())
        });
    }

    fn keep<F>(&self, name: &'static str, start: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let over = &self.shutdown.stopping;
        self.tracker.spawn(self.supervisor.keep_until(over, name, start));
    }
}

/// A service with a loop that cannot be kept alive claims nothing more.
async fn give_up(supervisor: Supervisor, shutdown: Shutdown) {
    tokio::select! {
        _ = supervisor.failed() => shutdown.draining.cancel(),
        () = shutdown.stopping.cancelled() => {}
    }
}
