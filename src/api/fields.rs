//! Reads a JSON object member by member and notes everything that is wrong, not only the first
//! thing.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::members::{Items, Members};
use crate::job::fields::{Given, Source};
use crate::job::json::number::{Whole, whole};
use crate::job::json::{Json, escape};
use crate::job::moment;
use crate::job::submission::FieldError;
use crate::spelling::did_you_mean;

/// Names are the caller's and can be as long as a body; in messages and pointers they are cut.
const MAX_NAME_CHARS: usize = 64;

/// The members of one JSON object, and what has been found wrong with them so far.
pub struct Fields<'a> {
    members: Members<'a>,
    at: String,
    known: &'static [&'static str],
    errors: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    /// Splits the object in `text`, which has passed the JSON check. `at` is its own JSON pointer,
    /// `/3` in a batch; `known` are the names that its members may have.
    ///
    /// # Errors
    /// When `text` is another value than an object.
    pub fn parse(
        text: &'a str,
        at: &str,
        known: &'static [&'static str],
    ) -> Result<Self, FieldError> {
        let members = Members::read(text, known).ok_or_else(|| FieldError {
            pointer: at.into(),
            code: "wrong_type",
            message: format!("Expected an object, found {}.", kind(text)),
        })?;
        Ok(Self { members, at: at.into(), known, errors: Vec::new() })
    }

    /// Whether the member is there and `null`.
    pub fn has_null(&self, name: &str) -> bool {
        self.members.of(name).any(|value| value.get() == "null")
    }

    /// Notes something that the caller has found wrong with a member.
    pub fn refuse(&mut self, name: &str, code: &'static str, message: impl Into<String>) {
        let pointer = format!("{}/{}", self.at, escape(&cut(name)));
        self.errors.push(FieldError { pointer, code, message: message.into() });
    }

    /// Everything that is wrong, members of unknown names included.
    pub fn finish(mut self) -> Vec<FieldError> {
        let (known, more) = (self.known, self.members.more_unknown());
        let names: Vec<String> = self.members.unknown(known).map(cut).collect();
        for name in names {
            self.refuse(&name, "unknown_field", unknown_message(&name, known));
        }
        if more > 0 {
            let message = format!("{more} more unknown fields.");
            self.errors.push(FieldError::new(self.at.as_str(), "unknown_field", message));
        }
        self.errors
    }

    /// A member that is true or false.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.read(name, "true or false")
    }

    fn read<T: Deserialize<'a>>(&mut self, name: &str, expected: &str) -> Option<T> {
        let text = self.present(name)?;
        let value = serde_json::from_str(text).ok();
        if value.is_none() {
            self.wrong_type(name, expected, text);
        }
        value
    }

    fn wrong_type(&mut self, name: &str, expected: &str, text: &str) {
        let message = format!("`{name}` must be {expected}, found {}.", kind(text));
        self.refuse(name, "wrong_type", message);
    }

    /// The text of a member that is there and not `null`.
    fn present(&mut self, name: &str) -> Option<&'a str> {
        self.take(name).map(RawValue::get).filter(|text| *text != "null")
    }

    /// The member, noted as a duplicate when it is there more than once: which one was meant,
    /// nobody can tell.
    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let (first, second) = {
            let mut found = self.members.of(name);
            (found.next()?, found.next())
        };
        if second.is_some() {
            self.refuse(
                name,
                "duplicate_field",
                format!("`{name}` is there more than once. Send it once."),
            );
            return None;
        }
        Some(first)
    }
}

impl Given for Fields<'_> {
    /// Whether the member is there and not `null`.
    fn gives(&self, name: &str) -> bool {
        self.members.of(name).any(|value| value.get() != "null")
    }

    fn says(&self, name: &str, word: &str) -> bool {
        let is =
            |value: &RawValue| serde_json::from_str(value.get()).is_ok_and(|it: String| it == word);
        self.members.of(name).any(is)
    }
}

