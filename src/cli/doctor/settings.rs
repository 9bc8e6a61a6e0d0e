//! Settings of the server that decide whether a job can get lost, or the service can work at all.

use std::collections::HashMap;

use super::report::Check;

/// The settings that are looked at.
pub(super) const NAMES: [&str; 12] = [
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "autovacuum",
    "track_counts",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "session_replication_role",
    "server_encoding",
    "idle_in_transaction_session_timeout",
    "statement_timeout",
    "transaction_timeout",
];

/// A setting with the one value that it must have, why, and how it gets it.
struct Must {
    name: &'static str,
    value: &'static str,
    change: &'static str,
}

const MUST: [Must; 8] = [
    Must {
        name: "fsync",
        value: "on",
        change: "a power cut loses or destroys what was acknowledged: alter system set fsync = on, \
                 then restart the server",
    },
    Must {
        name: "full_page_writes",
        value: "on",
        change: "a power cut can destroy pages: alter system set full_page_writes = on, then reload",
    },
    Must {
        name: "autovacuum",
        value: "on",
        change: "the queue's tables grow and slow down: alter system set autovacuum = on, then reload",
    },
    Must {
        name: "track_counts",
        value: "on",
        change: "autovacuum does not work without it: alter system set track_counts = on, then reload",
    },
    Must {
        name: "default_transaction_isolation",
        value: "read committed",
        change: "claims would fail with serialization errors: alter role … set \
                 default_transaction_isolation = 'read committed'",
    },
    Must {
        name: "default_transaction_read_only",
        value: "off",
        change: "nothing can be written: alter role … set default_transaction_read_only = off",
    },
    Must {
        name: "session_replication_role",
        value: "origin",
        change: "the trigger that wakes workers does not fire: alter role … reset \
                 session_replication_role",
    },
    Must {
        name: "server_encoding",
        value: "UTF8",
        change: "payloads would not fit: create a database with encoding 'UTF8' template template0",
    },
];

/// The findings about the values. `own` says that the service's connections bring limits of their
/// own, which they cannot through a PgBouncer.
pub(super) fn judge(settings: &HashMap<String, String>, own: bool) -> Vec<Check> {
    let musts = MUST.iter().filter_map(|must| {
        let value = settings.get(must.name)?;
        Some(Check::fail(must.name, value, must.change).unless(value == must.value))
    });
    musts
        .chain(commit(settings))
        .chain(idle_transactions(settings))
        .chain(time_limits(settings, own))
        .collect()
}

fn commit(settings: &HashMap<String, String>) -> Option<Check> {
    let value = settings.get("synchronous_commit")?;
    let change = "a crash of the server loses the last acknowledged jobs: alter role … set \
                  synchronous_commit = on";
    Some(Check::fail("synchronous_commit", value, change).unless(value != "off"))
}

/// Off is the default and no fault of its own; what it may lead to is seen by its own check, the
/// oldest snapshot. So this one never fails, it only says what it is.
fn idle_transactions(settings: &HashMap<String, String>) -> Option<Check> {
    let name = "idle_in_transaction_session_timeout";
    let found = match settings.get(name)?.as_str() {
        "0" => "none: a forgotten transaction of an application stays open".to_owned(),
        milliseconds => format!("{milliseconds} ms"),
    };
    Some(Check::ok(name, found))
}

/// A limit of the role that would cut the service's own statements short.
fn time_limits(settings: &HashMap<String, String>, own: bool) -> Vec<Check> {
    // The service says how long its statements may take, if it can; of transactions it says
    // nothing.
    let names = if own {
        &["transaction_timeout"][..]
    } else {
        &["statement_timeout", "transaction_timeout"]
    };
    let short = |name: &&str| {
        let limit: u64 = settings.get(*name)?.parse().ok()?;
        let change =
            format!("migrations and retention may take longer: alter role … set {name} = 0");
        (1..60_000).contains(&limit).then(|| Check::warn(name, format!("{limit} ms"), change))
    };
    names.iter().filter_map(short).collect()
}

#[cfg(test)]
mod tests {
    use super::super::report::{Status, worst};
    use super::*;

    fn settings(changed: &[(&str, &str)]) -> HashMap<String, String> {
        let good = MUST.iter().map(|must| (must.name, must.value));
        let others = [("synchronous_commit", "on"), ("statement_timeout", "0")];
        let all = good.chain(others).chain(changed.iter().copied());
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn a_server_as_it_comes_is_fine() {
        let server = settings(&[("idle_in_transaction_session_timeout", "0")]);
        let checks = judge(&server, false);
        assert_eq!(worst(&checks), Status::Ok, "{checks:?}");
        assert!(checks.iter().all(|check| check.change.is_none()));
    }

    #[test]
    fn each_setting_that_loses_jobs_fails_and_says_what_to_do() {
        for must in MUST {
            let checks = judge(&settings(&[(must.name, "other")]), true);
            let bad: Vec<_> = checks.iter().filter(|check| check.status == Status::Fail).collect();
            assert_eq!(bad.len(), 1);
            assert!(bad[0].name == must.name && bad[0].change.is_some());
        }
        assert_eq!(worst(&judge(&settings(&[("synchronous_commit", "off")]), true)), Status::Fail);
        assert_eq!(worst(&judge(&settings(&[("synchronous_commit", "local")]), true)), Status::Ok);
    }

    #[test]
    fn a_short_time_limit_only_matters_where_the_service_has_none_of_its_own() {
        let server = settings(&[("statement_timeout", "500")]);
        assert_eq!(worst(&judge(&server, true)), Status::Ok);
        assert_eq!(worst(&judge(&server, false)), Status::Warn);
    }
}
