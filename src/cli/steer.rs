//! `reveille cancel`, `retry` and `delete`: one command with three verbs.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::output;
use super::refused::Refused;
use super::remote::{self, Remote, Request};

pub(super) const CANCEL_EXAMPLES: &str = "\
Examples:
  reveille cancel 0198c5f2-7a10-7cc3-8d4e-2f6b1a9e0c55
  reveille list --tag nightly --status queued --all --json | jq -r .job_id | xargs reveille cancel

A waiting job is cancelled at once. A running job is told to stop, and stays `processing` until it
has. The command goes on after a job that cannot be cancelled; the exit status is then 1.";

pub(super) const RETRY_EXAMPLES: &str = "\
Examples:
  reveille retry 0198c5f2-7a10-7cc3-8d4e-2f6b1a9e0c55
  reveille list --status failed --all --json | jq -r .job_id | xargs reveille retry

A job that has ended waits again, under its own id and with all of its attempts. The command goes on
after a job that has not ended; the exit status is then 1.";

pub(super) const DELETE_EXAMPLES: &str = "\
Examples:
  reveille delete 0198c5f2-7a10-7cc3-8d4e-2f6b1a9e0c55
  reveille list --status cancelled --all --json | jq -r .job_id | xargs reveille delete

A waiting job never runs, and nothing is kept of a job that has ended. Cancel a running job first.
The command goes on after a job that cannot be deleted; the exit status is then 1.";

/// The change that the jobs get.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verb {
    Cancel,
    Retry,
    Delete,
}

/// The jobs to steer.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The ids of the jobs.
    #[arg(value_name = "JOB_ID", required = true)]
    ids: Vec<Uuid>,
    #[command(flatten)]
    pub(super) service: remote::Args,
}

pub(super) async fn execute(verb: Verb, args: &Args) -> anyhow::Result<ExitCode> {
    let (remote, as_json) = (args.service.connect()?, args.service.json);
    let mut code = ExitCode::SUCCESS;
    for id in args.ids.iter().map(ToString::to_string) {
        match one(&remote, verb, &id, as_json).await {
            Ok(line) => output::line(line)?,
            Err(error) => {
                let refused = error.downcast::<Refused>()?;
                remote.tell(&format!("error: {id}"), &refused);
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// Does it to one job, and says how the job stands.
async fn one(remote: &Remote, verb: Verb, id: &str, as_json: bool) -> anyhow::Result<String> {
    let word = match verb {
        Verb::Cancel => "cancel",
        Verb::Retry => "retry",
        Verb::Delete => {
            let path = ["jobs", id];
            remote.send(Request { method: Method::DELETE, ..Request::get(&path) }).await?;
            // The service answers with nothing.
            let gone = json!({"job_id": id, "deleted": true}).to_string();
            return Ok(if as_json { gone } else { format!("{id}  deleted") });
        }
    };
    let answer = remote.send(Request::post(&["jobs", id, word])).await?;
    if as_json {
        return Ok(answer.body);
    }
    Ok(format!("{id}  {}", answer.object()?.cell("status")))
}
