//! What the operations on jobs answer, beside a job itself.

use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Enum, Object};
use serde::Serialize;
use uuid::Uuid;

use super::super::body::Body;
use super::view::{self, Job, JobError, JobStatus};
use crate::job::json::Json;
use crate::job::written::{Outcome, Written};

/// What became of a submission. `created`: a new job. `existing`: a job that has not ended holds the unique key, and is the
/// answer. `replaced`: a waiting job took the new content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum SubmissionOutcome {
    Created,
    Existing,
    Replaced,
}

/// The answer to a submission, given after its commit was flushed.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example, skip_serializing_if_is_none)]
pub struct Submitted {
    /// The job's id, a UUIDv7.
    pub job_id: Uuid,
    // How the job stands.
    pub status: JobStatus,
    // What became of the submission.
    pub outcome: SubmissionOutcome,
    /// What it gave, if the call waited for its end and it completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    // Why it failed, if the call waited for its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// What to look at: `payload.task` is not the name of a task; or why the job may have to wait, since its queue is paused or no
    /// running worker serves its task.
    pub warnings: Vec<String>,
}

impl From<Written> for Submitted {
    fn from(written: Written) -> Self {
        let outcome = match written.outcome {
            Outcome::Replaced => SubmissionOutcome::Replaced,
            Outcome::Existing => SubmissionOutcome::Existing,
            Outcome::Created => SubmissionOutcome::Created,
        };
        Self {
            job_id: written.job_id.0,
            status: written.status.into(),
            outcome,
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
            status: JobStatus::Queued,
            outcome: SubmissionOutcome::Created,
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
    /// One for each job of the batch.
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
    ),
    /// A job that has not ended holds the unique key, and is the answer.
    #[oai(status = 200)]
    Existing(
        Body<Submitted>,
        /// Where the job can be read.
        #[oai(header = "Location")]
        String,
        /// The preference that was followed: `wait=N`.
        #[oai(header = "Preference-Applied")]
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
    ),
}

#[derive(ApiResponse)]
pub enum BatchAnswer {
    /// All of them are kept.
    #[oai(status = 201)]
    Created(Body<SubmittedBatch>),
}

/// A page of a list.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example, skip_serializing_if_is_none)]
pub struct JobPage {
    /// The jobs, the newest first; perhaps fewer than `limit` although more follow. A page ends at some 8 MiB.
    pub data: Vec<Job>,
    /// Where the next page begins: pass it as `cursor`. Absent on the last page.
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

/// What a list has beside the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Include {
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
        /// The weak tag of the job without its `warnings` and `progress`, for `If-None-Match`.
        #[oai(header = "ETag")]
        String,
        /// The preference that was followed: `wait=N`.
        #[oai(header = "Preference-Applied")]
        Option<String>,
    ),
    /// The job is as it was when it was read with the tag in `If-None-Match`.
    #[oai(status = 304)]
    NotModified(
        /// The weak tag of the job without its `warnings` and `progress`.
        #[oai(header = "ETag")]
        String,
        /// The preference that was followed: `wait=N`.
        #[oai(header = "Preference-Applied")]
        Option<String>,
    ),
}
