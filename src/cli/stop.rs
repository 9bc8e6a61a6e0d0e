//! How a command ends when it cannot do what it was asked.

use std::process::ExitCode;

use crate::config::ConfigError;
use crate::logging;
use crate::supervise::LoopFailed;

/// The exit status for a job that ended otherwise than asked for.
pub(super) const JOB_FAILED: u8 = 3;
/// The exit status for a job that has not ended in time.
pub(super) const TIMED_OUT: u8 = 4;

/// The exit status for a mistake of the program, as `sysexits.h` has it.
const SOFTWARE: u8 = 70;

/// The command was used wrongly, in a way that clap cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Says what went wrong, and gives the exit status for it.
pub(super) fn explain(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        // The reader, `head` perhaps, has seen enough. That is no failure of ours.
        return ExitCode::SUCCESS;
    }
    logging::last_words(format!("error: {error:#}\n"));
    if error.is::<Usage>() || error.is::<ConfigError>() {
        return ExitCode::from(2);
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
