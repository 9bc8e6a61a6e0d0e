//! The doctor's questions, one function each. An error of the database becomes a finding.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::link::Link;
use super::report::Check;
use super::settings;
use crate::config::{Config, DatabaseUrl};
use crate::store::doctor::Client;
use crate::store::functions::{self, Standing};
use crate::store::{BESIDE_PEOPLE, Error, Result, doctor as store, migrate, trust};

/// The finding for a question that the database did not answer.
pub(super) fn unanswered(name: &str, error: &Error) -> Check {
    let change = "grant the role what it lacks, or see the server's log";
    Check::fail(name, error.to_string(), change)
}

pub(super) async fn server(client: &Client) -> Result<Vec<Check>> {
    let server = store::server(client).await?;
    let major = server.version_number / 10_000;
    let version = Check::fail(
        "PostgreSQL",
        format!("{}, database {}", server.version, server.database),
        "use PostgreSQL 14 or newer",
    );
    let version = version.unless(major >= 14);
    let untried =
        Check::warn("PostgreSQL", &server.version, "newer than 18: not tried with this release");
    let primary = Check::fail(
        "primary",
        if server.in_recovery { "this is a standby" } else { "yes" },
        "connect to the primary; with several hosts, add target_session_attrs=read-write",
    );
    let role = Check::warn(
        "role",
        format!("{}{}", server.role, if server.superuser { ", a superuser" } else { "" }),
        "works, but a role that owns nothing but the schema is safer: create role reveille login \
         password '…'; create schema reveille authorization reveille",
    );
    Ok(vec![
        if major > 18 { untried } else { version },
        primary.unless(!server.in_recovery),
        role.unless(!server.superuser),
    ])
}

/// Behind a pooler the search path is a setting of the role, without which `serve` refuses to
/// start.
pub(super) async fn search_path(
    config: &Config,
    url: &DatabaseUrl,
    client: &Client,
) -> Result<Vec<Check>> {
    let found = if config.pooler {
        let (client, _notifications) = store::connect(url, false).await?;
        trust::search_path(&client).await?
    } else {
        trust::search_path(client).await?
    };
    Ok(vec![match found {
        None => Check::ok("search path", "pg_catalog, pg_temp"),
        Some(untrusted) => Check::fail("search path", untrusted.found, untrusted.change),
    }])
}

pub(super) async fn settings(client: &Client, own: bool) -> Result<Vec<Check>> {
    let values: HashMap<_, _> = store::settings(client, &settings::NAMES).await?;
    Ok(settings::judge(&values, own))
}

pub(super) async fn connections(client: &Client, config: &Config) -> Result<Vec<Check>> {
    let server = store::connections(client).await?;
    let needed = i64::from(config.pool_size + BESIDE_PEOPLE);
    let found = format!("{} of {} are free, an instance takes {needed}", server.free, server.most);
    let change = if config.pooler {
        "raise the server's max_connections, or lower pool_size"
    } else {
        "raise the server's max_connections, lower pool_size, or put a PgBouncer between"
    };
    let check = if server.free < needed {
        Check::fail("connections", found, change)
    } else {
        Check::warn("connections", found, change).unless(server.free >= 2 * needed)
    };
    Ok(vec![check])
}

/// The schema, and whether this role can work with it; then whether every job is in its place.
pub(super) async fn schema(config: &Config, client: &Client) -> Result<Vec<Check>> {
    if let Some(untrusted) = trust::strangers(client).await? {
        return Ok(vec![Check::fail("owner", untrusted.found, untrusted.change)]);
    }
    let missing = store::missing_tables(client).await?;
    let role = store::privileges(client).await?;
    if missing.len() == store::TABLES.len() {
        let change = "start the service or run `reveille migrate`; either makes it";
        let mut schema = Check::warn("schema", "not there yet", change);
        if !role.owns_schema && !role.may_create {
            // The advice of the other finding comes first.
            schema.change = None;
        }
        let grant = "let an owner of the database run: create schema reveille authorization …";
        let check = match (role.owns_schema, role.may_create) {
            (true, _) => Check::ok("privileges", "owns the schema"),
            (false, true) => Check::ok("privileges", "may create the schema"),
            (false, false) => Check::fail("privileges", "may not create the schema", grant),
        };
        return Ok(vec![schema, check]);
    }
    let applied = migrate::applied(client).await?;
    if (1..migrate::known()).contains(&applied) {
        return Ok(vec![older(config, applied), privileges(role)]);
    }
    let schema = Check::fail(
        "schema",
        if missing.is_empty() {
            "there".to_owned()
        } else {
            format!("lacks {}", missing.join(", "))
        },
        "run `reveille migrate`",
    );
    let complete = missing.is_empty();
    let mut checks = vec![schema.unless(complete), privileges(role)];
    if complete && role.may_use {
        checks.push(standing(functions::standing(client).await?));
    }
    if complete {
        checks.push(one_place(client).await);
        checks.push(gates(client).await?);
        checks.push(operations(store::operations(client, STILL_SECONDS).await?));
    }
    Ok(checks)
}

