//! `reveille submit`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::flags::Flags;
use super::remote::{self, Request};
use super::stop::{Usage, with_statuses};
use super::{get, output, spoken, wait};

const EXAMPLES: &str = "\
Examples:
  reveille submit hello_world --payload '{\"name\": \"you\"}' --wait
  reveille submit resize_image --payload @job.json --queue images --priority 2
  jq -c . job.json | reveille submit report --payload - --delay-seconds 3600
  reveille submit sync --unique-key customer-7 --on-conflict replace
  reveille submit invoice --payload @order-7.json --idempotency-key order-7
  ID=$(reveille submit echo --quiet)";

/// Submits a job. A field that is left out takes the service's default.
#[derive(Debug, clap::Args)]
#[command(after_help = with_statuses(EXAMPLES))]
pub(super) struct Args {
    /// The task to run. Without it, the `task` in the payload says so.
    #[arg(required_unless_present = "payload")]
    task: Option<String>,
    /// JSON for the task: as such, - for standard input, or @FILE [default: {}].
    #[arg(long, short, value_name = "JSON|-|@FILE", allow_hyphen_values = true)]
    payload: Option<String>,
    #[command(flatten)]
    flags: Flags,
    /// A name for this submission, such as a UUID. Sent again with the same key and content, it
    /// submits nothing and is answered as at first.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Wait until it has ended, or for so long (--wait=5m), and show how it ended.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true)]
    #[arg(value_parser = spoken::duration)]
    wait: Option<Option<Duration>>,
    /// Print nothing but the job's id.
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,
    #[command(flatten)]
    pub(super) service: remote::Args,
}

/// The body of the request. Whether the values are allowed is the service's business: it has the
/// rules, and says so in one answer for all fields.
#[derive(Serialize)]
struct Body<'a> {
    payload: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'a str>,
    #[serde(flatten)]
    flags: &'a BTreeMap<&'static str, Value>,
}

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let remote = args.service.connect()?;
    let payload = read_payload(args.payload.as_deref().unwrap_or("{}"))?;
    let body = Some(serde_json::to_string(&args.body(&payload))?);
    let header = args.idempotency_key.as_deref().map(|key| ("idempotency-key", key));
    let request = Request { body, header, ..Request::post(&["jobs"]) };
    let answer = remote.send(request).await?;

    let job = answer.object()?;
    let id = job.text("job_id").ok_or_else(|| remote::incomplete("job_id"))?;
    // The answer has them too, for who reads JSON.
    for warning in job.texts("warnings").iter().filter(|_| !args.service.json) {
        output::note(format!("warning: {warning}"));
    }
    if args.quiet {
        output::line(&id)?;
    } else if args.wait.is_none() {
        if args.service.json { output::line(&answer.body)? } else { get::show(&job)? }
    }
    let Some(timeout) = args.wait else {
        return Ok(ExitCode::SUCCESS);
    };
    let ended = wait::until_ended(&remote, &id, timeout).await?;
    if !args.quiet {
        wait::show(&ended, args.service.json)?;
    }
    ended.exit_code()
}

impl Args {
    fn body<'a>(&'a self, payload: &'a RawValue) -> Body<'a> {
        Body { payload, task: self.task.as_deref(), flags: &self.flags.0 }
    }
}

/// The payload's text, passed on as it is: reading it into values would round its numbers.
fn read_payload(given: &str) -> anyhow::Result<Box<RawValue>> {
    let text = match given.strip_prefix('@') {
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?
        }
        None if given == "-" => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.context("cannot read standard input as UTF-8")?;
            text
        }
        None => given.to_owned(),
    };
    serde_json::from_str(text.trim()).map_err(|error| {
        let hint = "a text needs its quotes, and the shell takes one pair: '\"text\"'";
        Usage(format!("the payload is no JSON ({error}); {hint}")).into()
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn body(line: &[&str]) -> String {
        let args = Command::parse_from([&["submit"], line].concat()).args;
        let payload = read_payload(args.payload.as_deref().unwrap_or("{}")).unwrap();
        serde_json::to_string(&args.body(&payload)).unwrap()
    }

    #[test]
    fn only_what_was_said_is_sent_and_numbers_stay_exact() {
        assert_eq!(body(&["echo"]), r#"{"payload":{},"task":"echo"}"#);
        assert_eq!(
            body(&["-p", "[1.10, 12345678901234567890123]"]),
            r#"{"payload":[1.10, 12345678901234567890123]}"#
        );
        assert_eq!(body(&["--payload", "-1"]), r#"{"payload":-1}"#);
        let line = ["echo", "--tag", "a", "--priority", "1"];
        assert_eq!(body(&line), r#"{"payload":{},"task":"echo","priority":1,"tags":["a"]}"#);
    }

    #[test]
    fn a_payload_that_is_no_json_is_the_callers_mistake() {
        for text in ["hello", "", "{", "1 2"] {
            assert!(read_payload(text).unwrap_err().is::<Usage>(), "{text}");
        }
    }

    #[test]
    fn waiting_may_have_an_end() {
        let wait =
            |line: &[&str]| Command::parse_from([&["submit", "echo"], line].concat()).args.wait;
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&["--wait"]), Some(None));
        assert_eq!(wait(&["--wait=1.5"]), Some(Some(Duration::from_millis(1500))));
    }
}
