//! Logs go to standard error: text on a terminal, where a person reads them, and one JSON object a
//! line otherwise, where a collector does. A thread of its own writes them ([`lines`]), so that
//! neither a reader that stalls nor a full disk is felt by the work.

mod lines;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal as _;
use std::panic::{self, PanicHookInfo};
use std::time::Duration;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat, log_directives};
use lines::LINES;

pub(crate) use lines::last_words;

/// Our own lines say better what this says at info; a filter that names it goes before this one.
const QUIET: &str = "tokio_postgres=warn";
/// How long the end of the process waits for lines that are not written yet.
const FLUSH_WITHIN: Duration = Duration::from_millis(500);

/// Logging while it lives; at its end the lines that wait are written, as far as they can be.
pub(crate) struct Logging(());

impl Drop for Logging {
    fn drop(&mut self) {
        LINES.flush(FLUSH_WITHIN);
    }
}

/// Starts logging as the configuration wants it; panics are logged too. A program that logs by
/// itself already is left alone.
///
/// # Errors
/// When the filter is none, or the system refuses a thread.
pub(crate) fn init(config: &Config) -> anyhow::Result<Logging> {
    let directives = log_directives(&config.log)
        .map_err(|wrong| anyhow::anyhow!("the setting log {}; {}", wrong.what, wrong.write))?;
    let filter = EnvFilter::try_new(format!("{QUIET},{directives}")).context("log is no filter")?;
    if tracing::dispatcher::has_been_set() {
        return Ok(Logging(()));
    }
    // Before anything is logged: lines that nobody writes would be lost without a word.
    lines::start().context("logging cannot have a thread of its own; see `ulimit -u`")?;
    let terminal = std::io::stderr().is_terminal();
    let text = match config.log_format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    // Errors inside would be written to standard error by the thread that logs.
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(&LINES)
        .log_internal_errors(false);
    let begun = if text {
        lines.with_ansi(terminal).with_target(false).try_init()
    } else {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
    // An error says that the program has begun to log by itself this moment.
    if begun.is_ok() {
        panic::set_hook(Box::new(log_panic));
    }
    Ok(Logging(()))
}

/// Instead of the default hook, which writes to standard error itself, and so waits for its reader.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let words = panic.payload_as_str().unwrap_or("without a word");
    let place = panic.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(thread = thread.name(), place, backtrace, "a panic: {words}");
}
