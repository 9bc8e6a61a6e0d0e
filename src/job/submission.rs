//! The rule book of a submission: what a caller may ask for, and what it means.
//!
//! The table of [`fields`] has the rules of single fields. HTTP and the Rust library go through
//! [`NewJob::check`]. Plain SQL has the same rules in `reveille.job_faults`. One table-driven test
//! takes all three doors through the same cases.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use serde::Serialize;

use super::bounds::excerpt;
use super::fields::{self, Faults, NewJob, Settings};
use super::json::Json;
use super::moment;
use super::names::names;
use crate::queue::{QueueName, TaskName};

/// How far ahead a job may be scheduled.
pub(crate) const FARTHEST_SECONDS: f64 = 315_360_000.0;
/// The longest time limit of an attempt, as far ahead. A task may name one that no clock reaches.
pub(crate) const TIME_LIMIT_MOST: Duration = Duration::from_hours(24 * 3650);
/// Of a payload when it is written out ([`Json::written_bytes`]).
pub(crate) const PAYLOAD_BYTES_MOST: usize = 1024 * 1024;
/// The longest unique key, in characters.
pub(crate) const KEY_CHARS_MOST: usize = 255;
/// The most jobs that one batch may have.
pub(crate) const BATCH_MOST: usize = 10_000;
/// The task of a job that names none.
pub(crate) const DEFAULT_TASK: &str = "echo";
pub(crate) const DEFAULT_PRIORITY: i16 = 5;
/// Bytes of a name that is not valid, in a warning.
const NAME_SHOWN_MOST: usize = 120;

/// A fault of one field of a submission.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldError {
    /// Where, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// Stable, for programs.
    pub code: &'static str,
    /// The remedy, for people.
    pub message: String,
}

impl FieldError {
    /// The fault at this place.
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, message: message.into() }
    }
}

/// The code of a list that is too long, whatever its items are.
pub(crate) const TOO_MANY: &str = "too_many";

/// The fate of a submission whose unique key another job holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnConflict {
    /// The existing job is the answer.
    #[default]
    Keep,
    /// The submission is refused.
    Reject,
    /// A waiting job takes the new content under its old id, with fresh attempts. Behind one that
    /// is processing a new one is queued, and the old one is not tried again.
    Replace,
}

names!(OnConflict { Keep = "keep", Reject = "reject", Replace = "replace" });

impl OnConflict {
    /// Their meanings, for the specification.
    pub(super) const ABOUT: &str = "What to do when another job holds the unique key. \
        `keep`: the existing job is the answer (status 200). `reject`: the submission is refused (409). \
        `replace`: a job that still waits takes the new content under its old id, with fresh attempts. \
        Behind one that is being processed a new job is queued, which takes the key. The old one may \
        still complete or fail for good, but is not tried again: it ends `cancelled` with the code \
        `superseded`. A job that completed within its `unique_for_seconds` holds its key too: it is the \
        answer to `keep` and to `replace`.";
}

impl NewJob {
    /// A job of `task` with this payload, everything else at its default.
    pub fn new(task: impl Into<String>, payload: &(impl Serialize + ?Sized)) -> Self {
        Self {
            payload: Some(Json::from_serialize(payload)),
            task: Some(task.into()),
            ..Self::default()
        }
    }

    /// Adds a tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.get_or_insert_default().push(tag.into());
        self
    }

    /// At most one job of a queue that has not ended holds a key; `on_conflict` says what becomes
    /// of this one then.
    pub fn unique(self, key: impl Into<String>, on_conflict: OnConflict) -> Self {
        Self {
            unique_key: Some(key.into()),
            on_conflict: Some(on_conflict.as_str().into()),
            ..self
        }
    }

    /// The submission that this asks for, or everything that is wrong with it.
    ///
    /// `now` bounds how far ahead `run_at` may lie.
    pub(crate) fn check(self, now: DateTime<Utc>) -> Result<Submission, Vec<FieldError>> {
        let together = fields::together(&self);
        self.check_with(together, now)
    }

    /// As [`Self::check`], with the faults that the caller has found of fields beside others. The
    /// caller may know of fields that are given but could not be read.
    pub(crate) fn check_with(
        self,
        together: Vec<FieldError>,
        now: DateTime<Utc>,
    ) -> Result<Submission, Vec<FieldError>> {
        let mut faults = Faults(together);
        self.check_each(&mut faults);
        let start = self.start(now, &mut faults);
        self.check_clocks(now, &mut faults);
        let Some(Ok(payload)) = self.payload else {
            if self.payload.is_none() {
                faults.add("/payload", "required", "a job needs a payload; it may be null");
            }
            return Err(faults.0);
        };
        if !faults.0.is_empty() {
            return Err(faults.0);
        }
        let (in_payload, warning) = match self.task {
            Some(_) => (None, None),
            None => task_in_payload(&payload),
        };
        let named = self.task.map(|task| TaskName::trusted(&task));
        let policy = self.on_conflict.as_deref().and_then(OnConflict::parse);
        let on_conflict = policy.unwrap_or_default();
        Ok(Submission {
            payload,
            task: named.or(in_payload).unwrap_or_else(|| TaskName::trusted(DEFAULT_TASK)),
            queue: self.queue.map_or_else(QueueName::default, |queue| QueueName::trusted(&queue)),
            priority: self.priority.and_then(|priority| priority.try_into().ok()),
            start,
            max_attempts: self.max_attempts.and_then(|count| count.try_into().ok()),
            timeout_seconds: self.timeout_seconds,
            tags: self.tags.unwrap_or_default(),
            unique: self.unique_key.map(|key| Unique { key, on_conflict }),
            settings: (self.settings != Settings::default()).then(|| Box::new(self.settings)),
            warnings: warning.into_iter().collect(),
        })
    }

    fn start(&self, now: DateTime<Utc>, faults: &mut Faults) -> Start {
        let Some(at) = self.run_at.map(moment::kept) else {
            return self.delay_seconds.map_or(Start::Now, Start::After);
        };
        let first = Utc.timestamp_nanos(0);
        #[expect(clippy::cast_possible_truncation, reason = "a whole number of seconds")]
        let last = now + TimeDelta::seconds(FARTHEST_SECONDS as i64);
        if !(first..=last).contains(&at) {
            let message = "run_at must lie between the year 1970 and ten years from now";
            faults.add("/run_at", "out_of_range", message);
        }
        Start::At(at)
    }
}

