//! The check: one walk over the bytes, without recursion and without allocation. It also tells how
//! long the value is once it is written out, which is what its readers have to take.

use super::{JsonFault, number, pointer::pointer_at};

/// How deep a payload may nest.
pub(crate) const MAX_DEPTH: u32 = 64;
/// `jsonb` takes far more, but a number that is this long when written without an exponent is a
/// mistake or an attack.
const MAX_NUMBER_BYTES: usize = 1400;

/// A text that has passed the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked<'a> {
    pub text: &'a str,
    /// Bytes of the value as `jsonb` writes it, but for the blanks between tokens: numbers without
    /// exponents, characters rather than their escapes. Members of one name, of which PostgreSQL
    /// keeps the last, all count.
    pub written: usize,
}

/// Whether `text` is JSON that PostgreSQL can keep value for value, nested at most `MAX_DEPTH`
/// deep, with numbers of at most 1,400 bytes. Answers the text and its length when written out.
pub fn checked(text: &[u8]) -> Result<Checked<'_>, JsonFault> {
    scan(text, MAX_DEPTH, MAX_NUMBER_BYTES)
}

/// As [`checked`], for a document that wraps payloads. It nests up to `depth` deep, at most 127. It
/// may have any number that PostgreSQL can keep, since each of its members has a rule of its own.
/// Answers the text.
pub(crate) fn checked_within(bytes: &[u8], depth: u32) -> Result<&str, JsonFault> {
    scan(bytes, depth, usize::MAX).map(|checked| checked.text)
}

fn scan(bytes: &[u8], depth: u32, number_most: usize) -> Result<Checked<'_>, JsonFault> {
    let fault = |(code, offset): Fault| JsonFault {
        code,
        offset,
        pointer: pointer_at(bytes, offset),
        message: message(code, offset, bytes.len()),
    };
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(fault(("byte_order_mark", 0)));
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| fault(("invalid_utf8", error.valid_up_to())))?;
    let mut scanner =
        Scanner { bytes, at: 0, max_depth: depth.min(127), number_most, more: 0, less: 0 };
    scanner.document().map_err(fault)?;
    Ok(Checked { text, written: bytes.len() + scanner.more - scanner.less })
}

fn message(code: &str, offset: usize, length: usize) -> String {
    match code {
        "byte_order_mark" => {
            "The text begins with a byte order mark. Send JSON as UTF-8 without one.".into()
        }
        "invalid_utf8" => {
            format!("The text is not UTF-8 at byte {offset}. Send JSON encoded as UTF-8.")
        }
        "trailing_data" => {
            format!("Something follows the JSON value at byte {offset}. Send exactly one value.")
        }
        "too_deep" => format!(
            "Nested too deep at byte {offset}: a payload may have up to {MAX_DEPTH} levels. Flatten it."
        ),
        "nul_character" => {
            format!(
                "A string holds the character U+0000 (\\u0000) at byte {offset}, which PostgreSQL cannot keep. Remove it, or encode the data, as base64 for example."
            )
        }
        "lone_surrogate" => {
            format!(
                "A string holds half of a surrogate pair at byte {offset}. Write both halves, or the character itself."
            )
        }
        "number_out_of_range" => {
            format!(
                "The number at byte {offset} is too long to keep: written without an exponent it may have {MAX_NUMBER_BYTES} digits. Send it as a string."
            )
        }
        _ if offset >= length => "The JSON ends too early. Was the text cut off?".into(),
        _ => format!(
            "This is not JSON: unexpected character at byte {offset}. Check quotes, commas and brackets there."
        ),
    }
}

