//! The schema: numbered migrations, forward only, applied under an advisory lock, since several instances may start at once.
//!
//! Releases roll. A migration expands first and contracts in a later release, so a service runs on any schema that is newer
//! than itself as long as the schema allows it: `reveille.compatibility` records how many migrations a service must know.
//!
//! The lock belongs to a session, so none of this may go through a PgBouncer in transaction mode, where another session would
//! inherit it and keep it for ever. The connection carries a setting in its startup packet, which a PgBouncer refuses, and
//! which is asked for again before the lock is taken, in case it was told to ignore such settings.

use std::time::{Duration, Instant};

use refinery::Runner;
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::connect::Target;
use super::error::{Error, with_sources};
use super::row::Row;
use super::session::{SHORT, Sql, silence, sql, unprepared};
use super::trust::{self, Untrusted};

/// How long between two tries to get the lock, and after which time a line says that it is being waited for.
const AGAIN: Duration = Duration::from_millis(50);
const TOLD_AFTER: Duration = Duration::from_secs(1);
/// How long all migrations may take: an index of many millions of jobs takes hours.
const MIGRATIONS_WITHIN: Duration = Duration::from_secs(6 * 3600);
/// Tells a direct connection from one through a pooler.
const DIRECT: &str = "-c reveille.direct=yes -c idle_in_transaction_session_timeout=0 \
                      -c statement_timeout=0 -c lock_timeout=0";

mod embedded {
    refinery::embed_migrations!("sql/migrations");
}

/// Why the schema could not be brought up to date, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Store(#[from] Error),
    #[error(
        "this service is too old for the schema: it knows {known} migrations, and the schema needs {needed}. Start a newer release"
    )]
    TooOld { known: u32, needed: u32 },
    #[error(
        "the schema is not up to date: it has {applied} of {known} migrations. Run `reveille migrate`, or set migrate = true"
    )]
    Behind { applied: u32, known: u32 },
    #[error(
        "the schema lacks the migrations {0:?}, which are older than its newest one and are not applied any more. It was made by a build between two releases: make it anew, or restore it from before that build"
    )]
    Hole(Vec<u32>),
    #[error("PostgreSQL {0} is too old: 14 or newer is needed")]
    OldServer(String),
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    #[error(
        "migrations need a direct connection, and this one leads through a pooler: let listen_database_url name the PostgreSQL behind it, and set pooler = true"
    )]
    Pooler,
    #[error(
        "listen_database_url leads to another database than database_url, so nothing that is announced would be heard. Let it name the same database on the same server"
    )]
    Elsewhere,
    #[error(
        "a migration failed: {0}. The role needs CREATE on the database, or to own a schema named reveille; nothing was changed by the failed migration"
    )]
    Failed(String),
}

/// How far the schema is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version {
    pub before: u32,
    pub now: u32,
}

/// The number of the last migration that this release knows.
pub fn known() -> u32 {
    versions().max().unwrap_or(0)
}

fn versions() -> impl Iterator<Item = u32> {
    let all: Vec<_> = runner().get_migrations().iter().map(refinery::Migration::version).collect();
    all.into_iter().filter_map(|version| u32::try_from(version).ok())
}

/// Brings the schema up to date. Waits while another instance does so.
pub async fn migrate(target: &Target) -> Result<Version, MigrateError> {
    let mut client = connect(&target.with_options(DIRECT)).await.map_err(|error| {
        if error.refuses_settings() { MigrateError::Pooler } else { error.into() }
    })?;
    check_direct(&client).await?;
    check_server(&client).await?;
    check_writable(&client).await?;
    check_trust(&client).await?;
    lock(&client).await?;
    if !one(&client, sql!("schema/exists")).await?.try_get::<_, bool>(0)? {
        let making = timeout(SHORT, client.batch_execute("create schema reveille"));
        making.await.map_err(|_| silence())?.map_err(failed)?;
    }
    let before = applied(&client).await?;
    check_age(&client, before).await?;
    apply(&mut client).await?;
    tell_of_keys(&client).await?;
    check_complete(&client).await?;
    let now = applied(&client).await?;
    if now > before {
        tracing::info!(before, now, "the schema was brought up to date");
    }
    Ok(Version { before, now })
}

/// Fails unless this release can run on the schema as it is.
pub async fn check(target: &Target) -> Result<(), MigrateError> {
    let client = connect(target).await?;
    check_server(&client).await?;
    check_trust(&client).await?;
    let applied = applied(&client).await?;
    check_age(&client, applied).await?;
    if applied < known() {
        return Err(MigrateError::Behind { applied, known: known() });
    }
    check_complete(&client).await
}

/// Fails unless the sessions of this target look for names in `pg_catalog` alone.
pub async fn check_search_path(target: &Target) -> Result<(), MigrateError> {
    trusted(trust::search_path(&connect(target).await?).await?)
}

/// Fails unless both lead to the same database.
pub async fn check_same(target: &Target, other: &Target) -> Result<(), MigrateError> {
    // A server that is restarted between two answers gives others.
    for _ in 0..2 {
        if identity(target).await? == identity(other).await? {
            return Ok(());
        }
    }
    Err(MigrateError::Elsewhere)
}

async fn identity(target: &Target) -> Result<Option<String>, Error> {
    let client = connect(target).await?;
    let rows = unprepared(&client, SHORT, sql!("doctor/identity"), &[]).await?;
    rows.first().map(|row| row.try_get("identity")).transpose()
}

