//! The codes of everything that can go wrong. One table feeds the specification, `docs/errors.md`
//! and the check that no answer has a code of its own.
//!
//! The schema of a code stays `string`, so that a client of today reads a code of tomorrow. The
//! specification lists the codes as `x-extensible-enum`.

use std::collections::BTreeSet;

/// A code of a problem.
#[derive(Debug)]
pub struct Code {
    /// Its name, which never changes.
    pub name: &'static str,
    /// The HTTP status that it comes with.
    pub status: u16,
    /// Sentences for the documentation: the event, then the remedy.
    pub advice: &'static str,
}

const fn code(status: u16, name: &'static str, advice: &'static str) -> Code {
    Code { name, status, advice }
}

/// The codes of problems, by status.
pub const PROBLEMS: &[Code] = &[
    code(400, "bad_request", "The request cannot be read. `detail` says why."),
    code(400, "body_cut_off", "The connection ended before the body did. Send it again."),
    code(400, "byte_order_mark", "The body begins with a byte order mark. Send JSON without one."),
    code(400, "empty_body", "The body is empty. Send a JSON document."),
    code(400, "invalid_cursor", "No list has given this `cursor`. Pass `next_cursor` as it is."),
    code(400, "invalid_host", "HTTP/1.1 asks for exactly one `Host` header. Send one."),
    code(
        400,
        "invalid_idempotency_key",
        "An `Idempotency-Key` is 1 to 255 characters of ASCII without control characters. Send one.",
    ),
    code(400, "invalid_job_id", "A job's id is a UUID. Take it from the answer to the submission."),
    code(400, "invalid_json", "The body is not JSON. `errors` has the place."),
    code(400, "invalid_limit", "`limit` is a whole number from 1 to 200."),
    code(400, "invalid_parameter", "A parameter has the wrong form. `errors` names it."),
    code(400, "invalid_payload_contains", "`payload_contains` is not JSON."),
    code(400, "invalid_queue_name", "A queue's name is 1 to 64 of `a-z 0-9 _ - .`."),
    code(400, "invalid_utf8", "The body is not UTF-8. Encode it as UTF-8."),
    code(400, "invalid_wait", "`wait` is a whole number of seconds from 0 to 60."),
    code(
        400,
        "nul_character",
        "A parameter holds U+0000, which PostgreSQL cannot keep. Remove it.",
    ),
    code(400, "repeated_parameter", "A parameter with one value is there twice. Send it once."),
    code(400, "trailing_data", "Something follows the JSON value. Send exactly one value."),
    code(400, "unknown_parameter", "The operation has no such query parameter. Check its name."),
    code(401, "unauthorized", "Send one of the service's `auth_tokens` as a bearer token."),
    code(
        403,
        "cross_origin",
        "A web page of another origin sent a change. Use a program, or set `public_url`.",
    ),
    code(404, "job_not_found", "No such job. Its retention may be over, or it was deleted."),
    code(404, "operation_not_found", "No such operation. `GET /operations` lists them."),
    code(404, "path_not_found", "Nothing is at this path. `/docs` lists the paths."),
    code(404, "queue_not_found", "No such queue. `GET /queues` lists the queues."),
    code(
        404,
        "task_not_found",
        "No worker has registered this task. `GET /tasks` lists the tasks.",
    ),
    code(405, "method_not_allowed", "The path lacks this method. The `Allow` header lists them."),
    code(408, "request_timeout", "The body arrived too slowly. Send it faster, or send less."),
    code(
        409,
        "idempotency_key_busy",
        "The first request with this `Idempotency-Key` is under way. Send it again in a second.",
    ),
    code(409, "job_already_final", "The job has ended. There is nothing left to cancel."),
    code(409, "job_not_final", "The job has not ended. Cancel it first, or wait."),
    code(409, "job_processing", "A worker holds the job. Cancel it, and delete it after its end."),
    code(409, "operation_ended", "The operation has ended. There is nothing left to stop."),
    code(
        409,
        "unique_key_conflict",
        "Job `job_id` holds the unique key: it has not ended, or completed within its \
         `unique_for_seconds`. Wait, or use another key.",
    ),
    code(
        412,
        "precondition_failed",
        "Others changed it meanwhile. Read it again, and send the new `ETag` as `If-Match`.",
    ),
    code(413, "body_too_large", "The body is too large. Send less, or split the batch."),
    code(415, "unsupported_media_type", "Send UTF-8 with `Content-Type: application/json`."),
    code(
        421,
        "host_not_allowed",
        "The service has no tokens and does not know this host. Set `allowed_hosts` or \
         `auth_tokens`.",
    ),
    code(
        422,
        "idempotency_key_reused",
        "The `Idempotency-Key` came with other content before. Use a key for one content only.",
    ),
    code(422, "validation_failed", "A field is wrong. `errors` lists every wrong place."),
    code(
        429,
        "too_many_idempotency_keys",
        "A million keys of this caller are kept. Wait until some are old, or send no key.",
    ),
    code(500, "internal_error", "The service failed. Its log has the `request_id`."),
    code(503, "database_busy", "The database was too busy. Nothing was changed. Try again."),
    code(503, "database_unavailable", "The database is away. Nothing was changed. Try again."),
    code(
        503,
        "outcome_unknown",
        "The database did not confirm the change. Look whether it was made before you repeat it.",
    ),
    code(
        503,
        "too_many_bodies",
        "Other large bodies take the room. Nothing was changed. Try again.",
    ),
    code(
        503,
        "too_many_connections",
        "All connections are in use, or all streams of HTTP/2. Try again.",
    ),
    code(
        503,
        "unique_key_busy",
        "An open transaction holds the unique key. Try again after its end.",
    ),
];

