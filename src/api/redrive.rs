//! The body of a redrive.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{Example, Type};

use super::body::FromBody;
use super::fields::Fields;
use super::operations::view;
use super::types::described;
use crate::job::family::Family;
use crate::job::fields::{Given, Source};
use crate::job::submission::FieldError;
use crate::operation::{CANARY, CODE_CHARS_MOST, Canary, DELAY_MOST, Filter, RATE, RATES};
use crate::queue::{QueueName, TaskName};

/// A redrive: which jobs, how fast, and how carefully.
#[derive(Debug, Clone, Object)]
#[oai(rename = "RedriveCreate", skip_serializing_if_is_none, example)]
pub(super) struct RedriveCreate {
    // The jobs that it is about: at least one member.
    filter: Option<view::Filter>,
    /// Whether it is about all failed jobs. Excludes `filter`.
    #[oai(default)]
    all: bool,
    /// The most jobs that it moves each second.
    #[oai(validator(minimum(value = "0.01"), maximum(value = "10000")), default = "rate")]
    rate_per_second: f64,
    /// The seconds until it starts.
    #[oai(validator(minimum(value = "0"), maximum(value = "86400")), default)]
    delay_seconds: f64,
    // How it begins with a few jobs. Absent: it does not.
    canary: Option<view::Canary>,
    /// Tell how many jobs it is about, and change nothing.
    #[oai(default)]
    dry_run: bool,
}

fn rate() -> f64 {
    RATE
}

impl Example for RedriveCreate {
    fn example() -> Self {
        Self {
            filter: Some(view::Filter::example()),
            all: false,
            rate_per_second: 50.0,
            delay_seconds: 0.0,
            canary: Some(view::Canary::example()),
            dry_run: false,
        }
    }
}

/// A redrive, checked.
#[derive(Debug)]
pub(super) struct RedriveBody {
    pub filter: Filter,
    pub rate: f64,
    pub delay_seconds: f64,
    pub canary: Option<Canary>,
    pub dry_run: bool,
}

described!(RedriveBody as RedriveCreate);

const MEMBERS: &[&str] =
    &["filter", "all", "rate_per_second", "delay_seconds", "canary", "dry_run"];
const OF_FILTER: &[&str] = &["queue", "task", "code", "family", "failed_after", "failed_before"];
const OF_CANARY: &[&str] = &["share", "halt_at"];

impl FromBody for RedriveBody {
    fn from_body(text: &str, _: DateTime<Utc>) -> Result<Self, Vec<FieldError>> {
        let mut members = Fields::parse(text, "", MEMBERS).map_err(|error| vec![error])?;
        let all = members.flag("all").unwrap_or_default();
        match (members.gives("filter"), all) {
            (false, false) => {
                let message = "Say which jobs: `filter`, or `\"all\": true` for all failed ones.";
                members.refuse("filter", "missing_field", message);
            }
            (true, true) => {
                let message = "`all` takes every failed job, and `filter` some. Send one of them.";
                members.refuse("all", "conflicting_fields", message);
            }
            _ => {}
        }
        let filter = members.object("filter", OF_FILTER, filter).unwrap_or_default();
        let canary = members.object("canary", OF_CANARY, canary);
        let rate = within(&mut members, "rate_per_second", RATES).unwrap_or(RATE);
        let delay_seconds = within(&mut members, "delay_seconds", (0.0, DELAY_MOST));
        let dry_run = members.flag("dry_run").unwrap_or_default();
        let errors = members.finish();
        if !errors.is_empty() {
            return Err(errors);
        }
        let delay_seconds = delay_seconds.unwrap_or_default();
        Ok(Self { filter, rate, delay_seconds, canary, dry_run })
    }
}

fn filter(members: &mut Fields<'_>) -> Filter {
    if !OF_FILTER.iter().any(|name| members.gives(name)) {
        let message = format!(
            "`filter` names one of {} at least. Send `\"all\": true` for all failed jobs.",
            OF_FILTER.join(", ")
        );
        members.refuse_whole("missing_field", message);
    }
    Filter {
        queue: named(members, "queue", QueueName::fits, QueueName::RULE),
        task: named(members, "task", TaskName::fits, TaskName::RULE),
        code: members.string("code").and_then(|code| {
            if (1..=CODE_CHARS_MOST).contains(&code.chars().count()) {
                return Some(code);
            }
            let message = format!("`code` must have 1 to {CODE_CHARS_MOST} characters.");
            members.refuse("code", "invalid_length", message);
            None
        }),
        family: members.string("family").and_then(|text| {
            if Family::parse(&text).is_some() {
                return Some(text);
            }
            members.refuse(
                "family",
                "invalid_value",
                format!("`family` must be {}.", Family::RULE),
            );
            None
        }),
        failed_after: members.timestamp("failed_after"),
        failed_before: members.timestamp("failed_before"),
    }
}

fn named(
    members: &mut Fields<'_>,
    name: &str,
    fits: fn(&str) -> bool,
    rule: &str,
) -> Option<String> {
    let text = members.string(name)?;
    if fits(&text) {
        return Some(text);
    }
    members.refuse(name, "invalid_name", format!("`{name}` must be {rule}."));
    None
}

