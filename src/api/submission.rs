//! A submission as it comes in over HTTP: described by [`JobCreate`], read member by member, and checked by the rule book.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{Example, Type};
use poem_openapi::{Enum, Object};

use super::body::FromBody;
use super::fields::{Fields, kind};
use super::members::Items;
use super::problem::MAX_ERRORS;
use super::types::described;
use crate::job::json::Json;
use crate::job::submission::{
    BATCH_MOST, FieldError, MOST_TAGS, NewJob, PAYLOAD_BYTES_MOST, Submission, TOGETHER, TOO_MANY,
    conflicting_start, policy_without_key,
};

const KNOWN: &[&str] = &[
    "payload",
    "task",
    "queue",
    "priority",
    "run_at",
    "delay_seconds",
    "max_attempts",
    "timeout_seconds",
    "tags",
    "unique_key",
    "on_conflict",
];

/// A job to submit. Everything but `payload` is optional.
#[derive(Debug, Clone, Object)]
#[oai(example, skip_serializing_if_is_none, skip_serializing_if_is_empty)]
pub struct JobCreate {
    /// What the task works on: any JSON value, up to 1 MiB (without blanks, and with numbers written without exponents) and 64
    /// levels deep. Kept value for value; the order of keys, doubled keys and spellings such as 1e2 are normalised.
    pub payload: Json,
    /// What is to be done: 1 to 100 of `a-z A-Z 0-9 _ - . :`. Without it `payload.task`, if that is such a name, else `echo`.
    #[oai(validator(pattern = "^[a-zA-Z0-9_.:-]{1,100}$"))]
    pub task: Option<String>,
    /// The queue: 1 to 64 of `a-z 0-9 _ - .`; `default` without it. A queue exists from its first job on.
    #[oai(validator(pattern = "^[a-z0-9_.-]{1,64}$"))]
    pub queue: Option<String>,
    /// 0 (first) to 9; 5 without it.
    #[oai(validator(minimum(value = "0"), maximum(value = "9")))]
    pub priority: Option<i32>,
    /// The job does not start before this time (RFC 3339, to the microsecond), at most ten years ahead. Not together with
    /// `delay_seconds`.
    pub run_at: Option<DateTime<Utc>>,
    /// The job does not start before so many seconds have passed. Not together with `run_at`.
    #[oai(validator(minimum(value = "0"), maximum(value = "315360000")))]
    pub delay_seconds: Option<f64>,
    /// How many attempts the job may spend; without it the task's own default, else 10.
    #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
    pub max_attempts: Option<i32>,
    /// How long one attempt may take, in seconds; without it the task's own default, else 900.
    #[oai(validator(minimum(value = "0.001"), maximum(value = "604800")))]
    pub timeout_seconds: Option<f64>,
    /// Up to 20 strings of 1 to 64 characters, to find the job by.
    #[oai(validator(max_items = 20))]
    pub tags: Option<Vec<String>>,
    /// At most one job of a queue that has not ended holds a key; `on_conflict` says what becomes of another one.
    #[oai(validator(min_length = 1, max_length = 255))]
    pub unique_key: Option<String>,
    // What to do when a job that has not ended holds the `unique_key`; `keep` without it.
    pub on_conflict: Option<ConflictPolicy>,
}

/// What to do when a job that has not ended holds the unique key. `keep`: the existing job is the answer (status 200).
/// `reject`: the submission is refused (409). `replace`: a job that still waits takes the new content under its old id, with
/// fresh attempts. Behind one that is being processed a new job is queued, which takes the key. The old one may still complete
/// or fail for good, but is not tried again: it ends `cancelled` with the code `superseded`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ConflictPolicy {
    Keep,
    Reject,
    Replace,
}

impl Example for JobCreate {
    fn example() -> Self {
        let payload = serde_json::json!({"task": "hello_world", "data": "test message"});
        Self {
            payload: Json::from_serialize(&payload).unwrap_or_else(|_| Json::null()),
            task: None,
            queue: None,
            priority: None,
            run_at: None,
            delay_seconds: None,
            max_attempts: None,
            timeout_seconds: None,
            tags: None,
            unique_key: None,
            on_conflict: None,
        }
    }
}

/// One submission, checked.
#[derive(Debug)]
pub struct SubmissionBody(pub Submission);

/// A batch of them.
#[derive(Debug)]
pub struct BatchBody(pub Vec<Submission>);

described!(SubmissionBody as JobCreate);
described!(BatchBody as Vec<JobCreate>);

impl FromBody for SubmissionBody {
    // A payload counts as it is written out, and six bytes of `\u0041` are one then. Blanks do not
    // count at all, and the other fields need room too.
    const LIMIT: usize = 6 * PAYLOAD_BYTES_MOST + 16 * 1024;

    fn from_body(text: &str, now: DateTime<Utc>) -> Result<Self, Vec<FieldError>> {
        read(text, "", now).map(Self)
    }
}

impl FromBody for BatchBody {
    const LIMIT: usize = 32 * 1024 * 1024;
    const LINES: Option<usize> = Some(BATCH_MOST);

