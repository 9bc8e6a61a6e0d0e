//! `reveille migrate`.

use std::process::ExitCode;

use super::{block_on, logging, settings};
use crate::config::Config;

const EXAMPLES: &str = "\
Examples:
  DATABASE_URL=postgres://owner@db/jobs reveille migrate
  reveille serve --migrate=false                    as a role that may not change the schema

Several at once are no harm: they take turns. Migrations only go forward.";

/// Brings the schema up to date, and ends. `serve` does the same at its start.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    settings: settings::Args,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.settings.load()?.config;
    logging::init(&config)?;
    block_on(migrate(&config))?;
    Ok(ExitCode::SUCCESS)
}

async fn migrate(_config: &Config) -> anyhow::Result<()> {
    anyhow::bail!("not linked yet")
}
