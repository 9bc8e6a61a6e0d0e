//! JSON that is checked as text and never turned into a tree.
//!
//! `serde_json::Value` rounds big integers and lets `\u0000` through, which PostgreSQL refuses. A
//! payload would change on its way, or fail in the database with a message of no use to the caller.
//! So the text is checked once, byte by byte, for all that `jsonb` would refuse, and handed on as
//! it came. The check costs about a nanosecond a byte, less than the parse that it replaces.

mod check;
mod normal;
pub(crate) mod number;
mod pointer;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

pub use check::checked;
pub(crate) use check::{Checked, MAX_DEPTH, checked_within};
pub(crate) use normal::normalised;
pub(crate) use pointer::escape;

/// Why a text is not JSON that can be kept, and where.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct JsonFault {
    /// Stable: `byte_order_mark`, `invalid_utf8`, `invalid_json`, `trailing_data`, `too_deep`,
    /// `nul_character`, `lone_surrogate`, `number_out_of_range`.
    pub code: &'static str,
    /// Byte at which it shows.
    pub offset: usize,
    /// JSON pointer (RFC 6901) of the value in which it shows; empty for the whole text.
    pub pointer: String,
    /// The fault and the remedy, in a sentence.
    pub message: String,
}

impl JsonFault {
    /// Whether the text is no JSON at all, rather than JSON with something in it that cannot be
    /// kept.
    pub fn is_syntax(&self) -> bool {
        matches!(self.code, "byte_order_mark" | "invalid_utf8" | "invalid_json" | "trailing_data")
    }
}

/// A JSON value as the text that it came as, checked by [`checked`]; cloning is cheap.
///
/// Equality is that of the text: `1.0` and `1.00` differ.
#[derive(Clone)]
pub struct Json {
    raw: Arc<RawValue>,
    /// See [`Checked::written`]; `None` for what came out of the database.
    written: Option<NonZeroUsize>,
}

impl Json {
    /// Checks `text` and keeps it.
    pub fn parse(text: &[u8]) -> Result<Self, JsonFault> {
        let Checked { text, written } = checked(text)?;
        let raw = RawValue::from_string(text.trim_ascii().to_owned());
        Ok(Self::new(raw.map_err(|error| unwritable(&error))?, written))
    }

    /// Checks a value that another parser has cut out of a larger text, and keeps it.
    pub fn from_raw(raw: &RawValue) -> Result<Self, JsonFault> {
        let Checked { written, .. } = checked(raw.get().as_bytes())?;
        Ok(Self::new(raw.to_owned(), written))
    }

    /// The JSON of `value`, under the same limits as everything that comes from outside.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonFault> {
        let raw = serde_json::value::to_raw_value(value).map_err(|error| unwritable(&error))?;
        let Checked { written, .. } = checked(raw.get().as_bytes())?;
        Ok(Self::new(raw, written))
    }

    /// As [`Json::from_serialize`], but `None` for what is longer than `most` when it is written
    /// out. Of a text that is four times as long no more is made, so that it cannot fill the
    /// memory.
    pub fn from_serialize_within<T: Serialize + ?Sized>(
        value: &T,
        most: usize,
    ) -> Result<Option<Self>, JsonFault> {
        let mut text = Bounded { text: Vec::new(), most: most.saturating_mul(4) };
        match serde_json::to_writer(&mut text, value) {
            Ok(()) => {}
            Err(error) if error.is_io() => return Ok(None),
            Err(error) => return Err(unwritable(&error)),
        }
        let json = Self::parse(&text.text)?;
        Ok((json.written_bytes() <= most).then_some(json))
    }

    fn new(raw: Box<RawValue>, written: usize) -> Self {
        Self { raw: Arc::from(raw), written: NonZeroUsize::new(written) }
    }

    /// `null`.
    pub fn null() -> Self {
        Self::new(RawValue::NULL.to_owned(), RawValue::NULL.get().len())
    }

    /// Whether the value is `null`.
    pub fn is_null(&self) -> bool {
        self.as_str() == "null"
    }

    /// A value out of the database, which holds only what was checked; `None` if it is no JSON
    /// after all.
    pub(crate) fn trusted(text: &str) -> Option<Self> {
        let raw = RawValue::from_string(text.to_owned()).ok()?;
        Some(Self { raw: Arc::from(raw), written: None })
    }

    /// Reads the value as a Rust type.
    ///
    /// # Errors
    /// When the value has another shape than `T`.
    pub fn to<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.as_str())
    }

    /// The text of the value.
    pub fn as_str(&self) -> &str {
        self.raw.get()
    }

    /// How many bytes the value has when it is written out; see `Checked::written`.
    pub fn written_bytes(&self) -> usize {
        let text = self.as_str();
        self.written.map_or_else(
            || checked(text.as_bytes()).map_or(text.len(), |checked| checked.written),
            NonZeroUsize::get,
        )
    }
}

/// A text that does not grow beyond a bound.
struct Bounded {
    text: Vec<u8>,
    most: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A value that serde_json refuses although the check has no objection: in practice, a map whose
/// keys are no strings.
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
        self.raw.serialize(serializer)
    }
}

/// Read as the text it is, and checked; only `serde_json` can do that.
impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let Checked { written, .. } = checked(raw.get().as_bytes()).map_err(D::Error::custom)?;
        Ok(Self::new(raw, written))
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
