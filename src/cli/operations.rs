//! `reveille operations`.

use std::process::ExitCode;

use clap::Subcommand;
use reqwest::Method;
use uuid::Uuid;

use super::pages::Pages;
use super::remote::{self, Answer, Remote, Request};
use super::table::Column;
use super::{get, output};

const EXAMPLES: &str = "\
Examples:
  reveille operations
  reveille operations get 0198c5f2-7a10-7cc3-8d4e-2f6b1a9e0c55
  reveille operations stop 0198c5f2-7a10-7cc3-8d4e-2f6b1a9e0c55

An operation works on many jobs: a redrive, or a purge. Before it starts, `stop` undoes it.";

/// Lists, shows and stops operations on many jobs.
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
    /// List the operations, the newest first; the default.
    List(Pages),
    /// Show an operation.
    Get(One),
    /// Stop an operation. Nothing more is moved within a second.
    Stop(One),
}

#[derive(Debug, clap::Args)]
struct One {
    /// The id of the operation.
    #[arg(value_name = "OPERATION_ID")]
    id: Uuid,
}

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let (service, as_json) = (&args.service, args.service.json);
    match &args.action {
        None => Pages::default().show(service, PATH, &[], COLUMNS).await,
        Some(Action::List(pages)) => pages.show(service, PATH, &[], COLUMNS).await,
        Some(Action::Get(one)) => show(&service.connect()?, Method::GET, one.id, as_json).await,
        Some(Action::Stop(one)) => show(&service.connect()?, Method::DELETE, one.id, as_json).await,
    }
}

const PATH: &[&str] = &["operations"];

const COLUMNS: &[Column] = &[
    Column("OPERATION ID", "id", 36),
    Column("KIND", "kind", 8),
    Column("STATUS", "status", 9),
    Column("MATCHED", "matched", 8),
    Column("MOVED", "moved", 8),
    Column("SKIPPED", "skipped", 7),
    Column("CREATED", "created_at", 20),
    Column("BY", "principal", 16),
];

async fn show(remote: &Remote, method: Method, id: Uuid, json: bool) -> anyhow::Result<ExitCode> {
    let id = id.to_string();
    let path = ["operations", &id];
    let answer = remote.send(Request { method, ..Request::get(&path) }).await?;
    if json {
        output::line(&answer.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    get::show(&answer.object()?)?;
    Ok(ExitCode::SUCCESS)
}

/// Says what an operation is about that was asked for, or would be.
pub(super) fn asked(answer: &Answer, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        output::line(&answer.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    let asked = answer.object()?;
    let about = if asked.cell("matched_estimated") == "true" { "about " } else { "" };
    let jobs = asked.cell("matched");
    match asked.at("operation.id") {
        Some(id) => {
            output::line(format!("{id}  {}", asked.at("operation.status").unwrap_or_default()))?;
            let starts = asked.at("operation.starts_at").unwrap_or_default();
            output::note(format!(
                "{about}{jobs} jobs, from {starts} on; `reveille operations stop {id}` stops it"
            ));
        }
        None => output::line(format!("{about}{jobs} jobs; nothing was changed"))?,
    }
    Ok(ExitCode::SUCCESS)
}
