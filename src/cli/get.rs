//! `reveille get`.

use std::process::ExitCode;

use uuid::Uuid;

use super::object::Object;
use super::output;
use super::remote::{self, Request};
use super::table::{Column, Table, clean};

const EXAMPLES: &str = "\
Examples:
  reveille get 0198c5f2-7a10-7cc3-8d4e-2f6b1a9e0c55
  reveille get $ID --attempts
  reveille get $ID --json | jq .result";

/// Shows a job.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The job's id.
    #[arg(value_name = "JOB_ID")]
    id: Uuid,
    /// Show its attempts instead.
    #[arg(long)]
    attempts: bool,
    #[command(flatten)]
    pub(super) service: remote::Args,
}

const ATTEMPTS: &[Column] = &[
    Column("ATTEMPT", "attempt", 7),
    Column("OUTCOME", "outcome", 9),
    Column("STARTED", "started_at", 20),
    Column("RUN SECONDS", "run_seconds", 11),
    Column("WORKER", "worker.name", 12),
    Column("ERROR", "error.code", 13),
    Column("MESSAGE", "error.message", 7),
];

const WAITING_FOR: &str = "waiting_for";

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let remote = args.service.connect()?;
    let id = args.id.to_string();
    let path: &[&str] = if args.attempts { &["jobs", &id, "attempts"] } else { &["jobs", &id] };
    let answer = remote.send(Request::get(path)).await?;
    if args.service.json {
        output::line(&answer.body)?;
    } else if args.attempts {
        output::lines(Table::of(ATTEMPTS).rows(&answer.page()?.objects()?))?;
    } else {
        show(&answer.object()?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The causes of a job's wait, a line each; none if it waits for nothing.
fn waits(job: &Object) -> Vec<String> {
    let line = |wait: &Object| format!("{}: {}", wait.cell("code"), wait.cell("message"));
    job.objects(WAITING_FOR).iter().map(line).collect()
}

/// Prints an object, a field a line.
pub(super) fn show(object: &Object) -> anyhow::Result<()> {
    let fields = object.fields();
    let widest = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, text) in fields {
        let lines = if name == WAITING_FOR { waits(object) } else { vec![text] };
        for line in lines {
            output::line(format!("{name:widest$}  {}", clean(&line, usize::MAX)))?;
        }
    }
    Ok(())
}
