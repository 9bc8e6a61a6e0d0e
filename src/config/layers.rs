//! Defaults, file, environment, flags: one over the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::surroundings::host_name;
use super::value::Raw;
use super::{
    CLIENT_VARIABLES, Config, ConfigError, ConfigProblem, ConfigSource, SETTINGS, Setting,
    kubernetes, queues, rules,
};
use crate::spelling::closest;

/// Variables that other programs read too, and the settings that they stand for.
const SHARED_VARIABLES: [(&str, &str); 2] =
    [("DATABASE_URL", "database_url"), ("PG_BIN_DIR", "pg_bin_dir")];

/// The sources of a configuration; nothing else is looked at, so tests need no global state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inputs {
    /// The file that was asked for. Without one, `reveille.toml` in `directory`, if there is one.
    pub file: Option<PathBuf>,
    /// Where to look for `reveille.toml`; empty is the working directory.
    pub directory: PathBuf,
    /// The environment's variables.
    pub environment: Vec<(String, String)>,
    /// Names of settings and the values that flags gave them.
    pub flags: Vec<(String, String)>,
}

impl Inputs {
    /// The process's environment, and `reveille.toml` in the working directory, or the file that
    /// `REVEILLE_CONFIG` names.
    pub(crate) fn from_process() -> Self {
        let environment = super::process_environment();
        let file = super::variable(&environment, "REVEILLE_CONFIG").map(PathBuf::from);
        Self { file, environment, ..Self::default() }
    }
}

/// Where each setting's value came from; those not named here have their default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources(BTreeMap<&'static str, ConfigSource>);

impl Sources {
    /// Where the value of the setting of this name came from.
    pub(crate) fn of(&self, name: &str) -> ConfigSource {
        self.0.get(name).cloned().unwrap_or(ConfigSource::Default)
    }
}

/// A configuration that was checked, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Loaded {
    /// The values in force.
    pub config: Config,
    /// Their origins.
    pub sources: Sources,
}

impl Config {
    /// Puts the layers together and checks the whole. Reports every problem, not only the first.
    pub(crate) fn load(inputs: &Inputs) -> Result<Loaded, ConfigError> {
        let mut layers = Layers::default();
        layers.read_file(inputs);
        layers.read_environment(&inputs.environment);
        layers.read_flags(&inputs.flags);
        layers.finish()
    }
}

#[derive(Default)]
struct Layers {
    config: Config,
    sources: Sources,
    problems: Vec<ConfigProblem>,
}

