//! `reveille dead-letters`.

use std::process::ExitCode;

use chrono::{DateTime, Utc};

use super::remote::{self, Request};
use super::table::{Column, Table};
use super::{output, spoken};

const EXAMPLES: &str = "\
Examples:
  reveille dead-letters
  reveille dead-letters --task send --failed-after '2h ago'
  reveille dead-letters --json | jq -r '.data[] | select(.count > 100) | .family'

A group has the jobs of one task and queue that failed in the same way. `reveille redrive` sends
them back, and `reveille get` shows the example.";

/// Lists the jobs that failed for good, in groups.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Only jobs of this queue. May be repeated.
    #[arg(long)]
    queue: Vec<String>,
    /// Only jobs of this task. May be repeated.
    #[arg(long)]
    task: Vec<String>,
    /// Only jobs whose error has this code.
    #[arg(long)]
    code: Option<String>,
    /// Only jobs of this failure family.
    #[arg(long)]
    family: Option<String>,
    /// Only jobs that failed at this time or later.
    #[arg(long, value_name = "TIME", value_parser = spoken::time)]
    failed_after: Option<DateTime<Utc>>,
    /// Only jobs that failed before this time.
    #[arg(long, value_name = "TIME", value_parser = spoken::time)]
    failed_before: Option<DateTime<Utc>>,
    #[command(flatten)]
    pub(super) service: remote::Args,
}

const COLUMNS: &[Column] = &[
    Column("COUNT", "count", 6),
    Column("TASK", "task", 16),
    Column("QUEUE", "queue", 12),
    Column("CODE", "error.code", 14),
    Column("LAST FAILED", "last_failed_at", 20),
    Column("FAMILY", "family", 16),
    Column("EXAMPLE", "example_job_id", 36),
    Column("MESSAGE", "error.message", 20),
];

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let request = Request { query: args.query(), ..Request::get(&["dead-letters"]) };
    let answer = args.service.connect()?.send(request).await?;
    if args.service.json {
        output::line(&answer.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::lines(Table::of(COLUMNS).rows(&answer.page()?.objects()?))?;
    if let Some(others) = answer.object()?.at("other.count") {
        output::note(format!("{others} more failed jobs are in no group here"));
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn query(&self) -> Vec<(&'static str, String)> {
        let lists = [("queue", &self.queue), ("task", &self.task)];
        let lists = lists
            .into_iter()
            .flat_map(|(name, list)| list.iter().map(move |it| (name, it.clone())));
        let time = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339());
        let given = [
            ("code", self.code.clone()),
            ("family", self.family.clone()),
            ("failed_after", time(self.failed_after)),
            ("failed_before", time(self.failed_before)),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
        lists.chain(given).collect()
    }
}
