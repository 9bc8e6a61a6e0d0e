//! `reveille queues`.

use std::process::ExitCode;

use clap::Subcommand;

use super::remote::{self, Remote, Request};
use super::{get, output};

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
    /// Print the service's answers as they are, one a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    service: remote::Args,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the queues and how many jobs they hold; also without a word.
    List,
    /// Start no more jobs of these queues. Jobs are still taken in, and running ones go on.
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
    let remote = args.service.connect()?;
    match &args.action {
        None | Some(Action::List) => list(&remote, args.json).await,
        Some(Action::Pause(names)) => steer(&remote, "pause", &names.names, args.json).await,
        Some(Action::Resume(names)) => steer(&remote, "resume", &names.names, args.json).await,
    }
}

async fn list(remote: &Remote, json: bool) -> anyhow::Result<ExitCode> {
    let mut queues = Vec::new();
    let mut query = Vec::new();
    loop {
        let request = Request { query, ..Request::get(&["queues"]) };
        let answer = remote.send(request).await?;
        let page = answer.page()?;
        if json {
            output::line(&answer.body)?;
        } else {
            queues.extend(page.objects()?);
        }
        match page.next_cursor {
            Some(next) => query = vec![("cursor", next)],
            None => break,
        }
    }
    if !json {
        get::rows(&queues)?;
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