impl Layers {
    fn read_file(&mut self, inputs: &Inputs) {
        let path = inputs.file.clone().unwrap_or_else(|| inputs.directory.join("reveille.toml"));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && inputs.file.is_none() => {
                return;
            }
            Err(error) => {
                let what = format!("cannot be read ({error})");
                let write = "name a file that exists and that this user may read, or none";
                return self.report(
                    &path.display().to_string(),
                    ConfigSource::File(path),
                    what,
                    write,
                );
            }
        };
        match text.parse::<toml::Table>() {
            Ok(table) => self.read_table(&path, &table),
            Err(error) => {
                // The error's own text quotes the line, which may hold a password.
                let line = error.span().map_or(1, |span| lines_before(&text, span.start));
                let what = format!("is no TOML: line {line}: {}", error.message());
                let write = "see `reveille config --default` for how it is written";
                self.report(&path.display().to_string(), ConfigSource::File(path), what, write);
            }
        }
    }

    fn read_table(&mut self, path: &Path, table: &toml::Table) {
        for (name, value) in table {
            let source = ConfigSource::File(path.to_owned());
            match SETTINGS.iter().find(|setting| setting.name == name) {
                Some(setting) => self.set(setting, source, Raw::Toml(value)),
                None if name == queues::TABLE => self.read_queues(value, &source),
                None => self.unknown(name, source, SETTINGS.iter().map(|it| it.name)),
            }
        }
    }

    fn read_queues(&mut self, table: &toml::Value, source: &ConfigSource) {
        match queues::read(table) {
            Ok(queues) => {
                self.config.queue_settings = Some(queues);
                self.sources.0.insert(queues::TABLE, source.clone());
            }
            Err(faults) => {
                for (setting, wrong) in faults {
                    self.report(&setting, source.clone(), wrong.what, &wrong.write);
                }
            }
        }
    }

    fn read_environment(&mut self, environment: &[(String, String)]) {
        // First, so that the name that is ours alone wins over the one that others share.
        for (variable, name) in SHARED_VARIABLES {
            if let Some(value) = super::variable(environment, variable)
                && let Some(setting) = SETTINGS.iter().find(|it| it.name == name)
            {
                self.set(setting, ConfigSource::Variable(variable.to_owned()), Raw::Text(value));
            }
        }
        let ours = environment.iter().filter(|(key, _)| key.starts_with("REVEILLE_"));
        for (key, value) in ours {
            let source = ConfigSource::Variable(key.clone());
            match SETTINGS.iter().find(|setting| setting.variable() == *key) {
                // A variable that is set to nothing, as `${UNSET}` in a compose file sets it.
                Some(_) if value.trim().is_empty() => {}
                Some(setting) => self.set(setting, source, Raw::Text(value)),
                None if CLIENT_VARIABLES.contains(&key.as_str()) => {}
                None if kubernetes::is_of_a_service(key, value) => {}
                None => {
                    let names: Vec<_> = SETTINGS.iter().map(Setting::variable).collect();
                    self.unknown(key, source, names.iter().map(String::as_str));
                }
            }
        }
    }

    fn read_flags(&mut self, flags: &[(String, String)]) {
        for (name, value) in flags {
            match SETTINGS.iter().find(|setting| setting.name == name) {
                Some(setting) => {
                    let source = ConfigSource::Flag(format!("--{}", setting.flag()));
                    self.set(setting, source, Raw::Text(value));
                }
                None => {
                    let source = ConfigSource::Flag(format!("--{name}"));
                    self.unknown(name, source, SETTINGS.iter().map(|it| it.name));
                }
            }
        }
    }

    fn set(&mut self, setting: &'static Setting, source: ConfigSource, raw: Raw<'_>) {
        match (setting.set)(&mut self.config, raw) {
            Ok(()) => {
                self.sources.0.insert(setting.name, source);
            }
            Err(wrong) => self.report(setting.name, source, wrong.what, &wrong.write),
        }
    }

    fn unknown<'a>(
        &mut self,
        name: &str,
        source: ConfigSource,
        known: impl Iterator<Item = &'a str>,
    ) {
        let write = match closest(name, known) {
            Some(candidate) => format!("did you mean {candidate}?"),
            None => "`reveille config --default` lists all of them".to_owned(),
        };
        self.report(name, source, "is not a setting".to_owned(), &write);
    }

    fn report(&mut self, setting: &str, source: ConfigSource, what: String, write: &str) {
        let problem =
            ConfigProblem { setting: setting.to_owned(), source, what, write: write.to_owned() };
        self.problems.push(problem);
    }

    fn finish(mut self) -> Result<Loaded, ConfigError> {
        // A layer that could not be read already has its line; its default is not to blame.
        let mut broken = rules::check(&self.config);
        broken.retain(|(name, _)| self.problems.iter().all(|problem| problem.setting != *name));
        for (name, wrong) in broken {
            self.report(name, self.sources.of(name), wrong.what, &wrong.write);
        }
        for (name, wrong) in queues::check(&self.config) {
            self.report(&name, self.sources.of(queues::TABLE), wrong.what, &wrong.write);
        }
        if !self.problems.is_empty() {
            return Err(ConfigError { problems: self.problems });
        }
        if self.config.instance_name.is_empty() {
            self.config.instance_name = host_name().unwrap_or_else(|| "reveille".to_owned());
        }
        Ok(Loaded { config: self.config, sources: self.sources })
    }
}

fn lines_before(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
