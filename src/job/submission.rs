//! The rule book of a submission: what a caller may ask for, and what it means.
//!
//! HTTP and the Rust library go through [`NewJob::check`]; plain SQL has the same rules in `reveille.job_faults`
//! (`sql/migrations`), and one table-driven test takes all three doors through the same cases.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use serde::Serialize;

use super::bounds::excerpt;
use super::json::{Json, JsonFault};
use super::moment;
use crate::queue::{QueueName, TaskName};

/// How far ahead a job may be scheduled.
pub const FARTHEST_SECONDS: f64 = 315_360_000.0;
pub const MOST_ATTEMPTS: i64 = 1000;
pub const LONGEST_TIMEOUT_SECONDS: f64 = 604_800.0;
pub const MOST_TAGS: usize = 20;
/// Of a payload when it is written out ([`Json::written_bytes`]).
pub const PAYLOAD_BYTES_MOST: usize = 1024 * 1024;
/// The most jobs that one batch may have.
pub const BATCH_MOST: usize = 10_000;
/// The task of a job that names none.
pub const DEFAULT_TASK: &str = "echo";
pub const DEFAULT_PRIORITY: i16 = 5;
/// Bytes of a name that is not valid, in a warning.
const NAME_SHOWN_MOST: usize = 120;

/// What is wrong with one field of a submission.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldError {
    /// Where, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// Stable, for programs.
    pub code: &'static str,
    /// What to do, for people.
    pub message: String,
}

impl FieldError {
    pub fn new(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, message: message.into() }
    }
}

/// The codes of [`conflicting_start`] and [`policy_without_key`].
pub const TOGETHER: [&str; 2] = ["conflicting_fields", "requires_unique_key"];

/// The code of a list that is too long, whatever its items are.
pub const TOO_MANY: &str = "too_many";

/// A job has a time to start at and a delay.
pub fn conflicting_start() -> FieldError {
    let message = "give run_at or delay_seconds, not both";
    FieldError::new("/delay_seconds", TOGETHER[0], message)
}

/// A job has a policy for its unique key, and no key.
pub fn policy_without_key() -> FieldError {
    let message = "on_conflict says what to do about a unique_key; give one, or leave it out";
    FieldError::new("/on_conflict", TOGETHER[1], message)
}

/// What becomes of a submission whose unique key a job that has not ended holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnConflict {
    /// The existing job is the answer.
    #[default]
    Keep,
    /// The submission is refused.
    Reject,
    /// A waiting job takes the new content under its old id, with fresh attempts. Behind one that is processing a new one is
    /// queued, and the old one is not tried again.
    Replace,
}

impl OnConflict {
    pub const ALL: [Self; 3] = [Self::Keep, Self::Reject, Self::Replace];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Reject => "reject",
            Self::Replace => "replace",
        }
    }
}

/// A job as somebody asks for it; nothing is checked yet. Everything but the payload is optional.
///
/// ```
/// # use reveille::{NewJob, OnConflict};
/// # use std::time::Duration;
/// # #[derive(serde::Serialize)] struct Resize { width: u32 }
/// let job = NewJob::new("resize", &Resize { width: 640 })
///     .queue("images")
///     .delay(Duration::from_secs(5))
///     .unique("resize/42", OnConflict::Replace);
/// ```
#[derive(Clone, Debug, Default)]
pub struct NewJob {
    /// What the task works on, or why it cannot be kept, which is reported together with all else that is wrong.
    pub payload: Option<Result<Json, JsonFault>>,
    pub task: Option<String>,
    pub queue: Option<String>,
    pub priority: Option<i64>,
    pub run_at: Option<DateTime<Utc>>,
    pub delay_seconds: Option<f64>,
    pub max_attempts: Option<i64>,
    pub timeout_seconds: Option<f64>,
    pub tags: Vec<String>,
    pub unique_key: Option<String>,
    pub on_conflict: Option<String>,
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

    pub fn queue(self, queue: impl Into<String>) -> Self {
        Self { queue: Some(queue.into()), ..self }
    }

    /// 0 (first) to 9.
    pub fn priority(self, priority: u8) -> Self {
        Self { priority: Some(priority.into()), ..self }
    }

