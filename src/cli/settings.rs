//! The settings as flags. They are made from the table of settings, so that none is forgotten.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, FromArgMatches};

use crate::config::{Config, ConfigError, Inputs, Loaded, SETTINGS, Setting};

/// Shared by the commands that run the service.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// The file of settings [default: REVEILLE_CONFIG, else reveille.toml if there is one].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

impl Args {
    /// The settings in force, flags included.
    pub(super) fn load(&self) -> Result<Loaded, ConfigError> {
        let process = Inputs::from_process();
        let file = self.config.clone().or(process.file);
        Config::load(&Inputs { file, flags: self.flags.0.clone(), ..process })
    }
}

/// Names of settings, and what was said about them.
#[derive(Debug, Clone, Default)]
struct Flags(Vec<(String, String)>);

/// Tokens have no flag: everybody on the machine can read a process's arguments.
fn flags() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| setting.name != "auth_tokens")
}

/// Hides the other settings from a command's help. They are taken all the same, and `serve --help`
/// has them.
pub(super) fn only(shown: &'static [&'static str]) -> impl Fn(Arg) -> Arg {
    move |arg| {
        let name = arg.get_id().as_str();
        let hide = flags().any(|setting| setting.name == name) && !shown.contains(&name);
        if hide { arg.hide(true) } else { arg }
    }
}

fn flag(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.name)
        .long(setting.flag())
        .value_name(setting.kind)
        .help_heading("Settings")
        .help(help(setting));
    if setting.kind == "true|false" {
        return arg.num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    arg.allow_hyphen_values(true)
}

/// The first sentence of what the reference says, and the default.
fn help(setting: &Setting) -> String {
    let doc = setting.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    let first = doc.split_once(". ").map_or(doc.as_str(), |(first, _)| first);
    match (setting.show)(&Config::default()).to_string().trim_matches('"') {
        "" | "[]" => first.trim_end_matches('.').to_owned(),
        default => format!("{} [default: {default}]", first.trim_end_matches('.')),
    }
}

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        command.args(flags().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = flags().filter_map(|setting| {
            let value = matches.get_one::<String>(setting.name)?;
            Some((setting.name.to_owned(), value.clone()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
