//! `reveille redrive`.

use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::operations::asked;
use super::remote::{self, Request};
use super::spoken;
use super::stop::Usage;
use crate::operation::{CANARY, RATE};

const EXAMPLES: &str = "\
Examples:
  reveille redrive --task send --code timed_out --dry-run
  reveille redrive --family a41c0f3be2d95877 --rate 50
  reveille redrive --queue mail --canary
  reveille redrive --all --rate 100 --canary --halt-at 0.05

A redrive sends jobs that failed for good back to wait, under their own ids and with all of their
attempts. With --canary it begins with one job, goes on with ten or --share of all, and then with
the rest. It halts where too many fail again. `reveille operations get` tells how it goes on.";

/// Sends jobs that failed for good back to wait.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// All failed jobs.
    #[arg(long)]
    all: bool,
    /// Only jobs of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// Only jobs of this task.
    #[arg(long)]
    task: Option<String>,
    /// Only jobs whose error has this code.
    #[arg(long)]
    code: Option<String>,
    /// Only jobs of this failure family, as `reveille dead-letters` has it.
    #[arg(long)]
    family: Option<String>,
    /// Only jobs that failed at this time or later.
    #[arg(long, value_name = "TIME", value_parser = spoken::time)]
    failed_after: Option<DateTime<Utc>>,
    /// Only jobs that failed before this time.
    #[arg(long, value_name = "TIME", value_parser = spoken::time)]
    failed_before: Option<DateTime<Utc>>,
    #[arg(long, value_name = "JOBS",
        help = format!("The most jobs to move each second [default: {RATE}]"))]
    rate: Option<f64>,
    /// How long it waits before it starts, such as 10m.
    #[arg(long, value_parser = spoken::duration)]
    delay: Option<Duration>,
    /// Begin with a few jobs, and halt if too many fail again.
    #[arg(long)]
    canary: bool,
    #[arg(long, requires = "canary", help = format!(
        "The share of all jobs that the second stage of the canary moves [default: {}]", CANARY.0
    ))]
    share: Option<f64>,
    #[arg(long, requires = "canary",
        help = format!("The share of a stage that may fail [default: {}]", CANARY.1))]
    halt_at: Option<f64>,
    /// Tell how many jobs it is about, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(super) service: remote::Args,
}

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let body = args.body();
    if !args.all && body.get("filter").is_none() {
        let what = "name the jobs: --all, or filters such as --task or --code";
        return Err(Usage(what.to_owned()).into());
    }
    let body = Some(body.to_string());
    let request = Request { body, ..Request::post(&["dead-letters", "redrive"]) };
    let answer = args.service.connect()?.send(request).await?;
    asked(&answer, args.service.json)
}

impl Args {
    fn body(&self) -> Value {
        let time = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339());
        let filter = given([
            ("queue", json!(self.queue)),
            ("task", json!(self.task)),
            ("code", json!(self.code)),
            ("family", json!(self.family)),
            ("failed_after", json!(time(self.failed_after))),
            ("failed_before", json!(time(self.failed_before))),
        ]);
        let canary = given([("share", json!(self.share)), ("halt_at", json!(self.halt_at))]);
        Value::Object(given([
            ("all", if self.all { json!(true) } else { Value::Null }),
            ("filter", if filter.is_empty() { Value::Null } else { Value::Object(filter) }),
            ("rate_per_second", json!(self.rate)),
            ("delay_seconds", json!(self.delay.map(|delay| delay.as_secs_f64()))),
            ("canary", if self.canary { Value::Object(canary) } else { Value::Null }),
            ("dry_run", if self.dry_run { json!(true) } else { Value::Null }),
        ]))
    }
}

/// The members that have a value.
fn given<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    let given = members.into_iter().filter(|(_, value)| !value.is_null());
    given.map(|(name, value)| (name.to_owned(), value)).collect()
}
