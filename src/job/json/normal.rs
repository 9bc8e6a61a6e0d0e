//! One spelling of a JSON value: no blanks, members by name, strings with the fewest escapes,
//! numbers by their digits. Values that `jsonb` takes for equal have the same.

use super::number;

/// The value of a text that has passed the check, spelt one way.
pub(crate) fn normalised(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    Reader { bytes: text.as_bytes(), at: 0 }.value(&mut out);
    out
}

/// Reads a text that is JSON of a bounded depth.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, out: &mut Vec<u8>) {
        match self.peek() {
            Some(b'{') => self.object(out),
            Some(b'[') => self.array(out),
            Some(b'"') => self.string(out),
            _ => self.scalar(out),
        }
    }

    /// Of members with one name the last counts, as in the database.
    fn object(&mut self, out: &mut Vec<u8>) {
        self.at += 1;
        let mut members: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        while self.peek().is_some_and(|byte| byte != b'}') {
            let (mut name, mut value) = (Vec::new(), Vec::new());
            self.string(&mut name);
            self.skip(b':');
            self.value(&mut value);
            members.push((name, value));
            self.skip(b',');
        }
        self.at += 1;
        members.sort_by(|one, other| one.0.cmp(&other.0));
        out.push(b'{');
        for (nth, (name, value)) in members.iter().enumerate() {
            if members.get(nth + 1).is_some_and(|next| next.0 == *name) {
                continue;
            }
            out.extend_from_slice(name);
            out.push(b':');
            out.extend_from_slice(value);
            out.push(b',');
        }
        out.push(b'}');
    }

    fn array(&mut self, out: &mut Vec<u8>) {
        self.at += 1;
        out.push(b'[');
        while self.peek().is_some_and(|byte| byte != b']') {
            self.value(out);
            out.push(b',');
            self.skip(b',');
        }
        self.at += 1;
        out.push(b']');
    }

    fn string(&mut self, out: &mut Vec<u8>) {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += match byte {
                b'\\' => 2,
                _ => 1,
            };
            if *byte == b'"' {
                break;
            }
        }
        let written = self.bytes.get(start..self.at).unwrap_or_default();
        let text = serde_json::from_slice::<String>(written);
        match text.and_then(|text| serde_json::to_vec(&text)) {
            Ok(spelt) => out.extend_from_slice(&spelt),
            // It has passed the check, so it is a string.
            Err(_) => out.extend_from_slice(written),
        }
    }

    /// A number, or a word.
    fn scalar(&mut self, out: &mut Vec<u8>) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        self.at += length;
        match &rest[..length] {
            word @ (b"true" | b"false" | b"null") => out.extend_from_slice(word),
            number => number::spell(number, out),
        }
    }

    /// The next byte that is not a blank.
    fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    /// Goes behind this byte, if it is the next.
    fn skip(&mut self, byte: u8) {
        if self.peek() == Some(byte) {
            self.at += 1;
        }
    }
}