fn canary(members: &mut Fields<'_>) -> Canary {
    let share = within(members, "share", (0.0, 1.0)).unwrap_or(CANARY.0);
    Canary::new(share, within(members, "halt_at", (0.0, 1.0)).unwrap_or(CANARY.1))
}

/// A number between two others.
fn within(members: &mut Fields<'_>, name: &str, (low, high): (f64, f64)) -> Option<f64> {
    let number = members.number(name)?;
    if (low..=high).contains(&number) {
        return Some(number);
    }
    members.refuse(name, "out_of_range", format!("`{name}` must be from {low} to {high}."));
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    fn faults(body: &str) -> Vec<(String, &'static str)> {
        let errors = RedriveBody::from_body(body, Utc::now()).unwrap_err();
        errors.into_iter().map(|error| (error.pointer, error.code)).collect()
    }

    #[test]
    fn life_3c6_a_redrive_says_which_jobs() {
        for (body, pointer, code) in [
            ("{}", "/filter", "missing_field"),
            (r#"{"all": false}"#, "/filter", "missing_field"),
            (r#"{"filter": null}"#, "/filter", "missing_field"),
            (r#"{"filter": {}}"#, "/filter", "missing_field"),
            (r#"{"filter": {"queue": null}}"#, "/filter", "missing_field"),
            (r#"{"filter": {"queue": "q"}, "all": true}"#, "/all", "conflicting_fields"),
            (r#"{"filter": []}"#, "/filter", "wrong_type"),
            (r#"{"filter": {"queue": "Q"}}"#, "/filter/queue", "invalid_name"),
            (r#"{"filter": {"task": ""}}"#, "/filter/task", "invalid_name"),
            (r#"{"filter": {"code": ""}}"#, "/filter/code", "invalid_length"),
            (r#"{"filter": {"family": "7"}}"#, "/filter/family", "invalid_value"),
            (
                r#"{"filter": {"failed_after": "noon"}}"#,
                "/filter/failed_after",
                "invalid_timestamp",
            ),
            (r#"{"filter": {"que": "q"}}"#, "/filter/que", "unknown_field"),
            (r#"{"all": 1}"#, "/all", "wrong_type"),
            (r#"{"all": true, "rate_per_second": 0}"#, "/rate_per_second", "out_of_range"),
            (r#"{"all": true, "rate_per_second": 10001}"#, "/rate_per_second", "out_of_range"),
            (r#"{"all": true, "delay_seconds": -1}"#, "/delay_seconds", "out_of_range"),
            (r#"{"all": true, "canary": {"share": 2}}"#, "/canary/share", "out_of_range"),
            (r#"{"all": true, "canary": {"halt_at": -0.1}}"#, "/canary/halt_at", "out_of_range"),
            (r#"{"all": true, "canary": true}"#, "/canary", "wrong_type"),
            (r#"{"all": true, "dry_run": "yes"}"#, "/dry_run", "wrong_type"),
        ] {
            assert!(
                faults(body).contains(&(pointer.to_owned(), code)),
                "{body}: {:?}",
                faults(body)
            );
        }
    }

    #[test]
    fn the_specification_has_the_bounds_and_defaults_of_the_reader() {
        let spec: Value = serde_json::from_str(super::super::spec().json()).unwrap();
        let property = |schema: &str, name: &str, member: &str| {
            spec["components"]["schemas"][schema]["properties"][name][member].clone()
        };
        for (schema, name, (low, high), default) in [
            ("RedriveCreate", "rate_per_second", RATES, RATE),
            ("RedriveCreate", "delay_seconds", (0.0, DELAY_MOST), 0.0),
            ("OperationCanary", "share", (0.0, 1.0), CANARY.0),
            ("OperationCanary", "halt_at", (0.0, 1.0), CANARY.1),
        ] {
            let of = |member| property(schema, name, member).as_f64();
            let told = ["minimum", "maximum", "default"].map(of);
            assert_eq!(told, [low, high, default].map(Some), "{name}");
        }
        let longest = property("OperationFilter", "code", "maxLength");
        assert_eq!(longest, json!(CODE_CHARS_MOST));
        let members = |schema: &str| {
            let properties = &spec["components"]["schemas"][schema]["properties"];
            properties.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>()
        };
        for (schema, read) in [
            ("RedriveCreate", MEMBERS),
            ("OperationFilter", OF_FILTER),
            ("OperationCanary", OF_CANARY),
        ] {
            assert_eq!(members(schema), read.iter().map(|it| (*it).to_owned()).collect());
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let body = RedriveBody::from_body(r#"{"all": true, "canary": {}}"#, Utc::now()).unwrap();
        assert_eq!((body.rate, body.delay_seconds, body.dry_run), (RATE, 0.0, false));
        assert_eq!(body.canary, Some(Canary::new(CANARY.0, CANARY.1)));
        assert_eq!(body.filter, Filter::default());
    }
}
