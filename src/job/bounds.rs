//! How much a handler may say, and how much is kept of that. A handler's error may be as long as the answer of a
//! server that it called, and each of its attempts has one. Kept whole, they stop the outcomes of
//! others and fill every list.

/// Bytes of the message of an error.
pub(crate) const ERROR_BYTES_MOST: usize = 8 << 10;
/// Bytes of the message of a progress report.
pub(crate) const PROGRESS_BYTES_MOST: usize = 1 << 10;
/// Bytes of a result when it is written out
/// ([`Json::written_bytes`](super::json::Json::written_bytes)).
pub(crate) const RESULT_BYTES_MOST: usize = 1 << 20;

/// How often a job may snooze.
pub(crate) const SNOOZES_MOST: u32 = 1000;

/// Room for the note that ends an excerpt.
const NOTE_BYTES: usize = 40;

/// `text` in at most `most` bytes, 64 at least: what is beyond is cut on a character boundary, and
/// the end says so. U+0000, which PostgreSQL cannot keep, becomes U+FFFD.
pub(crate) fn excerpt(text: &str, most: usize) -> String {
    let start = &text[..text.floor_char_boundary(most)];
    let grows = start.bytes().filter(|byte| *byte == 0).count() * ('\u{FFFD}'.len_utf8() - 1);
    if text.len() + grows <= most {
        return text.replace('\0', "\u{FFFD}");
    }
    let room = most.saturating_sub(NOTE_BYTES);
    let (mut kept, mut read) = (String::with_capacity(most), 0);
    for character in start.chars() {
        let written = if character == '\0' { '\u{FFFD}' } else { character };
        if kept.len() + written.len_utf8() > room {
            break;
        }
        kept.push(written);
        read += character.len_utf8();
    }
    kept.push_str(&format!("… ({} bytes cut)", text.len() - read));
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_text_is_cut_on_a_character_boundary_and_says_so() {
        assert_eq!(excerpt("short", 64), "short");
        assert_eq!(excerpt(&"x".repeat(64), 64), "x".repeat(64));
        assert_eq!(excerpt(&"x".repeat(65), 64), format!("{}… (41 bytes cut)", "x".repeat(24)));
        assert_eq!(excerpt(&"é".repeat(40), 64), format!("{}… (56 bytes cut)", "é".repeat(12)));
        assert_eq!(excerpt("a\0b", 64), "a\u{FFFD}b");
    }

    proptest! {
        #[test]
        fn an_excerpt_keeps_its_bound(text in "[\\x00aé🚀]{0,200}", most in 64_usize..300) {
            let cut = excerpt(&text, most);
            prop_assert!(cut.len() <= most && !cut.contains('\0'));
            prop_assert_eq!(cut.ends_with(" bytes cut)"), text.replace('\0', "\u{FFFD}").len() > most);
        }
    }
}
