//! The questions of `reveille doctor` to a database. Statements are not prepared, so that the
//! questions also get through a PgBouncer in transaction mode. Whether there is one is a thing to
//! be found out.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio_postgres::Notification;
use uuid::Uuid;

pub(crate) use tokio_postgres::Client;

use super::connect::Target;
use super::error::{Error, Result};
use super::row::Row;
use super::session::{in_time, one, sql, unprepared};
use crate::config::DatabaseUrl;

/// How long an answer is waited for: longer than the server may work on it, see [`connect`].
const WITHIN: Duration = Duration::from_secs(35);
/// How long a statement of the doctor may take.
const LIMIT: &str = "-c statement_timeout=30000";

/// The notifications of a connection.
pub(crate) type Notifications = mpsc::UnboundedReceiver<Notification>;

/// Connects; with `limited`, its statements end after 30 seconds, else no settings of the session
/// are sent at all.
pub(crate) async fn connect(url: &DatabaseUrl, limited: bool) -> Result<(Client, Notifications)> {
    let address = url.address();
    if limited {
        Target::of(address)?.with_options(LIMIT).connect().await
    } else {
        Target::through_pooler(address)?.connect().await
    }
}

/// Which server this is, and as whom we are there.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// 150018 for 15.18.
    pub version_number: i32,
    pub version: String,
    pub database: String,
    pub role: String,
    pub superuser: bool,
    /// A standby, which cannot be written to.
    pub in_recovery: bool,
}

/// Which server this is.
pub(crate) async fn server(client: &Client) -> Result<Server> {
    let row = one(client, WITHIN, sql!("doctor/server")).await?;
    Ok(Server {
        version_number: row.try_get("version_number")?,
        version: row.try_get("version")?,
        database: row.try_get("database")?,
        role: row.try_get("role")?,
        superuser: row.try_get("superuser")?,
        in_recovery: row.try_get("in_recovery")?,
    })
}

/// The values of these settings; one that this version does not have is missing.
pub(crate) async fn settings(client: &Client, names: &[&str]) -> Result<HashMap<String, String>> {
    let rows = unprepared(client, WITHIN, sql!("doctor/settings": TEXT_ARRAY), &[&names]).await?;
    rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("setting")?))).collect()
}

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connections {
    pub most: i64,
    /// Connections that a role like ours could still open.
    pub free: i64,
}

/// How many connections there may be, and are left.
pub(crate) async fn connections(client: &Client) -> Result<Connections> {
    let row = one(client, WITHIN, sql!("doctor/connections")).await?;
    Ok(Connections { most: row.try_get("most")?, free: row.try_get("free")? })
}

/// How operations on many jobs stand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operations {
    /// Operations that are to be under way.
    pub open: i64,
    /// Open operations that make no progress.
    pub still: i64,
    /// How long the one has stood still that has done so longest, and its id.
    pub longest: Option<f64>,
    pub first: Option<Uuid>,
}

/// How operations stand. One stands still that has made no progress for so many seconds.
pub(crate) async fn operations(client: &Client, seconds: f64) -> Result<Operations> {
    let statement = sql!("doctor/operations": FLOAT8);
    let rows = unprepared(client, WITHIN, statement, &[&seconds]).await?;
    let row = rows.first().ok_or_else(|| Error::Unexpected("no row of operations".into()))?;
    Ok(Operations {
        open: row.try_get("open")?,
        still: row.try_get("still")?,
        longest: row.try_get("longest")?,
        first: row.try_get("first")?,
    })
}

/// The tables of the schema.
pub(crate) const TABLES: &[&str] = &[
    "attempt",
    "audit",
    "canary",
    "compatibility",
    "definition",
    "expiry",
    "freed",
    "gate",
    "idempotency",
    "job",
    "keyed",
    "leader",
    "lease",
    "migration",
    "operation",
    "outcome",
    "progress",
    "queue",
    "ready",
    "settings_clock",
    "settings_file",
    "superseded",
    "sweeper",
    "task",
    "unique_key",
    "week",
    "worker",
];

