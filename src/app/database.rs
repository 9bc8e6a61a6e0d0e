//! The database that a service stands on: the one that it was given, or one of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Config;
use crate::embedded::{Embedded, Settings};
use crate::store::{Error, Target, migrate, trust};
use crate::supervise::Supervisor;

/// How often a database that is not there yet is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// When it is said again that a database is waited for; each time after twice as long, up to the
/// most.
const TELL_AGAIN: Duration = Duration::from_secs(5);
const TELL_MOST: Duration = Duration::from_secs(300);

/// The role of the service in its own PostgreSQL: no superuser, and the owner of nothing but the
/// schema.
const OWN_ROLE: &str = "reveille_service";

/// A database with an up-to-date schema.
pub(super) struct Database {
    pub(super) target: Target,
    /// For what a PgBouncer cannot do, if there is a way around it.
    pub(super) direct: Option<Target>,
    own: Option<Own>,
}

impl Database {
    /// Brings up an own one if none is given, waits until it answers, and sees to the schema.
    pub(super) async fn open(config: &Config, supervisor: &Supervisor) -> anyhow::Result<Self> {
        let database = match &config.database_url {
            Some(url) => {
                let target = if config.pooler {
                    Target::through_pooler(url.address())?
                } else {
                    Target::of(url.address())?
                };
                let direct = match &config.listen_database_url {
                    Some(direct) => Some(Target::of(direct.address())?),
                    // A clone knows which host was good last.
                    None => (!config.pooler).then(|| target.clone()),
                };
                Self { target, direct, own: None }
            }
            None => {
                let server = Embedded::start(Settings::of(config)).await?;
                tracing::info!(data_dir = %config.data_dir.display(), "no database_url is set: this service brings its own PostgreSQL, kept in data_dir");
                trust::install(&Target::parse(server.url())?, OWN_ROLE).await?;
                let target = Target::parse(&server.url_as(OWN_ROLE))?;
                let own = Some(Own::keep(server, supervisor));
                Self { direct: Some(target.clone()), target, own }
            }
        };
        prepare(config, &database).await?;
        Ok(database)
    }

    /// The direct way if there is one, for steps that rarely need a session. They say so if a
    /// pooler is in the way.
    pub(super) fn nearest(&self) -> &Target {
        self.direct.as_ref().unwrap_or(&self.target)
    }

    /// Ends the own server, when nothing needs it any more.
    pub(super) async fn stop(&mut self) {
        if let Some(own) = self.own.take() {
            own.stop().await;
        }
    }
}

/// A server of our own, started again whenever it dies. Dropped, it is shut down in the background.
struct Own {
    stop: DropGuard,
    kept: JoinHandle<()>,
}

impl Own {
    fn keep(server: Embedded, supervisor: &Supervisor) -> Self {
        let stop = CancellationToken::new();
        let (stopped, over) = (stop.clone(), stop.clone());
        let server = Arc::new(Mutex::new(server));
        let keeping = server.clone();
        let keep_up = supervisor.clone().keep(
            "postgres",
            move || over.is_cancelled(),
            move || {
                let server = keeping.clone();
                async move { server.lock().await.keep_up().await }
            },
        );
        let kept = tokio::spawn(async move {
            stopped.run_until_cancelled(keep_up).await;
            // Where it could not be kept, what runs is left until the service has drained.
            stopped.cancelled().await;
            if let Some(server) = Arc::into_inner(server) {
                server.into_inner().stop().await;
            }
        });
        Self { stop: stop.drop_guard(), kept }
    }

    async fn stop(self) {
        drop(self.stop);
        // It ends by itself; that it panicked would have been said.
        let _ = self.kept.await;
    }
}

/// Waits for the database, and brings its schema up to date.
async fn prepare(config: &Config, database: &Database) -> anyhow::Result<()> {
    let prepared = patiently(database.nearest(), async || prepare_once(config, database).await);
    Ok(prepared.await?)
}

/// Does a step of the start until it succeeds, or fails for a reason that no waiting mends. It says
/// at once what it waits for, and again as time goes by.
pub(super) async fn patiently<T, E: Passing>(
    target: &Target,
    mut step: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let begun = Instant::now();
    let (mut tell_at, mut pause) = (begun, TELL_AGAIN);
    loop {
        match Box::pin(step()).await {
            Err(error) if error.is_waited_for() => {
                if Instant::now() >= tell_at {
                    let waited_seconds = begun.elapsed().as_secs();
                    tracing::warn!(%error, database = target.describe(), waited_seconds, "waiting for the database");
                    tell_at = Instant::now() + pause;
                    pause = (pause * 2).min(TELL_MOST);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            result => return result,
        }
    }
}

async fn prepare_once(config: &Config, database: &Database) -> Result<(), migrate::MigrateError> {
    if config.pooler {
        migrate::check_search_path(&database.target).await?;
    }
    if let (Some(_), Some(direct)) = (&config.listen_database_url, &database.direct) {
        migrate::check_same(&database.target, direct).await?;
    }
    if config.migrate {
        migrate::migrate(database.nearest()).await.map(drop)
    } else {
        migrate::check(database.nearest()).await
    }
}

/// Errors that may pass by themselves.
pub(super) trait Passing: std::fmt::Display {
    fn is_waited_for(&self) -> bool;
}

impl Passing for Error {
    fn is_waited_for(&self) -> bool {
        Self::is_waited_for(self)
    }
}

impl Passing for migrate::MigrateError {
    fn is_waited_for(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_waited_for())
    }
}
