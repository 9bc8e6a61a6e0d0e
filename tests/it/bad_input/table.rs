//! The table.

const JSON: &str = "application/json";
const UNKNOWN: &str = "0199a3c0-b5d2-7c3f-8a51-f0e2d4c6b8a0";

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) content_type: Option<&'static str>,
    pub(super) body: Vec<u8>,
    pub(super) status: u16,
    pub(super) code: &'static str,
    /// Pointers and codes of the wrong places, sorted.
    pub(super) errors: Vec<(String, &'static str)>,
    /// Words that the problem has to have.
    pub(super) says: &'static str,
}

impl Case {
    fn kind(self, content_type: Option<&'static str>) -> Self {
        Self { content_type, ..self }
    }

    fn at(self, pointer: impl Into<String>, code: &'static str) -> Self {
        let mut errors = self.errors;
        errors.push((pointer.into(), code));
        errors.sort_unstable();
        Self { errors, ..self }
    }

    fn says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }
}

/// `POST /jobs`.
fn job(name: &'static str, body: impl Into<Vec<u8>>, status: u16, code: &'static str) -> Case {
    Case {
        name,
        method: "POST",
        path: "/jobs".into(),
        content_type: Some(JSON),
        body: body.into(),
        status,
        code,
        errors: Vec::new(),
        says: "",
    }
}

/// `POST /jobs` with fields that break the rules.
fn field(name: &'static str, body: &str) -> Case {
    job(name, body, 422, "validation_failed")
}

fn batch(name: &'static str, body: impl Into<Vec<u8>>) -> Case {
    Case { path: "/jobs/batch".into(), ..job(name, body, 422, "validation_failed") }
}

/// A call without a body.
fn call(method: &'static str, path: String, status: u16, code: &'static str) -> Case {
    Case { method, path, ..job("", "", status, code).kind(None) }
}

pub(super) fn cases() -> Vec<Case> {
    [bodies(), fields(), lives(), batches(), calls()].into_iter().flatten().collect()
}

