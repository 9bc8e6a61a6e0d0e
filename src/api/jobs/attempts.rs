//! The attempts of a job as callers see them.

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde::Serialize;

use super::view::{JobError, JobWorker, example_time};
use crate::job::state::AttemptEnd;
use crate::store::attempt::AttemptRow;

/// One execution of a job.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "JobAttempt", skip_serializing_if_is_none, example)]
pub(super) struct Attempt {
    /// Its number, from 1. An attempt that was not spent gives its number back, so numbers recur.
    #[oai(validator(minimum(value = "1")))]
    pub attempt: i32,
    // Its end; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<AttemptEnd>,
    // The worker that ran it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<JobWorker>,
    /// The lease under which it ran.
    pub lease: uuid::Uuid,
    /// The time at which a worker took the job.
    pub started_at: DateTime<Utc>,
    /// The time of its end; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    // Its error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// How long the job waited for it. The first wait begins when the job could start. A later wait
    /// begins with the end of the attempt before, so it includes the back-off.
    #[oai(validator(minimum(value = "0")))]
    pub wait_seconds: f64,
    /// How long it ran, or has been running.
    #[oai(validator(minimum(value = "0")))]
    pub run_seconds: f64,
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        Self {
            attempt: row.attempt,
            outcome: row.end,
            worker: row
                .worker
                .map(|worker| JobWorker { worker_id: worker.0, name: row.worker_name }),
            lease: row.lease.0,
            started_at: row.started_at,
            finished_at: row.finished_at,
            error: row.error.map(JobError::from),
            wait_seconds: row.wait_seconds,
            run_seconds: row.run_seconds,
        }
    }
}

impl Example for Attempt {
    fn example() -> Self {
        Self {
            attempt: 1,
            outcome: Some(AttemptEnd::Failed),
            worker: Some(JobWorker::example()),
            lease: uuid::Uuid::from_u128(0x7f3e_91c5_0f6b_4d2a_9b1e_64a8_c2d0_37f9),
            started_at: example_time(),
            finished_at: Some(example_time() + chrono::TimeDelta::milliseconds(250)),
            error: Some(JobError::example()),
            wait_seconds: 0.004,
            run_seconds: 0.25,
        }
    }
}

/// The attempts of a job.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "JobAttemptList", example)]
pub(super) struct Attempts {
    /// The attempts in order, the oldest first.
    #[oai(validator(max_items = 1000))]
    pub data: Vec<Attempt>,
}

impl Example for Attempts {
    fn example() -> Self {
        Self { data: vec![Attempt::example()] }
    }
}
