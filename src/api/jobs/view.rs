//! A job as callers see it.

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;
use uuid::Uuid;

use super::super::codes;
use crate::explain::Wait;
use crate::job::failure::Failure;
use crate::job::fields::Settings;
use crate::job::json::Json;
use crate::job::state::Status;
use crate::store::job::Job as JobRow;

/// The error of an attempt or a job.
#[derive(Debug, Clone, PartialEq, Object, Serialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct JobError {
    /// A stable name for programs. Handlers may give others.
    pub code: String,
    /// The event, for people. It has at most 8 KiB; its end says how much was cut.
    pub message: String,
    /// The other job that the message is about. With `superseded`: the job that took the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<Uuid>,
}

impl From<Failure> for JobError {
    fn from(failure: Failure) -> Self {
        Self { code: failure.code, message: failure.message, job_id: failure.job_id }
    }
}

impl Example for JobError {
    fn example() -> Self {
        Self { code: "handler_error".into(), message: "connection refused".into(), job_id: None }
    }
}

/// The last progress report of a handler.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct JobProgress {
    /// The share that is done.
    #[oai(validator(minimum(value = "0"), maximum(value = "1")))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// The progress in words. It has at most 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The time of the report.
    pub updated_at: DateTime<Utc>,
}

impl Example for JobProgress {
    fn example() -> Self {
        Self {
            fraction: Some(0.5),
            message: Some("5 of 10 files".into()),
            updated_at: example_time(),
        }
    }
}

/// The worker that holds a job, or held it last.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct JobWorker {
    /// The worker's id.
    pub worker_id: Uuid,
    /// Its name, if the service knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Example for JobWorker {
    fn example() -> Self {
        Self {
            worker_id: Uuid::from_u128(0x0199_a3bf_0a1b_7c3f_8a51_f0e2_d4c6_0001),
            name: Some("web-1".into()),
        }
    }
}

/// One thing that a job waits for.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct JobWait {
    /// A stable name of what it waits for, for programs.
    pub code: String,
    /// The same in words, with what to do about it.
    pub message: String,
    /// The job that stands in the way. With `suspect`: the one that runs. With `key_held`: one that
    /// has the turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<Uuid>,
    /// The time at which this wait is over by itself. Absent if nobody knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl From<Wait> for JobWait {
    fn from(wait: Wait) -> Self {
        let code = wait.cause.as_str();
        debug_assert!(codes::is_known_wait(code), "{code} is missing from src/api/codes.rs");
        Self {
            code: code.into(),
            message: wait.message,
            job_id: wait.job_id.map(|id| id.0),
            until: wait.until,
        }
    }
}

impl Example for JobWait {
    fn example() -> Self {
        Self {
            code: "scheduled".into(),
            message: "It does not start before 2026-11-24T08:00:00.000Z.".into(),
            job_id: None,
            until: Some(example_time()),
        }
    }
}

