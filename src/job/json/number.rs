//! A JSON number taken apart, without arithmetic: its value is exact however long it is.
//!
//! `jsonb` keeps a number as decimal digits and writes it without an exponent, so the six bytes
//! `1e1399` come back as 1,400. Bounds hold for that length, since it is what every reader of the
//! job has to take.

/// PostgreSQL refuses exponents from here on (half of the largest `integer`), whatever the digits
/// before them.
const EXPONENT_BEYOND: i64 = 1_073_741_823;
/// The digits that `numeric` can have before the decimal point, and behind it.
const WHOLE_MOST: i64 = 131_072;
const SCALE_MOST: i64 = 16_383;
/// The digits of the largest `i64`.
const I64_DIGITS: i64 = 19;

/// A whole number, or why it is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whole {
    Is(i64),
    /// It is whole, and beyond 64 bits.
    TooLarge,
    /// It has a fraction.
    Not,
}

/// The digits of a number: `whole.fraction × 10^exponent`.
#[derive(Clone, Copy)]
struct Number<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Number<'a> {
    /// `None` if PostgreSQL would not even read the exponent. The text has the grammar of a JSON
    /// number.
    fn of(text: &'a [u8]) -> Option<Self> {
        let (negative, text) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&text[..at], std::str::from_utf8(&text[at + 1..]).ok()?.parse().ok()?),
            None => (text, 0_i64),
        };
        let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
            Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
            None => (mantissa, &[][..]),
        };
        let known = exponent.abs() < EXPONENT_BEYOND;
        known.then_some(Self { negative, whole, fraction, exponent })
    }

    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> + ExactSizeIterator + use<'a> {
        let (whole, fraction) = (self.whole, self.fraction);
        (0..whole.len() + fraction.len())
            .map(move |nth| whole.get(nth).copied().unwrap_or_else(|| fraction[nth - whole.len()]))
    }

    /// Where the first digit is that is not 0; `None` for zero.
    fn first(&self) -> Option<usize> {
        self.digits().position(|digit| digit != b'0')
    }

    /// How many digits stand before the decimal point once there is no exponent.
    fn point(&self) -> i64 {
        signed(self.whole.len()) + self.exponent
    }

    /// The digits behind the decimal point that `numeric` keeps.
    fn scale(&self) -> i64 {
        (signed(self.fraction.len()) - self.exponent).max(0)
    }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// How many bytes a number has that is written without an exponent, as `jsonb` writes it; `None` if
/// `numeric` cannot keep it. The text has the grammar of a JSON number.
pub(super) fn written(text: &[u8]) -> Option<usize> {
    let number = Number::of(text)?;
    let (sign, before) = match number.first() {
        Some(first) => (number.negative, (number.point() - signed(first)).max(1)),
        None => (false, 1),
    };
    let scale = number.scale();
    if before > WHOLE_MOST || scale > SCALE_MOST {
        return None;
    }
    let behind = if scale == 0 { 0 } else { 1 + scale };
    usize::try_from(i64::from(sign) + before + behind).ok()
}

/// The whole number that `text` is, however it is written: 5, 5.0 and 0.5e1 are the same. The text
/// has the grammar of a JSON number.
pub(crate) fn whole(text: &str) -> Whole {
    let Some(number) = Number::of(text.as_bytes()) else { return Whole::TooLarge };
    let Some(first) = number.first() else { return Whole::Is(0) };
    let last = number.digits().rposition(|digit| digit != b'0').unwrap_or(first);
    let behind = number.point() - signed(last) - 1;
    if behind < 0 {
        return Whole::Not;
    }
    if number.point() - signed(first) > I64_DIGITS {
        return Whole::TooLarge;
    }
    let digits = number.digits().take(last + 1).skip(first).map(|digit| i64::from(digit - b'0'));
    let zeros = std::iter::repeat_n(0, usize::try_from(behind).unwrap_or_default());
    let value = digits.chain(zeros).try_fold(0_i64, |value, digit| {
        let digit = if number.negative { -digit } else { digit };
        value.checked_mul(10)?.checked_add(digit)
    });
    value.map_or(Whole::TooLarge, Whole::Is)
}

/// Writes the value of a number: its sign, its digits without zeros at either end, and where the
/// decimal point is. The text has the grammar of a JSON number.
pub(super) fn spell(text: &[u8], out: &mut Vec<u8>) {
    let Some(number) = Number::of(text) else { return out.extend_from_slice(text) };
    let Some(first) = number.first() else { return out.push(b'0') };
    let last = number.digits().rposition(|digit| digit != b'0').unwrap_or(first);
    if number.negative {
        out.push(b'-');
    }
    out.extend(number.digits().take(last + 1).skip(first));
    out.extend_from_slice(format!("e{}", number.point() - signed(first)).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_are_spelt_alike_and_others_are_not() {
        let spelt = |text: &str| {
            let mut out = Vec::new();
            spell(text.as_bytes(), &mut out);
            String::from_utf8(out).unwrap()
        };
        for (texts, is) in [
            (&["0", "-0", "0.00", "0e9"][..], "0"),
            (&["1", "1.0", "10e-1", "0.1e1", "1E+0"], "1e1"),
            (&["-12.5", "-1.25e1", "-0.0125e3", "-12.500"], "-125e2"),
            (&["0.001", "1e-3"], "1e-2"),
            (&["12345678901234567890123"], "12345678901234567890123e23"),
        ] {
            for text in texts {
                assert_eq!(spelt(text), is, "{text}");
            }
        }
    }

    #[test]
    fn a_number_is_as_long_as_postgresql_writes_it() {
        let cases = [
            ("0", 1),
            ("-0", 1),
            ("-0.00", 4),
            ("1.10", 4),
            ("-1.5", 4),
            ("12345", 5),
            ("1e2", 3),
            ("1E+2", 3),
            ("-1e2", 4),
            ("1.5e1", 2),
            ("1.50e1", 4),
            ("0.001e5", 3),
            ("0.00123e1", 6),
            ("1e-3", 5),
            ("-12.5e-3", 7),
            ("0e401", 1),
            ("0e-3", 5),
            ("0.00e1", 3),
            ("1e1399", 1400),
            ("1e-1398", 1400),
            ("123e-2", 4),
            ("100e-2", 4),
        ];
        for (text, length) in cases {
            assert_eq!(written(text.as_bytes()), Some(length), "{text}");
        }
        for text in [
            "1e131072",
            "1e-16384",
            "0e-16384",
            "1e-1073741823",
            "0e1073741823",
            "1e99999999999999999999",
        ] {
            assert_eq!(written(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_exact_however_they_are_written() {
        let cases = [
            ("5", 5),
            ("5.0", 5),
            ("0.5e1", 5),
            ("-0.00", 0),
            ("0e99999", 0),
            ("50e-1", 5),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ];
        for (text, value) in cases {
            assert_eq!(whole(text), Whole::Is(value), "{text}");
        }
        for text in ["1.5", "5.00000000000000000000001", "1e-330", "1e-1000000", "15e-1"] {
            assert_eq!(whole(text), Whole::Not, "{text}");
        }
        for text in ["9223372036854775808", "1e19", "1e1000000000", "-1e400"] {
            assert_eq!(whole(text), Whole::TooLarge, "{text}");
        }
    }
}