/// Fails if a statement could call what others made. Comes before any that names the schema.
async fn check_trust(client: &Client) -> Result<(), MigrateError> {
    trusted(trust::search_path(client).await?)?;
    trusted(trust::strangers(client).await?)
}

fn trusted(found: Option<Untrusted>) -> Result<(), MigrateError> {
    found.map_or(Ok(()), |untrusted| Err(untrusted.into()))
}

/// Applies what is missing. A migration that waits for a lock makes everybody wait who comes after it, so it gives way soon,
/// and tries again for as long as it takes.
async fn apply(client: &mut Client) -> Result<(), MigrateError> {
    run(client, "set lock_timeout = '2s'").await?;
    let mut all = async || {
        let migrating = timeout(MIGRATIONS_WITHIN, runner().run_async(client)).await;
        migrating.map_err(|_| silence())
    };
    while let Err(error) = all().await? {
        if !gave_way(&error) {
            return Err(failed(error));
        }
        tracing::warn!(
            error = with_sources(&error),
            "a migration gave way to an open transaction; it tries again"
        );
        tokio::time::sleep(AGAIN).await;
    }
    Ok(())
}

/// Says how many unique keys were held more than once, if the migration that finds them was applied just now.
async fn tell_of_keys(client: &Client) -> Result<(), Error> {
    let held = "select coalesce(current_setting('reveille.keys_held_twice', true), '')";
    let held: String = within(client.query_one(held, &[])).await?.try_get(0)?;
    if !["", "0"].contains(&held.as_str()) {
        tracing::warn!(
            held,
            "unique keys were held by several jobs, because the database's collation had changed; the newest job of each key holds it now"
        );
    }
    Ok(())
}

/// Whether a migration failed because of a lock that somebody else holds.
fn gave_way(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let code = error.downcast_ref::<tokio_postgres::Error>().and_then(|error| error.code());
        if code.is_some_and(|code| {
            [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED].contains(code)
        }) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn runner() -> Runner {
    let mut runner = embedded::migrations::runner().set_abort_missing(false);
    runner.set_migration_table_name("reveille.migration");
    runner
}

pub(super) async fn connect(target: &Target) -> Result<Client, Error> {
    Ok(target.connect().await?.0)
}

/// Fails in a way that is waited for unless the server takes writes.
async fn check_writable(client: &Client) -> Result<(), MigrateError> {
    if one(client, sql!("health/ping")).await?.try_get(0)? {
        let why = "the server takes no writes: it is a standby, or read-only".to_owned();
        return Err(Error::Unavailable(why).into());
    }
    Ok(())
}

/// The answer to a short question, if it comes in time.
async fn within<T>(
    asking: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    timeout(SHORT, asking).await.map_err(|_| silence())?.map_err(Error::from)
}

async fn check_server(client: &Client) -> Result<(), MigrateError> {
    let row = one(client, sql!("schema/server")).await?;
    if row.try_get::<_, i32>(0)? < 140_000 {
        return Err(MigrateError::OldServer(row.try_get(1)?));
    }
    Ok(())
}

/// Fails if the settings of the session did not get through.
async fn check_direct(client: &Client) -> Result<(), MigrateError> {
    match one(client, sql!("schema/direct")).await?.try_get::<_, Option<&str>>(0)? {
        Some("yes") => Ok(()),
        _ => Err(MigrateError::Pooler),
    }
}

/// Takes the lock of migrations, which goes with the session.
async fn lock(client: &Client) -> Result<(), MigrateError> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        if one(client, sql!("schema/old_lock")).await?.try_get(0)? {
            return Ok(());
        }
        if !told && begun.elapsed() > TOLD_AFTER {
            tracing::info!("waiting for another instance, which is bringing the schema up to date");
            told = true;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The one row of an answer. Nothing is prepared, because a pooler may be in between.
async fn one(client: &Client, sql: &'static Sql) -> Result<Row, Error> {
    let row = unprepared(client, SHORT, sql, &[]).await?.pop();
    row.ok_or_else(|| Error::Unexpected(format!("no row of {}", sql.name)))
}

async fn run(client: &Client, statement: &str) -> Result<(), Error> {
    within(client.batch_execute(statement)).await
}

/// How many migrations the schema has.
async fn applied(client: &Client) -> Result<u32, Error> {
    if !one(client, sql!("schema/exists")).await?.try_get::<_, bool>(1)? {
        return Ok(0);
    }
    let newest: i32 = one(client, sql!("schema/newest")).await?.try_get(0)?;
    Ok(u32::try_from(newest).unwrap_or_default())
}

/// Fails if a migration was left out because a newer one had been applied before it was known.
async fn check_complete(client: &Client) -> Result<(), MigrateError> {
    let rows = unprepared(client, SHORT, sql!("schema/applied"), &[]).await?;
    let applied: Vec<i32> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let is_applied = |version: &u32| applied.iter().any(|it| u32::try_from(*it) == Ok(*version));
    let missing: Vec<u32> = versions().filter(|version| !is_applied(version)).collect();
    if missing.is_empty() { Ok(()) } else { Err(MigrateError::Hole(missing)) }
}

async fn check_age(client: &Client, applied: u32) -> Result<(), MigrateError> {
    if applied == 0 {
        return Ok(());
    }
    let needed: i32 = one(client, sql!("schema/oldest_service")).await?.try_get(0)?;
    let needed = u32::try_from(needed).unwrap_or_default();
    if needed > known() {
        return Err(MigrateError::TooOld { known: known(), needed });
    }
    Ok(())
}

fn failed(error: impl std::error::Error) -> MigrateError {
    MigrateError::Failed(with_sources(&error))
}