/// A member that is there and wrong is noted.
impl Source for Fields<'_> {
    fn string(&mut self, name: &str) -> Option<String> {
        self.read(name, "a string")
    }

    /// A whole number, however it is written: 5, 5.0 and 0.5e1 are the same.
    fn integer(&mut self, name: &str) -> Option<i64> {
        let text = self.present(name)?;
        match is_number(text).then(|| whole(text)) {
            Some(Whole::Is(number)) => return Some(number),
            Some(Whole::TooLarge) => {
                self.refuse(name, "out_of_range", format!("`{name}` is too large a number."));
            }
            Some(Whole::Not) | None => self.wrong_type(name, "a whole number", text),
        }
        None
    }

    /// A number that is finite as a double.
    fn number(&mut self, name: &str) -> Option<f64> {
        let text = self.present(name)?;
        match text.parse::<f64>() {
            // A number that is too small for a double stays below zero.
            Ok(0.0) if text.starts_with('-') && whole(text) == Whole::Not => {
                return Some(-f64::MIN_POSITIVE);
            }
            Ok(number) if number.is_finite() => return Some(number),
            Ok(_) => self.refuse(name, "out_of_range", format!("`{name}` is too large a number.")),
            Err(_) => self.wrong_type(name, "a number", text),
        }
        None
    }

    /// The strings of an array that may have `most`. An item of another type is noted, and empty in
    /// the answer, so that the others keep their places. Of a longer array the answer has one item
    /// more, which is empty, and the rest is not looked at.
    fn strings(&mut self, name: &str, most: usize) -> Option<Vec<String>> {
        let text = self.present(name)?;
        let Some(items) = Items::of(text, most) else {
            self.wrong_type(name, "an array of strings", text);
            return None;
        };
        let mut strings = Vec::with_capacity(items.first.len() + 1);
        for (nth, item) in items.first.iter().enumerate() {
            let string = serde_json::from_str(item);
            if string.is_err() {
                let pointer = format!("{}/{}/{nth}", self.at, escape(&cut(name)));
                let message = format!("Expected a string, found {}.", kind(item));
                self.errors.push(FieldError::new(pointer, "wrong_type", message));
            }
            strings.push(string.unwrap_or_default());
        }
        if items.count > most {
            strings.push(String::new());
        }
        Some(strings)
    }

    /// What is wrong with its members is noted with the rest.
    fn object<T>(
        &mut self,
        name: &str,
        known: &'static [&'static str],
        read: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        let text = self.present(name)?;
        let at = format!("{}/{}", self.at, escape(&cut(name)));
        match Self::parse(text, &at, known) {
            Ok(mut members) => {
                let value = read(&mut members);
                self.errors.extend(members.finish());
                Some(value)
            }
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }

    /// An RFC 3339 time with its zone, as UTC.
    fn timestamp(&mut self, name: &str) -> Option<DateTime<Utc>> {
        let text = self.read::<String>(name, "a time as a string")?;
        let time = moment::parse(&text);
        if time.is_none() {
            let message = format!("`{name}` must be {}.", moment::RULE);
            self.refuse(name, "invalid_timestamp", message);
        }
        time
    }

    /// Any value as it was written, `null` included; as deep as a payload may be.
    fn json(&mut self, name: &str) -> Option<Json> {
        match Json::from_raw(self.take(name)?) {
            Ok(json) => Some(json),
            Err(fault) => {
                let pointer = format!("{}/{}{}", self.at, escape(name), fault.pointer);
                self.errors.push(FieldError { pointer, ..fault.into() });
                None
            }
        }
    }
}

fn unknown_message(name: &str, known: &[&str]) -> String {
    let hint = did_you_mean(name, known);
    if hint.is_empty() {
        format!("There is no field `{name}`. Known: {}.", known.join(", "))
    } else {
        format!("There is no field `{name}`.{hint}")
    }
}

/// The kind of value of a JSON text, in words.
pub(crate) fn kind(text: &str) -> &'static str {
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn is_number(text: &str) -> bool {
    kind(text) == "a number"
}