type Fault = (&'static str, usize);

/// The tokens that may come next.
enum Next {
    Value,
    /// A value, or the end of an array that has just begun.
    FirstItem,
    /// A key, or the end of an object that has just begun.
    FirstKey,
    Key,
    /// A comma or the end of the innermost container; at the top, the end of the text.
    After,
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    max_depth: u32,
    number_most: usize,
    /// How many bytes more and less than the text the value has when it is written out, in all that
    /// lies before `at`.
    more: usize,
    less: usize,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<(), Fault> {
        // One bit for each open container: set for an object. The innermost is the lowest.
        let mut open: u128 = 0;
        let mut depth = 0;
        let mut next = Next::Value;
        loop {
            self.skip_space();
            let Some(&byte) = self.bytes.get(self.at) else {
                return if depth == 0 && matches!(next, Next::After) {
                    Ok(())
                } else {
                    Err(self.invalid())
                };
            };
            let in_object = open & 1 == 1;
            next = match (next, byte) {
                (Next::After, _) if depth == 0 => return Err(("trailing_data", self.at)),
                (Next::After, b',') if in_object => self.step(Next::Key),
                (Next::After, b',') => self.step(Next::Value),
                (Next::After | Next::FirstKey, b'}') if in_object => {
                    (open, depth) = (open >> 1, depth - 1);
                    self.step(Next::After)
                }
                (Next::After | Next::FirstItem, b']') if !in_object => {
                    (open, depth) = (open >> 1, depth - 1);
                    self.step(Next::After)
                }
                (Next::After, _) => return Err(self.invalid()),
                (Next::Key | Next::FirstKey, b'"') => {
                    self.string()?;
                    self.colon()?;
                    Next::Value
                }
                (Next::Key | Next::FirstKey, _) => return Err(self.invalid()),
                (_, b'{' | b'[') if depth == self.max_depth => return Err(("too_deep", self.at)),
                (_, b'{') => {
                    (open, depth) = (open << 1 | 1, depth + 1);
                    self.step(Next::FirstKey)
                }
                (_, b'[') => {
                    (open, depth) = (open << 1, depth + 1);
                    self.step(Next::FirstItem)
                }
                _ => {
                    self.scalar(byte)?;
                    Next::After
                }
            };
        }
    }

    fn scalar(&mut self, first: u8) -> Result<(), Fault> {
        match first {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => Err(self.invalid()),
        }
    }

    /// From the opening quote to behind the closing one.
    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            self.skip_plain();
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0) => return Err(("nul_character", self.at)),
                _ => return Err(self.invalid()),
            }
        }
    }

    /// Goes to the next byte of a string that is a quote, a backslash or a control character, eight
    /// at a time.
    fn skip_plain(&mut self) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        let zero_bytes = |x: u64| x.wrapping_sub(ONES) & !x & HIGH;
        let rest = &self.bytes[self.at..];
        let (chunks, tail) = rest.as_chunks::<8>();
        for chunk in chunks {
            let x = u64::from_le_bytes(*chunk);
            let control = x.wrapping_sub(ONES * 0x20) & !x & HIGH;
            let found = control
                | zero_bytes(x ^ (ONES * b'"' as u64))
                | zero_bytes(x ^ (ONES * b'\\' as u64));
            // A borrow can set bits above a real hit, never below it, so the lowest is exact.
            if found != 0 {
                self.at += found.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        let special = |&b: &u8| b == b'"' || b == b'\\' || b < 0x20;
        self.at += tail.iter().position(special).unwrap_or(tail.len());
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let start = self.at;
        match self.bytes.get(start + 1) {
            Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'/') => {
                self.at += 2;
                self.less += 1;
            }
            Some(b'u') => match self.hex(start)? {
                0 => return Err(("nul_character", start)),
                0xD800..=0xDBFF => {
                    let paired = self.bytes[self.at..].starts_with(b"\\u")
                        && matches!(self.hex(self.at)?, 0xDC00..=0xDFFF);
                    if !paired {
                        return Err(("lone_surrogate", start));
                    }
                    self.less += 8;
                }
                0xDC00..=0xDFFF => return Err(("lone_surrogate", start)),
                // `\b`, `\t`, `\n`, `\f`, `\r`, `\"` and `\\`; other control characters stay as
                // they are.
                0x08..=0x0A | 0x0C | 0x0D | 0x22 | 0x5C => self.less += 4,
                0x01..=0x1F => {}
                0x20..=0x7F => self.less += 5,
                0x80..=0x7FF => self.less += 4,
                _ => self.less += 3,
            },
            _ => return Err(("invalid_json", start + 1)),
        }
        Ok(())
    }

    /// The four digits of the `\uXXXX` at `start`; goes behind them.
    fn hex(&mut self, start: usize) -> Result<u32, Fault> {
        self.at = start + 2;
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.bytes.get(self.at).and_then(|&b| (b as char).to_digit(16));
            value = value << 4 | digit.ok_or_else(|| self.invalid())?;
            self.at += 1;
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        let zero_may_have_sign = self.take(b'-') && self.bytes.get(self.at) == Some(&b'0');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        let exponent = self.take(b'e') || self.take(b'E');
        if exponent {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        let sent = self.at - start;
        let written = if exponent || zero_may_have_sign || sent > MAX_NUMBER_BYTES {
            number::written(&self.bytes[start..self.at])
        } else {
            Some(sent)
        };
        let Some(written) = written.filter(|written| *written <= self.number_most) else {
            return Err(("number_out_of_range", start));
        };
        self.more += written.saturating_sub(sent);
        self.less += sent.saturating_sub(written);
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { Err(self.invalid()) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        let rest = &self.bytes[self.at..];
        let same = rest.iter().zip(word).take_while(|(a, b)| a == b).count();
        self.at += same;
        if same == word.len() { Ok(()) } else { Err(self.invalid()) }
    }

    fn colon(&mut self) -> Result<(), Fault> {
        self.skip_space();
        if self.take(b':') { Ok(()) } else { Err(self.invalid()) }
    }

    fn skip_space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
            self.less += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let here = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(here);
        here
    }

    fn step(&mut self, next: Next) -> Next {
        self.at += 1;
        next
    }

    fn invalid(&self) -> Fault {
        ("invalid_json", self.at)
    }
}
