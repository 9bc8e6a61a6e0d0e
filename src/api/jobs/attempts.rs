//! The attempts of a job as callers see them.

use chrono::{DateTime, Utc};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use serde::Serialize;

use super::view::{JobError, JobWorker, example_time};
use crate::job::state::AttemptEnd;
use crate::store::attempt::AttemptRow;

/// How an attempt ended. `failed`: with an error, or by its timeout. `lost`: its worker stopped answering. `released`: its
/// worker left and gave it back. `snoozed`: its handler asked to be run later. The last three spend no attempt.
/// Of the snoozes of a job the last ten are kept, and the last one says in its `error` how many there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    Completed,
    Failed,
    Cancelled,
    Lost,
    Released,
    Snoozed,
}

impl From<AttemptEnd> for AttemptOutcome {
    fn from(end: AttemptEnd) -> Self {
        match end {
            AttemptEnd::Completed => Self::Completed,
            AttemptEnd::Failed => Self::Failed,
            AttemptEnd::Cancelled => Self::Cancelled,
            AttemptEnd::Lost => Self::Lost,
            AttemptEnd::Released => Self::Released,
            AttemptEnd::Snoozed => Self::Snoozed,
        }
    }
}

/// One execution of a job.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(skip_serializing_if_is_none, example)]
pub struct Attempt {
    /// Its number, from 1. One that was not spent gives its number back, so numbers recur.
    pub attempt: i32,
    // How it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<AttemptOutcome>,
    // Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<JobWorker>,
    /// The lease under which it ran.
    pub lease: uuid::Uuid,
    /// When a worker took the job.
    pub started_at: DateTime<Utc>,
    /// When it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<DateTime<Utc>>,
    // Why it ended badly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// How long the job waited for it: the first one from the time at which it could start, a later one from the end of the
    /// one before, so with its back-off.
    pub wait_seconds: f64,
    /// How long it ran, or has been running.
    pub run_seconds: f64,
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        Self {
            attempt: row.attempt,
            outcome: row.end.map(Into::into),
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
            outcome: Some(AttemptOutcome::Failed),
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
#[oai(example)]
pub struct Attempts {
    /// In order, the oldest first.
    pub data: Vec<Attempt>,
}

impl Example for Attempts {
    fn example() -> Self {
        Self { data: vec![Attempt::example()] }
    }
}
