//! `reveille tasks`.

use std::process::ExitCode;

use super::remote::{self, Request};
use super::table::{Column, Table};
use super::{get, output};

const EXAMPLES: &str = "\
Examples:
  reveille tasks
  reveille tasks sleep
  reveille tasks sleep --json | jq .payload_schema";

/// Lists the tasks that jobs can ask for, or shows one of them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Show this task.
    #[arg(value_name = "TASK")]
    name: Option<String>,
    #[command(flatten)]
    pub(super) service: remote::Args,
}

const COLUMNS: &[Column] = &[
    Column("TASK", "name", 16),
    Column("WORKERS", "workers", 7),
    Column("ATTEMPTS", "max_attempts", 8),
    Column("DESCRIPTION", "description", 11),
];

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let remote = args.service.connect()?;
    let path: Vec<&str> = ["tasks"].into_iter().chain(args.name.as_deref()).collect();
    let answer = remote.send(Request::get(&path)).await?;
    if args.service.json {
        output::line(&answer.body)?;
    } else if args.name.is_some() {
        get::show(&answer.object()?)?;
    } else {
        output::lines(Table::of(COLUMNS).rows(&answer.page()?.objects()?))?;
    }
    Ok(ExitCode::SUCCESS)
}
