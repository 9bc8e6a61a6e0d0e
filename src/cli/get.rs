//! `reveille get`.

use std::process::ExitCode;

use uuid::Uuid;

use super::object::Object;
use super::output;
use super::remote::{self, Request};
use super::table::{Table, clean};

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
    /// Print the service's answer as it is.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: remote::Args,
}

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let remote = args.service.connect()?;
    let id = args.id.to_string();
    let path: &[&str] = if args.attempts { &["jobs", &id, "attempts"] } else { &["jobs", &id] };
    let answer = remote.send(Request::get(path)).await?;
    if args.json {
        output::line(&answer.body)?;
    } else if args.attempts {
        rows(&answer.page()?.objects()?)?;
    } else {
        show(&answer.object()?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints an object, a field a line.
pub(super) fn show(object: &Object) -> anyhow::Result<()> {
    let fields = object.fields(false);
    let widest = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, text) in fields {
        output::line(format!("{name:widest$}  {}", clean(&text, usize::MAX)))?;
    }
    Ok(())
}

/// Prints objects as a table of whatever fields they have.
pub(super) fn rows(objects: &[Object]) -> anyhow::Result<()> {
    let fields: Vec<_> = objects.iter().map(|object| object.fields(true)).collect();
    let mut heads: Vec<&str> = Vec::new();
    for (name, _) in fields.iter().flatten() {
        if !heads.contains(&name.as_str()) {
            heads.push(name);
        }
    }
    let cell = |row: &[(String, String)], head: &str| {
        let field = row.iter().find(|(name, _)| name == head);
        field.map_or_else(|| "-".to_owned(), |(_, text)| text.clone())
    };
    let body: Vec<Vec<String>> =
        fields.iter().map(|row| heads.iter().map(|head| cell(row, head)).collect()).collect();
    for line in Table::new(heads.iter().map(|head| head.to_uppercase())).lines(&body) {
        output::line(line)?;
    }
    Ok(())
}