    pub fn run_at(self, at: DateTime<Utc>) -> Self {
        Self { run_at: Some(at), ..self }
    }

    pub fn delay(self, delay: Duration) -> Self {
        Self { delay_seconds: Some(delay.as_secs_f64()), ..self }
    }

    pub fn max_attempts(self, attempts: u32) -> Self {
        Self { max_attempts: Some(attempts.into()), ..self }
    }

    /// Of one attempt.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout_seconds: Some(timeout.as_secs_f64()), ..self }
    }

    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

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
    pub fn check(self, now: DateTime<Utc>) -> Result<Submission, Vec<FieldError>> {
        let (mut faults, mut warnings) = (Faults(Vec::new()), Vec::new());
        let payload = check_payload(self.payload.as_ref(), &mut faults).cloned();
        let task = match &self.task {
            Some(text) => TaskName::new(text).or_else(|| {
                faults.add("/task", "invalid_name", format!("a task is {}", TaskName::RULE));
                None
            }),
            None => match payload.as_ref().and_then(task_in_payload) {
                Some(Ok(task)) => Some(task),
                Some(Err(warning)) => {
                    warnings.push(warning);
                    None
                }
                None => None,
            },
        };
        let queue = self.queue.as_deref().map_or_else(
            || Some(QueueName::default()),
            |text| {
                QueueName::new(text).or_else(|| {
                    faults.add("/queue", "invalid_name", format!("a queue is {}", QueueName::RULE));
                    None
                })
            },
        );
        let priority = self.priority.unwrap_or(DEFAULT_PRIORITY.into());
        faults.range(
            "/priority",
            (0..=9).contains(&priority),
            "priority must be from 0 (first) to 9",
        );
        let start = self.check_start(now, &mut faults);
        faults.range(
            "/max_attempts",
            self.max_attempts.is_none_or(|count| (1..=MOST_ATTEMPTS).contains(&count)),
            "max_attempts must be from 1 to 1000",
        );
        faults.range(
            "/timeout_seconds",
            self.timeout_seconds
                .is_none_or(|seconds| (0.001..=LONGEST_TIMEOUT_SECONDS).contains(&seconds)),
            "timeout_seconds must be from 0.001 to 604800 (seven days)",
        );
        self.check_tags(&mut faults);
        let unique = self.check_unique(&mut faults);
        match (faults.0.is_empty(), payload, queue) {
            (true, Some(payload), Some(queue)) => Ok(Submission {
                payload,
                task: task.unwrap_or_else(|| TaskName::trusted(DEFAULT_TASK)),
                queue,
                priority: i16::try_from(priority).unwrap_or(DEFAULT_PRIORITY),
                start,
                max_attempts: self.max_attempts.and_then(|count| i32::try_from(count).ok()),
                timeout_seconds: self.timeout_seconds,
                tags: self.tags,
                unique,
                warnings,
            }),
            _ => Err(faults.0),
        }
    }

    fn check_start(&self, now: DateTime<Utc>, faults: &mut Faults) -> Start {
        if self.run_at.is_some() && self.delay_seconds.is_some() {
            faults.0.push(conflicting_start());
        }
        faults.range(
            "/delay_seconds",
            self.delay_seconds.is_none_or(|seconds| (0.0..=FARTHEST_SECONDS).contains(&seconds)),
            "delay_seconds must be from 0 to 315360000 (ten years)",
        );
        if let Some(at) = self.run_at.map(moment::kept) {
            let first = Utc.timestamp_nanos(0);
            #[expect(clippy::cast_possible_truncation, reason = "a whole number of seconds")]
            let last = now + TimeDelta::seconds(FARTHEST_SECONDS as i64);
            faults.range(
                "/run_at",
                (first..=last).contains(&at),
                "run_at must lie between the year 1970 and ten years from now",
            );
            return Start::At(at);
        }
        self.delay_seconds.map_or(Start::Now, Start::After)
    }

    fn check_tags(&self, faults: &mut Faults) {
        if self.tags.len() > MOST_TAGS {
            faults.add("/tags", TOO_MANY, "a job has at most 20 tags");
        }
        // A list of more is wrong as a whole: to note each of a million would fill the memory.
        for (nth, tag) in self.tags.iter().take(MOST_TAGS).enumerate() {
            if !(1..=64).contains(&tag.chars().count()) {
                faults.add(
                    format!("/tags/{nth}"),
                    "invalid_length",
                    "a tag is a string of 1 to 64 characters",
                );
            }
            faults.nul(&format!("/tags/{nth}"), tag);
        }
    }

    fn check_unique(&self, faults: &mut Faults) -> Option<Unique> {
        let on_conflict = self.on_conflict.as_deref().map_or(Some(OnConflict::default()), |text| {
            OnConflict::ALL.into_iter().find(|policy| policy.as_str() == text)
        });
        if on_conflict.is_none() {
            faults.add("/on_conflict", "invalid_value", "on_conflict is keep, reject or replace");
        }
        let Some(key) = &self.unique_key else {
            if self.on_conflict.is_some() {
                faults.0.push(policy_without_key());
            }
            return None;
        };
        if !(1..=255).contains(&key.chars().count()) {
            faults.add("/unique_key", "invalid_length", "a unique key has 1 to 255 characters");
        }
        faults.nul("/unique_key", key);
        on_conflict.map(|on_conflict| Unique { key: key.clone(), on_conflict })
    }
}