/// The codes of single places in a request, which `errors` lists. A parameter has the code of its
/// problem, and JSON that cannot be read has too.
pub const FIELDS: &[(&str, &str)] = &[
    ("batch_size", "A batch has 1 to 10,000 jobs. Split a longer list."),
    ("conflicting_fields", "Two fields exclude each other. Send one of them."),
    ("duplicate_field", "The field is there more than once. Send it once."),
    ("invalid_length", "The text is too short or too long."),
    ("invalid_name", "The name has characters that names do not have, or too many."),
    ("invalid_timestamp", "The time is not RFC 3339 with a zone."),
    ("invalid_value", "The value is not one of those that the field knows."),
    ("lone_surrogate", "A string holds half of a surrogate pair. Write both halves."),
    ("missing_field", "The field is required."),
    ("nul_character", "A string holds U+0000, which PostgreSQL cannot keep. Remove it."),
    ("number_out_of_range", "The number is too long to keep. Send it as a string."),
    ("out_of_range", "The number or the time lies outside its range."),
    ("required", "The field is required."),
    ("requires_replace", "The field means something only with `on_conflict` `replace`."),
    ("requires_unique_key", "The field means something only with a `unique_key`."),
    ("too_deep", "The value is nested more than 64 levels deep. Flatten it."),
    ("too_large", "The payload has more than 1 MiB. Put the data elsewhere and send its place."),
    ("too_many", "The list has more items than the field takes."),
    ("unique_key_conflict", "A job holds this key: it has not ended, or its window has not."),
    ("unknown_field", "The object has no such field. Check its name."),
    ("wrong_type", "The value is of another type than the field."),
];

