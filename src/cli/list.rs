//! `reveille list`.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::remote::{self, Request};
use super::table::{Column, Table};
use super::{output, spoken};

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
    /// The most jobs of a page, up to 200. With filters a page may have fewer and still not be the
    /// last.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
    /// The start of the page: the cursor that the page before ended with.
    #[arg(long)]
    cursor: Option<String>,
    /// All pages, not only one. With --json, one job a line.
    #[arg(long)]
    all: bool,
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
    let (remote, as_json) = (args.service.connect()?, args.service.json);
    let mut table = Table::of(COLUMNS);
    let mut cursor = args.cursor.clone();
    loop {
        let request = Request { query: args.query(cursor.as_deref()), ..Request::get(&["jobs"]) };
        let answer = remote.send(request).await?;
        let page = answer.page()?;
        match (as_json, args.all) {
            (true, false) => output::line(&answer.body)?,
            (true, true) => print_each(&page.data)?,
            (false, _) => output::lines(table.rows(&page.objects()?))?,
        }
        match page.next_cursor {
            Some(next) if args.all || !as_json && page.data.is_empty() => cursor = Some(next),
            Some(next) => {
                if !as_json {
                    output::note(format!("more: --cursor {next}, or --all"));
                }
                return Ok(ExitCode::SUCCESS);
            }
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

impl Args {
    fn query(&self, cursor: Option<&str>) -> Vec<(&'static str, String)> {
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
            // All jobs take the fewest requests with the longest pages.
            ("limit", self.limit.or(self.all.then_some(200)).map(|limit| limit.to_string())),
            ("cursor", cursor.map(str::to_owned)),
        ];
        let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
        lists.chain(given).collect()
    }
}

fn print_each(items: &[Box<RawValue>]) -> anyhow::Result<()> {
    for item in items {
        output::line(item.get())?;
    }
    Ok(())
}
