//! The schema: numbered migrations, forward only, and then the files of functions. One instance at
//! a time applies them.
//!
//! Releases roll. A migration expands first and contracts in a later release. So a service runs on
//! any schema that is newer than itself as long as the schema allows it. `reveille.compatibility`
//! records how many migrations a service must know.
//!
//! Services of the release before take an advisory lock instead, which is therefore taken too. It
//! belongs to a session. So none of this may go through a PgBouncer in transaction mode, where
//! another session would inherit the lock and keep it for ever. The connection carries a setting in
//! its startup packet, which a PgBouncer refuses. The setting is asked for again before the lock is
//! taken, in case the PgBouncer was told to ignore such settings. Any role can hold such a lock:
//! only a lock of this role, or of a superuser, is waited for, and not for ever. Migrations are
//! transactions, so that two instances that apply one do no harm.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::connect::Target;
use super::doctor;
use super::error::Error;
use super::functions::{self, Standing};
use super::migrations;
use super::session::{SHORT, in_time, one, sql, unprepared};
use super::trust::{self, Untrusted};

/// How long between two tries to get the lock, and when a line says that it is waited for.
const AGAIN: Duration = Duration::from_millis(50);
const TOLD_AFTER: Duration = Duration::from_secs(1);
/// How long a migration waits for a lock, which is as long as others wait behind it; and how long
/// it lets them be then.
const LOCK_WAIT: &str = "set lock_timeout = '200ms'";
const PAUSE_LEAST: Duration = Duration::from_secs(2);
const PAUSE_MOST: Duration = Duration::from_secs(30);
/// How long the lock of the release before is waited for.
const OLD_LOCK_WITHIN: Duration = Duration::from_secs(60);
/// Tells a direct connection from one through a pooler.
const DIRECT: &str = "-c reveille.direct=yes -c idle_in_transaction_session_timeout=0";

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
        "the functions of the schema are not those of this release. Run `reveille migrate`, or set migrate = true"
    )]
    OldFunctions,
    #[error(
        "the schema lacks the migrations {0:?}, which are older than its newest one and are not applied any more. It was made by a build between two releases: make a new one, or restore it from before that build"
    )]
    Hole(Vec<u32>),
    #[error(
        "migration {0} was applied with another text than this release has. The schema was made by a build between two releases: make a new one, or restore it from before that build"
    )]
    Diverges(u32),
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
    migrations::all().into_iter().map(|migration| migration.version)
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
    take_old_lock(&client).await?;
    if !one(&client, SHORT, sql!("schema/exists")).await?.try_get::<_, bool>(0)? {
        make_schema(&client).await?;
    }
    let before = applied(&client).await?;
    check_age(&client, before).await?;
    apply(&mut client).await?;
    apply_functions(&mut client).await?;
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
    check_complete(&client).await?;
    match functions::standing(&client).await? {
        Standing::Behind => Err(MigrateError::OldFunctions),
        Standing::Same | Standing::Newer(_) => Ok(()),
    }
}

/// Fails unless the sessions of this target look for names in `pg_catalog` alone.
pub(crate) async fn check_search_path(target: &Target) -> Result<(), MigrateError> {
    trusted(trust::search_path(&connect(target).await?).await?)
}

/// Fails unless both lead to the same database.
pub(crate) async fn check_same(target: &Target, other: &Target) -> Result<(), MigrateError> {
    // A server that is restarted between two answers gives others.
    for _ in 0..2 {
        let (client, other) = (connect(target).await?, connect(other).await?);
        if doctor::identity(&client).await? == doctor::identity(&other).await? {
            return Ok(());
        }
    }
    Err(MigrateError::Elsewhere)
}

/// Fails if a statement could call what others made. Comes before any that names the schema.
async fn check_trust(client: &Client) -> Result<(), MigrateError> {
    trusted(trust::search_path(client).await?)?;
    trusted(trust::strangers(client).await?)
}

fn trusted(found: Option<Untrusted>) -> Result<(), MigrateError> {
    found.map_or(Ok(()), |untrusted| Err(untrusted.into()))
}

/// Makes the schema, unless another instance, or a stranger, has just done so.
async fn make_schema(client: &Client) -> Result<(), MigrateError> {
    match run(client, "create schema reveille").await {
        Err(error) if !is_there(&error) => Err(failed(error)),
        _ => check_trust(client).await,
    }
}

