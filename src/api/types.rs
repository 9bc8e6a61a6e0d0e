//! Checked JSON as a type of the specification: any value, schema `{}`.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;

use crate::job::json::Json;

impl Type for Json {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "any".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::ANY))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::empty())
    }
}

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
