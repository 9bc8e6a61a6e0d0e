//! `reveille doctor`: is this database fit for the service, and what has to be changed if not.

mod link;
mod probes;
mod report;
mod settings;

use std::process::ExitCode;

use serde_json::json;

use self::link::Link;
use self::report::{Check, Status, worst};
use super::stop::Usage;
use super::table::clean;
use super::{output, settings as flags};
use crate::config::{Config, DatabaseUrl};
use crate::store::doctor::Client;
use crate::store::{Error, doctor as store};

const EXAMPLES: &str = "\
Examples:
  DATABASE_URL=postgres://me:secret@db/jobs reveille doctor
  reveille doctor --json | jq '.checks[] | select(.status != \"ok\")'

It changes nothing. Exit status: 0 nothing failed (there may be warnings), 1 something did.";

const NOTIFY: &str = "NOTIFY round trip";
const SAME: &str = "same database";

/// The settings that decide about the database.
const SHOWN: [&str; 4] = ["database_url", "listen_database_url", "pooler", "pool_size"];

/// Checks the database, and says what to change.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, mut_args(flags::only(&SHOWN)))]
pub(super) struct Args {
    /// Print the findings as an object.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    settings: flags::Args,
}

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.settings.load()?.config;
    let Some(url) = &config.database_url else {
        let what = "there is no database to check: set DATABASE_URL (without one, `reveille serve` \
                    brings up a PostgreSQL of its own, set up as it should be)";
        return Err(Usage(what.to_owned()).into());
    };
    let checks = examine(&config, url).await;
    if args.json {
        print_json(&checks)?
    } else {
        print_lines(url, &checks)?
    }
    Ok(match worst(&checks) {
        Status::Fail => ExitCode::FAILURE,
        Status::Ok | Status::Warn => ExitCode::SUCCESS,
    })
}

async fn examine(config: &Config, url: &DatabaseUrl) -> Vec<Check> {
    let link = match Link::open(url).await {
        Ok(link) => link,
        Err(error) => return vec![unreachable("connection", &error)],
    };
    let client = &link.client;
    let own = link.takes_options && !config.pooler;
    let mut checks = vec![pooler(config, link.takes_options)];
    // Before anything else is asked: with another path the questions themselves could call what
    // others made.
    let path = finding("search path", probes::search_path(config, url, client).await);
    if worst(&path) == Status::Fail {
        checks.extend(path);
        return checks;
    }
    checks.extend(path);
    checks.extend(finding("PostgreSQL", probes::server(client).await));
    checks.extend(finding("settings", probes::settings(client, own).await));
    checks.extend(finding("connections", probes::connections(client, config).await));
    checks.extend(finding("schema", probes::schema(config, client).await));
    checks.extend(finding("oldest snapshot", probes::vacuum(client).await));
    checks.extend(finding("notification queue", probes::notification_queue(client).await));
    checks.extend(finding("clocks", probes::clock(client).await));
    checks.extend(direct(config, url, &link).await);
    checks
}

fn finding(name: &str, found: Result<Vec<Check>, Error>) -> Vec<Check> {
    found.unwrap_or_else(|error| vec![probes::unanswered(name, &error)])
}

/// No connection. A server that answered, with a refusal, is there: then the network is not to
/// blame.
fn unreachable(name: &str, error: &Error) -> Check {
    let (found, advice) = match error {
        Error::Misconfigured { message, advice, .. } => (message.clone(), Some(advice.as_str())),
        other => (other.to_string(), None),
    };
    let change = match error.state() {
        // Only the driver knows that there is no password to send; it never asks the server.
        None if found.contains("password missing") => {
            "the server asks for a password: write it into the address"
        }
        Some("28P01") => {
            "correct the user's password in the address, or set a new one: alter role … password '…'"
        }
        Some(state) if state.starts_with("28") => {
            "correct the user in the address, let the role log in (alter role … login), or let the \
             server's pg_hba.conf admit it from this machine"
        }
        Some("3D000") => "create the database, or correct its name in the address",
        Some("42501") => "let the role connect: grant connect on database … to it",
        state => advice.unwrap_or(match state {
            None => {
                "correct the address, start the server, or let its firewall and listen_addresses \
                 admit this machine"
            }
            Some(_) => "the server is there and refuses the connection: see its log",
        }),
    };
    Check::fail(name, found, change)
}