/// Whether a statement failed because what it makes is there. Two who make it at once meet in an
/// index of the catalogue.
fn is_there(error: &Error) -> bool {
    let there = [SqlState::DUPLICATE_SCHEMA, SqlState::DUPLICATE_TABLE, SqlState::UNIQUE_VIOLATION];
    error.state().is_some_and(|state| there.iter().any(|it| it.code() == state))
}

/// Applies what is missing. A migration that waits for a lock makes everybody wait who comes after
/// it. So it gives way almost at once, and tries again for as long as it takes, ever more rarely.
async fn apply(client: &mut Client) -> Result<(), MigrateError> {
    run(client, LOCK_WAIT).await?;
    match run(client, sql!("schema/migration_table").text).await {
        Err(error) if !is_there(&error) => return Err(failed(error)),
        _ => {}
    }
    missing(client).await?;
    let newest = applied(client).await?;
    for migration in migrations::all().into_iter().filter(|it| it.version > newest) {
        let mut tries = Tries::of(format!("migration {}", migration.version));
        while let Err(error) = migration.apply(client, &migrations::LIMITS).await {
            tries.give_way(error).await?;
        }
    }
    Ok(())
}

/// Applies the functions and views that changed. A start that finds them as they are locks and
/// writes nothing.
async fn apply_functions(client: &mut Client) -> Result<(), MigrateError> {
    match functions::standing(client).await? {
        Standing::Same => return Ok(()),
        Standing::Newer(release) => {
            tracing::info!(release, "the functions of the schema are of a newer release, and stay");
            return Ok(());
        }
        Standing::Behind => {}
    }
    let mut tries = Tries::of("replacing functions and views".to_owned());
    let applied = loop {
        match functions::apply(client).await {
            Ok(applied) => break applied,
            Err(error) => tries.give_way(error).await?,
        }
    };
    if let Some(functions::Applied { release, changed }) = applied {
        let (count, names) = (changed.len(), changed.join(", "));
        tracing::info!(release, count, "the functions of the schema were brought up to date");
        tracing::debug!(names, "replaced functions and views");
    }
    Ok(())
}

/// The tries of a step that gives way to open transactions, ever more rarely.
struct Tries {
    what: String,
    count: u32,
    pause: Duration,
}

impl Tries {
    fn of(what: String) -> Self {
        Self { what, count: 0, pause: PAUSE_LEAST }
    }

    /// Waits before the next try; fails if the step failed for another reason than a lock.
    async fn give_way(&mut self, error: Error) -> Result<(), MigrateError> {
        if !error.is_locked() && !error.is_deadlock() {
            return Err(failed(error));
        }
        self.count += 1;
        let (what, tries, again_in_seconds) = (&self.what, self.count, self.pause.as_secs_f64());
        tracing::warn!(%error, tries, again_in_seconds, "{what} gave way to an open transaction; it tries again");
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MOST);
        Ok(())
    }
}

/// Says how many unique keys were held more than once, if the migration that finds them was new.
async fn tell_of_keys(client: &Client) -> Result<(), Error> {
    let held = "select coalesce(current_setting('reveille.keys_held_twice', true), '')";
    let held: String = in_time(SHORT, client.query_one(held, &[])).await?.try_get(0)?;
    if !["", "0"].contains(&held.as_str()) {
        tracing::warn!(
            held,
            "unique keys were held by several jobs, because the database's collation had changed; the newest job of each key holds it now"
        );
    }
    Ok(())
}

pub(super) async fn connect(target: &Target) -> Result<Client, Error> {
    Ok(target.connect().await?.0)
}

/// Fails in a way that is waited for unless the server takes writes.
async fn check_writable(client: &Client) -> Result<(), MigrateError> {
    if one(client, SHORT, sql!("health/ping")).await?.try_get(0)? {
        let why = "the server takes no writes: it is a standby, or read-only".to_owned();
        return Err(Error::Unavailable(why).into());
    }
    Ok(())
}

