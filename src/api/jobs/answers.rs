//! The answers of the operations on jobs, beside a job itself.

use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Enum, Object};
use serde::Serialize;
use uuid::Uuid;

use super::super::body::Body;
use super::view::{self, Job, JobError};
use crate::job::json::Json;
use crate::job::state::Status;
use crate::job::written::{Outcome, Written};

/// The answer to a submission. The database has flushed the commit by then.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "SubmittedJob", example, skip_serializing_if_is_none)]
pub struct Submitted {
    /// The job's id, a UUIDv7.
    pub job_id: Uuid,
    // The state of the job.
    pub status: Status,
    // The outcome of the submission.
    pub outcome: Outcome,
    /// The job's result, if the call waited for its end and it completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    // The job's error, if the call waited for its end and it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// Things to look at. `payload.task` is not a valid name of a task. The queue is paused. No
    /// running worker serves the task.
    pub warnings: Vec<String>,
}

impl From<Written> for Submitted {
    fn from(written: Written) -> Self {
        Self {
            job_id: written.job_id.0,
            status: written.status,
            outcome: written.outcome,
            result: None,
            error: None,
            warnings: Vec::new(),
        }
    }
}

impl Submitted {
    /// How the job stands once it was waited for.
    pub fn take(&mut self, job: Job) {
        self.status = job.status;
        self.result = job.result;
        self.error = job.error;
        self.warnings = job.warnings;
    }
}

impl Example for Submitted {
    fn example() -> Self {
        Self {
            job_id: view::example_id(),
            status: Status::Queued,
            outcome: Outcome::Created,
            result: None,
            error: None,
            warnings: Vec::new(),
        }
    }
}

/// The answers to a batch, in its order.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct SubmittedBatch {
    /// One answer for each job of the batch.
    #[oai(validator(min_items = 1, max_items = 10000))]
    pub jobs: Vec<Submitted>,
}

impl Example for SubmittedBatch {
    fn example() -> Self {
        Self { jobs: vec![Submitted::example()] }
    }
}

#[derive(ApiResponse)]
pub enum SubmitAnswer {
    /// A new job, or a waiting one with the new content.
    #[oai(status = 201)]
    Created(
        Body<Submitted>,
        /// Where the job can be read.
        #[oai(header = "Location")]
        String,
        /// The preference that was followed: `wait=N`.
        #[oai(header = "Preference-Applied")]
        Option<String>,
        /// `true`: an earlier request with this `Idempotency-Key` was answered so.
        #[oai(header = "Idempotency-Replayed")]
        Option<String>,
    ),
    /// A job holds the unique key, and is the answer: it has not ended, or it completed within its
    /// `unique_for_seconds`.
    #[oai(status = 200)]
    Existing(
        Body<Submitted>,
        /// Where the job can be read.
        #[oai(header = "Location")]
        String,
        /// The preference that was followed: `wait=N`.
        #[oai(header = "Preference-Applied")]
        Option<String>,
        /// `true`: an earlier request with this `Idempotency-Key` was answered so.
        #[oai(header = "Idempotency-Replayed")]
        Option<String>,
    ),
    /// The job is kept, and had not ended by the time the call was ready to wait.
    #[oai(status = 202)]
    Waiting(
        Body<Submitted>,
        /// Where the job can be read.
        #[oai(header = "Location")]
        String,
        /// The preference that was followed: `wait=N`.
        #[oai(header = "Preference-Applied")]
        Option<String>,
        /// `true`: an earlier request with this `Idempotency-Key` submitted the job.
        #[oai(header = "Idempotency-Replayed")]
        Option<String>,
    ),
}

#[derive(ApiResponse)]
pub enum BatchAnswer {
    /// All of them are kept.
    #[oai(status = 201)]
    Created(
        Body<SubmittedBatch>,
        /// `true`: an earlier request with this `Idempotency-Key` was answered so.
        #[oai(header = "Idempotency-Replayed")]
        Option<String>,
    ),
}

/// A page of a list.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example, skip_serializing_if_is_none)]
pub struct JobPage {
    /// The jobs, the newest first. A page may have fewer than `limit` although more follow: it ends
    /// at some 8 MiB.
    #[oai(validator(max_items = 200))]
    pub data: Vec<Job>,
    /// The start of the next page: pass it as `cursor`. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl Example for JobPage {
    fn example() -> Self {
        Self { data: vec![Job::example()], next_cursor: None }
    }
}

#[derive(ApiResponse)]
pub enum ListAnswer {
    /// A page.
    #[oai(status = 200)]
    Page(
        Body<JobPage>,
        /// The next page, if there is one, as `<…>; rel="next"`.
        #[oai(header = "Link")]
        Option<String>,
    ),
}

/// A part of a job that a list leaves out unless asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename = "JobInclude", rename_all = "snake_case")]
pub(super) enum Include {
    Payload,
    Result,
}

#[derive(ApiResponse)]
pub enum CancelAnswer {
    /// It waited, and is cancelled.
    #[oai(status = 200)]
    Cancelled(Body<Job>),
    /// It is being processed, and its handler is being told to stop.
    #[oai(status = 202)]
    Told(Body<Job>),
}

#[derive(ApiResponse)]
pub enum DeleteAnswer {
    /// Nothing is left of it.
    #[oai(status = 204)]
    Deleted,
}

#[derive(ApiResponse)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every answer is the large one, and is moved once"
)]
pub enum GetAnswer {
    /// The job.
    #[oai(status = 200)]
    Job(
        Body<Job>,
        /// The weak tag of the job without its `warnings`, `waiting_for` and `progress`, for
        /// `If-None-Match`.
        #[oai(header = "ETag")]
        String,
        /// The preference that was followed: `wait=N`.
        #[oai(header = "Preference-Applied")]
        Option<String>,
    ),
    /// The job is as it was when it was read with the tag in `If-None-Match`.
    #[oai(status = 304)]
    NotModified(
        /// The weak tag of the job without its `warnings`, `waiting_for` and `progress`.
        #[oai(header = "ETag")]
        String,
        /// The preference that was followed: `wait=N`.
        #[oai(header = "Preference-Applied")]
        Option<String>,
    ),
}
