//! `reveille openapi`.

use std::process::ExitCode;

use clap::ValueEnum;

use super::output;

const EXAMPLES: &str = "\
Examples:
  reveille openapi > openapi.json
  reveille openapi --format yaml";

/// Prints the OpenAPI document that a service of this version serves; needs no database.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Yaml,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let spec = crate::api::spec();
    let document = match args.format {
        Format::Json => spec.json(),
        Format::Yaml => spec.yaml(),
    };
    output::line(document.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
