//! Logs go to standard error: text on a terminal, where a person reads them, and one JSON object a
//! line otherwise, where a collector does.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat, log_directives};

/// What these say at info, our own lines say better; a filter that names them goes before this one.
const QUIET: &str = "refinery_core=warn,tokio_postgres=warn";

/// Starts logging as the configuration wants it.
///
/// # Errors
/// When the filter is none, or somebody in this process logs already.
pub(crate) fn init(config: &Config) -> anyhow::Result<()> {
    let directives = log_directives(&config.log)
        .map_err(|wrong| anyhow::anyhow!("the setting log {}; {}", wrong.what, wrong.write))?;
    let filter = EnvFilter::try_new(format!("{QUIET},{directives}")).context("log is no filter")?;
    let terminal = std::io::stderr().is_terminal();
    let text = match config.log_format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let begun = if text {
        lines.with_ansi(terminal).with_target(false).try_init()
    } else {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
    begun.map_err(|error| anyhow::anyhow!("logging cannot be set up: {error}"))
}