/// Which of [`TABLES`] are not there.
pub(crate) async fn missing_tables(client: &Client) -> Result<Vec<String>> {
    let statement = sql!("doctor/missing_tables": TEXT_ARRAY);
    let rows = unprepared(client, WITHIN, statement, &[&TABLES]).await?;
    rows.iter().map(|row| row.try_get("name")).collect()
}

/// The rights of the role.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Privileges {
    /// Make a schema.
    pub may_create: bool,
    /// Change the tables of the schema, as migrations and partitions need it.
    pub owns_schema: bool,
    /// Read and write all of its tables.
    pub may_use: bool,
}

/// The rights of the role.
pub(crate) async fn privileges(client: &Client) -> Result<Privileges> {
    let row = one(client, WITHIN, sql!("doctor/privileges")).await?;
    Ok(Privileges {
        may_create: row.try_get("may_create")?,
        owns_schema: row.try_get("owns_schema")?,
        may_use: row.try_get("may_use")?,
    })
}

/// Where the jobs are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    pub jobs: i64,
    /// Jobs that neither wait nor run nor have ended.
    pub nowhere: i64,
    /// Jobs in more than one of these states.
    pub several: i64,
    /// Ids in one of these states that belong to no job.
    pub strangers: i64,
}

/// Whether every job is in exactly one place. Reads all of them.
pub(crate) async fn one_place(client: &Client) -> Result<Places> {
    let row = one(client, WITHIN, sql!("doctor/one_place")).await?;
    Ok(Places {
        jobs: row.try_get("jobs")?,
        nowhere: row.try_get("nowhere")?,
        several: row.try_get("several")?,
        strangers: row.try_get("strangers")?,
    })
}

/// Gates of concurrency keys that are not as they must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gates {
    /// Of which no job runs or waits.
    pub idle: i64,
    /// Jobs that wait for a turn which nobody has.
    pub lost: i64,
}

/// How gates stand. Those of this moment count too.
pub(crate) async fn gates(client: &Client) -> Result<Gates> {
    let row = one(client, WITHIN, sql!("doctor/gates")).await?;
    Ok(Gates { idle: row.try_get("idle")?, lost: row.try_get("lost")? })
}

/// Who keeps dead rows from being removed.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub holder: String,
    /// Transactions begun since.
    pub age: i64,
    /// How long it has been open; unknown for a replication slot.
    pub seconds: Option<f64>,
}

/// The oldest snapshot, if anybody holds one.
pub(crate) async fn oldest_snapshot(client: &Client) -> Result<Option<Snapshot>> {
    let rows = unprepared(client, WITHIN, sql!("doctor/oldest_snapshot"), &[]).await?;
    let read = |row: &Row| {
        Ok(Snapshot {
            holder: row.try_get("holder")?,
            age: row.try_get("age")?,
            seconds: row.try_get("seconds")?,
        })
    };
    rows.first().map(read).transpose()
}

/// How full the queue of notifications is, from 0 to 1.
pub(crate) async fn notification_usage(client: &Client) -> Result<f64> {
    let row = one(client, WITHIN, sql!("doctor/notification_usage")).await?;
    row.try_get("usage")
}

/// The server's clock.
pub(crate) async fn clock(client: &Client) -> Result<DateTime<Utc>> {
    let row = one(client, WITHIN, sql!("doctor/clock")).await?;
    row.try_get("now")
}

/// Which database this is, in words that no other one has while its server runs.
pub(crate) async fn identity(client: &Client) -> Result<String> {
    let row = one(client, WITHIN, sql!("doctor/identity")).await?;
    row.try_get("identity")
}

/// Listens to the doctor's own channel.
pub(crate) async fn listen(client: &Client) -> Result<()> {
    let listening = client.batch_execute(include_str!("../../sql/doctor/listen.sql"));
    in_time(WITHIN, listening).await
}

/// Says `word` on the doctor's own channel.
pub(crate) async fn notify(client: &Client, word: &str) -> Result<()> {
    unprepared(client, WITHIN, sql!("doctor/notify": TEXT), &[&word]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctor_looks_at_every_table_of_the_schema() {
        let schema = include_str!("../../sql/schema.sql");
        let made = schema
            .lines()
            .filter_map(|line| line.strip_prefix("create table reveille.")?.split(' ').next());
        assert_eq!(made.collect::<Vec<_>>(), TABLES);
    }
}
