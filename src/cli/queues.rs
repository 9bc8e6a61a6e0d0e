//! `reveille queues`.

use std::process::ExitCode;

use clap::Subcommand;

use super::output;
use super::remote::{self, Remote, Request};
use super::table::{Column, Table};

const EXAMPLES: &str = "\
Examples:
  reveille queues
  reveille queues pause mail
  reveille queues resume mail billing";

/// Lists, pauses and resumes queues.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    pub(super) service: remote::Args,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the queues and the numbers of their jobs; the default.
    List,
    /// Start no more jobs of these queues. New jobs are accepted, and running jobs go on.
    Pause(Names),
    /// Start jobs of these queues again.
    Resume(Names),
}

#[derive(Debug, clap::Args)]
struct Names {
    /// The names of the queues.
    #[arg(value_name = "QUEUE", required = true)]
    names: Vec<String>,
}

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let (remote, as_json) = (args.service.connect()?, args.service.json);
    match &args.action {
        None | Some(Action::List) => list(&remote, as_json).await,
        Some(Action::Pause(names)) => steer(&remote, "pause", &names.names, as_json).await,
        Some(Action::Resume(names)) => steer(&remote, "resume", &names.names, as_json).await,
    }
}

const COLUMNS: &[Column] = &[
    Column("QUEUE", "name", 16),
    Column("PAUSED", "paused", 6),
    Column("SCHEDULED", "counts.scheduled", 9),
    Column("QUEUED", "counts.queued", 9),
    Column("PROCESSING", "counts.processing", 10),
    Column("WAITING SINCE", "oldest_waiting_at", 20),
];

async fn list(remote: &Remote, json: bool) -> anyhow::Result<ExitCode> {
    let mut table = Table::of(COLUMNS);
    let mut query = Vec::new();
    loop {
        let request = Request { query, ..Request::get(&["queues"]) };
        let answer = remote.send(request).await?;
        let page = answer.page()?;
        if json {
            output::line(&answer.body)?;
        } else {
            output::lines(table.rows(&page.objects()?))?;
        }
        match page.next_cursor {
            Some(next) => query = vec![("cursor", next)],
            None => break,
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn steer(
    remote: &Remote,
    verb: &str,
    names: &[String],
    json: bool,
) -> anyhow::Result<ExitCode> {
    for name in names {
        let answer = remote.send(Request::post(&["queues", name, verb])).await?;
        if json {
            output::line(&answer.body)?;
        } else {
            output::line(format!("{name}  {verb}d"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