fn pooler(config: &Config, takes_options: bool) -> Check {
    match (config.pooler, takes_options) {
        (false, true) => Check::ok("connection", "direct"),
        (true, false) => Check::ok("connection", "through a PgBouncer, as pooler says"),
        (false, false) => Check::fail(
            "connection",
            "something in between refuses settings of a session: a PgBouncer",
            match config.listen_database_url {
                None => "set pooler = true, and listen_database_url to a direct connection",
                Some(_) => "set pooler = true",
            },
        ),
        (true, true) => Check::warn(
            "connection",
            "pooler is set, but this looks like a direct connection",
            "set pooler = false: statements are then prepared, which is faster",
        ),
    }
}

/// The connection for what a pooler does not let through: notifications, and changes of the schema.
/// `link` is that of `url`.
async fn direct(config: &Config, url: &DatabaseUrl, link: &Link) -> Vec<Check> {
    let (through, client) = (link.takes_options, &link.client);
    let Some(own) = &config.listen_database_url else {
        if through && !config.pooler {
            return notifications(config, Link::open(url).await).await;
        }
        let seconds = config.poll_interval.as_secs_f64();
        let found =
            format!("not tried: no direct connection, jobs are found by polling ({seconds} s)");
        let change = "set listen_database_url to a direct connection";
        let polled = Check::warn(NOTIFY, found, change);
        return if through { vec![polled] } else { vec![schema_changes(config, false), polled] };
    };
    let link = Link::open(own).await;
    let through = link.as_ref().map_or(true, |link| link.takes_options);
    let mut checks = vec![schema_changes(config, through)];
    if let Ok(link) = &link {
        checks.extend(finding(SAME, same_database(client, &link.client).await));
    }
    checks.extend(notifications(config, link).await);
    checks
}

/// Whether what is announced in the one database is heard in the other.
async fn same_database(client: &Client, listening: &Client) -> Result<Vec<Check>, Error> {
    let (one, other) = (store::identity(client).await?, store::identity(listening).await?);
    let found = "listen_database_url leads to another database than database_url";
    let change = "let listen_database_url name the same database on the same server";
    let same = Check::ok(SAME, "listen_database_url leads to the database of database_url");
    Ok(vec![if one == other { same } else { Check::fail(SAME, found, change) }])
}

/// Whether `serve` can bring the schema up to date, as it does at its start. `through` says whether
/// its connection for that lets settings of a session through.
fn schema_changes(config: &Config, through: bool) -> Check {
    const NAME: &str = "schema changes";
    if through {
        return Check::ok(NAME, "by a direct connection");
    }
    if !config.migrate {
        return Check::ok(NAME, "left to `reveille migrate`, as migrate says");
    }
    let own =
        "set migrate = false and run `reveille migrate` where PostgreSQL itself can be reached";
    match config.listen_database_url {
        None => Check::fail(
            NAME,
            "`reveille serve` makes them at its start, and a pooler does not let them through",
            format!("set listen_database_url to a direct connection, or {own}"),
        ),
        Some(_) => Check::fail(
            NAME,
            "listen_database_url leads through a pooler, which does not let them through",
            format!("let listen_database_url name PostgreSQL itself, or {own}"),
        ),
    }
}

async fn notifications(config: &Config, link: Result<Link, Error>) -> Vec<Check> {
    match link {
        Ok(mut link) => finding(NOTIFY, probes::round_trip(NOTIFY, &mut link, config).await),
        Err(error) => vec![unreachable(NOTIFY, &error)],
    }
}

