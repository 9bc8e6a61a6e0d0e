//! The one table of submission fields: each is declared once, in [`FIELDS`]' declaration below.
//!
//! | what follows from it | where |
//! |---|---|
//! | [`NewJob`], its setters, and the checks of single fields | here, by the macro in `declare.rs` |
//! | the reader of HTTP, its known names and "did you mean" | `api/submission.rs`, `api/fields.rs` |
//! | the specification: types, defaults, bounds | `api/schema.rs` |
//! | the flags of `reveille submit` | `cli/submit.rs` |
//! | the checks of the SQL door | blocks in `sql/functions`, written and compared by `store/fields.rs` |
//! | fields that are objects, each with a table of its members | here, as `retry.rs` |
//! | the table of a queue's settings, with the defaults of these fields | `queue.rs` |
//! | the list in docs/submitting.md | a block, written and compared by `made.rs` beside this file |
//! | the limits that every door is tested with | `tests/it/doors`, which reads them in the specification |
//!
//! `columns` have a column in the database: a claim filters, orders or works by them. Rare fields
//! belong to `settings`, which a job keeps as one object, null for nearly every job. There a new
//! field needs its declaration and nothing else.

mod clocks;
mod declare;
mod kind;
#[cfg(test)]
mod made;
mod queue;
mod retry;
mod value;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::json::{Json, JsonFault};
use super::submission::{FARTHEST_SECONDS, FieldError, KEY_CHARS_MOST, OnConflict};
use crate::queue::{PRIORITIES, QueueName, TaskName};
use declare::fields;
pub(crate) use kind::{Field, Given, Kind, Literal, Together};
pub use queue::QueueSettings;
pub(crate) use queue::{PAUSE_FIELDS, PAUSE_NAMES, QUEUE_FIELDS, QUEUE_NAMES, Retention};
pub(crate) use queue::{PauseRequest, QueueChange};
pub use retry::Retry;
pub(crate) use retry::{FIXED, LINEAR};
pub(crate) use value::Faults;
pub use value::Source;
use value::Value;

/// The time until the job may start.
const DELAY: Kind = Kind::Seconds { least: 0.0, most: FARTHEST_SECONDS };
/// The time of one attempt.
const TIMEOUT: Kind = Kind::Seconds { least: 0.001, most: 604_800.0 };
/// A span of a job's life.
const SPAN: Kind = Kind::Seconds { least: 0.001, most: FARTHEST_SECONDS };
const PRIORITY: Kind =
    Kind::Integer { least: *PRIORITIES.start() as i64, most: *PRIORITIES.end() as i64 };
const MAX_ATTEMPTS: Kind = Kind::Integer { least: 1, most: 1000 };

