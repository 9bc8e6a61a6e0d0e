//! Names in messages: the known ones, and the most likely meaning of a misspelled one.

use std::fmt::Write as _;

/// How alike two names must be, by Jaro and Winkler.
const ALIKE: f64 = 0.8;

/// The known name that is closest to this one; `None` if nothing is close.
pub(crate) fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|known| (strsim::jaro_winkler(name, known), known));
    let close = scored.filter(|(likeness, _)| *likeness > ALIKE);
    close.max_by(|left, right| left.0.total_cmp(&right.0)).map(|(_, known)| known)
}

/// The closest name as the end of a message; empty if nothing is close.
pub(crate) fn did_you_mean(name: &str, known: &[&str]) -> String {
    closest(name, known.iter().copied())
        .map_or_else(String::new, |known| format!(" Did you mean `{known}`?"))
}

/// `a, b or c`.
pub(crate) fn listed(words: &[&str]) -> String {
    let mut text = String::new();
    for (nth, word) in words.iter().enumerate() {
        let before = match nth {
            0 => "",
            nth if nth + 1 == words.len() => " or ",
            _ => ", ",
        };
        // Writing to a string cannot fail.
        let _ = write!(text, "{before}{word}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_meant_and_a_strange_one_means_none() {
        let known = ["resize_image", "send_email", "send_mail"];
        assert_eq!(closest("send_emial", known), Some("send_email"));
        assert_eq!(closest("xyz", known), None);
        assert_eq!(did_you_mean("resize_imag", &known), " Did you mean `resize_image`?");
        assert_eq!(did_you_mean("xyz", &known), "");
    }
}
