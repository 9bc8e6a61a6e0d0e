//! The composition root: builds everything, runs it, and takes it down in order. Services are
//! spawned only here.

mod database;
mod descriptors;
mod front;
mod lifeline;
mod loops;
mod metrics;
mod settings;
mod signals;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::client::{Client, Jobs};
use crate::config::{Config, OnLostHeartbeat, host_name};
use crate::engine::{Engine, EngineConfig, Identity};
use crate::events::{Events, Leftovers};
use crate::explain::Hints;
use crate::job::fields::Retention;
use crate::shutdown::Shutdown;
use crate::store::{Error, Store};
use crate::submitter::{Repeats, Submitter};
use crate::supervise::{LoopFailed, Supervisor};
use crate::tasks::{Registry, Started};
use crate::{api, engine};

use self::metrics::MetricsReader;
use database::{Database, patiently};
pub(crate) use descriptors::raise as raise_descriptors;
pub(crate) use front::Front;
use front::Serving;
use loops::Loops;
use signals::Asked;
pub(crate) use signals::Signals;

/// How long the database may take to say its time at the start.
const CLOCK_WITHIN: Duration = Duration::from_secs(4);
/// How long answers in flight may take once every job has ended.
const LAST_ANSWERS: Duration = Duration::from_millis(300);
/// The time of leaving beyond the grace period: handlers are cancelled, outcomes flushed, the last
/// answers given.
const BEYOND_GRACE: Duration = Duration::from_millis(900);

/// Runs the service until one of the `signals`.
///
/// # Errors
/// When it cannot start; the message says what to do.
pub(crate) async fn run(
    config: Config,
    registry: Registry,
    front: Option<Front>,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let grace_seconds = config.shutdown_grace.as_secs_f64();
    let guarded = !config.auth_tokens.is_empty();
    let started = Started::default();
    let service = tokio::select! {
        service = Box::pin(start(config, registry, front, started.clone())) => service?,
        _ = signals.next() => {
            started.stop(Instant::now()).await;
            return Ok(());
        }
    };
    if let Some(address) = service.address() {
        front::say_ready(address, guarded);
    }
    let (asked, failed) = tokio::select! {
        asked = signals.next() => (Some(asked), None),
        failed = service.failed() => (None, Some(failed)),
    };
    // A person at a terminal waits for it, and no balancer has to be told.
    let at_once = asked == Some(Asked::ByHand);
    tracing::info!(grace_seconds, "leaving: running jobs may end; a second signal ends at once");
    tokio::select! {
        () = service.stop(at_once) => tracing::info!("left"),
        () = signals.again() => tracing::warn!("left at once; running jobs are taken back by the others in a while"),
    }
    failed.map_or(Ok(()), |failed| Err(failed.into()))
}

/// Starts the service inside somebody's program, which says when it is to stop. Handlers are noted
/// in `started` as they start; a caller who gives up the start stops them.
///
/// # Errors
/// When it cannot start; the message says what to do.
pub(crate) async fn start(
    config: Config,
    registry: Registry,
    front: Option<Front>,
    started: Started,
) -> anyhow::Result<Service> {
    metrics::install();
    let supervisor = front.as_ref().map(Front::supervisor).unwrap_or_default();
    let failed = supervisor.clone();
    let handlers = started.clone();
    // On the heap: unoptimized, these futures together overflow the 2 MiB stack of a caller's
    // thread.
    let starting = Box::pin(async move {
        let database = Box::pin(Database::open(&config, &supervisor)).await?;
        // Where nothing is run nothing is prepared.
        if config.workers > 0 {
            registry.start(&handlers).await?;
        }
        let service = Service::start(config, registry, database, supervisor, front, handlers);
        Box::pin(service).await
    });
    let service = tokio::select! {
        service = starting => service,
        failed = failed.failed() => Err(failed.into()),
    };
    if service.is_err() {
        started.stop(Instant::now()).await;
    }
    service
}

/// Everything that runs.
pub(crate) struct Service {
    client: Client,
    engine: Engine,
    serving: Option<Serving>,
    services: TaskTracker,
    ending: Ending,
    supervisor: Supervisor,
    grace: Duration,
    database: Database,
    /// The handlers that are to be stopped.
    started: Started,
}

/// A service that is dropped rather than stopped ends at once; the others take its jobs back. So
/// does one whose start fails, and one that has not left in time.
struct Ending {
    shutdown: Shutdown,
    leftovers: Leftovers,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let Shutdown { draining, cancelling, stopping, abandoned } = &self.shutdown;
        for stage in [draining, cancelling, stopping, abandoned] {
            stage.cancel();
        }
        self.leftovers.close();
    }
}