fields! {
    columns {
        /// The JSON value that the task works on.
        /// It has up to 1 MiB (without blanks, and with numbers written without exponents) and 64
        /// levels. Its value is kept; the order of keys, doubled keys and spellings such as 1e2 are
        /// normalised.
        payload: Result<Json, JsonFault> = Kind::Json, required true;

        /// The task to run.
        /// Without it: `payload.task`, if that is a task's name, else `echo`.
        task: String = Kind::Name {
            pattern: TaskName::PATTERN,
            rule: TaskName::RULE,
            fits: TaskName::fits,
        };

        /// The queue to wait in.
        /// A queue exists from its first job on.
        queue: String = Kind::Name {
            pattern: QueueName::PATTERN,
            rule: QueueName::RULE,
            fits: QueueName::fits,
        }, default Literal::Text(QueueName::DEFAULT), set by queue(queue: impl Into<String>) = queue.into();

        /// Jobs of a lower number start first.
        /// Without it the queue's default, else 5.
        priority: i64 = PRIORITY, set by priority(priority: u8) = priority.into();

        /// The job does not start before this time, to the microsecond, at most ten years ahead.
        /// Not together with `delay_seconds`.
        run_at: DateTime<Utc> = Kind::Time, set by run_at(at: DateTime<Utc>) = at;

        /// The job does not start before so many seconds have passed.
        /// Not together with `run_at`.
        delay_seconds: f64 = DELAY,
            together Together::NotWith("run_at"), set by delay(delay: Duration) = delay.as_secs_f64();

        /// How many attempts the job may spend.
        /// Without it the queue's default, else that of the task, else 10.
        max_attempts: i64 = MAX_ATTEMPTS,
            set by max_attempts(attempts: u32) = attempts.into();

        /// How long one attempt may take, in seconds.
        /// Without it the queue's default, else that of the task, else 900.
        timeout_seconds: f64 = TIMEOUT,
            set by timeout(timeout: Duration) = timeout.as_secs_f64();

        /// Words to find the job by.
        tags: Vec<String> = Kind::Texts { most: 20, longest: 64 }, default Literal::Nothing;

        /// At most one job of a queue that has not ended holds a key.
        /// `on_conflict` says what becomes of another one, and `unique_for_seconds` holds the key
        /// for longer.
        unique_key: String = Kind::Text { least: 1, most: KEY_CHARS_MOST };

        /// Decides what becomes of this job when another one holds the `unique_key`.
        /// Without it `keep`.
        on_conflict: String = Kind::Choice {
            of: &OnConflict::NAMES,
            schema: "ConflictPolicy",
            about: OnConflict::ABOUT,
        }, together Together::OnlyWith("unique_key");
    }
    settings {
        /// When the job runs again after an attempt that failed. Without it the queue's default,
        /// else the back-off of the task. A task without one waits 5 s, then three times as long
        /// each time, up to 6 hours, a fifth more or less.
        retry: Retry = Retry::KIND, set by retry(retry: Retry) = retry;

        /// How long the job may wait for its first attempt, in seconds. Then it fails with the code
        /// `expired`. It counts from the submission, and no more once an attempt has begun.
        queue_ttl_seconds: f64 = SPAN, set by queue_ttl(most: Duration) = most.as_secs_f64();

        /// How long the job has in all, in seconds. Then it fails with the code
        /// `deadline_exceeded`. It counts from the submission, through waits and attempts.
        deadline_seconds: f64 = SPAN, set by deadline(most: Duration) = most.as_secs_f64();

        /// How long the `unique_key` stays taken, in seconds from the submission, even if the job
        /// has completed by then. A job that fails, is cancelled or is deleted frees its key at
        /// once.
        unique_for_seconds: f64 = Kind::Seconds { least: 1.0, most: 2_592_000.0 },
            together Together::OnlyWith("unique_key"),
            set by unique_for(window: Duration) = window.as_secs_f64();

        /// The longest that replacements can put a waiting job off, in seconds from the first
        /// submission. Only with `on_conflict: replace`.
        debounce_max_seconds: f64 = Kind::Seconds { least: 0.001, most: 604_800.0 },
            together Together::OnlyWhere("on_conflict", OnConflict::Replace.as_str()),
            set by debounce_max(most: Duration) = most.as_secs_f64();

        /// Jobs of a queue with the same key run one at a time, in the order of their `run_at` and
        /// their submission, whatever their tasks and priorities. `per_key_concurrency` of the queue
        /// lets more of them run. A job that is tried again keeps its turn, unless the queue's
        /// `on_retry` is `yield`.
        concurrency_key: String = Kind::Text { least: 1, most: KEY_CHARS_MOST },
            set by concurrency_key(key: impl Into<String>) = key.into();
    }
}

/// Faults of given fields that may not stand together or alone.
pub(crate) fn together(given: &impl Given) -> Vec<FieldError> {
    let fault = |field: &Field| {
        let rule = field.together.as_ref()?;
        (given.gives(field.name) && !rule.holds(given)).then(|| rule.error(field.name))
    };
    FIELDS.iter().filter_map(fault).collect()
}

impl Settings {
    /// The settings that a job keeps. A setting that this release cannot read is as if it were not
    /// there.
    pub fn of(kept: Option<&Json>) -> Self {
        kept.and_then(|kept| kept.to().ok()).unwrap_or_default()
    }

    /// Whether the job ends by itself.
    pub(crate) fn are_timed(&self) -> bool {
        self.queue_ttl_seconds.is_some() || self.deadline_seconds.is_some()
    }
}
