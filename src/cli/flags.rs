//! The flags of `reveille submit` and of `reveille queues set`: one for each field of their tables.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::Value;

use super::spoken;
use crate::job::fields::{FIELDS, Field, Kind, Literal, QUEUE_FIELDS, Together};

/// Fields with words of their own on the command line.
const OWN_WORDS: [&str; 2] = ["payload", "task"];

/// The fields that the flags give, as they are sent. Most bounds are the service's business: it
/// tells in one answer what is wrong with all fields.
#[derive(Debug, Clone, Default)]
pub(super) struct Flags(pub(super) BTreeMap<&'static str, Value>);

fn flagged() -> impl Iterator<Item = &'static Field> {
    FIELDS.iter().filter(|field| !OWN_WORDS.contains(&field.name))
}

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        command.args(flagged().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The settings of a queue that the flags give.
#[derive(Debug, Clone, Default)]
pub(super) struct QueueFlags(pub(super) BTreeMap<&'static str, Value>);

impl clap::Args for QueueFlags {
    fn augment_args(command: Command) -> Command {
        command.args(QUEUE_FIELDS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for QueueFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |field: &Field| Some((field.name, given(matches, field)?));
        Ok(Self(QUEUE_FIELDS.iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}

fn flag(field: &Field) -> Arg {
    let mut help = field.sentence().trim_end_matches('.').to_owned();
    if let Some(default) = given_default(field) {
        help = format!("{help} [default: {default}]");
    }
    let arg = Arg::new(field.name).long(field.name.replace('_', "-")).help(help);
    let arg = match &field.kind {
        Kind::Json | Kind::Object { .. } => arg.value_name("JSON").value_parser(json),
        Kind::Name { .. } => arg.value_name("NAME"),
        Kind::Text { .. } => arg.value_name("TEXT"),
        Kind::Choice { of, .. } => {
            arg.value_name("WHAT").value_parser(PossibleValuesParser::new(*of))
        }
        Kind::Integer { .. } => arg.value_name("NUMBER").value_parser(value_parser!(i64)),
        Kind::Number { .. } => arg.value_name("NUMBER").value_parser(value_parser!(f64)),
        Kind::Seconds { .. } => {
            let arg = arg.value_name("DURATION").value_parser(spoken::duration);
            match field.name.strip_suffix("_seconds") {
                Some(short) => arg.visible_alias(short.replace('_', "-")),
                None => arg,
            }
        }
        Kind::Time => arg.value_name("TIME").value_parser(spoken::time),
        Kind::Texts { .. } => {
            let one = field.name.trim_end_matches('s');
            arg.long(one).value_name("TEXT").action(ArgAction::Append)
        }
    };
    match field.together {
        Some(Together::NotWith(other)) => arg.conflicts_with(other),
        Some(Together::OnlyWith(other) | Together::OnlyWhere(other, _)) => arg.requires(other),
        None => arg,
    }
}

fn given_default(field: &Field) -> Option<String> {
    match field.default? {
        Literal::Text(text) => Some(text.to_owned()),
        Literal::Nothing => None,
    }
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(flagged().filter_map(|field| Some((field.name, given(matches, field)?))).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}

fn given(matches: &ArgMatches, field: &Field) -> Option<Value> {
    let name = field.name;
    Some(match &field.kind {
        Kind::Json | Kind::Object { .. } => matches.get_one::<Value>(name)?.clone(),
        Kind::Integer { .. } => (*matches.get_one::<i64>(name)?).into(),
        Kind::Number { .. } => (*matches.get_one::<f64>(name)?).into(),
        Kind::Seconds { .. } => matches.get_one::<Duration>(name)?.as_secs_f64().into(),
        Kind::Texts { .. } => matches.get_many::<String>(name)?.cloned().collect(),
        Kind::Time => {
            let at = matches.get_one::<DateTime<Utc>>(name)?;
            at.to_rfc3339_opts(SecondsFormat::Micros, true).into()
        }
        Kind::Name { .. } | Kind::Text { .. } | Kind::Choice { .. } => {
            matches.get_one::<String>(name)?.clone().into()
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    #[test]
    fn every_field_has_its_flag() {
        let command = <Line as clap::CommandFactory>::command();
        for field in flagged() {
            let flag = command.get_arguments().find(|flag| flag.get_id() == field.name);
            assert!(flag.is_some_and(|flag| flag.get_help().is_some()), "{}", field.name);
        }
        let line = "x --queue q --priority 0 --delay 1m30s --max-attempts 2 --timeout-seconds 3 \
                    --tag a --tag b --unique-key k --on-conflict replace \
                    --retry {\"strategy\":\"fixed\"} --queue-ttl 2s --deadline 1m --unique-for 1h --debounce-max 1m";
        let given = Line::parse_from(line.split_whitespace()).flags.0;
        let expected = serde_json::json!({"queue": "q", "priority": 0, "delay_seconds": 90.0,
            "max_attempts": 2, "timeout_seconds": 3.0, "tags": ["a", "b"], "unique_key": "k",
            "on_conflict": "replace", "retry": {"strategy": "fixed"},
            "queue_ttl_seconds": 2.0, "deadline_seconds": 60.0, "unique_for_seconds": 3600.0,
            "debounce_max_seconds": 60.0});
        assert_eq!(serde_json::to_value(given).unwrap(), expected);
        let given = Line::parse_from(["x", "--run-at", "2030-01-31T09:00:00+01:00"]).flags.0;
        assert_eq!(given["run_at"], "2030-01-31T08:00:00.000000Z");
    }

    #[derive(clap::Parser)]
    struct QueueLine {
        #[command(flatten)]
        flags: QueueFlags,
    }

    #[test]
    fn every_setting_of_a_queue_has_its_flag() {
        let line = "x --priority 0 --max-attempts 2 --timeout 1m --retry {\"strategy\":\"fixed\"} \
                    --keep-completed 1h --keep-failed-seconds 5";
        let given = QueueLine::parse_from(line.split_whitespace()).flags.0;
        let expected = serde_json::json!({"priority": 0, "max_attempts": 2, "timeout_seconds": 60.0,
            "retry": {"strategy": "fixed"}, "keep_completed_seconds": 3600.0,
            "keep_failed_seconds": 5.0});
        assert_eq!(serde_json::to_value(given).unwrap(), expected);
    }

    #[test]
    fn fields_that_do_not_go_together_are_a_mistake_of_the_caller() {
        for line in [
            "x --run-at 2030-01-31T08:00:00Z --delay 1",
            "x --on-conflict keep",
            "x --unique-key k --on-conflict ignore",
            "x --priority high",
            "x --retry fixed",
        ] {
            assert!(Line::try_parse_from(line.split_whitespace()).is_err(), "{line}");
        }
    }
}
