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
use crate::store::Error;

const EXAMPLES: &str = "\
Examples:
  DATABASE_URL=postgres://me:secret@db/jobs reveille doctor
  reveille doctor --json | jq '.checks[] | select(.status != \"ok\")'

It changes nothing. Exit status: 0 nothing failed (there may be warnings), 1 something did.";

/// The settings that decide about the database.
const SHOWN: [&str; 4] = ["database_url", "listen_database_url", "pooler", "pool_size"];

/// Checks the database, and says what to change.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, mut_args(flags::only(&SHOWN)))]
pub(super) struct Args {
    /// Print the findings as an object.
    #[arg(long)]
    json: bool,
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
    checks.extend(finding("PostgreSQL", probes::server(client).await));
    checks.extend(finding("settings", probes::settings(client, own).await));
    checks.extend(finding("connections", probes::connections(client, config).await));
    checks.extend(finding("schema", probes::schema(client).await));
    checks.extend(finding("oldest snapshot", probes::vacuum(client).await));
    checks.extend(finding("notification queue", probes::notification_queue(client).await));
    checks.extend(finding("clocks", probes::clock(client).await));
    checks.extend(notifications(config, url, link.takes_options).await);
    checks
}

fn finding(name: &str, found: Result<Vec<Check>, Error>) -> Vec<Check> {
    found.unwrap_or_else(|error| vec![probes::unanswered(name, &error)])
}

fn unreachable(name: &str, error: &Error) -> Check {
    let change = "correct the address, start the server, or let its pg_hba.conf and firewall admit \
                  this machine";
    Check::fail(name, error.to_string(), change)
}

fn pooler(config: &Config, takes_options: bool) -> Check {
    match (config.pooler, takes_options) {
        (false, true) => Check::ok("connection", "direct"),
        (true, false) => Check::ok("connection", "through a PgBouncer, as pooler says"),
        (false, false) => Check::fail(
            "connection",
            "something in between refuses settings of a session: a PgBouncer",
            "set pooler = true, and listen_database_url to a direct connection",
        ),
        (true, true) => Check::warn(
            "connection",
            "pooler is set, but this looks like a direct connection",
            "set pooler = false: statements are then prepared, which is faster",
        ),
    }
}

/// Notifications go by the direct connection, if there is one.
async fn notifications(config: &Config, url: &DatabaseUrl, direct: bool) -> Vec<Check> {
    const NAME: &str = "NOTIFY round trip";
    if config.listen_database_url.is_none() && (config.pooler || !direct) {
        let seconds = config.poll_interval.as_secs_f64();
        let found =
            format!("not tried: no direct connection, jobs are found by polling ({seconds} s)");
        return vec![Check::warn(NAME, found, "set listen_database_url to a direct connection")];
    }
    match Link::open(config.listen_database_url.as_ref().unwrap_or(url)).await {
        Ok(mut link) => finding(NAME, probes::round_trip(&mut link).await),
        Err(error) => vec![unreachable(NAME, &error)],
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
        // What the database says is shown on one line and cannot steer the terminal.
        let found = clean(found, usize::MAX);
        output::line(format!("{:4}  {name:widest$}  {found}", status.name()))?;
        if let Some(change) = change {
            output::line(format!("      {:widest$}  → {change}", ""))?;
        }
    }
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let (failed, warned) = (count(Status::Fail), count(Status::Warn));
    Ok(output::line(format!("\n{} checks: {failed} failed, {warned} warnings", checks.len()))?)
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
}
