//! The commented file of all defaults: the reference of the settings.

use std::fmt::Write as _;

use super::{Config, SETTINGS, queues};

const HEAD: &str = "\
# Reveille: all settings, with their defaults.
#
# This file is the reference. Copy it to reveille.toml (read from the working directory, or named
# by --config FILE or REVEILLE_CONFIG), and take the # off the lines that you change. `reveille
# config` shows what is in force and where each value comes from.
#
# Each setting is also an environment variable, in capitals behind REVEILLE_ (REVEILLE_LISTEN), and
# a flag of `reveille serve` (--listen); the tables of queues are neither. A flag wins over the environment, the environment over the
# file. An empty variable counts as not set. An unknown name is an error, and so is a wrong value.
# Variables that Kubernetes makes of a Service (REVEILLE_PORT=tcp://…) are none of ours.
";

/// Writes the reference from the table of settings. `default.toml` beside this file is the
/// committed copy, which a test holds equal to it.
pub(crate) fn reference() -> String {
    let defaults = Config::default();
    let mut text = HEAD.to_owned();
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            text.push_str(&heading(group));
        }
        text.push('\n');
        for line in setting.doc {
            let _ = writeln!(text, "# {}", line.trim());
        }
        if let Some((least, most)) = setting.range {
            let _ = writeln!(text, "# From {least} to {most}.");
        }
        let _ = writeln!(text, "#{} = {}", setting.name, (setting.show)(&defaults));
    }
    text.push_str(&heading("Queues"));
    text.push('\n');
    for line in queues::reference() {
        let _ = writeln!(text, "{}", format!("# {line}").trim_end());
    }
    text
}

fn heading(group: &str) -> String {
    format!("\n# {group} {}\n", "-".repeat(92 - group.chars().count()))
}

#[cfg(test)]
mod tests {
    use super::super::Inputs;
    use super::*;

    const DEFAULT_FILE: &str = include_str!("default.toml");

    /// Takes the # off the lines that are settings; prose has a space behind it.
    fn uncommented() -> String {
        let lines = DEFAULT_FILE.lines().map(|line| {
            let setting =
                line.strip_prefix('#').filter(|rest| rest.starts_with(char::is_alphabetic));
            setting.unwrap_or(line)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_committed_reference_is_what_the_table_says() {
        assert!(
            DEFAULT_FILE == reference(),
            "run `cargo run -- config --default > src/config/default.toml`"
        );
    }

    #[test]
    fn uncommented_it_names_every_setting_and_equals_the_defaults() {
        let table: toml::Table = uncommented().parse().unwrap();
        let names: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(table.len(), names.len());
        assert!(names.iter().all(|name| table.contains_key(*name)));

        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("reveille.toml"), uncommented()).unwrap();
        let inputs = Inputs { directory: directory.path().to_owned(), ..Inputs::default() };
        let written = Config::load(&inputs).unwrap().config;
        let defaults = Config::load(&Inputs::default()).unwrap().config;
        assert_eq!(written, defaults);
    }
}
