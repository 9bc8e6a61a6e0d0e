//! Times as text: RFC 3339 (section 5.6) with one reading, which `reveille.moment` in SQL has too.
//!
//! PostgreSQL keeps microseconds, so further digits are dropped rather than rounded. Second 60 is
//! the first of the next minute, whenever it comes: nobody keeps a table of leap seconds in step
//! with PostgreSQL.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

/// The form that [`parse`] reads, in words.
pub(crate) const RULE: &str = "an RFC 3339 time with a zone, such as 2030-01-31T08:00:00Z";

/// The time that `text` is, or `None` if it is not one by RFC 3339. A `T` may be small or a blank,
/// and a `Z` small.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let (head, rest) = text.as_bytes().split_at_checked(19)?;
    let number = |from: usize, to: usize| digits(&head[from..to]);
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| head[*at] != *mark) || !matches!(head[10], b'T' | b't' | b' ')
    {
        return None;
    }
    let year = i32::try_from(number(0, 4)?).ok().filter(|year| *year > 0)?;
    let date = NaiveDate::from_ymd_opt(year, number(5, 7)?, number(8, 10)?)?;
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if second > 60 {
        return None;
    }
    let (micros, rest) = fraction(rest)?;
    let zone = match rest {
        b"Z" | b"z" => TimeDelta::zero(),
        [sign @ (b'+' | b'-'), hours @ .., b':', tens, ones] if hours.len() == 2 => {
            let (hours, minutes) = (digits(hours)?, digits(&[*tens, *ones])?);
            let ahead = of_day(hours, minutes)?;
            if *sign == b'-' { -ahead } else { ahead }
        }
        _ => return None,
    };
    let since_midnight =
        of_day(hour, minute)? + TimeDelta::seconds(second.into()) + TimeDelta::microseconds(micros);
    let midnight = date.and_hms_opt(0, 0, 0)?.and_utc();
    midnight.checked_add_signed(since_midnight - zone)
}

/// A time as it is kept: whole microseconds, and a leap second as the first of the next minute.
pub(crate) fn kept(at: DateTime<Utc>) -> DateTime<Utc> {
    let micros = i64::from(at.timestamp_subsec_nanos() / 1000);
    let whole = at.timestamp().checked_mul(1_000_000).and_then(|whole| whole.checked_add(micros));
    whole.and_then(DateTime::from_timestamp_micros).unwrap_or(at)
}

fn of_day(hours: u32, minutes: u32) -> Option<TimeDelta> {
    let minutes = (hours < 24 && minutes < 60).then(|| hours * 60 + minutes)?;
    Some(TimeDelta::minutes(minutes.into()))
}

/// `.5` and the like, as microseconds, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else { return Some((0, text)) };
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let (found, rest) = rest.split_at(end);
    let kept = &found[..found.len().min(6)];
    let scale = 10_i64.pow(6 - u32::try_from(kept.len()).ok()?);
    (!found.is_empty()).then_some(())?;
    Some((i64::from(digits(kept)?) * scale, rest))
}

fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0_u32, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0'))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_reading() {
        let cases = [
            ("2030-01-31T08:00:00Z", "2030-01-31T08:00:00.000000Z"),
            ("2030-01-31t08:00:00.5z", "2030-01-31T08:00:00.500000Z"),
            ("2030-01-31 08:00:00.1234569+02:30", "2030-01-31T05:30:00.123456Z"),
            ("2030-01-31T08:00:00.9999999-23:59", "2030-02-01T07:59:00.999999Z"),
            ("1969-12-31T23:59:60Z", "1970-01-01T00:00:00.000000Z"),
            ("2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.500000Z"),
            ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
            ("2030-01-31T12:30:60-00:00", "2030-01-31T12:31:00.000000Z"),
        ];
        for (text, time) in cases {
            let found = parse(text).unwrap();
            assert_eq!(found.to_rfc3339_opts(chrono::SecondsFormat::Micros, true), time, "{text}");
            assert_eq!(kept(found), found);
        }
        let leap = DateTime::parse_from_rfc3339("2016-12-31T23:59:60.1234567Z").unwrap().to_utc();
        assert_eq!(kept(leap), parse("2017-01-01T00:00:00.123456Z").unwrap());
        assert_eq!(
            kept(DateTime::<Utc>::MAX_UTC).timestamp(),
            DateTime::<Utc>::MAX_UTC.timestamp()
        );
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "2030-01-31",
            "2030-01-31T08:00Z",
            "2030-01-31T08:00:00",
            "2030-01-31T24:00:00Z",
            "2030-02-30T08:00:00Z",
            "2030-01-31T08:60:00Z",
            "2030-01-31T08:00:61Z",
            "2030-01-31T08:00:00.Z",
            "2030-01-31T08:00:00+24:00",
            "2030-01-31T08:00:00+0200",
            "2030-01-31T08:00:00\u{2212}02:00",
            "2030-01-31_08:00:00Z",
            "0000-01-01T00:00:00Z",
            "+030-01-31T08:00:00Z",
            "2030-01-31T08:00:00Z ",
            "２０３０-01-31T08:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
