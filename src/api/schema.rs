//! The schemas of a submission and of what a job keeps of it, made from the table of fields.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::{Value, json};

use super::types::described;
use crate::job::fields::{
    FIELDS, Field, Kind, Literal, PAUSE_FIELDS, PauseRequest, QUEUE_FIELDS, QueueSettings, Settings,
};

/// A job to submit, as the specification has it: a name for a schema. Nothing is ever read into it.
#[derive(Debug)]
pub(super) enum JobCreate {}

described!(
    JobCreate,
    "JobCreate".into(),
    MetaSchemaRef::Reference("JobCreate".into()),
    |registry: &mut Registry| registry
        .create_schema::<JobCreate, _>("JobCreate".into(), job_create)
);

fn job_create(registry: &mut Registry) -> MetaSchema {
    register_named(registry);
    let payload = json!({"task": "hello_world", "data": "test message"});
    MetaSchema {
        title: Some("JobCreate".into()),
        description: Some("A job to submit. Everything but `payload` is optional."),
        required: FIELDS.iter().filter(|field| field.required).map(|field| field.name).collect(),
        properties: FIELDS.iter().map(property).collect(),
        example: Some(json!({"payload": payload})),
        ..MetaSchema::new("object")
    }
}

described!(
    Settings,
    "settings".into(),
    MetaSchemaRef::Inline(Box::new(settings())),
    register_named
);

fn settings() -> MetaSchema {
    let properties = FIELDS.iter().filter(|field| field.is_setting).map(property).collect();
    MetaSchema { properties, ..MetaSchema::new("object") }
}

/// `derive(Object)` asks for it, for examples.
impl ToJSON for Settings {
    fn to_json(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}

/// `derive(Object)` asks for it; no request is read by it.
impl ParseFromJSON for Settings {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        serde_json::from_value(value.unwrap_or_default()).map_err(ParseError::custom)
    }
}

described!(
    QueueSettings,
    "QueueSettings".into(),
    MetaSchemaRef::Reference("QueueSettings".into()),
    |registry: &mut Registry| registry
        .create_schema::<QueueSettings, _>("QueueSettings".into(), queue_settings)
);

fn queue_settings(registry: &mut Registry) -> MetaSchema {
    QUEUE_FIELDS.iter().for_each(|field| register(registry, field));
    MetaSchema {
        description: Some(
            "The settings of a queue: defaults for its jobs, and how long they are kept. Each is \
             optional. A job's own field counts first, then that of its queue, of its task, and of \
             the service.",
        ),
        properties: QUEUE_FIELDS.iter().map(property).collect(),
        example: Some(json!({"max_attempts": 3, "timeout_seconds": 60})),
        ..MetaSchema::new("object")
    }
}

/// As for [`Settings`].
impl ToJSON for QueueSettings {
    fn to_json(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}

/// As for [`Settings`].
impl ParseFromJSON for QueueSettings {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        serde_json::from_value(value.unwrap_or_default()).map_err(ParseError::custom)
    }
}

/// A change of single settings of a queue.
#[derive(Debug)]
pub(super) struct SettingsPatch {
    pub given: QueueSettings,
    /// The settings that are taken away: each is `null`.
    pub reset: Vec<&'static str>,
}

described!(SettingsPatch as QueueSettings);

described!(
    PauseRequest,
    "QueuePause".into(),
    MetaSchemaRef::Reference("QueuePause".into()),
    |registry: &mut Registry| registry.create_schema::<PauseRequest, _>(
        "QueuePause".into(),
        |_| MetaSchema {
            description: Some("Why a queue is paused, and when that ends. All of it is optional."),
            properties: PAUSE_FIELDS.iter().map(property).collect(),
            example: Some(json!({"reason": "the mail server moves", "seconds": 3600})),
            ..MetaSchema::new("object")
        }
    )
);

/// A name for the schemas of choices and objects.
enum Named {}

/// A choice has a schema of its own, and so has an object: generated clients have types of those
/// names.
fn register_named(registry: &mut Registry) {
    FIELDS.iter().for_each(|field| register(registry, field));
}

fn register(registry: &mut Registry, field: &Field) {
    match field.kind {
        Kind::Choice { of, schema, about } => {
            registry.create_schema::<Named, _>(schema.into(), |_| MetaSchema {
                description: Some(about),
                enum_items: of.iter().map(|word| json!(word)).collect(),
                ..MetaSchema::new("string")
            });
        }
        Kind::Object { members, schema, about } => {
            members.iter().for_each(|member| register(registry, member));
            registry.create_schema::<Named, _>(schema.into(), |_| MetaSchema {
                description: Some(about),
                properties: members.iter().map(property).collect(),
                ..MetaSchema::new("object")
            });
        }
        _ => {}
    }
}

fn property(field: &Field) -> (&'static str, MetaSchemaRef) {
    if let Kind::Choice { schema, .. } | Kind::Object { schema, .. } = field.kind {
        return (field.name, MetaSchemaRef::Reference(schema.into()));
    }
    let schema = MetaSchema {
        description: Some(field.about),
        default: field.default.map(literal),
        ..of_kind(&field.kind)
    };
    (field.name, MetaSchemaRef::Inline(Box::new(schema)))
}

/// The schema of a parameter that filters by this field.
pub(super) fn of_filter(name: &str) -> MetaSchema {
    let field = FIELDS.iter().find(|field| field.name == name);
    match field.map(|field| &field.kind) {
        Some(Kind::Texts { longest, .. }) => of_text(*longest),
        Some(kind) => of_kind(kind),
        None => MetaSchema::ANY,
    }
}

/// A text of one character up to so many.
fn of_text(longest: usize) -> MetaSchema {
    of_kind(&Kind::Text { least: 1, most: longest })
}

#[expect(clippy::cast_precision_loss, reason = "bounds are small numbers")]
fn of_kind(kind: &Kind) -> MetaSchema {
    match kind {
        Kind::Json => MetaSchema::ANY,
        Kind::Name { pattern, .. } => {
            MetaSchema { pattern: Some((*pattern).into()), ..MetaSchema::new("string") }
        }
        Kind::Text { least, most } => MetaSchema {
            min_length: Some(*least),
            max_length: Some(*most),
            ..MetaSchema::new("string")
        },
        Kind::Choice { .. } => MetaSchema::new("string"),
        Kind::Object { .. } => MetaSchema::new("object"),
        Kind::Integer { least, most } => MetaSchema {
            minimum: Some(*least as f64),
            maximum: Some(*most as f64),
            ..MetaSchema::new_with_format("integer", "int32")
        },
        Kind::Seconds { least, most } | Kind::Number { least, most } => MetaSchema {
            minimum: Some(*least),
            maximum: Some(*most),
            ..MetaSchema::new_with_format("number", "double")
        },
        Kind::Time => MetaSchema::new_with_format("string", "date-time"),
        Kind::Texts { most, longest } => MetaSchema {
            items: Some(Box::new(MetaSchemaRef::Inline(Box::new(of_text(*longest))))),
            max_items: Some(*most),
            ..MetaSchema::new("array")
        },
    }
}

fn literal(literal: Literal) -> Value {
    match literal {
        Literal::Text(text) => json!(text),
        Literal::Nothing => json!([]),
    }
}