impl Service {
    async fn start(
        config: Config,
        registry: Registry,
        database: Database,
        supervisor: Supervisor,
        front: Option<Front>,
        started: Started,
    ) -> anyhow::Result<Self> {
        let (events, shutdown) = (Events::default(), Shutdown::default());
        let ending = Ending { shutdown: shutdown.clone(), leftovers: events.leftovers.clone() };
        let store = open(&config, &database).await?;
        let loops = Loops {
            store: store.clone(),
            events: events.clone(),
            supervisor: supervisor.clone(),
            shutdown: shutdown.clone(),
            tracker: TaskTracker::new(),
        };
        settings::settle(&config, &database, &store, &events.defaults).await?;
        let (wakes, gates) = (Some(events.wakes.clone()), events.gates.clone());
        let defaults = events.defaults.clone();
        let (submitter, writers) =
            Submitter::new(store.clone(), wakes, gates, defaults, &supervisor);
        loops.spawn(writers);
        let (repeats, writer) = Repeats::new(&submitter, config.keep_idempotency, &supervisor);
        loops.spawn(vec![writer]);
        let jobs = Jobs::new(store.clone(), events.ends.clone());
        let client = Client::of_service(
            submitter.clone(),
            jobs.clone(),
            store.clone(),
            shutdown.draining.clone(),
        );
        let parts = engine::Parts {
            config: engine_config(&config),
            identity: Identity::anew(),
            registry,
            client: client.clone(),
            store: store.clone(),
            events: events.clone(),
            supervisor: supervisor.clone(),
            shutdown: shutdown.clone(),
        };
        let engine = patiently(&database.target, async || Engine::new(parts.clone()).await);
        let (engine, engine_loops) = engine.await?;
        loops.run_engine(engine_loops, database.direct.clone())?;
        loops.look(config.poll_interval);
        loops.maintain(&config, database.nearest(), &engine);
        let reader = MetricsReader::new(store.clone(), engine.load.clone());
        loops.watch(&reader);
        let behind = api::Services::new(api::Parts {
            hints: Hints::new(store.clone()),
            store,
            submitter,
            repeats,
            events,
            jobs,
            shutdown,
            retention: Retention {
                completed: config.keep_completed.as_secs_f64(),
                failed: config.keep_failed.as_secs_f64(),
            },
            public_url: config.public_url.as_ref().map(|url| url.as_str().to_owned()),
            supervisor: supervisor.clone(),
            metrics: reader.writer(),
        });
        let serving = front.map(|front| front.serve(behind));
        let (services, grace) = (loops.tracker, config.shutdown_grace);
        Ok(Self { client, engine, serving, services, ending, supervisor, grace, database, started })
    }

    /// Where the API is served, if it is.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.serving.as_ref().map(Serving::address)
    }

    /// Returns when a loop cannot be kept alive.
    pub(crate) async fn failed(&self) -> LoopFailed {
        self.supervisor.failed().await
    }

    /// The third door.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Takes no more claims, lets running jobs end within the grace period, settles their outcomes,
    /// and ends the rest. Unless `at_once`, calls are answered for the shutdown delay in any case.
    /// It returns, whatever clients, handlers or the database do.
    pub(crate) async fn stop(mut self, at_once: bool) {
        let (limit, by) = (self.grace + BEYOND_GRACE, Instant::now() + self.grace);
        // The rest ends with [`Ending`].
        let _ = tokio::time::timeout(limit, self.leave(at_once)).await;
        self.started.stop(by).await;
        self.database.stop().await;
    }

    async fn leave(&mut self, at_once: bool) {
        self.ending.shutdown.draining.cancel();
        let delay = self.serving.as_ref().map(Serving::leave).filter(|_| !at_once);
        let delay = delay.unwrap_or_default().min(self.grace);
        let cancel = async {
            tokio::time::sleep(self.grace).await;
            self.ending.shutdown.cancelling.cancel();
            std::future::pending::<()>().await;
        };
        let drain = async {
            tokio::select! {
                () = self.engine.drain() => {}
                () = cancel => {}
            }
        };
        tokio::join!(drain, tokio::time::sleep(delay));
        if let Some(serving) = self.serving.take() {
            serving.stop(LAST_ANSWERS).await;
        }
        self.client.close();
        self.ending.leftovers.close();
        self.services.close();
        self.services.wait().await;
    }
}

/// Opens the store, with the partitions of the weeks to come and the database's time.
async fn open(config: &Config, database: &Database) -> Result<Store, Error> {
    let opened = patiently(&database.target, async || {
        let store = Store::open(config, &database.target).await?;
        store.partition_ensure().await?;
        store.clock_read(Instant::now() + CLOCK_WITHIN).await?;
        Ok::<_, Error>(store)
    });
    opened.await
}

fn engine_config(config: &Config) -> EngineConfig {
    let host = host_name().unwrap_or_else(|| "unknown".into());
    EngineConfig {
        name: if config.instance_name.is_empty() {
            host.clone()
        } else {
            config.instance_name.clone()
        },
        host,
        slots: config.workers,
        queues: config.queues.clone(),
        poll_interval: config.poll_interval,
        heartbeat: config.heartbeat,
        lost_after: config.lost_after,
        default_timeout: config.default_timeout,
        stops_on_silence: config.on_lost_heartbeat == OnLostHeartbeat::Stop,
    }
}

#[cfg(all(test, feature = "faults"))]
mod tests {
    use crate::config::DatabaseUrl;

    use super::*;

    #[tokio::test]
    async fn a_start_that_waits_for_the_database_ends_when_a_loop_cannot_be_kept_alive() {
        let nowhere = DatabaseUrl::new("postgres://127.0.0.1:1/none").ok();
        let listen = ([127, 0, 0, 1], 0).into();
        let config = Config { database_url: nowhere, listen, ..Config::default() };
        let front = Front::open(&config).await.expect("a port is free");
        let supervisor = front.supervisor();
        let failing = async {
            let mut often = tokio::time::interval(Duration::from_millis(50));
            loop {
                often.tick().await;
                supervisor.panic_in("edge");
            }
        };
        let within = tokio::time::timeout(Duration::from_secs(10), async {
            tokio::select! {
                started = start(config, Registry::default(), Some(front), Started::default()) => started,
                () = failing => unreachable!("it goes on without end"),
            }
        });
        let started = within.await.expect("it does not wait for the database any longer");
        let failed = started.err().expect("there is no database");
        assert_eq!(failed.downcast_ref::<LoopFailed>().map(|it| it.name), Some("edge"));
    }
}
