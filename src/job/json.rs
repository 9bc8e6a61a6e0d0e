//! JSON that is checked as text and never turned into a tree.
//!
//! `serde_json::Value` rounds big integers and lets `\u0000` through, which PostgreSQL refuses: a payload would change on
//! its way, or fail in the database with a message that nobody can act on. So the text is checked once, byte by byte, for
//! all that `jsonb` would refuse, and handed on as it came. The check costs about a nanosecond a byte, less than the
//! parse that it replaces.

mod check;
mod pointer;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

pub use check::{MAX_DEPTH, check, checked_within};

/// Why a text is not JSON that can be kept, and where.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct JsonFault {
    /// Stable: `byte_order_mark`, `invalid_utf8`, `invalid_json`, `trailing_data`, `too_deep`, `nul_character`,
    /// `lone_surrogate`, `number_out_of_range`.
    pub code: &'static str,
    /// Byte at which it shows.
    pub offset: usize,
    /// JSON pointer (RFC 6901) of the value in which it shows; empty for the whole text.
    pub pointer: String,
    /// What is wrong and what to do, in a sentence.
    pub message: String,
}

impl JsonFault {
    /// Whether the text is no JSON at all, rather than JSON with something in it that cannot be kept.
    pub fn is_syntax(&self) -> bool {
        matches!(self.code, "byte_order_mark" | "invalid_utf8" | "invalid_json" | "trailing_data")
    }
}

/// A JSON value as the text that it came as, checked by [`check`]; cloning is cheap.
///
/// Equality is that of the text: `1.0` and `1.00` differ.
#[derive(Clone)]
pub struct Json(Arc<RawValue>);

impl Json {
    /// Checks `text` and keeps it.
    pub fn parse(text: &[u8]) -> Result<Self, JsonFault> {
        let text = checked_within(text, MAX_DEPTH)?.trim_ascii();
        let raw = RawValue::from_string(text.to_owned()).map_err(|error| unwritable(&error))?;
        Ok(Self(Arc::from(raw)))
    }

    /// Checks a value that another parser has cut out of a larger text, and keeps it.
    pub fn from_raw(raw: &RawValue) -> Result<Self, JsonFault> {
        check(raw.get().as_bytes())?;
        Ok(Self(Arc::from(raw.to_owned())))
    }

    /// What `value` serialises to, under the same limits as everything that comes from outside.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonFault> {
        let raw = serde_json::value::to_raw_value(value).map_err(|error| unwritable(&error))?;
        check(raw.get().as_bytes())?;
        Ok(Self(Arc::from(raw)))
    }

    /// `null`.
    pub fn null() -> Self {
        Self(Arc::from(RawValue::NULL.to_owned()))
    }

    pub fn is_null(&self) -> bool {
        self.as_str() == "null"
    }

    /// A value out of the database, which holds only what was checked; `None` if it is no JSON after all.
    pub(crate) fn trusted(text: &str) -> Option<Self> {
        RawValue::from_string(text.to_owned()).ok().map(|raw| Self(Arc::from(raw)))
    }

    /// Reads the value as a Rust type.
    ///
    /// # Errors
    /// When the value has another shape than `T`.
    pub fn to<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.as_str())
    }

    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

/// What serde_json will not take although the check has no objection: in practice, a map whose keys are no strings.
fn unwritable(error: &serde_json::Error) -> JsonFault {
    JsonFault {
        code: "invalid_json",
        offset: 0,
        pointer: String::new(),
        message: format!(
            "The value cannot be written as JSON: {error}. Map keys must be strings or numbers."
        ),
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

/// Written as the text it is; only `serde_json` can do that.
impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Read as the text it is, and checked; only `serde_json` can do that.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        check(raw.get().as_bytes()).map_err(D::Error::custom)?;
        Ok(Self(Arc::from(raw)))
    }
}

/// Any value.
impl JsonSchema for Json {
    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
