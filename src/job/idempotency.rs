//! Submissions that may be repeated: the key of a request, and the fingerprint of what it submits.
//!
//! The key stands in the header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header). It
//! is a string of structured fields (RFC 8941), in quotes; clients also send it bare. Both are one
//! key.
//!
//! The fingerprint is one of values. Spacing, the order of members and the spelling of numbers
//! change nothing, nor does a field that is `null` rather than absent. It is taken of the fields as
//! they were sent, before any default of a queue or a task is looked up.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::json::normalised;
use super::submission::{Asked, Submission};

/// The longest key, in characters.
pub(crate) const CHARS_MOST: usize = 255;

/// Why a text is not a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KeyFault {
    /// It has no characters, or more than [`CHARS_MOST`].
    Length,
    /// A character is a control character, or not ASCII.
    Character,
    /// It begins with a quote, and does not end with one, or has another in between.
    Quotes,
}

/// The key in the value of a header, with or without its quotes.
pub(crate) fn key(value: &[u8]) -> Result<String, KeyFault> {
    let value = value.trim_ascii();
    if !value.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Err(KeyFault::Character);
    }
    let bytes: Vec<u8> = match value.strip_prefix(b"\"") {
        Some(rest) => unquoted(rest).ok_or(KeyFault::Quotes)?,
        None => value.to_vec(),
    };
    let key = String::from_utf8(bytes).map_err(|_| KeyFault::Character)?;
    if (1..=CHARS_MOST).contains(&key.len()) { Ok(key) } else { Err(KeyFault::Length) }
}

/// The characters before the closing quote, which ends the text.
fn unquoted(rest: &[u8]) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(rest.len());
    let mut bytes = rest.iter();
    loop {
        match bytes.next()? {
            b'"' => return bytes.as_slice().is_empty().then_some(key),
            b'\\' => match bytes.next()? {
                escaped @ (b'"' | b'\\') => key.push(*escaped),
                _ => return None,
            },
            byte => key.push(*byte),
        }
    }
}

/// The digest of what is submitted.
pub(crate) type Fingerprint = [u8; 32];

/// The fingerprint of these submissions, in their order.
pub(crate) fn fingerprint(jobs: &[Submission]) -> Fingerprint {
    let mut digest = Sha256::new();
    for job in jobs {
        digest.update(spelt(&Asked::new(job)));
        // JSON has no such byte.
        digest.update([0]);
    }
    digest.finalize().into()
}

fn spelt(asked: &impl Serialize) -> Vec<u8> {
    // It is made of texts and numbers, so it can be written.
    serde_json::to_string(asked).map(|text| normalised(&text)).unwrap_or_default()
}

/// The key of a request of somebody, and what the request submits.
#[derive(Clone, Debug)]
pub(crate) struct Repeatable {
    /// Who asks. The same key of somebody else is another one.
    pub principal: String,
    /// The path of the operation.
    pub path: &'static str,
    pub key: String,
    pub fingerprint: Fingerprint,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::fields::NewJob;
    use crate::job::json::Json;

    #[test]
    fn life_5c6_a_key_is_the_same_with_and_without_quotes_and_has_a_rule() {
        let long = "k".repeat(CHARS_MOST);
        for (value, is) in [
            ("abc", "abc"),
            ("\"abc\"", "abc"),
            (" \"a b\" ", "a b"),
            ("a\"b", "a\"b"),
            (r#""a\"b\\""#, r#"a"b\"#),
            (&*long, &*long),
            (&*format!("\"{long}\""), &*long),
        ] {
            assert_eq!(key(value.as_bytes()).as_deref(), Ok(is), "{value}");
        }
        for (value, fault) in [
            ("", KeyFault::Length),
            ("  ", KeyFault::Length),
            ("\"\"", KeyFault::Length),
            (&*format!("{long}k"), KeyFault::Length),
            ("a\tb", KeyFault::Character),
            ("a\u{7f}", KeyFault::Character),
            ("é", KeyFault::Character),
            ("\"abc", KeyFault::Quotes),
            ("\"a\"b\"", KeyFault::Quotes),
            (r#""a\b""#, KeyFault::Quotes),
            ("\"", KeyFault::Quotes),
        ] {
            assert_eq!(key(value.as_bytes()), Err(fault), "{value}");
        }
    }

    #[test]
    fn life_5c2_a_fingerprint_is_one_of_values() {
        let of = |payload: &str, change: fn(NewJob) -> NewJob| {
            let job =
                NewJob { payload: Some(Json::parse(payload.as_bytes())), ..NewJob::default() };
            fingerprint(&[change(job).check(chrono::Utc::now()).unwrap()])
        };
        let same = |job| job;
        let first = of(r#"{"a":[1,{"b":1.50}],"c":"é"}"#, same);
        for text in [
            r#"{ "c" : "\u00e9", "a" : [ 1.0, {"b": 15e-1} ] }"#,
            r#"{"c":"x","c":"é","a":[1e0,{"b":1.5}]}"#,
        ] {
            assert_eq!(of(text, same), first, "{text}");
        }
        for text in [
            r#"{"a":[1,{"b":1.51}],"c":"é"}"#,
            r#"{"a":[{"b":1.5},1],"c":"é"}"#,
            r#"{"a":[1,{"b":"1.5"}],"c":"é"}"#,
            r#"{"a":[1,{"b":1.5}],"c":"é","d":null}"#,
            r#"{"a":[-1,{"b":1.5}],"c":"é"}"#,
        ] {
            assert_ne!(of(text, same), first, "{text}");
        }
        let payload = r#"{"a":[1,{"b":1.50}],"c":"é"}"#;
        assert_ne!(of(payload, |job| job.queue("other")), first);
        assert_ne!(of(payload, |job| job.delay(std::time::Duration::from_secs(1))), first);
        assert_ne!(of(payload, |job| job.max_attempts(3)), first);
        let job = NewJob::new("noop", &1).check(chrono::Utc::now()).unwrap();
        let two = [job.clone(), job.clone()];
        assert_ne!(fingerprint(&two), fingerprint(&two[..1]));
    }
}
