//! Faults of a configuration, in words that say what to do.

use std::fmt;
use std::path::PathBuf;

use super::value::Wrong;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigSource {
    /// No source says anything else.
    Default,
    /// This file.
    File(PathBuf),
    /// This variable of the environment.
    Variable(String),
    /// This flag, with its dashes.
    Flag(String),
    /// The program that the service is a part of.
    Program,
}

impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Program => f.write_str("the program"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One thing to be put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The setting, or the name that is none.
    pub setting: String,
    /// Where its value came from.
    pub source: ConfigSource,
    /// The fault.
    pub what: String,
    /// The remedy.
    pub write: String,
}

impl ConfigProblem {
    /// The fault of the value that a program gave this setting.
    pub(crate) fn of_program(setting: &str, wrong: Wrong) -> Self {
        let (setting, source) = (setting.to_owned(), ConfigSource::Program);
        Self { setting, source, what: wrong.what, write: wrong.write }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, source, what, write } = self;
        if source.to_string() == *setting {
            return write!(f, "{setting} {what}; {write}");
        }
        write!(f, "{setting} (from {source}) {what}; {write}")
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<ConfigProblem>,
}

impl ConfigError {
    /// Of one value that a program made.
    pub(super) fn of_program(setting: &str, wrong: Wrong) -> Self {
        Self { problems: vec![ConfigProblem::of_program(setting, wrong)] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used:")?;
        for problem in &self.problems {
            write!(f, "\n  - {problem}")?;
        }
        Ok(())
    }
}
