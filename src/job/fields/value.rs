//! Values of fields in Rust: how each type is read and checked.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::super::json::{Json, JsonFault};
use super::super::submission::{PAYLOAD_BYTES_MOST, TOO_MANY};
use super::{FieldError, Kind};

/// Where the members of a submission are read. A method answers `None` for a member that is absent,
/// null or of another type.
pub trait Source {
    /// The JSON of the member.
    fn json(&mut self, name: &str) -> Option<Json>;
    /// The member as a string.
    fn string(&mut self, name: &str) -> Option<String>;
    /// The member as an integer.
    fn integer(&mut self, name: &str) -> Option<i64>;
    /// The member as a number.
    fn number(&mut self, name: &str) -> Option<f64>;
    /// The member as a time.
    fn timestamp(&mut self, name: &str) -> Option<DateTime<Utc>>;
    /// The strings of a list that may have `most`; one more if it is longer.
    fn strings(&mut self, name: &str, most: usize) -> Option<Vec<String>>;
    /// The member as an object that may have members of these `known` names, read from itself.
    fn object<T>(
        &mut self,
        name: &str,
        known: &'static [&'static str],
        read: impl FnOnce(&mut Self) -> T,
    ) -> Option<T>;
}

/// The Rust type of a field.
pub(super) trait Value: Sized {
    fn read(source: &mut impl Source, name: &str, kind: &Kind) -> Option<Self>;
    /// Notes what is wrong with it.
    /// `name` is its pointer without the first `/`.
    fn check(&self, name: &str, kind: &Kind, faults: &mut Faults);
    /// Whether it is this word.
    fn is(&self, _: &str) -> bool {
        false
    }
    /// Writes it as a job keeps it.
    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error>
    where
        Self: Serialize,
    {
        self.serialize(out)
    }
}

/// Writes a value as a job keeps it.
#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn write<T: Value + Serialize, S: Serializer>(
    value: &Option<T>,
    out: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => value.write(out),
        None => out.serialize_none(),
    }
}

impl Value for Result<Json, JsonFault> {
    fn read(source: &mut impl Source, name: &str, _: &Kind) -> Option<Self> {
        source.json(name).map(Ok)
    }

    fn check(&self, name: &str, _: &Kind, faults: &mut Faults) {
        match self {
            Err(fault) => {
                faults.add(format!("/{name}{}", fault.pointer), fault.code, &*fault.message);
            }
            Ok(payload) if payload.written_bytes() > PAYLOAD_BYTES_MOST => {
                let message = format!(
                    "{name} may have 1 MiB, without blanks and with numbers written without exponents"
                );
                faults.add(format!("/{name}"), "too_large", message);
            }
            Ok(_) => {}
        }
    }
}

impl Value for String {
    fn read(source: &mut impl Source, name: &str, _: &Kind) -> Option<Self> {
        source.string(name)
    }

    fn check(&self, name: &str, kind: &Kind, faults: &mut Faults) {
        let code = match kind {
            Kind::Name { fits, .. } if !fits(self) => "invalid_name",
            Kind::Choice { of, .. } if !of.contains(&&**self) => "invalid_value",
            Kind::Text { least, most } if !(*least..=*most).contains(&self.chars().count()) => {
                "invalid_length"
            }
            _ => "",
        };
        if !code.is_empty() {
            faults.rule(name, code, kind);
        }
        if matches!(kind, Kind::Text { .. }) {
            faults.nul(|| format!("/{name}"), self);
        }
    }

    fn is(&self, word: &str) -> bool {
        self == word
    }
}

impl Value for i64 {
    fn read(source: &mut impl Source, name: &str, _: &Kind) -> Option<Self> {
        source.integer(name)
    }

    fn check(&self, name: &str, kind: &Kind, faults: &mut Faults) {
        if let Kind::Integer { least, most } = kind
            && !(*least..=*most).contains(self)
        {
            faults.rule(name, "out_of_range", kind);
        }
    }
}

impl Value for f64 {
    fn read(source: &mut impl Source, name: &str, _: &Kind) -> Option<Self> {
        source.number(name)
    }

    fn check(&self, name: &str, kind: &Kind, faults: &mut Faults) {
        if let Kind::Seconds { least, most } | Kind::Number { least, most } = kind
            && !(*least..=*most).contains(self)
        {
            faults.rule(name, "out_of_range", kind);
        }
    }

    /// Six decimals, as many as a time has in the database; and a whole number without any. The SQL
    /// door rounds the same way.
    fn write<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let rounded = (self * 1e6).round_ties_even() / 1e6;
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
        if rounded.fract() == 0.0 && rounded.abs() < 9e15 {
            out.serialize_i64(rounded as i64)
        } else {
            out.serialize_f64(rounded)
        }
    }
}

impl Value for DateTime<Utc> {
    fn read(source: &mut impl Source, name: &str, _: &Kind) -> Option<Self> {
        source.timestamp(name)
    }

    /// How far ahead it may lie depends on the clock: see [`NewJob::check`](super::NewJob::check).
    fn check(&self, _: &str, _: &Kind, _: &mut Faults) {}
}

impl Value for Vec<String> {
    fn read(source: &mut impl Source, name: &str, kind: &Kind) -> Option<Self> {
        let Kind::Texts { most, .. } = kind else { return None };
        source.strings(name, *most)
    }

    fn check(&self, name: &str, kind: &Kind, faults: &mut Faults) {
        let Kind::Texts { most, longest } = kind else { return };
        if self.len() > *most {
            faults.rule(name, TOO_MANY, kind);
        }
        // A longer list is wrong as a whole: to note each item of a million would fill the memory.
        for (nth, item) in self.iter().take(*most).enumerate() {
            let at = || format!("/{name}/{nth}");
            if !(1..=*longest).contains(&item.chars().count()) {
                let message =
                    format!("each of {name} must be a string of 1 to {longest} characters");
                faults.add(at(), "invalid_length", message);
            }
            faults.nul(at, item);
        }
    }
}

/// The faults found so far.
#[derive(Default)]
pub(crate) struct Faults(pub Vec<FieldError>);

impl Faults {
    pub(crate) fn add(
        &mut self,
        pointer: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) {
        self.0.push(FieldError::new(pointer, code, message));
    }

    /// A value that breaks the rule of its kind.
    fn rule(&mut self, name: &str, code: &'static str, kind: &Kind) {
        let field = name.replace('/', ".");
        self.add(format!("/{name}"), code, format!("{field} must be {}", kind.rule()));
    }

    /// Over HTTP the check of the whole body finds it first.
    fn nul(&mut self, at: impl Fn() -> String, text: &str) {
        if text.contains('\0') {
            let message = "it holds the character U+0000, which PostgreSQL cannot keep; remove it";
            self.add(at(), "nul_character", message);
        }
    }
}