fn cut(name: &str) -> String {
    name.chars().take(MAX_NAME_CHARS).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn codes(errors: &[FieldError]) -> Vec<(&str, &str)> {
        errors.iter().map(|error| (&*error.pointer, error.code)).collect()
    }

    #[test]
    fn reads_what_is_there() {
        let text = r#"{"s":"\u00e9","i":-3,"n":1.5,"t":"2030-01-31T08:00:00+02:00","a":["x"],"p":{"k": 1.10},"z":null,"q":null}"#;
        let mut fields =
            Fields::parse(text, "", &["s", "i", "n", "t", "a", "p", "z", "q"]).unwrap();
        assert_eq!(fields.string("s").as_deref(), Some("é"));
        assert_eq!((fields.integer("i"), fields.number("n")), (Some(-3), Some(1.5)));
        assert_eq!(fields.timestamp("t").unwrap().to_rfc3339(), "2030-01-31T06:00:00+00:00");
        assert_eq!(fields.strings("a", 2), Some(vec!["x".into()]));
        assert_eq!(fields.json("p").unwrap().as_str(), r#"{"k": 1.10}"#);
        assert_eq!(fields.json("z").unwrap().as_str(), "null");
        assert_eq!((fields.string("q"), fields.string("absent")), (None, None));
        assert_eq!(fields.finish(), []);
    }

    #[test]
    fn notes_everything_that_is_wrong() {
        let text = r#"{"s":1,"i":1.5,"big":99999999999999999999,"t":"tomorrow","a":["x",1],"d":1,"d":2,"prioritty":1,"a/b":0}"#;
        let known = &["s", "i", "big", "t", "a", "d", "priority"];
        let mut fields = Fields::parse(text, "/3", known).unwrap();
        assert!(
            fields.string("s").is_none()
                && fields.integer("i").is_none()
                && fields.integer("big").is_none()
        );
        assert!(
            fields.timestamp("t").is_none()
                && fields.strings("a", 2) == Some(vec!["x".into(), String::new()])
                && fields.integer("d").is_none()
        );
        let errors = fields.finish();
        let expected = [
            ("/3/s", "wrong_type"),
            ("/3/i", "wrong_type"),
            ("/3/big", "out_of_range"),
            ("/3/t", "invalid_timestamp"),
            ("/3/a/1", "wrong_type"),
            ("/3/d", "duplicate_field"),
            ("/3/prioritty", "unknown_field"),
            ("/3/a~1b", "unknown_field"),
        ];
        assert_eq!(codes(&errors), expected);
        assert!(errors[6].message.ends_with("Did you mean `priority`?"), "{}", errors[6].message);
    }

    #[test]
    fn the_members_of_an_object_are_told_by_their_own_places() {
        let text = r#"{"r":{"n":"x","m":2,"m":3,"i":4,"mm":5},"q":[],"z":null}"#;
        let mut fields = Fields::parse(text, "/3", &["r", "q", "z"]).unwrap();
        let read = |it: &mut Fields<'_>| (it.number("n"), it.number("m"), it.integer("i"));
        assert_eq!(fields.object("r", &["n", "m", "i"], read), Some((None, None, Some(4))));
        assert_eq!(fields.object("q", &[], |_| ()), None);
        assert_eq!(fields.object("z", &[], |_| ()), None);
        let errors = fields.finish();
        let expected = [
            ("/3/r/n", "wrong_type"),
            ("/3/r/m", "duplicate_field"),
            ("/3/r/mm", "unknown_field"),
            ("/3/q", "wrong_type"),
        ];
        assert_eq!(codes(&errors), expected);
    }

    #[test]
    fn a_payload_counts_its_own_depth() {
        let deep = |n: usize| format!(r#"{{"payload":{}{}}}"#, "[".repeat(n), "]".repeat(n));
        assert!(Fields::parse(&deep(64), "", &["payload"]).unwrap().json("payload").is_some());
        let text = deep(65);
        let mut fields = Fields::parse(&text, "/0", &["payload"]).unwrap();
        assert!(fields.json("payload").is_none());
        let errors = fields.finish();
        assert_eq!(codes(&errors), [(&*format!("/0/payload{}", "/0".repeat(64)), "too_deep")]);
    }

    #[test]
    fn refuses_other_values_and_bounds_what_it_repeats() {
        let error = Fields::parse("[1]", "/7", &[]).err().unwrap();
        assert_eq!(
            (&*error.pointer, error.code, &*error.message),
            ("/7", "wrong_type", "Expected an object, found an array.")
        );
        let many: Vec<String> = (0..60).map(|i| format!("\"{}{i}\":0", "é".repeat(1000))).collect();
        let text = format!("{{{}}}", many.join(","));
        let errors = Fields::parse(&text, "", &["task"]).unwrap().finish();
        assert_eq!(errors.len(), 51);
        assert!(errors.iter().all(|error| error.pointer.len() < 200 && error.message.len() < 300));
    }
}