/// `payload.task`, if that is a task's name, registered or not; a warning if it is there and is not
/// one.
fn task_in_payload(payload: &Json) -> (Option<TaskName>, Option<String>) {
    // Most payloads are no object with a `task`; a look at the text spares parsing them.
    if !payload.as_str().contains("\"task\"") && !payload.as_str().contains("\\u") {
        return (None, None);
    }
    // A map, since a doubled key is no error here: the last one counts, as in the database.
    let members: HashMap<String, Json> = payload.to().unwrap_or_default();
    let Some(task) = members.get("task").filter(|task| !task.is_null()) else {
        return (None, None);
    };
    let name = task.to::<String>().ok();
    if let Some(name) = name.as_deref().and_then(TaskName::new) {
        return (Some(name), None);
    }
    let warning = format!(
        "payload.task is {}, which is not the name of a task ({}), so the job runs the task {DEFAULT_TASK}. Name the task in the field `task`.",
        excerpt(task.as_str(), NAME_SHOWN_MOST),
        TaskName::RULE
    );
    (None, Some(warning))
}

/// When a job may start.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Start {
    Now,
    At(DateTime<Utc>),
    /// Seconds after its submission, by the database's clock.
    After(f64),
}

/// A unique key within the job's queue, and what to do if it is taken.
#[derive(Clone, PartialEq, Debug)]
pub struct Unique {
    pub key: String,
    pub on_conflict: OnConflict,
}

/// A job that keeps the rules, ready to be inserted.
#[derive(Clone, Debug)]
pub struct Submission {
    pub payload: Json,
    pub task: TaskName,
    pub queue: QueueName,
    /// `None`: as the queue says.
    pub priority: Option<i16>,
    pub start: Start,
    /// `None`: as the queue or the task says.
    pub max_attempts: Option<i32>,
    /// Of one attempt; `None`: as the queue or the task says.
    pub timeout_seconds: Option<f64>,
    pub tags: Vec<String>,
    pub unique: Option<Unique>,
    /// The rare fields; `None`: none is given.
    pub settings: Option<Box<Settings>>,
    /// Things that the caller may have meant otherwise, in sentences.
    pub warnings: Vec<String>,
}

impl Submission {
    /// Whether it starts now and has nothing of its own but payload, task, queue and priority.
    pub fn is_plain(&self) -> bool {
        matches!(self.start, Start::Now)
            && self.max_attempts.is_none()
            && self.timeout_seconds.is_none()
            && self.tags.is_empty()
            && self.unique.is_none()
            && self.settings.is_none()
    }

    /// Whether it ends by itself.
    pub fn is_timed(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| settings.are_timed())
    }

    /// Whether it waits for its turn among the jobs of a key.
    pub fn takes_turns(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| settings.concurrency_key.is_some())
    }

    /// Its priority, once the default of its queue is filled in.
    pub fn priority(&self) -> i16 {
        self.priority.unwrap_or(DEFAULT_PRIORITY)
    }

    /// The rare fields as the job keeps them; `None`: none is given.
    pub fn settings_kept(&self) -> Option<Json> {
        self.settings.as_deref().and_then(|settings| Json::from_serialize(settings).ok())
    }

    /// The time before which it does not start, if it was given as a time.
    pub fn run_at(&self) -> Option<DateTime<Utc>> {
        if let Start::At(at) = self.start { Some(at) } else { None }
    }

    /// The seconds before which it does not start, if they were given so.
    pub fn delay(&self) -> Option<f64> {
        if let Start::After(seconds) = self.start { Some(seconds) } else { None }
    }
}

/// A submission with the names that its fields have in the other doors. A field that is not given is
/// left out: a release that knows more fields writes the same of a job without them.
#[derive(Serialize)]
pub(crate) struct Asked<'a> {
    payload: &'a Json,
    task: &'a str,
    queue: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_conflict: Option<&'a str>,
    #[serde(flatten)]
    settings: Option<&'a Settings>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(job: &'a Submission) -> Self {
        Self {
            payload: &job.payload,
            task: job.task.as_str(),
            queue: job.queue.as_str(),
            priority: job.priority,
            run_at: job.run_at(),
            delay_seconds: job.delay(),
            max_attempts: job.max_attempts,
            timeout_seconds: job.timeout_seconds,
            tags: &job.tags,
            unique_key: job.unique.as_ref().map(|unique| unique.key.as_str()),
            on_conflict: job.unique.as_ref().map(|unique| unique.on_conflict.as_str()),
            settings: job.settings.as_deref(),
        }
    }
}