/// The codes of a job's or an attempt's error. A handler may add its own.
pub const FAILURES: &[(&str, &str)] = &[
    ("cancelled", "Somebody cancelled the job."),
    (
        "deadline_exceeded",
        "The job did not end within its `deadline_seconds`, or would wait beyond them.",
    ),
    ("expired", "No attempt began within `queue_ttl_seconds`."),
    ("handler_error", "The handler returned an error. The job is tried again while it may."),
    ("invalid_payload", "The payload is not what the task takes. Submit it again, corrected."),
    ("invalid_result", "The result cannot be kept as JSON. The handler needs a change."),
    ("outcome_refused", "The database refused the outcome. The service's log says why."),
    ("panicked", "The handler panicked."),
    ("permanent", "The handler said that no further attempt can help."),
    ("purged", "Its queue was purged while it waited. Submit it again if it is needed."),
    (
        "result_too_large",
        "The result has more than 1 MiB. Store it elsewhere and return its place.",
    ),
    ("snooze_limit", "The handler asked to run later for the 1,001st time."),
    ("snoozed", "The handler asked to run later. The message counts the snoozes not kept."),
    ("superseded", "Job `job_id` took the unique key, so this one is not tried again."),
    ("timed_out", "The attempt exceeded its timeout."),
    ("unreadable", "This release of the service cannot read the job. Start a newer release."),
    ("worker_lost", "The worker stopped answering."),
];

/// The codes of what a job waits for.
pub const WAITS: &[(&str, &str)] = &[
    (
        "key_held",
        "Job `job_id` has the turn of its `concurrency_key`; until `until` that one waits for another \
         attempt. A queue's `per_key_concurrency` gives more turns, and its `on_retry: yield` lets \
         others pass.",
    ),
    ("no_worker", "No service with workers runs. Start one."),
    ("queue_paused", "The queue is paused. `POST /queues/{queue}/resume` starts it."),
    ("queue_unserved", "Workers know the task, but none of them takes jobs of this queue."),
    ("retry", "The next attempt begins at `until`."),
    ("scheduled", "The job does not start before `until`."),
    ("slot", "Nothing is in its way: it waits for its turn and a free slot."),
    (
        "suspect",
        "Its workers were lost, so it runs alone. `job_id` names the job that does so now.",
    ),
    ("task_unserved", "No running worker knows the task. The message may name a similar one."),
];

/// The codes of why an operation passed a job by.
pub const SKIPS: &[(&str, &str)] = &[
    (
        "job_busy",
        "Another transaction was changing the job. Redrive again if it still is a dead letter.",
    ),
    (
        "unique_key_busy",
        "Another transaction holds the unique key. Redrive again once it has ended.",
    ),
    (
        "unique_key_conflict",
        "The job `holder_id` has the unique key by now. Redrive again once that has ended.",
    ),
];

/// Whether an answer may have this code: the check of debug builds, so that every test makes it.
pub fn is_known(status: u16, name: &str) -> bool {
    PROBLEMS.iter().any(|code| code.status == status && code.name == name)
}

/// The names of the codes that `errors` may hold, in order.
pub(crate) fn of_places() -> BTreeSet<&'static str> {
    let of_requests = PROBLEMS.iter().filter(|code| code.status == 400).map(|code| code.name);
    FIELDS.iter().map(|field| field.0).chain(of_requests).collect()
}

/// As [`is_known`], for what a job waits for.
pub(crate) fn is_known_wait(name: &str) -> bool {
    WAITS.iter().any(|wait| wait.0 == name)
}

/// As [`is_known`], for a place in `errors`.
pub(crate) fn is_known_place(name: &str) -> bool {
    of_places().contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_stands_once_and_in_order() {
        let problems = PROBLEMS.iter().map(|code| (code.status, code.name));
        assert!(problems.is_sorted_by(|one, next| one < next));
        for list in [FIELDS, FAILURES, WAITS, SKIPS] {
            assert!(list.iter().is_sorted_by(|one, next| one.0 < next.0));
        }
        assert!(is_known(409, "job_processing") && !is_known(404, "job_processing"));
        assert!(is_known_place("invalid_cursor") && is_known_place("wrong_type"));
        assert!(!is_known_place("job_processing"));
    }
}
