//! `reveille config`.

use std::process::ExitCode;

use serde_json::{Map, json};

use super::table::Table;
use super::{output, settings};
use crate::config::{Loaded, SETTINGS, reference};

const EXAMPLES: &str = "\
Examples:
  reveille config
  reveille config --default > reveille.toml
  reveille config --json | jq -r .workers.value";

/// Shows the settings in force, and where each comes from. Secrets are masked.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Print the commented file of all settings and their defaults instead.
    #[arg(long, conflicts_with = "json")]
    default: bool,
    /// Print them as an object: name → value, source.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    settings: settings::Args,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    if args.default {
        output::text(reference())?;
        return Ok(ExitCode::SUCCESS);
    }
    let loaded = args.settings.load()?;
    if args.json {
        print_json(&loaded)?
    } else {
        print_table(&loaded)?
    }
    Ok(ExitCode::SUCCESS)
}

fn print_json(loaded: &Loaded) -> anyhow::Result<()> {
    let mut object = Map::new();
    for setting in SETTINGS {
        let value = serde_json::to_value((setting.show)(&loaded.config))?;
        let source = loaded.sources.of(setting.name).to_string();
        object.insert(setting.name.to_owned(), json!({ "value": value, "source": source }));
    }
    for (name, settings) in loaded.config.queue_settings.iter().flatten() {
        let source = loaded.sources.of("queue").to_string();
        object.insert(format!("queue.{name}"), json!({ "value": settings, "source": source }));
    }
    Ok(output::line(serde_json::to_string_pretty(&object)?)?)
}

fn print_table(loaded: &Loaded) -> anyhow::Result<()> {
    let settings = SETTINGS.iter().map(|setting| {
        let value = (setting.show)(&loaded.config).to_string();
        vec![setting.name.to_owned(), value, loaded.sources.of(setting.name).to_string()]
    });
    let mut rows: Vec<Vec<String>> = settings.collect();
    for (name, settings) in loaded.config.queue_settings.iter().flatten() {
        let (value, source) = (serde_json::to_string(settings)?, loaded.sources.of("queue"));
        rows.push(vec![format!("queue.{name}"), value, source.to_string()]);
    }
    for line in Table::new(&["SETTING", "VALUE", "FROM"]).lines(&rows) {
        output::line(line)?;
    }
    Ok(())
}
