//! Durations and times as people write them: `5m`, `1h30m`, `yesterday`, `2h ago`.
//!
//! The service reads seconds and RFC 3339 only. The meaning of a word is decided here, by the clock
//! and the time zone of its writer.

use std::time::Duration;

use chrono::{DateTime, Days, Local, NaiveDate, TimeDelta, Utc};

use crate::job::moment;

/// The units of a duration, in seconds. `ms` stands before `m`, since it begins with it.
const UNITS: [(&str, f64); 6] =
    [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0), ("w", 604_800.0)];

/// A duration: `90`, `90s`, `5m`, `1h30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().or_else(|| sum(text));
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| {
        "write a duration such as 90s, 5m, 2h or 1h30m; a number alone is in seconds".to_owned()
    })
}

/// The seconds of numbers with their units, the larger units first.
fn sum(text: &str) -> Option<f64> {
    let (mut rest, mut seconds, mut smaller_than) = (text, 0.0, f64::INFINITY);
    while !rest.is_empty() {
        let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let (number, unit) = rest.split_at(end);
        let (name, factor) = UNITS.into_iter().find(|(name, _)| unit.starts_with(name))?;
        if factor >= smaller_than {
            return None;
        }
        seconds += number.parse::<f64>().ok()? * factor;
        (rest, smaller_than) = (&unit[name.len()..], factor);
    }
    (smaller_than < f64::INFINITY).then_some(seconds)
}

/// A time: RFC 3339, a day, or a word for one.
pub(super) fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let found = moment::parse(text).or_else(|| relative(text, Local::now()));
    found.ok_or_else(|| {
        format!(
            "it must be {}, or now, today, yesterday, tomorrow, 2h ago, in 2h, or a day such as \
             2030-01-31",
            moment::RULE
        )
    })
}

fn relative(text: &str, now: DateTime<Local>) -> Option<DateTime<Utc>> {
    let today = now.date_naive();
    let day = match text {
        "now" => return Some(now.to_utc()),
        "today" => Some(today),
        "yesterday" => today.checked_sub_days(Days::new(1)),
        "tomorrow" => today.checked_add_days(Days::new(1)),
        _ => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok(),
    };
    if let Some(day) = day {
        return begin(day);
    }
    let span = |text: &str| TimeDelta::from_std(duration(text.trim()).ok()?).ok();
    if let Some(before) = text.strip_suffix("ago") {
        return now.to_utc().checked_sub_signed(span(before)?);
    }
    now.to_utc().checked_add_signed(span(text.strip_prefix("in ")?)?)
}

/// The first moment of a day here. Where clocks go forward at midnight, that is an hour later.
fn begin(day: NaiveDate) -> Option<DateTime<Utc>> {
    let hours = (0..3).filter_map(|hour| day.and_hms_opt(hour, 0, 0));
    let mut there = hours.filter_map(|time| time.and_local_timezone(Local).earliest());
    there.next().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("0", 0.0),
            ("1.5", 1.5),
            ("90s", 90.0),
            ("5m", 300.0),
            ("250ms", 0.25),
            ("2h", 7200.0),
            ("1h30m", 5400.0),
            ("1.5h", 5400.0),
            ("1d", 86_400.0),
            ("2w", 1_209_600.0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "-1", "m", "5x", "5m5m", "5m1h", "1h30", "5 m", "inf", "NaN", "1e999"] {
            assert!(duration(text).unwrap_err().contains("1h30m"), "{text}");
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = Local::now();
        let day = |text: &str| relative(text, now).unwrap();
        assert_eq!(day("now"), now.to_utc());
        assert_eq!(day("2h ago"), now.to_utc() - TimeDelta::hours(2));
        assert_eq!(day("in 5m"), now.to_utc() + TimeDelta::minutes(5));
        assert!(day("yesterday") < day("today") && day("today") <= now.to_utc());
        assert!(now.to_utc() < day("tomorrow"));
        assert_eq!(day("2030-01-31").with_timezone(&Local).date_naive().to_string(), "2030-01-31");
        let exact = time("2030-01-31T08:00:00Z").unwrap();
        assert_eq!(exact.to_rfc3339(), "2030-01-31T08:00:00+00:00");
        for text in
            ["", "x", "ago", "in", "2h", "-2h ago", "in -2h", "2030-02-31", "2030-01-31T08:00:00"]
        {
            assert!(time(text).unwrap_err().contains("yesterday"), "{text}");
        }
    }
}
