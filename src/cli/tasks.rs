//! `reveille tasks`.

use std::process::ExitCode;

use super::object::Object;
use super::remote::{self, Request};
use super::table::Table;
use super::{get, output};

const EXAMPLES: &str = "\
Examples:
  reveille tasks
  reveille tasks sleep
  reveille tasks sleep --json | jq .payload_schema";

/// Lists the tasks that jobs can be asked to do, or shows one of them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Show this task.
    #[arg(value_name = "TASK")]
    name: Option<String>,
    /// Print the service's answer as it is.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: remote::Args,
}

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let remote = args.service.connect()?;
    let path: Vec<&str> = ["tasks"].into_iter().chain(args.name.as_deref()).collect();
    let answer = remote.send(Request::get(&path)).await?;
    if args.json {
        output::line(&answer.body)?;
    } else if args.name.is_some() {
        get::show(&answer.object()?)?;
    } else {
        print_rows(&answer.page()?.objects()?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Heads, and the fields below them.
const COLUMNS: [(&str, &str); 4] = [
    ("TASK", "name"),
    ("WORKERS", "workers"),
    ("ATTEMPTS", "max_attempts"),
    ("DESCRIPTION", "description"),
];

fn print_rows(tasks: &[Object]) -> anyhow::Result<()> {
    let row = |task: &Object| COLUMNS.iter().map(|column| task.cell(column.1)).collect();
    let rows: Vec<Vec<String>> = tasks.iter().map(row).collect();
    for line in Table::new(COLUMNS.iter().map(|column| column.0)).lines(&rows) {
        output::line(line)?;
    }
    Ok(())
}