/// What cannot be read, or read but not kept.
fn bodies() -> Vec<Case> {
    let deep = |levels| format!(r#"{{"payload": {}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let good = r#"{"payload": 1}"#;
    vec![
        job("an empty body", "", 400, "empty_body"),
        job("nothing but blanks", " \n ", 400, "empty_body"),
        job("no content type", good, 415, "unsupported_media_type").kind(None).says(JSON),
        job("a form", "payload=1", 415, "unsupported_media_type")
            .kind(Some("application/x-www-form-urlencoded"))
            .says(JSON),
        job("another charset", good, 415, "unsupported_media_type")
            .kind(Some("application/json; charset=utf-16")),
        job("invalid UTF-8", b"{\"payload\": \"\xff\"}", 400, "invalid_utf8")
            .at("/payload", "invalid_utf8")
            .says("UTF-8"),
        job("a byte order mark", b"\xef\xbb\xbf{\"payload\": 1}", 400, "byte_order_mark")
            .at("", "byte_order_mark"),
        job("no JSON", "payload: 1", 400, "invalid_json").at("", "invalid_json"),
        job("half a document", r#"{"payload": "#, 400, "invalid_json")
            .at("/payload", "invalid_json"),
        job("trailing data", r#"{"payload": 1} x"#, 400, "trailing_data").at("", "trailing_data"),
        job("a list for a job", "[1]", 422, "validation_failed").at("", "wrong_type"),
        field("depth 65", &deep(65))
            .at(format!("/payload{}", "/0".repeat(64)), "too_deep")
            .says("64"),
        field("a NUL character", r#"{"payload": {"a": "\u0000"}}"#)
            .at("/payload/a", "nul_character"),
        field("a lone surrogate", r#"{"payload": ["\ud800"]}"#).at("/payload/0", "lone_surrogate"),
        field("1e400000", r#"{"payload": 1e400000}"#).at("/payload", "number_out_of_range"),
        job("a body of 7 MiB", vec![b' '; 7 << 20], 413, "body_too_large").says("Send less"),
    ]
}

/// What breaks the rules of a submission.
fn fields() -> Vec<Case> {
    let thousand_tags = format!(r#"{{"payload": 1, "tags": [{}]}}"#, vec!["1"; 1000].join(","));
    vec![
        field("no payload", "{}").at("/payload", "required"),
        field("an unknown field", r#"{"payload": 1, "prioritty": 1}"#)
            .at("/prioritty", "unknown_field")
            .says("Did you mean `priority`?"),
        field("a field of a later release", r#"{"payload": 1, "callback": {}}"#)
            .at("/callback", "unknown_field"),
        field("a wrong type", r#"{"payload": 1, "priority": "high"}"#)
            .at("/priority", "wrong_type"),
        field(
            "several wrong fields",
            r#"{"queue": "A B", "priority": 10, "tags": "x", "delay_seconds": -1, "nope": 1}"#,
        )
        .at("/payload", "required")
        .at("/queue", "invalid_name")
        .at("/priority", "out_of_range")
        .at("/tags", "wrong_type")
        .at("/delay_seconds", "out_of_range")
        .at("/nope", "unknown_field"),
        field("a field twice", r#"{"payload": 1, "queue": "a", "queue": "b"}"#)
            .at("/queue", "duplicate_field"),
        field("capitals in a queue's name", r#"{"payload": 1, "queue": "Mail"}"#)
            .at("/queue", "invalid_name"),
        field("priority 10", r#"{"payload": 1, "priority": 10}"#)
            .at("/priority", "out_of_range")
            .says("9"),
        field("half a priority", r#"{"payload": 1, "priority": 1.5}"#)
            .at("/priority", "wrong_type"),
        field("the year 9999", r#"{"payload": 1, "run_at": "9999-01-01T00:00:00Z"}"#)
            .at("/run_at", "out_of_range"),
        field("a time without a zone", r#"{"payload": 1, "run_at": "2030-01-01T00:00:00"}"#)
            .at("/run_at", "invalid_timestamp"),
        field(
            "two times",
            r#"{"payload": 1, "run_at": "2030-01-01T00:00:00Z", "delay_seconds": 1}"#,
        )
        .at("/delay_seconds", "conflicting_fields"),
        (0..20).fold(
            field("a thousand tags of a wrong type", &thousand_tags).at("/tags", "too_many"),
            |case, nth| case.at(format!("/tags/{nth}"), "wrong_type"),
        ),
        field("a negative delay", r#"{"payload": 1, "delay_seconds": -1}"#)
            .at("/delay_seconds", "out_of_range"),
        field("a policy without a key", r#"{"payload": 1, "on_conflict": "replace"}"#)
            .at("/on_conflict", "requires_unique_key"),
    ]
}

/// What a job says of its retries and of its time, and what cannot be kept of it.
fn lives() -> Vec<Case> {
    let retry =
        |name, policy: &str| field(name, &format!(r#"{{"payload": 1, "retry": {{{policy}}}}}"#));
    vec![
        retry("a longest wait below the first", r#""base_seconds": 5, "max_seconds": 1"#)
            .at("/retry/max_seconds", "out_of_range")
            .says("retry.base_seconds"),
        retry("a jitter of 2", r#""jitter": 2"#).at("/retry/jitter", "out_of_range").says("0 to 1"),
        retry("a jitter of -0.1", r#""jitter": -0.1"#)
            .at("/retry/jitter", "out_of_range")
            .says("0 to 1"),
        retry("a factor of 0", r#""factor": 0"#).at("/retry/factor", "out_of_range").says("100"),
        retry("an unknown strategy", r#""strategy": "cubic""#)
            .at("/retry/strategy", "invalid_value")
            .says("exponential"),
        field("no attempts", r#"{"payload": 1, "max_attempts": 0}"#)
            .at("/max_attempts", "out_of_range")
            .says("1000"),
        field(
            "a deadline below the timeout",
            r#"{"payload": 1, "deadline_seconds": 1, "timeout_seconds": 2}"#,
        )
        .at("/deadline_seconds", "out_of_range")
        .says("raise it, or lower the other"),
        field(
            "a start beyond the deadline",
            r#"{"payload": 1, "deadline_seconds": 5, "run_at": "2030-01-01T00:00:00Z"}"#,
        )
        .at("/run_at", "out_of_range")
        .says("let the job start earlier"),
        field(
            "a start beyond the time in the queue",
            r#"{"payload": 1, "queue_ttl_seconds": 5, "run_at": "2030-01-01T00:00:00Z"}"#,
        )
        .at("/run_at", "out_of_range")
        .says("let the job start earlier"),
        Case { path: "/dead-letters/redrive".into(), ..field("a redrive without a filter", "{}") }
            .at("/filter", "missing_field")
            .says("for all failed ones"),
        Case {
            name: "a purge of an unknown queue",
            ..call("POST", "/queues/nobody/purge".into(), 404, "queue_not_found")
        }
        .says("GET /queues lists them"),
    ]
}

fn batches() -> Vec<Case> {
    let jobs = |count: usize| format!("[{}]", vec![r#"{"payload": 1}"#; count].join(","));
    vec![
        batch("10,001 jobs", jobs(10_001)).at("", "batch_size").says("10000"),
        batch("no job at all", "[]").at("", "batch_size"),
        batch(
            "one bad item",
            r#"[{"payload": 1}, {"payload": 2, "priority": 10}, {"payload": 3}]"#,
        )
        .at("/1/priority", "out_of_range"),
        batch("an item that is no job", r#"[{"payload": 1}, 7]"#).at("/1", "wrong_type"),
        batch("an object for a batch", r#"{"payload": 1}"#).at("", "wrong_type"),
    ]
}

fn calls() -> Vec<Case> {
    let mut all = Vec::new();
    for (method, end) in
        [("GET", ""), ("GET", "/attempts"), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/retry")]
    {
        let unknown = call(method, format!("/jobs/{UNKNOWN}{end}"), 404, "job_not_found");
        let malformed = call(method, format!("/jobs/17{end}"), 400, "invalid_job_id");
        all.push(Case { name: "an unknown id", ..unknown }.says(UNKNOWN));
        all.push(
            Case { name: "a malformed id", ..malformed }.says("UUID").at("", "invalid_job_id"),
        );
    }
    let list = [
        ("a malformed cursor", "cursor=x", "invalid_cursor", "next_cursor"),
        ("a limit beyond the most", "limit=201", "invalid_limit", "200"),
        (
            "a payload to contain that is no JSON",
            "payload_contains=%7B",
            "invalid_payload_contains",
            "JSON",
        ),
    ];
    for (name, query, code, says) in list {
        all.push(
            Case { name, ..call("GET", format!("/jobs?{query}"), 400, code) }
                .says(says)
                .at("", code),
        );
    }
    for (name, query, code, says) in [
        ("a malformed cursor of the audit", "cursor=x", "invalid_cursor", "next_cursor"),
        ("a limit of the audit", "limit=0", "invalid_limit", "200"),
        ("an empty principal", "principal=", "invalid_parameter", "1 to 255 characters"),
        ("a time without a zone", "after=2026-01-31T08:00:00", "invalid_parameter", "%2B"),
        ("a filter that the audit lacks", "actor=me", "unknown_parameter", "`action`"),
    ] {
        let call = call("GET", format!("/audit?{query}"), 400, code);
        all.push(Case { name, ..call }.says(says).at("", code));
    }
    for (name, query, code) in [
        ("an unknown status", "status=done", "invalid_parameter"),
        ("a limit in words", "limit=ten", "invalid_limit"),
        ("a time that is none", "created_after=yesterday", "invalid_parameter"),
    ] {
        let call = call("GET", format!("/jobs?{query}"), 400, code);
        all.push(Case { name, ..call }.at("", code));
    }
    all.push(Case { name: "an unknown path", ..call("GET", "/job".into(), 404, "path_not_found") });
    all.push(Case {
        name: "a method that the path has not",
        ..call("PUT", "/jobs".into(), 405, "method_not_allowed")
    });
    all
}
