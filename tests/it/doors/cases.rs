//! The table: what is submitted, and what every door makes of it.

use super::odd;

/// What becomes of a job.
pub(super) enum Expected {
    /// It is kept; with a status, and so, in the terms of [`super::door::House::kept`], its payload as PostgreSQL writes it.
    Kept(&'static str, &'static str, &'static str),
    /// It is refused: pointers and codes, in the order of pointers.
    Refused(&'static [(&'static str, &'static str)]),
    /// It is refused at this place with this code; from SQL PostgreSQL's own `jsonb` says so, with this SQLSTATE.
    Unkeepable(&'static str, &'static str, &'static str),
}

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) job: String,
    pub(super) expected: Expected,
}

use Expected::{Kept, Refused, Unkeepable};

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

pub(super) fn with(member: &str) -> String {
    format!(r#"{{"payload": 1, {member}}}"#)
}

fn tags(count: usize) -> String {
    with(&format!(r#""tags": [{}]"#, vec![r#""t""#; count].join(",")))
}

const FAR: &str = r#""run_at": "9999-01-01T00:00:00Z""#;
/// Sixty-four times `/0`: the place of the level that is too deep.
const TOO_DEEP: &str = concat!(
    "/payload",
    "/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0",
    "/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0"
);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name, job: &str, expected| cases.push(Case { name, job: job.into(), expected });

    case(
        "defaults",
        r#"{"payload": {"a": 1}}"#,
        Kept(
            "queued",
            r#"{"task": "echo", "queue": "default",
        "priority": 5, "max_attempts": 10, "timeout_seconds": 900, "tags": null, "unique_key": null, "delay": 0}"#,
            r#"{"a": 1}"#,
        ),
    );
    case(
        "nulls are defaults",
        r#"{"payload": null, "task": null, "queue": null, "priority": null, "run_at": null,
        "delay_seconds": null, "max_attempts": null, "timeout_seconds": null, "tags": null, "unique_key": null, "on_conflict": null}"#,
        Kept(
            "queued",
            r#"{"task": "echo", "queue": "default", "priority": 5, "tags": null, "delay": 0}"#,
            "null",
        ),
    );
    case(
        "everything",
        r#"{"payload": [], "task": "Mail:send.v2", "queue": "a.b-c_9", "priority": 0, "delay_seconds": 90.5,
        "max_attempts": 1000, "timeout_seconds": 604800, "tags": ["é", "t"], "unique_key": "k", "on_conflict": "reject"}"#,
        Kept(
            "scheduled",
            r#"{"task": "Mail:send.v2", "queue": "a.b-c_9", "priority": 0, "max_attempts": 1000,
        "timeout_seconds": 604800, "tags": ["é", "t"], "unique_key": "k"}"#,
            "[]",
        ),
    );
    case(
        "a time that has been",
        &with(r#""run_at": "2020-02-29T23:59:59.5-08:00""#),
        Kept("queued", "{}", "1"),
    );
    case(
        "whole numbers however written",
        r#"{"payload": 1, "priority": 9.0, "max_attempts": 0.3e1}"#,
        Kept("queued", r#"{"priority": 9, "max_attempts": 3}"#, "1"),
    );
    case(
        "the smallest timeout",
        &with(r#""timeout_seconds": 0.001"#),
        Kept("queued", r#"{"timeout_seconds": 0.001}"#, "1"),
    );
    case("twenty tags", &tags(20), Kept("queued", "{}", "1"));

    case(
        "the task in the payload",
        r#"{"payload": {"task": "resize", "x": 1}}"#,
        Kept("queued", r#"{"task": "resize"}"#, r#"{"x": 1, "task": "resize"}"#),
    );
    case(
        "the task beside the payload wins",
        r#"{"payload": {"task": "a"}, "task": "b"}"#,
        Kept("queued", r#"{"task": "b"}"#, r#"{"task": "a"}"#),
    );
    case(
        "a task in the payload that is no name",
        r#"{"payload": {"task": "a b"}}"#,
        Kept("queued", r#"{"task": "echo"}"#, r#"{"task": "a b"}"#),
    );
    case(
        "a task in the payload that is no text",
        r#"{"payload": {"task": 5}}"#,
        Kept("queued", r#"{"task": "echo"}"#, r#"{"task": 5}"#),
    );
    case(
        "the last of two tasks in the payload",
        r#"{"payload": {"task": "a", "task": "b"}}"#,
        Kept("queued", r#"{"task": "b"}"#, r#"{"task": "b"}"#),
    );
    case(
        "a task deeper in the payload",
        r#"{"payload": [{"task": "a"}]}"#,
        Kept("queued", r#"{"task": "echo"}"#, r#"[{"task": "a"}]"#),
    );

    case(
        "values are kept",
        r#"{"payload": [12345678901234567890123, 1.10, -0.00, "🚀 \u00e9 \\u0000", 0.1e1]}"#,
        Kept("queued", "{}", r#"[12345678901234567890123, 1.10, 0.00, "🚀 é \\u0000", 1]"#),
    );
    case("64 levels", &format!(r#"{{"payload": {}}}"#, nested(64)), Kept("queued", "{}", ""));
    case(
        "65 levels",
        &format!(r#"{{"payload": {}}}"#, nested(65)),
        Refused(&[(TOO_DEEP, "too_deep")]),
    );
    case(
        "a megabyte",
        &format!(r#"{{"payload": "{}"}}"#, "x".repeat(1024 * 1024 - 2)),
        Kept("queued", "{}", ""),
    );
    case(
        "a byte more",
        &format!(r#"{{"payload": "{}"}}"#, "x".repeat(1024 * 1024 - 1)),
        Refused(&[("/payload", "too_large")]),
    );
    case(
        "a number of 2,000 digits",
        &format!(r#"{{"payload": {{"a/b": [{}]}}}}"#, "7".repeat(2000)),
        Refused(&[("/payload/a~1b/0", "number_out_of_range")]),
    );
    case(
        "a number with a tiny fraction",
        &format!(r#"{{"payload": [0, 0.{}1]}}"#, "0".repeat(2000)),
        Refused(&[("/payload/1", "number_out_of_range")]),
    );
    case(
        "2,000 digits in a text",
        &format!(r#"{{"payload": "{}"}}"#, "7".repeat(2000)),
        Kept("queued", "{}", ""),
    );
    case(
        "1e400000",
        r#"{"payload": [1e400000]}"#,
        Unkeepable("/payload/0", "number_out_of_range", "22003"),
    );
    case(
        "U+0000",
        r#"{"payload": {"a": "\u0000"}}"#,
        Unkeepable("/payload/a", "nul_character", "22P05"),
    );
    case(
        "half a surrogate pair",
        r#"{"payload": ["\ud83d"]}"#,
        Unkeepable("/payload/0", "lone_surrogate", "22P02"),
    );

    case("no payload", "{}", Refused(&[("/payload", "required")]));
    case("no object", "[1]", Refused(&[("", "wrong_type")]));
    case(
        "an unknown field",
        r#"{"payload": 1, "prio/rity": 1}"#,
        Refused(&[("/prio~1rity", "unknown_field")]),
    );
    case("a task with a blank", &with(r#""task": "a b""#), Refused(&[("/task", "invalid_name")]));
    case("a task that is empty", &with(r#""task": """#), Refused(&[("/task", "invalid_name")]));
    case(
        "a long task",
        &with(&format!(r#""task": "{}""#, "t".repeat(101))),
        Refused(&[("/task", "invalid_name")]),
    );
    case(
        "a queue with capitals",
        &with(r#""queue": "Mail""#),
        Refused(&[("/queue", "invalid_name")]),
    );
    case(
        "a queue with a line break",
        &with(r#""queue": "mail\n""#),
        Refused(&[("/queue", "invalid_name")]),
    );
    case(
        "a long queue",
        &with(&format!(r#""queue": "{}""#, "q".repeat(65))),
        Refused(&[("/queue", "invalid_name")]),
    );
    case("priority 10", &with(r#""priority": 10"#), Refused(&[("/priority", "out_of_range")]));
    case("priority -1", &with(r#""priority": -1"#), Refused(&[("/priority", "out_of_range")]));
    case(
        "a large priority",
        &with(r#""priority": 99999999999999999999"#),
        Refused(&[("/priority", "out_of_range")]),
    );
    case("half a priority", &with(r#""priority": 1.5"#), Refused(&[("/priority", "wrong_type")]));
    case(
        "a priority in words",
        &with(r#""priority": "high""#),
        Refused(&[("/priority", "wrong_type")]),
    );
    case("the year 9999", &with(FAR), Refused(&[("/run_at", "out_of_range")]));
    case(
        "the year 1969",
        &with(r#""run_at": "1969-12-31T23:59:59Z""#),
        Refused(&[("/run_at", "out_of_range")]),
    );
    case(
        "tomorrow",
        &with(r#""run_at": "tomorrow""#),
        Refused(&[("/run_at", "invalid_timestamp")]),
    );
    case(
        "a time without a zone",
        &with(r#""run_at": "2030-01-31T08:00:00""#),
        Refused(&[("/run_at", "invalid_timestamp")]),
    );
    case(
        "a day that is not",
        &with(r#""run_at": "2030-02-30T08:00:00Z""#),
        Refused(&[("/run_at", "invalid_timestamp")]),
    );
    case(
        "an hour that is not",
        &with(r#""run_at": "2030-01-31T24:00:00Z""#),
        Refused(&[("/run_at", "invalid_timestamp")]),
    );
    case("a time that is a number", &with(r#""run_at": 5"#), Refused(&[("/run_at", "wrong_type")]));
    case(
        "a time and a delay",
        &with(r#""run_at": "2020-01-01T00:00:00Z", "delay_seconds": 1"#),
        Refused(&[("/delay_seconds", "conflicting_fields")]),
    );
    case(
        "a negative delay",
        &with(r#""delay_seconds": -0.1"#),
        Refused(&[("/delay_seconds", "out_of_range")]),
    );
    case(
        "a delay of eleven years",
        &with(r#""delay_seconds": 347000000"#),
        Refused(&[("/delay_seconds", "out_of_range")]),
    );
    case(
        "a delay of 1e400",
        &with(r#""delay_seconds": 1e400"#),
        Refused(&[("/delay_seconds", "out_of_range")]),
    );
    case(
        "a delay that is a text",
        &with(r#""delay_seconds": "1""#),
        Refused(&[("/delay_seconds", "wrong_type")]),
    );
    case(
        "no attempts",
        &with(r#""max_attempts": 0"#),
        Refused(&[("/max_attempts", "out_of_range")]),
    );
    case(
        "1,001 attempts",
        &with(r#""max_attempts": 1001"#),
        Refused(&[("/max_attempts", "out_of_range")]),
    );
    case(
        "no time",
        &with(r#""timeout_seconds": 0"#),
        Refused(&[("/timeout_seconds", "out_of_range")]),
    );
    case(
        "more than a week",
        &with(r#""timeout_seconds": 604800.5"#),
        Refused(&[("/timeout_seconds", "out_of_range")]),
    );
    case("21 tags", &tags(21), Refused(&[("/tags", "too_many")]));
    case(
        "tags that are none",
        &with(r#""tags": ["", "t", 7]"#),
        Refused(&[("/tags/0", "invalid_length"), ("/tags/2", "wrong_type")]),
    );
    case(
        "tags within tags",
        &with(r#""tags": [["t"], [], "t"]"#),
        Refused(&[("/tags/0", "wrong_type"), ("/tags/1", "wrong_type")]),
    );
    case("hardly a delay", &with(r#""delay_seconds": 1e-330"#), Kept("queued", "{}", "1"));
    case(
        "tags of a wrong length",
        &with(&format!(r#""tags": ["", "t", "{}"]"#, "é".repeat(65))),
        Refused(&[("/tags/0", "invalid_length"), ("/tags/2", "invalid_length")]),
    );
    case("a tag instead of tags", &with(r#""tags": "t""#), Refused(&[("/tags", "wrong_type")]));
    case(
        "an empty key",
        &with(r#""unique_key": """#),
        Refused(&[("/unique_key", "invalid_length")]),
    );
    case(
        "a long key",
        &with(&format!(r#""unique_key": "{}""#, "é".repeat(256))),
        Refused(&[("/unique_key", "invalid_length")]),
    );
    case(
        "a key that is a number",
        &with(r#""unique_key": 5, "on_conflict": "keep""#),
        Refused(&[("/unique_key", "wrong_type")]),
    );
    case(
        "another policy",
        &with(r#""unique_key": "k", "on_conflict": "ignore""#),
        Refused(&[("/on_conflict", "invalid_value")]),
    );
    case(
        "a policy without a key",
        &with(r#""on_conflict": "keep""#),
        Refused(&[("/on_conflict", "requires_unique_key")]),
    );
    case(
        "a window without a key",
        &with(r#""unique_for_seconds": 10"#),
        Refused(&[("/unique_for_seconds", "requires_unique_key")]),
    );
    case(
        "a longest delay of another policy",
        &with(r#""unique_key": "k", "on_conflict": "keep", "debounce_max_seconds": 1"#),
        Refused(&[("/debounce_max_seconds", "requires_replace")]),
    );
    case(
        "a longest delay of no policy, and a window of no length",
        &with(r#""unique_key": "k", "debounce_max_seconds": 0, "unique_for_seconds": 0.5"#),
        Refused(&[
            ("/debounce_max_seconds", "out_of_range"),
            ("/debounce_max_seconds", "requires_replace"),
            ("/unique_for_seconds", "out_of_range"),
        ]),
    );
    case(
        "all of it at once",
        r#"{"task": "", "queue": "Q", "priority": 10, "delay_seconds": -1, "max_attempts": 0,
        "timeout_seconds": 0, "tags": [""], "unique_key": "", "on_conflict": "x"}"#,
        Refused(&[
            ("/delay_seconds", "out_of_range"),
            ("/max_attempts", "out_of_range"),
            ("/on_conflict", "invalid_value"),
            ("/payload", "required"),
            ("/priority", "out_of_range"),
            ("/queue", "invalid_name"),
            ("/tags/0", "invalid_length"),
            ("/task", "invalid_name"),
            ("/timeout_seconds", "out_of_range"),
            ("/unique_key", "invalid_length"),
        ]),
    );
    cases.extend(odd::cases());
    cases
}
