//! `reveille wait`: the service is asked to answer when the job has ended, and asked again whenever
//! it cannot hold the line for so long. A service that restarts meanwhile is waited for as well.

use std::process::ExitCode;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::refused::Refused;
use super::remote::{self, Answer, Remote, Request};
use super::stop::{JOB_FAILED, TIMED_OUT, with_statuses};
use super::{get, output, spoken};
use crate::job::state::Status;

const EXAMPLES: &str = "\
Examples:
  reveille wait $ID --timeout 5m && echo done
  reveille wait $ID --json | jq .result";

/// The longest wait that the service grants in one request.
const HOLD: Duration = Duration::from_secs(60);
/// How long the service may be away before waiting makes no sense any more.
const AWAY: Duration = Duration::from_secs(60);
/// Between two requests where the first was answered at once.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits until a job has ended, then shows it.
#[derive(Debug, clap::Args)]
#[command(after_help = with_statuses(EXAMPLES))]
pub(super) struct Args {
    /// The job's id.
    #[arg(value_name = "JOB_ID")]
    id: Uuid,
    /// How long to wait at most, such as 90s or 5m [default: for ever].
    #[arg(long, value_name = "DURATION", value_parser = spoken::duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    pub(super) service: remote::Args,
}

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let remote = args.service.connect()?;
    let ended = until_ended(&remote, &args.id.to_string(), args.timeout).await?;
    show(&ended, args.service.json)?;
    ended.exit_code()
}

/// A job as it was when the waiting was over.
pub(super) struct Ended {
    answer: Answer,
    in_time: bool,
}

impl Ended {
    /// The exit status that tells a script how it ended.
    pub(super) fn exit_code(&self) -> anyhow::Result<ExitCode> {
        if !self.in_time {
            return Ok(ExitCode::from(TIMED_OUT));
        }
        let completed = self.answer.object()?.cell("status") == Status::Completed.as_str();
        Ok(if completed { ExitCode::SUCCESS } else { ExitCode::from(JOB_FAILED) })
    }
}

/// Prints the job.
pub(super) fn show(ended: &Ended, json: bool) -> anyhow::Result<()> {
    if json {
        return Ok(output::line(&ended.answer.body)?);
    }
    get::show(&ended.answer.object()?)
}

/// Waits for a job to end, or for the time to be up.
pub(super) async fn until_ended(
    remote: &Remote,
    id: &str,
    timeout: Option<Duration>,
) -> anyhow::Result<Ended> {
    let started = Instant::now();
    let mut away_since: Option<Instant> = None;
    loop {
        let left = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
        let asked = Instant::now();
        match ask(remote, id, left.unwrap_or(HOLD).min(HOLD)).await {
            Ok(answer) => {
                away_since = None;
                let status =
                    answer.object()?.text("status").ok_or_else(|| remote::incomplete("status"))?;
                let in_time = Status::parse(&status).is_some_and(Status::is_final);
                let is_up = timeout.is_some_and(|timeout| started.elapsed() >= timeout);
                if in_time || is_up {
                    return Ok(Ended { answer, in_time });
                }
            }
            Err(refused) => {
                let since = *away_since.get_or_insert(asked);
                let is_up = timeout.is_some_and(|timeout| started.elapsed() >= timeout);
                if !refused.is_passing() || since.elapsed() >= AWAY || is_up {
                    return Err(refused.into());
                }
                if since == asked {
                    remote.tell("waiting on", &refused);
                }
            }
        }
        // A service that is leaving, or away, answers at once, and must not be asked in a circle.
        let next = asked + PAUSE;
        tokio::time::sleep_until(end(started, timeout).map_or(next, |end| next.min(end))).await;
    }
}

/// When the time is up; `None`: never, as far as a clock goes.
fn end(started: Instant, timeout: Option<Duration>) -> Option<Instant> {
    started.checked_add(timeout?)
}

async fn ask(remote: &Remote, id: &str, hold: Duration) -> Result<Answer, Refused> {
    // The service counts whole seconds; the last one may be up before it answers.
    let seconds = hold.as_secs_f64().ceil();
    let query = if seconds < 1.0 { Vec::new() } else { vec![("wait", seconds.to_string())] };
    let patience = hold + Duration::from_secs(10);
    remote.send(Request { query, patience, ..Request::get(&["jobs", id]) }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_may_be_longer_than_a_clock_goes() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        assert_eq!(end(now, Some(second)), Some(now + second));
        assert_eq!((end(now, Some(Duration::MAX)), end(now, None)), (None, None));
    }
}