    fn from_body(text: &str, now: DateTime<Utc>) -> Result<Self, Vec<FieldError>> {
        let Some(items) = Items::of(text, BATCH_MOST) else {
            let message = format!("Expected an array of jobs, found {}.", kind(text));
            return Err(vec![FieldError::new("", "wrong_type", message)]);
        };
        Self::from_items(&items, now)
    }

    fn from_items(items: &Items<'_>, now: DateTime<Utc>) -> Result<Self, Vec<FieldError>> {
        if !(1..=BATCH_MOST).contains(&items.count) {
            let message = format!(
                "A batch has 1 to {BATCH_MOST} jobs, this one {}. Split a longer list into several calls.",
                items.count
            );
            return Err(vec![FieldError::new("", "batch_size", message)]);
        }
        let mut jobs = Vec::with_capacity(items.count);
        let mut errors = Vec::new();
        for (nth, text) in items.first.iter().enumerate() {
            match read(text, &format!("/{nth}"), now) {
                // Of a batch that is refused nothing is kept.
                Ok(job) if errors.is_empty() => jobs.push(job),
                Ok(_) => {}
                Err(more) => errors.extend(more),
            }
            if errors.len() >= MAX_ERRORS {
                break;
            }
        }
        if errors.is_empty() { Ok(Self(jobs)) } else { Err(errors) }
    }
}

/// The submission in `text`, or everything that is wrong with it: what cannot be read, and what the rule book says of the rest.
fn read(text: &str, at: &str, now: DateTime<Utc>) -> Result<Submission, Vec<FieldError>> {
    let mut fields = Fields::parse(text, at, KNOWN).map_err(|error| vec![error])?;
    let job = NewJob {
        payload: fields.json("payload").map(Ok),
        task: fields.string("task"),
        queue: fields.string("queue"),
        priority: fields.integer("priority"),
        run_at: fields.timestamp("run_at"),
        delay_seconds: fields.number("delay_seconds"),
        max_attempts: fields.integer("max_attempts"),
        timeout_seconds: fields.number("timeout_seconds"),
        tags: fields.strings("tags", MOST_TAGS).unwrap_or_default(),
        unique_key: fields.string("unique_key"),
        on_conflict: fields.string("on_conflict"),
    };
    let conflict = fields.gives("run_at") && fields.gives("delay_seconds");
    let keyless = fields.gives("on_conflict") && !fields.gives("unique_key");
    let mut errors = fields.finish();
    let unread: Vec<String> = errors.iter().map(|error| error.pointer.clone()).collect();
    let told = |pointer: &str| {
        unread.iter().any(|one| {
            one.strip_prefix(pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    match job.check(now) {
        Ok(submission) if errors.is_empty() => return Ok(submission),
        Ok(_) => {}
        // A field that could not be read is absent to the rule book. Which fields go together is told here, of all that are there.
        Err(more) => errors.extend(more.into_iter().filter_map(|error| {
            let pointer = format!("{at}{}", error.pointer);
            let told = told(&pointer) && error.code != TOO_MANY || TOGETHER.contains(&error.code);
            (!told).then_some(FieldError { pointer, ..error })
        })),
    }
    let together = [conflict.then(conflicting_start), keyless.then(policy_without_key)];
    errors.extend(together.into_iter().flatten().map(|error| {
        let pointer = format!("{at}{}", error.pointer);
        FieldError { pointer, ..error }
    }));
    Err(errors)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn of_more_tags_than_a_job_may_have_the_first_are_told_and_the_others_counted() {
        let refused = |tag: &str| {
            let body = format!(r#"{{"payload":1,"tags":[{}]}}"#, vec![tag; 60_000].join(","));
            let errors = SubmissionBody::from_body(&body, Utc::now()).unwrap_err();
            errors.into_iter().map(|error| (error.pointer, error.code)).collect::<Vec<_>>()
        };
        for (tag, code) in [("1", "wrong_type"), ("\"\"", "invalid_length")] {
            let mut expected: Vec<_> =
                (0..MOST_TAGS).map(|nth| (format!("/tags/{nth}"), code)).collect();
            expected.push(("/tags".into(), "too_many"));
            let mut found = refused(tag);
            found.sort();
            expected.sort();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_batch_is_read_until_it_has_the_most_errors_that_are_told() {
        let wrong = r#"{"payload":1,"tags":[1,1,1,1,1,1,1,1,1,1]}"#;
        let body = format!("[{}]", vec![wrong; BATCH_MOST].join(","));
        let errors = BatchBody::from_body(&body, Utc::now()).unwrap_err();
        assert_eq!(errors.len(), MAX_ERRORS);
        let told = format!("{:?}", crate::api::problem::Problem::invalid(errors));
        assert!(told.contains("At least 10000 things are wrong"));
        let line = Items { first: vec!["{}"], count: BATCH_MOST + 1 };
        let errors = BatchBody::from_items(&line, Utc::now()).unwrap_err();
        assert!(errors.len() == 1 && errors[0].message.contains("this one 10001"), "{errors:?}");
    }
}