/// How long a gate may stand as it must not: the leader looks every ten seconds.
const GATES_FOR: Duration = Duration::from_secs(12);

/// Whether the gates of concurrency keys stand as they must. A fault of this moment is none.
async fn gates(client: &Client) -> Result<Check> {
    const NAME: &str = "concurrency keys";
    let none = store::Gates { idle: 0, lost: 0 };
    let (begun, mut found) = (Instant::now(), store::gates(client).await?);
    while found != none && begun.elapsed() < GATES_FOR {
        tokio::time::sleep(Duration::from_millis(500)).await;
        found = store::gates(client).await?;
    }
    let store::Gates { idle, lost } = found;
    let told =
        format!("{idle} keys stay taken by nobody, {lost} jobs wait for a turn that nobody has");
    let change = "a service must run, and look after keys every ten seconds; if one does, keep the \
                  database as it is, and report this line";
    Ok(Check::warn(NAME, told, change).unless(found == none))
}

/// How long an operation may take for a step: a new leader is found within seconds.
const STILL_SECONDS: f64 = 60.0;

/// Whether the leader is about the operations on many jobs that are to be under way.
fn operations(found: store::Operations) -> Check {
    const NAME: &str = "operations";
    let store::Operations { open, still, longest, first } = found;
    let (Some(id), Some(seconds)) = (first.filter(|_| still > 0), longest) else {
        return Check::ok(NAME, format!("{open} under way"));
    };
    let found = format!(
        "{still} of {open} stand still: operation {id} has made no progress for {seconds:.0} s"
    );
    let change = "a service must run, and its log says why a step fails; a purge waits for jobs \
                  whose unique key an open transaction has locked. `reveille operations stop` ends it";
    Check::warn(NAME, found, change)
}

/// The schema is of an older release, which `serve` mends unless it is told not to.
fn older(config: &Config, applied: u32) -> Check {
    let known = migrate::known();
    let found = format!("of an older release: it has {applied} of {known} migrations");
    let change = "run `reveille migrate`; older instances may go on meanwhile";
    if config.migrate {
        Check::warn("schema", found, format!("start this release, or {change}"))
    } else {
        Check::fail("schema", found, change)
    }
}

/// Whether the functions of the schema are those of this release.
fn standing(standing: Standing) -> Check {
    const NAME: &str = "functions";
    match standing {
        Standing::Same => Check::ok(NAME, "those of this release"),
        Standing::Newer(_) => Check::ok(NAME, "those of a newer release, which this one can call"),
        Standing::Behind => {
            Check::fail(NAME, "not those of this release", "run `reveille migrate`")
        }
    }
}

fn privileges(role: store::Privileges) -> Check {
    let found =
        if role.may_use { "owns the schema" } else { "owns the schema, but may not use all of it" };
    Check::fail("privileges", found, "grant all on all tables in schema reveille to the role")
        .unless(role.may_use)
}

/// An error here is not passed on: on a large history the question may take too long, which says
/// nothing about the jobs.
async fn one_place(client: &Client) -> Check {
    const NAME: &str = "every job in one place";
    match tokio::time::timeout(Duration::from_secs(35), store::one_place(client)).await {
        Ok(Ok(places)) => {
            let store::Places { jobs, nowhere, several, strangers } = places;
            let found = format!(
                "{jobs} jobs, of them {nowhere} nowhere and {several} in several places; {strangers} \
                 entries without a job"
            );
            let change =
                "this must not be: keep the database as it is, and report it with this line";
            Check::fail(NAME, found, change).unless(nowhere + several + strangers == 0)
        }
        Ok(Err(error)) if error.is_cancelled() => too_long(NAME),
        Ok(Err(error)) => unanswered(NAME, &error),
        Err(_) => too_long(NAME),
    }
}

