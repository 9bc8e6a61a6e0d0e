//! How a command ends when it cannot do what it was asked.

use std::process::ExitCode;

use serde_json::json;

use super::refused::Refused;
use crate::config::ConfigError;
use crate::logging;
use crate::supervise::LoopFailed;

/// The exit status for arguments, settings or values that are not valid.
const WRONG: u8 = 2;
/// The exit status for a job that ended otherwise than asked for.
pub(super) const JOB_FAILED: u8 = 3;
/// The exit status for a job that has not ended in time.
pub(super) const TIMED_OUT: u8 = 4;
/// The exit status for a mistake of the program, as `sysexits.h` has it.
const SOFTWARE: u8 = 70;

/// Every exit status, for the help and for `docs/command-line.md`.
pub(super) const STATUSES: [(u8, &str); 6] = [
    (0, "it worked; with `wait` and `submit --wait`: the job completed"),
    (1, "it failed: the service refused, or could not be reached"),
    (WRONG, "an argument, a setting or a value is not valid"),
    (JOB_FAILED, "`wait` and `submit --wait`: the job failed or was cancelled"),
    (TIMED_OUT, "`wait` and `submit --wait`: the job has not ended in time"),
    (SOFTWARE, "a mistake of this program"),
];

/// Examples, and under them the exit statuses.
pub(super) fn with_statuses(examples: &str) -> String {
    let rows = STATUSES.map(|(status, meaning)| format!("  {status:<2}  {meaning}"));
    format!("{examples}\n\nExit status:\n{}", rows.join("\n"))
}

/// The command was used wrongly, in a way that clap cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Says what went wrong, as JSON if so asked, and gives the exit status for it.
pub(super) fn explain(error: &anyhow::Error, as_json: bool) -> ExitCode {
    if is_broken_pipe(error) {
        // The reader, `head` perhaps, has seen enough. That is no failure of ours.
        return ExitCode::SUCCESS;
    }
    let refused = error.downcast_ref::<Refused>();
    let usage = error.is::<Usage>() || error.is::<ConfigError>();
    let said = match refused {
        _ if !as_json => format!("error: {error:#}"),
        Some(refused) => refused.problem(),
        None => json!({
            "title": "Error", "code": if usage { "usage" } else { "failed" },
            "detail": format!("{error:#}"),
        })
        .to_string(),
    };
    logging::last_words(said + "\n");
    if usage || refused.is_some_and(Refused::is_wrong) {
        return ExitCode::from(WRONG);
    }
    if error.is::<LoopFailed>() {
        return ExitCode::from(SOFTWARE);
    }
    ExitCode::FAILURE
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
