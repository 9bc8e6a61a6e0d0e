//! The tables `[queue.NAME]` of the file: settings of queues, by the rules that `PUT
//! /queues/{queue}` has.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::Config;
use super::value::Wrong;
use crate::job::fields::{
    Faults, Kind, QUEUE_FIELDS, QUEUE_NAMES, QueueSettings, Retention, Source,
};
use crate::job::json::Json;
use crate::job::moment;
use crate::queue::QueueName;
use crate::spelling::closest;

/// The name of the table of these tables.
pub(super) const TABLE: &str = "queue";

/// A fault, and the setting that has it: `queue.mail.priority`.
pub(super) type Fault = (String, Wrong);

/// The settings of each queue, or everything that is wrong with them by themselves.
pub(super) fn read(table: &toml::Value) -> Result<BTreeMap<String, QueueSettings>, Vec<Fault>> {
    let Some(queues) = table.as_table() else {
        let write = "write a table [queue.NAME] for each queue";
        return Err(vec![(TABLE.to_owned(), Wrong::new("is not a table", write))]);
    };
    let (mut read, mut faults) = (BTreeMap::new(), Vec::new());
    for (name, table) in queues {
        let at = format!("{TABLE}.{name}");
        if let Some(fault) = of_name(name) {
            faults.push(fault);
            continue;
        }
        let Some(table) = table.as_table() else {
            let write = format!("write it as a table [{at}]");
            faults.push((at, Wrong::new("is not a table", write)));
            continue;
        };
        let mut members = Members { table, at: at.clone(), faults: Vec::new() };
        let settings = QueueSettings::read_members(&mut members);
        members.find_strange(QUEUE_NAMES);
        faults.append(&mut members.faults);
        faults.extend(of_settings(&at, &settings));
        read.insert(name.clone(), settings);
    }
    if faults.is_empty() { Ok(read) } else { Err(faults) }
}

/// The faults of the settings of queues, by themselves and beside those of the service.
pub(super) fn check(config: &Config) -> Vec<Fault> {
    let service = Retention {
        completed: config.keep_completed.as_secs_f64(),
        failed: config.keep_failed.as_secs_f64(),
    };
    let of_queue = |(name, settings): (&String, &QueueSettings)| {
        let at = format!("{TABLE}.{name}");
        let mut faults = Faults::default();
        settings.check_retention(service, &mut faults);
        let beside = wrong(&at, faults);
        let own = of_name(name).into_iter().chain(of_settings(&at, settings));
        own.chain(beside).collect::<Vec<_>>()
    };
    config.queue_settings.iter().flatten().flat_map(of_queue).collect()
}

fn of_name(name: &str) -> Option<Fault> {
    let write = || format!("write {} behind queue.", QueueName::RULE);
    let wrong = || (format!("{TABLE}.{name}"), Wrong::new("is not a queue's name", write()));
    (!QueueName::fits(name)).then(wrong)
}

fn of_settings(at: &str, settings: &QueueSettings) -> Vec<Fault> {
    let mut faults = Faults::default();
    settings.check(&mut faults);
    wrong(at, faults)
}

fn wrong(at: &str, faults: Faults) -> Vec<Fault> {
    let one = |fault: crate::job::submission::FieldError| {
        let setting = format!("{at}{}", fault.pointer.replace('/', "."));
        (setting, Wrong::new("does not fit", fault.message))
    };
    faults.0.into_iter().map(one).collect()
}

/// The members of a table.
struct Members<'a> {
    table: &'a toml::Table,
    /// The name of the table.
    at: String,
    faults: Vec<Fault>,
}

impl Members<'_> {
    fn find_strange(&mut self, known: &[&str]) {
        for name in self.table.keys().filter(|name| !known.contains(&name.as_str())) {
            let write = match closest(name, known.iter().copied()) {
                Some(candidate) => format!("did you mean {candidate}?"),
                None => format!("there are {}", known.join(", ")),
            };
            let wrong = Wrong::new("is not a setting of a queue", write);
            self.faults.push((format!("{}.{name}", self.at), wrong));
        }
    }

    /// The member, if it is there; noted if it is of another type.
    fn read<T>(
        &mut self,
        name: &str,
        what: &str,
        of: impl FnOnce(&toml::Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.table.get(name)?;
        let read = of(value);
        if read.is_none() {
            let (is, write) = (format!("is {value}"), format!("write {what}"));
            self.faults.push((format!("{}.{name}", self.at), Wrong::new(is, write)));
        }
        read
    }
}

/// Of TOML, which has no null.
impl Source for Members<'_> {
    fn json(&mut self, name: &str) -> Option<Json> {
        let json = |value: &toml::Value| Json::from_serialize(value).ok();
        self.read(name, "a value", json)
    }

    fn string(&mut self, name: &str) -> Option<String> {
        self.read(name, "text in quotes", |value| value.as_str().map(str::to_owned))
    }

    fn integer(&mut self, name: &str) -> Option<i64> {
        self.read(name, "a whole number, without quotes", toml::Value::as_integer)
    }

    #[expect(clippy::cast_precision_loss, reason = "bounds are far below 2^53")]
    fn number(&mut self, name: &str) -> Option<f64> {
        let number =
            |value: &toml::Value| value.as_float().or(value.as_integer().map(|it| it as f64));
        self.read(name, "a number, without quotes", number)
    }

    fn timestamp(&mut self, name: &str) -> Option<DateTime<Utc>> {
        self.read(name, moment::RULE, |value| moment::parse(value.as_str()?))
    }

    fn strings(&mut self, name: &str, most: usize) -> Option<Vec<String>> {
        self.read(name, "a list of texts", |value| {
            let items = value.as_array()?.iter().take(most + 1);
            items.map(|item| item.as_str().map(str::to_owned)).collect()
        })
    }

    fn object<T>(
        &mut self,
        name: &str,
        known: &'static [&'static str],
        read: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        let at = format!("{}.{name}", self.at);
        let table = self.table.get(name)?;
        let Some(table) = table.as_table() else {
            let write = format!("write a table [{at}]");
            self.faults.push((at, Wrong::new("is not a table", write)));
            return None;
        };
        let mut members = Self { table, at, faults: Vec::new() };
        let value = read(&mut members);
        members.find_strange(known);
        self.faults.append(&mut members.faults);
        Some(value)
    }
}

/// The lines of the reference about these tables.
pub(super) fn reference() -> Vec<String> {
    let mut lines = vec![
        "Settings of queues, in a table for each: defaults for the jobs of the queue. They stand in".to_owned(),
        "this file only, behind all settings above. A service applies them when it starts, as PUT".to_owned(),
        "/queues/{queue} would, once for each content: a PUT that comes later stands until these".to_owned(),
        "tables change. A file whose tables others have replaced since changes nothing, and the log".to_owned(),
        "says so. A file without such a table says nothing; an empty [queue] takes away what a file".to_owned(),
        "gave before.".to_owned(),
        String::new(),
        "[queue.mail]".to_owned(),
    ];
    let object = |field: &&crate::job::fields::Field| matches!(field.kind, Kind::Object { .. });
    for field in QUEUE_FIELDS.iter().filter(|field| !object(field)) {
        lines.push(format!("{} = …  ({})", field.name, field.kind.rule()));
    }
    for field in QUEUE_FIELDS.iter().filter(object) {
        lines.push(String::new());
        lines.push(format!("[queue.mail.{}]", field.name));
        if let Kind::Object { members, .. } = field.kind {
            for member in members {
                lines.push(format!("{} = …  ({})", member.name, member.kind.rule()));
            }
        }
    }
    lines
}
