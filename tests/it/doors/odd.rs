//! Numbers, sizes and times that are written in odd ways: more of the table.

use super::cases::Expected::{Kept, Refused};
use super::cases::{Case, Expected, with};

/// A job whose payload is an array of so many of these.
fn list(item: &str, count: usize) -> String {
    format!(r#"{{"payload": [{}]}}"#, vec![item; count].join(","))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name, job: &str, expected: Expected| {
        cases.push(Case { name, job: job.into(), expected });
    };

    for (name, count, expected) in [
        ("ones up to a megabyte", 524_287, Kept("queued", "{}", "")),
        ("ones beyond a megabyte", 524_288, Refused(&[("/payload", "too_large")])),
    ] {
        case(name, &list("1", count), expected);
    }
    for (name, count, expected) in [
        ("numbers that are a megabyte when written out", 2608, Kept("queued", "{}", "")),
        ("numbers that are more when written out", 2609, Refused(&[("/payload", "too_large")])),
    ] {
        case(name, &list("1e400", count), expected);
    }
    for (name, count, expected) in [
        ("texts with blanks up to a megabyte", 87_381, Kept("queued", "{}", "")),
        ("texts with blanks beyond a megabyte", 87_382, Refused(&[("/payload", "too_large")])),
    ] {
        case(name, &list(r#""a, \"\\: ""#, count), expected);
    }
    case(
        "escapes of which the text is twice a megabyte",
        &list(r#""\u00e9""#, 209_715),
        Kept("queued", "{}", ""),
    );
    case(
        "blanks of which the text is five megabytes",
        &list("1         ", 500_000),
        Kept("queued", "{}", ""),
    );
    case("objects up to a megabyte", &list(r#"{"a b":1}"#, 104_857), Kept("queued", "{}", ""));
    case(
        "what is four megabytes when written out",
        &list("1e400", 10_000),
        Refused(&[("/payload", "too_large")]),
    );
    case("1,400 digits", &list(&"7".repeat(1400), 1), Kept("queued", "{}", ""));
    case(
        "1,401 digits",
        &list(&"7".repeat(1401), 1),
        Refused(&[("/payload/0", "number_out_of_range")]),
    );
    case(
        "exponents",
        &list("-1e401, 1e-401, 0e401, 1e1399, 0.1e-100", 1),
        Kept("queued", "{}", ""),
    );
    for number in ["1e1400", "1e-1399", "0e-1399"] {
        case(
            "an exponent beyond",
            &list(number, 1),
            Refused(&[("/payload/0", "number_out_of_range")]),
        );
    }
    for odd in ["10.5", "5.00000000000000000000001", "1e-330", "1e-9999"] {
        case(
            "a priority that is not whole",
            &with(&format!(r#""priority": {odd}"#)),
            Refused(&[("/priority", "wrong_type")]),
        );
    }
    case(
        "a delay of 1e1400",
        &with(r#""delay_seconds": 1e1400"#),
        Refused(&[("/delay_seconds", "out_of_range")]),
    );
    case(
        "a timeout that a double cannot tell from a week",
        &with(r#""timeout_seconds": 604800.00000000001"#),
        Kept("queued", r#"{"timeout_seconds": 604800}"#, "1"),
    );
    case(
        "a timeout that a double cannot tell from a millisecond",
        &with(r#""timeout_seconds": 0.00099999999999999999999"#),
        Kept("queued", r#"{"timeout_seconds": 0.001}"#, "1"),
    );
    for (text, time) in [
        ("1969-12-31T23:59:60Z", "1970-01-01 00:00:00.000000"),
        ("2016-12-31t23:59:60.5z", "2017-01-01 00:00:00.500000"),
        ("2016-12-31T12:30:60-00:00", "2016-12-31 12:31:00.000000"),
        ("2020-02-29T23:59:59.9999999Z", "2020-02-29 23:59:59.999999"),
        ("1999-12-31 23:59:59.1234567+01:00", "1999-12-31 22:59:59.123456"),
        ("2020-01-01T00:00:00.000000000000000000001Z", "2020-01-01 00:00:00.000000"),
    ] {
        let kept = format!(r#"{{"run_at": "{time}"}}"#).leak();
        case(
            "a time with odd seconds",
            &with(&format!(r#""run_at": "{text}""#)),
            Kept("queued", kept, "1"),
        );
    }
    for text in [
        "2020-01-01T00:00:00\u{2212}01:00",
        "2020-01-01T00:00:61Z",
        "2020-01-01T00:00:00.Z",
        "2020-01-01T00:00:00+24:00",
        "0000-01-01T00:00:00Z",
        "２０２０-01-01T00:00:00Z",
    ] {
        case(
            "an odd time",
            &with(&format!(r#""run_at": "{text}""#)),
            Refused(&[("/run_at", "invalid_timestamp")]),
        );
    }
    case(
        "a delay beside a time that is not one",
        &with(r#""run_at": "x", "delay_seconds": 1"#),
        Refused(&[("/delay_seconds", "conflicting_fields"), ("/run_at", "invalid_timestamp")]),
    );
    case(
        "a delay that is not one beside a time",
        &with(r#""run_at": "2020-01-01T00:00:00Z", "delay_seconds": true"#),
        Refused(&[("/delay_seconds", "conflicting_fields"), ("/delay_seconds", "wrong_type")]),
    );
    case(
        "a policy that is a number, without a key",
        &with(r#""on_conflict": 5, "unique_key": null"#),
        Refused(&[("/on_conflict", "requires_unique_key"), ("/on_conflict", "wrong_type")]),
    );
    case(
        "a longest delay of a policy that is a number",
        &with(r#""on_conflict": 5, "unique_key": "k", "debounce_max_seconds": 1"#),
        Refused(&[("/debounce_max_seconds", "requires_replace"), ("/on_conflict", "wrong_type")]),
    );
    cases
}
