//! Types of the specification that are not derived, and checked JSON as one of them: any value, schema `{}`.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

use crate::job::json::Json;

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

described!(Json, "any", MetaSchema::ANY);

/// `derive(Object)` asks for it, for examples; answers go through [`super::body::Body`], which keeps the text.
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