async fn check_server(client: &Client) -> Result<(), MigrateError> {
    let row = one(client, SHORT, sql!("schema/server")).await?;
    if row.try_get::<_, i32>(0)? < 140_000 {
        return Err(MigrateError::OldServer(row.try_get(1)?));
    }
    Ok(())
}

/// Fails if the settings of the session did not get through.
async fn check_direct(client: &Client) -> Result<(), MigrateError> {
    match one(client, SHORT, sql!("schema/direct")).await?.try_get::<_, Option<&str>>(0)? {
        Some("yes") => Ok(()),
        _ => Err(MigrateError::Pooler),
    }
}

/// Takes the lock of the release before, which goes with the session, unless it is held by a role
/// that cannot be a service.
async fn take_old_lock(client: &Client) -> Result<(), MigrateError> {
    let begun = Instant::now();
    let mut told = false;
    while !one(client, SHORT, sql!("schema/old_lock")).await?.try_get::<_, bool>(0)? {
        let (mut sessions, mut counts) = (Vec::<String>::new(), false);
        for row in unprepared(client, SHORT, sql!("schema/old_holders"), &[]).await? {
            sessions.push(row.try_get("session")?);
            counts |= row.try_get::<_, bool>("counts")?;
        }
        let sessions = sessions.join(", ");
        if !sessions.is_empty() && (!counts || begun.elapsed() > OLD_LOCK_WITHIN) {
            tracing::warn!(
                sessions,
                "another session holds an advisory lock that only older releases rely on; going on without it"
            );
            return Ok(());
        }
        if !told && begun.elapsed() > TOLD_AFTER {
            tracing::info!(
                sessions,
                "waiting for another instance, which is bringing the schema up to date"
            );
            told = true;
        }
        tokio::time::sleep(AGAIN).await;
    }
    Ok(())
}

async fn run(client: &Client, statement: &str) -> Result<(), Error> {
    in_time(SHORT, client.batch_execute(statement)).await
}

/// How many migrations the schema has.
pub(crate) async fn applied(client: &Client) -> Result<u32, Error> {
    if !one(client, SHORT, sql!("schema/exists")).await?.try_get::<_, bool>(1)? {
        return Ok(0);
    }
    let newest: i32 = one(client, SHORT, sql!("schema/newest")).await?.try_get(0)?;
    Ok(u32::try_from(newest).unwrap_or_default())
}

/// Fails if a migration was left out because a newer one had been applied before it was known.
async fn check_complete(client: &Client) -> Result<(), MigrateError> {
    let missing = missing(client).await?;
    if missing.is_empty() { Ok(()) } else { Err(MigrateError::Hole(missing)) }
}

/// The migrations that were not applied. Fails if one was applied with another text.
async fn missing(client: &Client) -> Result<Vec<u32>, MigrateError> {
    let mut applied = HashMap::<i32, Option<String>>::new();
    for row in unprepared(client, SHORT, sql!("schema/applied"), &[]).await? {
        applied.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let mut missing = Vec::new();
    for migration in migrations::all() {
        match i32::try_from(migration.version).ok().and_then(|version| applied.get(&version)) {
            None => missing.push(migration.version),
            Some(Some(checksum)) if !migration.has(checksum) => {
                return Err(MigrateError::Diverges(migration.version));
            }
            Some(_) => {}
        }
    }
    Ok(missing)
}

async fn check_age(client: &Client, applied: u32) -> Result<(), MigrateError> {
    if applied == 0 {
        return Ok(());
    }
    let needed: i32 = one(client, SHORT, sql!("schema/oldest_service")).await?.try_get(0)?;
    let needed = u32::try_from(needed).unwrap_or_default();
    if needed > known() {
        return Err(MigrateError::TooOld { known: known(), needed });
    }
    Ok(())
}

/// A migration that was cut off, or met a full disk, is tried again: it was applied as a whole, or
/// not at all.
fn failed(error: Error) -> MigrateError {
    if error.is_passing() { error.into() } else { MigrateError::Failed(error.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_that_meets_what_passes_is_tried_again_and_one_that_is_refused_is_not() {
        for (state, again) in [("53100", true), ("57P01", true), ("42501", false)] {
            let error = Error::of_state(&SqlState::from_code(state), String::new(), None);
            assert_eq!(matches!(failed(error), MigrateError::Store(_)), again, "{state}");
        }
    }
}
