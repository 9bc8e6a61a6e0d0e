//! `reveille cancel` and `reveille retry`: the same command with another verb.

use std::process::ExitCode;

use uuid::Uuid;

use super::output;
use super::remote::{self, Request};

pub(super) const CANCEL_EXAMPLES: &str = "\
Examples:
  reveille cancel 0198c5f2-7a10-7cc3-8d4e-2f6b1a9e0c55
  reveille list --tag nightly --status queued --all --json | jq -r .job_id | xargs reveille cancel

A job that waits is cancelled at once. One that runs is told to stop; until it has, it stays
`processing`. A job that cannot be cancelled does not stop the others; the exit status is then 1.";

pub(super) const RETRY_EXAMPLES: &str = "\
Examples:
  reveille retry 0198c5f2-7a10-7cc3-8d4e-2f6b1a9e0c55
  reveille list --status failed --all --json | jq -r .job_id | xargs reveille retry

A job that has ended waits again, under its own id and with all of its attempts. A job that has not
ended does not stop the others; the exit status is then 1.";

/// The jobs to steer.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The ids of the jobs.
    #[arg(value_name = "JOB_ID", required = true)]
    ids: Vec<Uuid>,
    /// Print the service's answers as they are, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    service: remote::Args,
}

pub(super) async fn execute(verb: &str, args: &Args) -> anyhow::Result<ExitCode> {
    let remote = args.service.connect()?;
    let mut code = ExitCode::SUCCESS;
    for id in args.ids.iter().map(ToString::to_string) {
        match remote.send(Request::post(&["jobs", &id, verb])).await {
            Ok(answer) if args.json => output::line(&answer.body)?,
            Ok(answer) => output::line(format!("{id}  {}", answer.object()?.cell("status")))?,
            Err(refused) => {
                output::note(format!("error: {id}: {refused}"));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
