//! The composition root: builds everything, runs it, and takes it down in order. Services are spawned only here.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusBuilder;
use nix::unistd::gethostname;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::edge::{self, EdgeLimits};
use crate::api::{self, Services};
use crate::auth::Tokens;
use crate::config::Config;
use crate::embedded::Embedded;
use crate::engine::{Engine, EngineConfig};
use crate::events::Events;
use crate::shutdown::Shutdown;
use crate::store::{Store, Target, migrate};
use crate::submitter::Submitter;
use crate::tasks::Registry;
use crate::{listener, maintenance};

/// How long answers in flight may take once every job has ended.
const LAST_ANSWERS: Duration = Duration::from_millis(800);

/// Runs the service with the tasks that come with it, until it is told to stop.
///
/// # Errors
/// When it cannot start; the message says what to do.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    run(config, Registry::builtin()).await
}

/// Runs the service with these tasks, until SIGTERM or Ctrl-C.
///
/// # Errors
/// When it cannot start; the message says what to do.
pub async fn run(config: Config, registry: Registry) -> anyhow::Result<()> {
    // An error says that somebody has installed one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let signals = Signals::new()?;
    let tokens =
        Tokens::new(config.auth_tokens.iter().map(|token| token.expose().to_owned()).collect())?;
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!("cannot listen on {}. Is another service there? Choose an address with --listen, port 0 for any free one", config.listen)
    })?;
    let Some(url) = config.database_url.clone() else {
        let mut embedded = Embedded::start(&config.data_dir).await?;
        tracing::info!(data_dir = %config.data_dir.display(), "no database_url is set: this service brings its own PostgreSQL, kept in data_dir");
        let url = embedded.url().to_owned();
        let result = tokio::select! {
            result = with_database(&config, registry, &url, &url, tokens, listener, signals) => result,
            () = embedded.keep_up() => unreachable!("it is kept up for ever"),
        };
        embedded.stop().await;
        return result;
    };
    let direct = config.listen_database_url.clone().unwrap_or_else(|| url.clone());
    with_database(&config, registry, url.expose(), direct.expose(), tokens, listener, signals).await
}

async fn with_database(
    config: &Config,
    registry: Registry,
    url: &str,
    direct: &str,
    tokens: Tokens,
    listener: TcpListener,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let (target, direct) = (Target::parse(url)?, Target::parse(direct)?);
    let metrics =
        PrometheusBuilder::new().install_recorder().context("metrics cannot be set up")?;
    tokio::select! {
        result = prepare(config, &direct) => result?,
        () = signals.next() => return Ok(()),
    }
    let (store, events, shutdown) =
        (Store::open(config, &target).await?, Events::default(), Shutdown::default());
    store.partition_ensure().await?;
    let services = TaskTracker::new();
    let submitter = Submitter::start(store.clone(), events.wakes.clone(), &services);
    let engine = Engine::start(
        engine_config(config),
        registry,
        store.clone(),
        events.clone(),
        shutdown.clone(),
    )
    .await?;
    services.spawn(listener::run(direct, events.clone(), shutdown.clone()));
    services.spawn(maintenance::rescue(
        store.clone(),
        engine.duties.clone(),
        config.crash_budget,
        shutdown.clone(),
    ));
    services.spawn(maintenance::make_partitions(
        store.clone(),
        engine.duties.clone(),
        shutdown.clone(),
    ));
    services.spawn(upkeep(metrics.clone(), shutdown.clone()));

    let render = Arc::new(move || metrics.render());
    let app = api::app(
        Services { store, submitter, events, shutdown: shutdown.clone(), metrics: render },
        tokens,
    )?;
    let address = listener.local_addr()?;
    let (stop, force) = (CancellationToken::new(), CancellationToken::new());
    let limits = EdgeLimits { connections: config.max_connections, ..EdgeLimits::default() };
    let edge = tokio::spawn(edge::serve(listener, app, limits, stop.clone(), force.clone()));
    say_ready(address)?;

    signals.next().await;
    tracing::info!(
        grace_seconds = config.shutdown_grace.as_secs_f64(),
        "leaving: running jobs may end; a second signal ends at once"
    );
    shutdown.draining.cancel();
    let leaving = async {
        let cancel = async {
            tokio::time::sleep(config.shutdown_grace).await;
            shutdown.cancelling.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = engine.drain() => {}
            () = cancel => {}
        }
        stop.cancel();
        let last = async {
            tokio::time::sleep(LAST_ANSWERS).await;
            force.cancel();
        };
        let _ = tokio::join!(edge, last);
        services.close();
        services.wait().await;
    };
    // Whatever clients, handlers or the database do, it ends.
    let limit = config.shutdown_grace + Duration::from_millis(900) + LAST_ANSWERS;
    tokio::select! {
        _ = tokio::time::timeout(limit, leaving) => tracing::info!("left"),
        () = signals.next() => tracing::warn!("left at once; running jobs are taken back by the others in a while"),
    }
    Ok(())
}

/// Waits for the database, and brings its schema up to date.
async fn prepare(config: &Config, target: &Target) -> anyhow::Result<()> {
    let mut told = false;
    loop {
        let result = if config.migrate {
            migrate::migrate(target).await.map(|_| ())
        } else {
            migrate::check(target).await
        };
        match result {
            Err(migrate::MigrateError::Store(error)) if error.is_passing() => {
                if !told {
                    tracing::warn!(%error, database = target.describe(), "waiting for the database");
                    told = true;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            result => return result.map_err(Into::into),
        }
    }
}

fn engine_config(config: &Config) -> EngineConfig {
    let host = gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "unknown".into());
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
    }
}

/// Histograms are summarised when they are read, or by this.
async fn upkeep(metrics: metrics_exporter_prometheus::PrometheusHandle, shutdown: Shutdown) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            _ = every.tick() => metrics.run_upkeep(),
            () = shutdown.stopping.cancelled() => return,
        }
    }
}

/// The line that scripts wait for, on standard output; for people the rest on standard error.
fn say_ready(address: std::net::SocketAddr) -> std::io::Result<()> {
    let url = format!("http://{address}");
    tracing::info!(
        "API {url}  docs {url}/docs  metrics {url}/metrics\n\n  curl -s {url}/jobs -H 'content-type: application/json' -d '{}'\n",
        r#"{"payload": {"task": "hello_world", "data": "test message"}}"#
    );
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready {url}")?;
    out.flush()
}

/// SIGTERM and Ctrl-C.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
