//! Failure families: jobs that failed for good in the same way.
//!
//! A family is a number: the first 8 bytes of the SHA-256 of task, queue, code and message. Words of
//! the message that hold a digit do not count, since they are numbers, ids, times and places. So
//! `job 4711 not found` and `job 4712 not found` are one family. A word without a digit counts as it
//! is; a message that quotes the caller's own text makes a family for each text.

use std::fmt;

use sha2::{Digest, Sha256};

use super::failure::Failure;

/// The family of a job that failed for good.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Family(pub(crate) i64);

impl Family {
    /// The rule for its text, for a person.
    pub(crate) const RULE: &'static str = "16 hexadecimal digits, as GET /dead-letters has them";

    /// The family of this failure.
    pub(crate) fn of(task: &str, queue: &str, failure: &Failure) -> Self {
        let mut hash = Sha256::new();
        for part in [task, queue, &failure.code, &constant(&failure.message)] {
            hash.update(part);
            hash.update([0]);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let (first, _) = digest.split_first_chunk().unwrap_or((&[0; 8], &[]));
        Self(i64::from_be_bytes(*first))
    }

    /// Reads the text of a family.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = hex.then(|| u64::from_str_radix(text, 16).ok())?;
        number.map(|number| Self(number.cast_signed()))
    }
}

impl fmt::Display for Family {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

/// The message with `#` for each word that holds a digit.
fn constant(message: &str) -> String {
    let is_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
    let mut constant = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|letter| is_word(letter) != is_word(first)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(word);
        let varies = is_word(first) && piece.contains(|letter: char| letter.is_numeric());
        constant.push_str(if varies { "#" } else { piece });
        rest = after;
    }
    constant
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(message: &str) -> Family {
        Family::of("send", "mail", &Failure::new("handler_error", message))
    }

    #[test]
    fn numbers_and_ids_make_no_family() {
        for (one, other) in [
            ("job 4711 not found", "job 12 not found"),
            ("HTTP 503 after 1.25 s", "HTTP 500 after 30.1 s"),
            ("no row 0199a3c0-b5d2-7c3f-8a51-f0e2d4c6b8a0", "no row 0199-a"),
            ("at 2030-01-31T08:00:00Z", "at 2031-12-24T18:30:59Z"),
            ("user_17 is locked", "user_9 is locked"),
            ("größe ١٢", "größe ٩"),
        ] {
            assert_eq!(family(one), family(other), "{one}");
        }
        assert_ne!(family("connection refused"), family("connection reset"));
    }

    #[test]
    fn a_family_is_of_one_task_one_queue_and_one_code() {
        let failure = Failure::new("timed_out", "late");
        let one = Family::of("send", "mail", &failure);
        assert_ne!(one, Family::of("send2", "mail", &failure));
        assert_ne!(one, Family::of("send", "mail2", &failure));
        assert_ne!(one, Family::of("send", "mail", &Failure::new("panicked", "late")));
        // Two names that run together as another two would.
        assert_ne!(Family::of("ab", "c", &failure), Family::of("a", "bc", &failure));
    }

    #[test]
    fn its_text_is_read_as_it_was_written() {
        for number in [0, 1, -1, i64::MIN, i64::MAX] {
            let family = Family(number);
            assert_eq!(Family::parse(&family.to_string()), Some(family));
        }
        // The number of a family never changes: rows of earlier releases have it.
        assert_eq!(family("job 4711 not found").to_string(), "47db936dafef7139");
        for text in ["", "0", "+000000000000000", "00000000000000000", "000000000000000g"] {
            assert_eq!(Family::parse(text), None, "{text}");
        }
    }
}
