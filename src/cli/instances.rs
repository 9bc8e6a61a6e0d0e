//! `reveille instances`.

use std::process::ExitCode;

use super::output;
use super::remote::{self, Request};
use super::table::{Column, Table};

const EXAMPLES: &str = "\
Examples:
  reveille instances
  reveille instances --json | jq '.data[] | select(.leader) | .name'";

/// Lists the running processes of the service.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) service: remote::Args,
}

const COLUMNS: &[Column] = &[
    Column("INSTANCE", "name", 16),
    Column("ALIVE", "alive", 5),
    Column("LEADER", "leader", 6),
    Column("DRAINING", "draining", 8),
    Column("RUNNING", "running", 7),
    Column("SLOTS", "slots", 5),
    Column("VERSION", "version", 7),
    Column("STARTED", "started_at", 20),
    Column("HEARTBEAT", "heartbeat_at", 20),
];

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let answer = args.service.connect()?.send(Request::get(&["instances"])).await?;
    if args.service.json {
        output::line(&answer.body)?;
    } else {
        output::lines(Table::of(COLUMNS).rows(&answer.page()?.objects()?))?;
    }
    Ok(ExitCode::SUCCESS)
}
