//! `reveille serve`.

use std::process::ExitCode;

use super::{block_on, settings};
use crate::builder::Reveille;

const EXAMPLES: &str = "\
Examples:
  reveille serve                                    with a PostgreSQL of its own, in ./.reveille
  DATABASE_URL=postgres://me:secret@db/jobs reveille serve --workers 200
  REVEILLE_AUTH_TOKENS=$(openssl rand -hex 32) reveille serve --listen 0.0.0.0:8000

When the service is ready, standard output says `ready http://HOST:PORT`. SIGTERM, Ctrl-C and SIGHUP
let running jobs end first, for --shutdown-grace-seconds at most; a second SIGTERM or Ctrl-C ends at
once. Started by nohup, the service does not heed SIGHUP.
Every setting is explained by `reveille config --default`.";

/// Runs the service: the API, and the workers.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    settings: settings::Args,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.settings.load()?.config;
    block_on(Reveille::builder().config(config).run())?;
    Ok(ExitCode::SUCCESS)
}