fn print_json(checks: &[Check]) -> anyhow::Result<()> {
    let object = json!({ "status": worst(checks), "checks": checks });
    Ok(output::line(serde_json::to_string_pretty(&object)?)?)
}

fn print_lines(url: &DatabaseUrl, checks: &[Check]) -> anyhow::Result<()> {
    output::line(format!("{url}\n"))?;
    let widest = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    for Check { name, status, found, change } in checks {
        // The database's words stay on one line and cannot steer the terminal.
        let found = clean(found, usize::MAX);
        output::line(format!("{:4}  {name:widest$}  {found}", status.name()))?;
        if let Some(change) = change {
            output::line(format!("      {:widest$}  → {change}", ""))?;
        }
    }
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let (failed, warned) = (count(Status::Fail), count(Status::Warn));
    let made = if let [_] = checks { "1 check".into() } else { format!("{} checks", checks.len()) };
    Ok(output::line(format!("\n{made}: {failed} failed, {warned} warnings"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pooler_and_the_setting_must_agree() {
        let status = |pooler_set, takes_options| {
            let config = Config { pooler: pooler_set, ..Config::default() };
            pooler(&config, takes_options).status
        };
        assert_eq!(status(false, true), Status::Ok);
        assert_eq!(status(true, false), Status::Ok);
        assert_eq!(status(false, false), Status::Fail);
        assert_eq!(status(true, true), Status::Warn);
    }

    #[test]
    fn nothing_is_advised_that_is_set() {
        let direct = DatabaseUrl::new("postgres://db/jobs").unwrap();
        let change = |pooler_set, listen: Option<&DatabaseUrl>| {
            let listen_database_url = listen.cloned();
            let config = Config { pooler: pooler_set, listen_database_url, ..Config::default() };
            let checks = [pooler(&config, false), schema_changes(&config, false)];
            checks.into_iter().filter_map(|check| check.change).collect::<Vec<_>>().join("\n")
        };
        let none = change(false, None);
        assert!(none.contains("pooler = true, and listen_database_url to"), "{none}");
        let own = change(false, Some(&direct));
        assert!(own.starts_with("set pooler = true\n") && !own.contains("set listen_"), "{own}");
        let pooler = change(true, None);
        assert!(pooler.starts_with("set listen_database_url to a direct"), "{pooler}");
        let both = change(true, Some(&direct));
        assert!(both.starts_with("let listen_database_url name PostgreSQL itself"), "{both}");
    }

    #[test]
    fn a_refusal_is_not_blamed_on_the_network() {
        for (state, word) in [
            ("28P01", "password"),
            ("28000", "pg_hba.conf"),
            ("3D000", "database"),
            ("42501", "grant connect"),
            ("53300", "refuses"),
        ] {
            let (state, message) = (state.to_owned(), "no".to_owned());
            let check = unreachable("connection", &Error::Refused { state, message, detail: None });
            let change = check.change.unwrap();
            assert!(change.contains(word) && !change.contains("firewall"), "{change}");
        }
        let silent = unreachable("connection", &Error::Unavailable("timed out".to_owned()));
        assert!(silent.change.unwrap().contains("firewall"));
        let (message, advice) = ("password missing".to_owned(), "Correct it".to_owned());
        let driver = Error::Misconfigured { state: None, message, advice };
        assert!(unreachable("connection", &driver).change.unwrap().contains("into the address"));
    }

    #[test]
    fn an_error_that_brings_advice_gives_the_only_one() {
        for (state, change) in [(None, "Switch ssl on"), (Some("22023"), "Switch ssl on")] {
            let (message, advice) = ("no TLS".to_owned(), "Switch ssl on".to_owned());
            let state = state.map(str::to_owned);
            let check = unreachable("connection", &Error::Misconfigured { state, message, advice });
            assert_eq!((check.found.as_str(), check.change.as_deref()), ("no TLS", Some(change)));
        }
    }
}
