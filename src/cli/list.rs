//! `reveille list`.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::object::{Object, Page};
use super::output;
use super::remote::{self, Request};
use super::table::Table;
use crate::job::moment;

const EXAMPLES: &str = "\
Examples:
  reveille list --status failed --queue mail
  reveille list --tag nightly --created-after 2026-11-01T00:00:00Z --all
  reveille list --status failed --all --json | jq -r .job_id | xargs reveille retry";

/// Lists jobs, the newest first. Filters narrow each other.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Only jobs in this state: scheduled, queued, processing, completed, failed or cancelled.
    #[arg(long)]
    status: Option<String>,
    /// Only jobs of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// Only jobs of this task.
    #[arg(long)]
    task: Option<String>,
    /// Only jobs with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Only jobs with this unique key.
    #[arg(long, value_name = "KEY")]
    unique_key: Option<String>,
    /// Only jobs submitted after this time (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = time)]
    created_after: Option<DateTime<Utc>>,
    /// Only jobs submitted before this time (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = time)]
    created_before: Option<DateTime<Utc>>,
    /// Only jobs whose payload contains this JSON.
    #[arg(long, value_name = "JSON")]
    payload_contains: Option<Box<str>>,
    /// How many jobs a page has at most, up to 200; with filters it may have fewer and still not be the last.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
    /// Where to go on: the cursor that a former page ended with.
    #[arg(long)]
    cursor: Option<String>,
    /// All pages, not only one. With --json, one job a line.
    #[arg(long)]
    all: bool,
    /// Print the service's answer as it is.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: remote::Args,
}

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let remote = args.service.connect()?;
    let mut table = Table::new(COLUMNS.iter().map(|column| column.0));
    let mut cursor = args.cursor.clone();
    loop {
        let request = Request { query: args.query(cursor.as_deref()), ..Request::get(&["jobs"]) };
        let answer = remote.send(request).await?;
        let page = answer.page()?;
        match (args.json, args.all) {
            (true, false) => output::line(&answer.body)?,
            (true, true) => print_each(&page.data)?,
            (false, _) => print_rows(&mut table, &page)?,
        }
        match page.next_cursor {
            Some(next) if args.all || !args.json && page.data.is_empty() => cursor = Some(next),
            Some(next) => {
                if !args.json {
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
        let time = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339());
        let given = [
            ("status", self.status.clone()),
            ("queue", self.queue.clone()),
            ("task", self.task.clone()),
            ("tag", self.tag.clone()),
            ("unique_key", self.unique_key.clone()),
            ("created_after", time(self.created_after)),
            ("created_before", time(self.created_before)),
            ("payload_contains", self.payload_contains.as_deref().map(str::to_owned)),
            // Whoever wants everything wants it in as few requests as possible.
            ("limit", self.limit.or(self.all.then_some(200)).map(|limit| limit.to_string())),
            ("cursor", cursor.map(str::to_owned)),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    moment::parse(text).ok_or_else(|| format!("it must be {}", moment::RULE))
}

/// Heads, and the fields below them.
const COLUMNS: [(&str, &str); 7] = [
    ("JOB ID", "job_id"),
    ("STATUS", "status"),
    ("QUEUE", "queue"),
    ("TASK", "task"),
    ("ATTEMPTS", "attempt_count"),
    ("CREATED", "created_at"),
    ("RUN AT", "run_at"),
];

fn print_each(items: &[Box<RawValue>]) -> anyhow::Result<()> {
    for item in items {
        output::line(item.get())?;
    }
    Ok(())
}

fn print_rows(table: &mut Table, page: &Page) -> anyhow::Result<()> {
    let row = |job: &Object| COLUMNS.iter().map(|column| job.cell(column.1)).collect();
    let rows: Vec<Vec<String>> = page.objects()?.iter().map(row).collect();
    for line in table.lines(&rows) {
        output::line(line)?;
    }
    Ok(())
}
