//! A job as callers see it.

use chrono::{DateTime, Utc};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use serde::Serialize;
use uuid::Uuid;

use crate::job::failure::Failure;
use crate::job::json::Json;
use crate::job::state::Status;
use crate::store::job::JobRow;

/// How a job stands. `scheduled`: it waits for its time, the first one or that of a retry. `queued`: it may start.
/// `processing`: a worker holds it. `completed`, `failed` (its attempts are used up, or the error was permanent) and
/// `cancelled` are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    Scheduled,
    Queued,
    Processing,
    Completed,
    Failed,
    Cancelled,
}

impl From<Status> for JobStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Scheduled => Self::Scheduled,
            Status::Queued => Self::Queued,
            Status::Processing => Self::Processing,
            Status::Completed => Self::Completed,
            Status::Failed => Self::Failed,
            Status::Cancelled => Self::Cancelled,
        }
    }
}

impl From<JobStatus> for Status {
    fn from(status: JobStatus) -> Self {
        match status {
            JobStatus::Scheduled => Self::Scheduled,
            JobStatus::Queued => Self::Queued,
            JobStatus::Processing => Self::Processing,
            JobStatus::Completed => Self::Completed,
            JobStatus::Failed => Self::Failed,
            JobStatus::Cancelled => Self::Cancelled,
        }
    }
}

/// Why an attempt ended badly.
#[derive(Debug, Clone, PartialEq, Object, Serialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct JobError {
    /// Stable: `handler_error`, `permanent`, `panicked`, `timed_out`, `invalid_payload`, `invalid_result`, `result_too_large`,
    /// `outcome_refused`, `unreadable` (by this release of the service), `worker_lost`, `cancelled`, `superseded` (another job took
    /// its unique key); of an attempt also `snoozed` (it counts earlier snoozes, which are not kept).
    pub code: String,
    /// What happened, for people: at most 8 KiB, the end of which says how much was cut.
    pub message: String,
    /// The other job that the message is about: of `superseded` the one that took the unique key.
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

/// The last word of a running handler.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct JobProgress {
    /// How much is done, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was said.
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

/// Who holds a job, or held it last.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct JobWorker {
    /// The worker's id.
    pub worker_id: Uuid,
    /// Its name, while it is known.
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

/// A job with all that is known of it.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Job {
    /// Its id, a UUIDv7.
    pub job_id: Uuid,
    // How it stands.
    pub status: JobStatus,
    /// Attempts that have begun.
    pub attempt_count: i32,
    /// What it works on. A list has it only if asked for with `include=payload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
    /// What is to be done.
    pub task: String,
    /// Its queue.
    pub queue: String,
    /// 0 (first) to 9.
    pub priority: i16,
    /// Its tags.
    pub tags: Vec<String>,
    /// The unique key it was submitted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_key: Option<String>,
    /// How many attempts it may spend.
    pub max_attempts: i32,
    /// How many attempts may still begin.
    pub attempts_left: i32,
    /// How often a worker was lost while it held the job. That spends no attempt, but has a budget of its own.
    pub crash_count: i32,
    /// How long one attempt may take, in seconds.
    pub timeout_seconds: f64,
    /// When it was submitted.
    pub created_at: DateTime<Utc>,
    /// It does not start, or did not, before this time; for a job that waits for a retry, the time of that.
    pub run_at: DateTime<Utc>,
    /// When its current or last attempt began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    // Who holds it, or held it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<JobWorker>,
    // The last word of its handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<JobProgress>,
    /// Whether its handler has been, or is about to be, told to stop.
    pub cancel_requested: bool,
    /// What it gave, if it completed. A list has it only if asked for with `include=result`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    // Why it failed, or why its last attempt did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// Why it may have to wait: its queue is paused, or no running worker serves its task.
    pub warnings: Vec<String>,
}

impl From<JobRow> for Job {
    fn from(row: JobRow) -> Self {
        let left =
            if row.status.is_final() { 0 } else { (row.max_attempts - row.attempt_count).max(0) };
        Self {
            job_id: row.job_id.0,
            status: row.status.into(),
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
            timeout_seconds: row.timeout_seconds,
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
        }
    }
}

impl Example for Job {
    fn example() -> Self {
        let json = |value: serde_json::Value| Json::from_serialize(&value).ok();
        Self {
            job_id: example_id(),
            status: JobStatus::Completed,
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
            timeout_seconds: 900.0,
            created_at: example_time(),
            run_at: example_time(),
            started_at: Some(example_time()),
            finished_at: Some(example_time()),
            worker: Some(JobWorker::example()),
            progress: None,
            cancel_requested: false,
            result: json(serde_json::json!({"greeting": "Hello, test message!"})),
            error: None,
            warnings: Vec::new(),
        }
    }
}

pub fn example_id() -> Uuid {
    Uuid::from_u128(0x0199_a3c0_b5d2_7c3f_8a51_f0e2_d4c6_b8a0)
}

pub fn example_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_507_200, 0).unwrap_or_default()
}
