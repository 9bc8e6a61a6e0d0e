//! `reveille queues`.

use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Map, Value};

use super::flags::QueueFlags;
use super::operations::asked;
use super::remote::{self, Answer, Remote, Request};
use super::stop::Usage;
use super::table::{Column, Table};
use super::{get, output, spoken};
use crate::job::fields::QUEUE_NAMES;

const EXAMPLES: &str = "\
Examples:
  reveille queues
  reveille queues pause mail --reason 'the server moves' --for 1h
  reveille queues resume mail billing
  reveille queues set mail --max-attempts 3 --timeout 1m
  reveille queues set mail --retry '{\"strategy\": \"fixed\", \"base_seconds\": 30}'
  reveille queues unset mail retry
  reveille queues purge mail --dry-run

A purge starts after 30 seconds. Until then `reveille operations stop` undoes it.";

/// Lists, sets, pauses, resumes and purges queues.
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
    /// Show a queue: its pause, the numbers of its jobs, and its settings with where they come from.
    Get {
        /// The name of the queue.
        #[arg(value_name = "QUEUE")]
        name: String,
    },
    /// Change settings of a queue; those that are not given stay as they are. A queue that is not
    /// known is made.
    Set {
        /// The name of the queue.
        #[arg(value_name = "QUEUE")]
        name: String,
        #[command(flatten)]
        flags: QueueFlags,
    },
    /// Take settings away from a queue, or all of them if none is named.
    Unset {
        /// The name of the queue.
        #[arg(value_name = "QUEUE")]
        name: String,
        /// The names of the settings.
        #[arg(value_name = "SETTING", value_parser = PossibleValuesParser::new(QUEUE_NAMES))]
        settings: Vec<String>,
    },
    /// Start no more jobs of these queues. New jobs are accepted, and running jobs go on.
    Pause {
        #[command(flatten)]
        names: Names,
        /// Why, for those who meet the pause.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// End the pause after so long.
        #[arg(long = "for", value_name = "DURATION", value_parser = spoken::duration)]
        duration: Option<Duration>,
        /// End the pause at this time.
        #[arg(long, value_name = "TIME", value_parser = spoken::time, conflicts_with = "duration")]
        until: Option<DateTime<Utc>>,
    },
    /// Start jobs of these queues again.
    Resume(Names),
    /// Cancel every job of a queue that waits now.
    Purge(Purge),
}

#[derive(Debug, clap::Args)]
struct Names {
    /// The names of the queues.
    #[arg(value_name = "QUEUE", required = true)]
    names: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Purge {
    /// The name of the queue.
    #[arg(value_name = "QUEUE")]
    name: String,
    /// How long it waits before it starts, such as 10m [default: 30s].
    #[arg(long, value_parser = spoken::duration)]
    delay: Option<Duration>,
    /// Tell how many jobs wait, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let (remote, as_json) = (args.service.connect()?, args.service.json);
    match &args.action {
        None | Some(Action::List) => list(&remote, as_json).await,
        Some(Action::Get { name }) => show(&remote, Request::get(&["queues", name]), as_json).await,
        Some(Action::Set { name, flags }) => {
            if flags.0.is_empty() {
                let what = "name what is to be set, such as --max-attempts 3".to_owned();
                return Err(Usage(what).into());
            }
            set(&remote, name, &flags.0, as_json).await
        }
        Some(Action::Unset { name, settings }) => {
            let all: Vec<&str> = settings.iter().map(String::as_str).collect();
            let named = if all.is_empty() { QUEUE_NAMES } else { &all[..] };
            let nulls: Map<String, Value> =
                named.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
            show(&remote, patch(&["queues", name], &nulls)?, as_json).await
        }
        Some(Action::Pause { names, reason, duration, until }) => {
            let mut pause = Map::new();
            if let Some(reason) = reason {
                pause.insert("reason".to_owned(), reason.clone().into());
            }
            if let Some(duration) = duration {
                pause.insert("seconds".to_owned(), duration.as_secs_f64().into());
            }
            if let Some(until) = until {
                let until = until.to_rfc3339_opts(SecondsFormat::Micros, true);
                pause.insert("until".to_owned(), until.into());
            }
            let body = (!pause.is_empty()).then(|| Value::from(pause).to_string());
            steer(&remote, "pause", &names.names, body, as_json).await
        }
        Some(Action::Resume(names)) => steer(&remote, "resume", &names.names, None, as_json).await,
        Some(Action::Purge(purge)) => {
            let Purge { name, delay, dry_run } = purge;
            let path = ["queues", name, "purge"];
            let delay = delay.map(|delay| ("delay_seconds", delay.as_secs_f64().to_string()));
            let dry_run = dry_run.then(|| ("dry_run", "true".to_owned()));
            let query = delay.into_iter().chain(dry_run).collect();
            asked(&remote.send(Request { query, ..Request::post(&path) }).await?, as_json)
        }
    }
}

const COLUMNS: &[Column] = &[
    Column("QUEUE", "name", 16),
    Column("PAUSED", "paused", 6),
    Column("SCHEDULED", "counts.scheduled", 9),
    Column("QUEUED", "counts.queued", 9),
    Column("PROCESSING", "counts.processing", 10),
    Column("WAITING SINCE", "oldest_waiting_at", 20),
    Column("PAUSED UNTIL", "paused_until", 20),
    Column("PAUSE REASON", "pause_reason", 12),
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

/// Changes these settings of a queue, which is made if it is not known, and shows how it stands
/// then.
async fn set(
    remote: &Remote,
    name: &str,
    settings: &impl Serialize,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let path = ["queues", name];
    let put = Request { method: Method::PUT, ..patch(&path, settings)? };
    let made = match remote.send(patch(&path, settings)?).await {
        Err(refused) if refused.is_unknown() => {
            remote.send(Request { header: Some(("if-none-match", "*")), ..put }).await
        }
        answer => answer,
    };
    match made {
        // Somebody else has made it meanwhile.
        Err(refused) if refused.is_outdated() => show(remote, patch(&path, settings)?, json).await,
        answer => shown(&answer?, json),
    }
}

/// A change of these settings.
fn patch<'a>(path: &'a [&'a str], settings: &impl Serialize) -> anyhow::Result<Request<'a>> {
    let body = Some(serde_json::to_string(settings)?);
    Ok(Request { method: Method::PATCH, body, ..Request::get(path) })
}

/// Shows a queue.
async fn show(remote: &Remote, request: Request<'_>, json: bool) -> anyhow::Result<ExitCode> {
    shown(&remote.send(request).await?, json)
}

fn shown(answer: &Answer, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        output::line(&answer.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    get::show(&answer.object()?)?;
    Ok(ExitCode::SUCCESS)
}

async fn steer(
    remote: &Remote,
    verb: &str,
    names: &[String],
    body: Option<String>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    for name in names {
        let path = ["queues", name, verb];
        let answer = remote.send(Request { body: body.clone(), ..Request::post(&path) }).await?;
        if json {
            output::line(&answer.body)?;
        } else {
            output::line(format!("{name}  {verb}d"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
