//! `reveille migrate`.

use std::process::ExitCode;

use anyhow::Context as _;

use super::{block_on, settings};
use crate::config::Config;
use crate::logging;
use crate::store;

const EXAMPLES: &str = "\
Examples:
  DATABASE_URL=postgres://owner@db/jobs reveille migrate
  reveille serve --migrate=false                    afterwards, without looking for migrations

Several at once are no harm: they take turns. Migrations only go forward.";

/// The settings that decide where the schema is, and what is said about it.
const SHOWN: [&str; 4] = ["database_url", "listen_database_url", "log", "log_format"];

/// Brings the schema up to date, and ends. `serve` does the same at its start.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, mut_args(settings::only(&SHOWN)))]
pub(super) struct Args {
    #[command(flatten)]
    settings: settings::Args,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.settings.load()?.config;
    let _logging = logging::init(&config)?;
    block_on(migrate(&config))?;
    Ok(ExitCode::SUCCESS)
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let url = config.listen_database_url.as_ref().or(config.database_url.as_ref());
    let url = url.context(
        "there is no database_url: `reveille serve` looks after its own PostgreSQL by itself",
    )?;
    let version = store::migrate::migrate(&store::Target::of(url.address())?).await?;
    tracing::info!(before = version.before, now = version.now, "the schema is up to date");
    Ok(())
}