fn check_payload<'a>(
    payload: Option<&'a Result<Json, JsonFault>>,
    faults: &mut Faults,
) -> Option<&'a Json> {
    match payload {
        None => faults.add("/payload", "required", "a job needs a payload; it may be null"),
        Some(Err(fault)) => {
            faults.add(format!("/payload{}", fault.pointer), fault.code, fault.message.clone());
        }
        Some(Ok(payload)) if payload.written_bytes() > PAYLOAD_BYTES_MOST => {
            let message = "a payload may have 1 MiB, without blanks and with numbers written without exponents";
            faults.add("/payload", "too_large", message);
        }
        Some(Ok(payload)) => return Some(payload),
    }
    None
}

/// `payload.task`, if that is a task's name, registered or not; a warning if it is there and no name.
fn task_in_payload(payload: &Json) -> Option<Result<TaskName, String>> {
    // Most payloads are no object with a `task`; a look at the text spares parsing them.
    if !payload.as_str().contains("\"task\"") && !payload.as_str().contains("\\u") {
        return None;
    }
    // A map, since a doubled key is no error here: the last one counts, as in the database.
    let members: HashMap<String, Json> = payload.to().ok()?;
    let task = members.get("task").filter(|task| !task.is_null())?;
    let name = task.to::<String>().ok();
    if let Some(name) = name.as_deref().and_then(TaskName::new) {
        return Some(Ok(name));
    }
    Some(Err(format!(
        "payload.task is {}, which is not the name of a task ({}), so the job runs the task {DEFAULT_TASK}. Name the task in the field `task`.",
        excerpt(task.as_str(), NAME_SHOWN_MOST),
        TaskName::RULE
    )))
}

/// The faults found so far.
struct Faults(Vec<FieldError>);

impl Faults {
    fn add(&mut self, pointer: impl Into<String>, code: &'static str, message: impl Into<String>) {
        self.0.push(FieldError::new(pointer, code, message));
    }

    /// Over HTTP the check of the whole body finds it first.
    fn nul(&mut self, pointer: &str, text: &str) {
        if text.contains('\0') {
            let message = "it holds the character U+0000, which PostgreSQL cannot keep; remove it";
            self.add(pointer, "nul_character", message);
        }
    }

    fn range(&mut self, pointer: &str, holds: bool, message: &str) {
        if !holds {
            self.add(pointer, "out_of_range", message);
        }
    }
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
    pub priority: i16,
    pub start: Start,
    /// `None`: as the task says.
    pub max_attempts: Option<i32>,
    /// Of one attempt; `None`: as the task says.
    pub timeout_seconds: Option<f64>,
    pub tags: Vec<String>,
    pub unique: Option<Unique>,
    /// What the caller may have meant otherwise, in sentences.
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
    }
}