fn too_long(name: &str) -> Check {
    Check::warn(
        name,
        "not known: counting took longer than 30 s",
        "ask again when less is going on",
    )
}

pub(super) async fn vacuum(client: &Client) -> Result<Vec<Check>> {
    let Some(oldest) = store::oldest_snapshot(client).await? else {
        return Ok(vec![Check::ok("oldest snapshot", "no session holds back vacuum")]);
    };
    let store::Snapshot { holder, age, seconds } = oldest;
    let open = seconds.map(|seconds| format!(", open for {seconds:.0} s")).unwrap_or_default();
    let change = "dead rows pile up behind it and claims get slower: end it, and set \
                  idle_in_transaction_session_timeout for whoever forgot it";
    let check =
        Check::warn("oldest snapshot", format!("{holder}, {age} transactions ago{open}"), change);
    // Minutes of a busy queue, or the backup of a small database.
    Ok(vec![check.unless(seconds.unwrap_or(0.0) < 300.0 && age < 1_000_000)])
}

pub(super) async fn notification_queue(client: &Client) -> Result<Vec<Check>> {
    const NAME: &str = "notification queue";
    let usage = store::notification_usage(client).await?;
    let found = format!("{:.1} % full", usage * 100.0);
    let change = "a session that listens does not read, or is in a long transaction; when the queue \
                  is full, commits fail. Find it in pg_stat_activity and end it";
    Ok(vec![if usage >= 0.5 {
        Check::fail(NAME, found, change)
    } else {
        Check::warn(NAME, found, change).unless(usage < 0.1)
    }])
}

/// The clock of this machine makes job ids and with them `created_at`; the server's decides what is
/// due. Of three readings the quickest is the most exact.
pub(super) async fn clock(client: &Client) -> Result<Vec<Check>> {
    let mut best = (Duration::MAX, 0.0);
    for _ in 0..3 {
        let (before, started) = (Utc::now(), Instant::now());
        let theirs = store::clock(client).await?;
        let took = started.elapsed();
        let middle = before + took / 2;
        let ahead = (theirs - middle).as_seconds_f64();
        if took < best.0 {
            best = (took, ahead);
        }
    }
    Ok(vec![judge_clock(best.1)])
}

fn judge_clock(ahead: f64) -> Check {
    const NAME: &str = "clocks";
    let milliseconds = ahead.abs() * 1000.0;
    let side = if ahead < 0.0 { "behind" } else { "ahead of" };
    let found = format!("the server is {milliseconds:.0} ms {side} this machine");
    let change = "let both machines take their time from NTP (chrony, systemd-timesyncd)";
    if milliseconds >= 30_000.0 {
        return Check::fail(NAME, found, change);
    }
    Check::warn(NAME, found, change).unless(milliseconds < 1000.0)
}

/// How long a notification takes to come back, the middle one of five.
pub(super) async fn round_trip(name: &str, link: &mut Link, config: &Config) -> Result<Vec<Check>> {
    store::listen(&link.client).await?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let word = uuid::Uuid::new_v4().to_string();
        let started = Instant::now();
        store::notify(&link.client, &word).await?;
        if !link.hears(&word, Duration::from_secs(5)).await {
            let change = match config.listen_database_url {
                None => {
                    "something between here and the server swallows notifications, a pooler \
                     perhaps: set listen_database_url to a direct connection"
                }
                Some(_) => {
                    "something on the way of listen_database_url swallows notifications, a pooler \
                     perhaps: let it name PostgreSQL itself"
                }
            };
            return Ok(vec![Check::fail(name, "nothing came back within 5 s", change)]);
        }
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let middle = times[times.len() / 2];
    let change = "jobs start so much later: look at the network and the server's disk";
    Ok(vec![Check::warn(name, format!("{middle:.1} ms"), change).unless(middle < 50.0)])
}

#[cfg(test)]
mod tests {
    use super::super::report::Status;
    use super::*;

    #[test]
    fn clocks_may_differ_a_little() {
        for (ahead, status) in [
            (0.02, Status::Ok),
            (-0.9, Status::Ok),
            (1.5, Status::Warn),
            (-29.0, Status::Warn),
            (-31.0, Status::Fail),
        ] {
            assert_eq!(judge_clock(ahead).status, status, "{ahead}");
        }
        assert_eq!(judge_clock(-1.5).found, "the server is 1500 ms behind this machine");
    }
}
