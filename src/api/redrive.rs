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
use crate::job::fields::{Given, Source};
use crate::job::submission::FieldError;
use crate::operation::{DeadLetterFilter, RATE, Redrive, RedriveCanary};

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
    pub redrive: Redrive,
    pub dry_run: bool,
}

described!(RedriveBody as RedriveCreate);

const MEMBERS: &[&str] =
    &["filter", "all", "rate_per_second", "delay_seconds", "canary", "dry_run"];
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
        let usual = Redrive::all();
        let redrive = Redrive {
            filter: members.object("filter", &DeadLetterFilter::NAMES, filter),
            rate_per_second: members.number("rate_per_second").unwrap_or(usual.rate_per_second),
            delay_seconds: members.number("delay_seconds").unwrap_or(usual.delay_seconds),
            canary: members.object("canary", OF_CANARY, canary),
        };
        let dry_run = members.flag("dry_run").unwrap_or_default();
        let mut errors = members.finish();
        // A member that could not be read is told once.
        let told: Vec<String> = errors.iter().map(|error| error.pointer.clone()).collect();
        let new = |error: &FieldError| !told.iter().any(|it| it.starts_with(&error.pointer));
        errors.extend(redrive.check().into_iter().filter(new));
        if errors.is_empty() { Ok(Self { redrive, dry_run }) } else { Err(errors) }
    }
}

fn filter(members: &mut Fields<'_>) -> DeadLetterFilter {
    DeadLetterFilter {
        queue: members.string("queue"),
        task: members.string("task"),
        code: members.string("code"),
        family: members.string("family"),
        failed_after: members.timestamp("failed_after"),
        failed_before: members.timestamp("failed_before"),
    }
}

fn canary(members: &mut Fields<'_>) -> RedriveCanary {
    let usual = RedriveCanary::default();
    RedriveCanary {
        share: members.number("share").unwrap_or(usual.share),
        halt_at: members.number("halt_at").unwrap_or(usual.halt_at),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::operation::{CANARY, CODE_CHARS_MOST, DELAY_MOST, RATES};

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
            ("OperationFilter", &DeadLetterFilter::NAMES),
            ("OperationCanary", OF_CANARY),
        ] {
            assert_eq!(members(schema), read.iter().map(|it| (*it).to_owned()).collect());
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let body = RedriveBody::from_body(r#"{"all": true, "canary": {}}"#, Utc::now()).unwrap();
        let canary = Some(RedriveCanary { share: CANARY.0, halt_at: CANARY.1 });
        assert_eq!(body.redrive, Redrive { canary, ..Redrive::all() });
        assert!(!body.dry_run);
    }
}
