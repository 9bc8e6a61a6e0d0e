//! `reveille list`.

use std::process::ExitCode;

use chrono::{DateTime, Utc};

use super::pages::Pages;
use super::table::Column;
use super::{remote, spoken};

const EXAMPLES: &str = "\
Examples:
  reveille list --status failed --queue mail
  reveille list --tag nightly --created-after yesterday --all
  reveille list --status failed,cancelled --created-after '2h ago'
  reveille list --status failed --all --json | jq -r .job_id | xargs reveille retry

A TIME is RFC 3339, a day such as 2026-11-01, or now, today, yesterday, tomorrow, '2h ago', 'in 2h'.";

/// Lists jobs, the newest first. Filters narrow each other.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Only jobs in this state: scheduled, queued, processing, completed, failed or cancelled. May
    /// be repeated.
    #[arg(long)]
    status: Vec<String>,
    /// Only jobs of this queue. May be repeated.
    #[arg(long)]
    queue: Vec<String>,
    /// Only jobs of this task. May be repeated.
    #[arg(long)]
    task: Vec<String>,
    /// Only jobs with this tag. Repeated: with all of them.
    #[arg(long)]
    tag: Vec<String>,
    /// Only jobs with this unique key.
    #[arg(long, value_name = "KEY")]
    unique_key: Option<String>,
    /// Only jobs submitted at this time or later.
    #[arg(long, value_name = "TIME", value_parser = spoken::time)]
    created_after: Option<DateTime<Utc>>,
    /// Only jobs submitted before this time.
    #[arg(long, value_name = "TIME", value_parser = spoken::time)]
    created_before: Option<DateTime<Utc>>,
    /// Only jobs whose payload contains this JSON.
    #[arg(long, value_name = "JSON")]
    payload_contains: Option<String>,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    pub(super) service: remote::Args,
}

const COLUMNS: &[Column] = &[
    Column("JOB ID", "job_id", 36),
    Column("STATUS", "status", 10),
    Column("QUEUE", "queue", 12),
    Column("TASK", "task", 16),
    Column("ATTEMPTS", "attempt_count", 8),
    Column("CREATED", "created_at", 20),
    Column("RUN AT", "run_at", 20),
];

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    args.pages.show(&args.service, &["jobs"], &args.query(), COLUMNS).await
}

impl Args {
    fn query(&self) -> Vec<(&'static str, String)> {
        let lists = [
            ("status", &self.status),
            ("queue", &self.queue),
            ("task", &self.task),
            ("tag", &self.tag),
        ];
        let lists = lists
            .into_iter()
            .flat_map(|(name, list)| list.iter().map(move |it| (name, it.clone())));
        let time = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339());
        let given = [
            ("unique_key", self.unique_key.clone()),
            ("created_after", time(self.created_after)),
            ("created_before", time(self.created_before)),
            ("payload_contains", self.payload_contains.clone()),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
        lists.chain(given).collect()
    }
}