/// A job: what was submitted, its state, and its result or error.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "JobDetails", skip_serializing_if_is_none, example)]
pub struct Job {
    /// Its id, a UUIDv7.
    pub job_id: Uuid,
    // Its state.
    pub status: Status,
    /// The number of attempts that have begun.
    #[oai(validator(minimum(value = "0")))]
    pub attempt_count: i32,
    /// The payload. A list has it only with `include=payload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
    /// The task that the job asks for.
    #[oai(validator(min_length = 1, max_length = 100))]
    pub task: String,
    /// Its queue.
    #[oai(validator(min_length = 1, max_length = 64))]
    pub queue: String,
    /// The priority: 0 is first, 9 is last.
    #[oai(validator(minimum(value = "0"), maximum(value = "9")))]
    pub priority: i16,
    /// Its tags.
    #[oai(validator(max_items = 20, min_length = 1, max_length = 64))]
    pub tags: Vec<String>,
    /// The unique key that it was submitted with.
    #[oai(validator(min_length = 1, max_length = 255))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_key: Option<String>,
    /// The number of attempts that it may spend.
    #[oai(validator(minimum(value = "1")))]
    pub max_attempts: i32,
    /// The number of attempts that may still begin.
    #[oai(validator(minimum(value = "0")))]
    pub attempts_left: i32,
    /// How often a worker was lost while it held the job. This spends no attempt, but has a budget
    /// of its own.
    #[oai(validator(minimum(value = "0")))]
    pub crash_count: i32,
    /// How often a redrive sent the job back after it had failed. Absent: never.
    #[oai(validator(minimum(value = "1")))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redrives: Option<i32>,
    /// The time limit of one attempt, in seconds.
    #[oai(validator(minimum(value = "0")))]
    pub timeout_seconds: f64,
    // The rare fields of its submission, each under its name.
    #[oai(flatten)]
    #[serde(flatten)]
    pub settings: Settings,
    /// The time of its submission.
    pub created_at: DateTime<Utc>,
    /// The job does not start before this time. Of a job that waits for a retry: the time of that.
    pub run_at: DateTime<Utc>,
    /// The start of its current or last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// The time of its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    // The worker that holds it, or held it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<JobWorker>,
    // The last progress report of its handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<JobProgress>,
    /// Whether somebody asked for its cancellation. Its handler is told to stop.
    pub cancel_requested: bool,
    /// The job's result, if it completed. A list has it only with `include=result`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    // The error of the job, or of its last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// Reasons why the job may have to wait. Its queue is paused, or no running worker serves its
    /// task.
    pub warnings: Vec<String>,
    /// All that the job waits for at the moment; empty once it runs or has ended. A list does not
    /// have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<Vec<JobWait>>,
}

impl From<JobRow> for Job {
    fn from(row: JobRow) -> Self {
        let left =
            if row.status.is_final() { 0 } else { (row.max_attempts - row.attempt_count).max(0) };
        Self {
            job_id: row.job_id.0,
            status: row.status,
            attempt_count: row.attempt_count,
            payload: row.payload,
            task: row.task,
            queue: row.queue,
            priority: row.priority,
            tags: row.tags,
            unique_key: row.unique_key,
            max_attempts: row.max_attempts,
            attempts_left: left,
            crash_count: row.crashes,
            redrives: (row.redrives > 0).then_some(row.redrives),
            timeout_seconds: row.timeout_seconds,
            settings: row.settings,
            created_at: row.created_at,
            run_at: row.run_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            worker: row
                .worker
                .map(|worker| JobWorker { worker_id: worker.0, name: row.worker_name }),
            progress: row.progress.map(|said| JobProgress {
                fraction: said.fraction,
                message: said.message,
                updated_at: said.updated_at,
            }),
            cancel_requested: row.cancel_requested,
            result: row.result,
            error: row.error.map(JobError::from),
            warnings: Vec::new(),
            waiting_for: None,
        }
    }
}

impl Example for Job {
    fn example() -> Self {
        let json = |value: serde_json::Value| Json::from_serialize(&value).ok();
        Self {
            job_id: example_id(),
            status: Status::Completed,
            attempt_count: 1,
            payload: json(serde_json::json!({"task": "hello_world", "data": "test message"})),
            task: "hello_world".into(),
            queue: "default".into(),
            priority: 5,
            tags: Vec::new(),
            unique_key: None,
            max_attempts: 10,
            attempts_left: 0,
            crash_count: 0,
            redrives: None,
            timeout_seconds: 900.0,
            settings: Settings::default(),
            created_at: example_time(),
            run_at: example_time(),
            started_at: Some(example_time()),
            finished_at: Some(example_time()),
            worker: Some(JobWorker::example()),
            progress: None,
            cancel_requested: false,
            result: json(serde_json::json!({"message": "Hello, world!", "data": "test message"})),
            error: None,
            warnings: Vec::new(),
            waiting_for: Some(Vec::new()),
        }
    }
}

pub(crate) fn example_id() -> Uuid {
    Uuid::from_u128(0x0199_a3c0_b5d2_7c3f_8a51_f0e2_d4c6_b8a0)
}

pub(crate) fn example_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_507_200, 0).unwrap_or_default()
}
