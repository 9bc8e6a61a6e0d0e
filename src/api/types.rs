//! Types of the specification that are not derived: checked JSON (any value, schema `{}`), and the
//! enums of the domain.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

use crate::job::json::Json;
use crate::job::state::{AttemptEnd, Status};
use crate::job::written::Outcome;
use crate::operation::{OperationKind, OperationStatus};

/// Describes a type that reads and writes itself: by its name and its schema, or as another type.
macro_rules! described {
    ($type:ty as $other:ty) => {
        $crate::api::types::described!(
            $type,
            <$other as Type>::name(),
            <$other as Type>::schema_ref(),
            <$other as Type>::register
        );
    };
    ($type:ty, $name:expr, $schema:expr) => {
        $crate::api::types::described!(
            $type,
            $name.into(),
            MetaSchemaRef::Inline(Box::new($schema)),
            |_: &mut Registry| {}
        );
    };
    ($type:ty, $name:expr, $schema_ref:expr, $register:expr) => {
        impl Type for $type {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                $name
            }

            fn schema_ref() -> MetaSchemaRef {
                $schema_ref
            }

            fn register(registry: &mut Registry) {
                $register(registry);
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::empty())
            }
        }
    };
}
pub(super) use described;

/// Describes an enum of the domain, whose names it has from there, as a schema of its own.
macro_rules! choice {
    ($type:ty, $name:literal, $about:literal) => {
        $crate::api::types::described!(
            $type,
            $name.into(),
            MetaSchemaRef::Reference($name.into()),
            |registry: &mut Registry| registry.create_schema::<$type, _>($name.into(), |_| {
                MetaSchema {
                    description: Some($about),
                    enum_items: <$type>::NAMES.map(Value::from).to_vec(),
                    ..MetaSchema::new("string")
                }
            })
        );

        impl ToJSON for $type {
            fn to_json(&self) -> Option<Value> {
                Some(self.as_str().into())
            }
        }

        /// `derive(Object)` asks for it; no request is read by it.
        impl ParseFromJSON for $type {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                let value = value.unwrap_or_default();
                let named = value.as_str().and_then(Self::parse);
                named.ok_or_else(|| ParseError::expected_type(value))
            }
        }
    };
}

choice!(
    Status,
    "JobStatus",
    "The state of a job. `scheduled`: it waits for its time, the first one or that of a retry. \
     `queued`: it may start. `processing`: a worker holds it. `completed`, `failed` (its attempts \
     are used up, or the error was permanent) and `cancelled` are final."
);
choice!(
    Outcome,
    "SubmissionOutcome",
    "The outcome of a submission. `created`: a new job. `existing`: another job holds \
     the unique key, and is the answer. `replaced`: a waiting job took the new content."
);
choice!(
    AttemptEnd,
    "JobAttemptOutcome",
    "The end of an attempt. `failed`: with an error, or by its timeout. `lost`: its worker stopped \
     answering. `released`: its worker left and gave the job back. `snoozed`: its handler asked to \
     run later. These three spend no attempt. `redriven`: it failed and ended the job, which a \
     redrive sent back later. The service keeps the last ten snoozes of a job; \
     the last one says in its `error` how many there were."
);

choice!(
    OperationKind,
    "OperationKind",
    "The kind of an operation. `redrive`: it sends failed jobs back to wait. `purge`: it cancels the \
     waiting jobs of a queue."
);
choice!(
    OperationStatus,
    "OperationStatus",
    "The state of an operation. `scheduled`: it has not started. `running`: the leader works on it. \
     `completed`: nothing is left to do. `stopped`: somebody stopped it. `halted`: too many jobs of \
     its canary failed."
);

described!(Json, "any", MetaSchema::ANY);

/// `derive(Object)` asks for it, for examples; answers go through [`super::body::Body`], which
/// keeps the text.
impl ToJSON for Json {
    fn to_json(&self) -> Option<Value> {
        self.to().ok()
    }
}

/// `derive(Object)` asks for it; requests are read by [`super::body::Read`], which keeps the text.
impl ParseFromJSON for Json {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        Self::from_serialize(&value.unwrap_or_default()).map_err(ParseError::custom)
    }
}
