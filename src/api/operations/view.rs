//! An operation as callers see it.

use chrono::{DateTime, Utc};
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;
use uuid::Uuid;

use super::super::body::Body;
use crate::operation::{self, DeadLetterFilter, OperationKind, OperationStatus};
use crate::store::operation::{OperationRow, Skip};

/// The jobs that an operation is about. A member that is absent does not matter.
#[derive(Debug, Clone, Default, Object, Serialize)]
#[oai(rename = "OperationFilter", skip_serializing_if_is_none, example)]
pub(in super::super) struct Filter {
    /// Jobs of this queue.
    #[oai(validator(min_length = 1, max_length = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Jobs of this task.
    #[oai(validator(min_length = 1, max_length = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Jobs whose error has this code.
    #[oai(validator(min_length = 1, max_length = 255))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Jobs of this failure family, as `GET /dead-letters` names it.
    #[oai(validator(min_length = 16, max_length = 16))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Jobs that failed at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_after: Option<DateTime<Utc>>,
    /// Jobs that failed before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_before: Option<DateTime<Utc>>,
}

impl From<DeadLetterFilter> for Filter {
    fn from(filter: DeadLetterFilter) -> Self {
        let DeadLetterFilter { queue, task, code, family, failed_after, failed_before } = filter;
        Self { queue, task, code, family, failed_after, failed_before }
    }
}

impl Example for Filter {
    fn example() -> Self {
        Self { task: Some("send".into()), code: Some("timed_out".into()), ..Self::default() }
    }
}

/// How a redrive begins with a few jobs: one, then ten or a share of all, then the rest. A stage
/// ends when each of its jobs has completed or failed one attempt, or after ten minutes.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "OperationCanary", example)]
pub(in super::super) struct Canary {
    /// The share of the second stage: ten jobs at least.
    #[oai(validator(minimum(value = "0"), maximum(value = "1")), default = "share")]
    pub share: f64,
    /// It halts if a larger share of a stage fails.
    #[oai(validator(minimum(value = "0"), maximum(value = "1")), default = "halt_at")]
    pub halt_at: f64,
}

fn share() -> f64 {
    operation::CANARY.0
}

fn halt_at() -> f64 {
    operation::CANARY.1
}

impl Example for Canary {
    fn example() -> Self {
        Self { share: share(), halt_at: halt_at() }
    }
}

/// How the stage of a canary stands.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "OperationStage", example)]
pub(in super::super) struct Stage {
    /// The number of the stage: 1, 2, and 3 for the rest.
    #[oai(validator(minimum(value = "1"), maximum(value = "3")))]
    pub number: i32,
    /// The jobs that it has moved. The third stage counts none.
    #[oai(validator(minimum(value = "0")))]
    pub moved: i64,
    /// The jobs of the stage that have completed or failed an attempt.
    #[oai(validator(minimum(value = "0")))]
    pub ended: i64,
    /// The jobs of the stage that have failed an attempt.
    #[oai(validator(minimum(value = "0")))]
    pub failed: i64,
}

impl Example for Stage {
    fn example() -> Self {
        Self { number: 2, moved: 10, ended: 4, failed: 0 }
    }
}

/// A job that an operation could not move.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "OperationSkip", skip_serializing_if_is_none, example)]
pub(in super::super) struct SkippedJob {
    /// The job's id.
    pub job_id: Uuid,
    /// Why it was passed by. Codes are added over time.
    pub code: String,
    /// The job that holds the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder_id: Option<Uuid>,
}

impl From<Skip> for SkippedJob {
    fn from(skip: Skip) -> Self {
        Self { job_id: skip.job_id, code: skip.code, holder_id: skip.holder_id }
    }
}

impl Example for SkippedJob {
    fn example() -> Self {
        Self {
            job_id: super::super::jobs::view::example_id(),
            code: "unique_key_conflict".into(),
            holder_id: Some(Uuid::from_u128(0x0199_a3c0_b5d2_7c3f_8a51_f0e2_d4c6_b8a1)),
        }
    }
}

/// Work on many jobs that somebody asked for. The leader does it in steps.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "OperationDetails", skip_serializing_if_is_none, example)]
pub(in super::super) struct Operation {
    /// Its id, a UUIDv7.
    pub id: Uuid,
    // Its kind.
    pub kind: OperationKind,
    // Its state.
    pub status: OperationStatus,
    // The jobs that it is about. Absent members do not matter; without any it is about all.
    pub filter: Filter,
    /// The most jobs that it moves each second. Absent: as many as it can.
    #[oai(validator(minimum(value = "0")))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<f64>,
    // The canary that it was asked for with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    // The stage of its canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// How many jobs it was about when it was asked for.
    #[oai(validator(minimum(value = "0")))]
    pub matched: i64,
    /// Whether that is an estimate.
    pub matched_estimated: bool,
    /// The jobs that it has moved.
    #[oai(validator(minimum(value = "0")))]
    pub moved: i64,
    /// The jobs that it could not move.
    #[oai(validator(minimum(value = "0")))]
    pub skipped: i64,
    /// The first of those, and why.
    pub skipped_jobs: Vec<SkippedJob>,
    /// The time at which it was asked for. Jobs that failed later are not touched.
    pub created_at: DateTime<Utc>,
    /// It moves nothing before this time. Until then a stop undoes it.
    pub starts_at: DateTime<Utc>,
    /// The time of its last progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worked_at: Option<DateTime<Utc>>,
    /// The time of its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<DateTime<Utc>>,
    /// The job whose failure halted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted_by: Option<Uuid>,
    /// Why it halted or was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who asked for it, as in `GET /audit`.
    pub principal: String,
}

impl From<OperationRow> for Operation {
    fn from(row: OperationRow) -> Self {
        let state = row.status();
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let stage = row.canary.as_ref().map(|canary| Stage {
            number: i32::from(canary.stage) + 1,
            moved: count(canary.moved),
            ended: count(canary.ended),
            failed: count(canary.failed),
        });
        Self {
            id: row.id,
            kind: row.kind,
            status: state,
            filter: row.filter.into(),
            rate_per_second: row.pace.rate,
            canary: row.canary.map(|it| Canary { share: it.share, halt_at: it.halt_at }),
            stage,
            matched: row.matched.jobs,
            matched_estimated: row.matched.estimated,
            moved: row.moved,
            skipped: row.skipped,
            skipped_jobs: row.skips.into_iter().map(SkippedJob::from).collect(),
            created_at: row.created_at,
            starts_at: row.starts_at,
            worked_at: row.worked_at,
            stopped_at: row.stopped_at,
            halted_by: row.halted_by,
            reason: row.reason,
            principal: row.principal,
        }
    }
}

pub(super) fn example_id() -> Uuid {
    Uuid::from_u128(0x0199_a3c1_0c4e_7b21_9f60_1d2c_3b4a_5968)
}

impl Example for Operation {
    fn example() -> Self {
        let at = super::super::jobs::view::example_time();
        Self {
            id: example_id(),
            kind: OperationKind::Redrive,
            status: OperationStatus::Running,
            filter: Filter::example(),
            rate_per_second: Some(operation::RATE),
            canary: Some(Canary::example()),
            stage: Some(Stage::example()),
            matched: 4711,
            matched_estimated: false,
            moved: 11,
            skipped: 1,
            skipped_jobs: vec![SkippedJob::example()],
            created_at: at,
            starts_at: at,
            worked_at: Some(at),
            stopped_at: None,
            halted_by: None,
            reason: None,
            principal: "token 1a2b3c4d".into(),
        }
    }
}

/// A page of operations.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "OperationPage", example, skip_serializing_if_is_none)]
pub(in super::super) struct OperationPage {
    /// The operations, the newest first.
    #[oai(validator(max_items = 200))]
    pub data: Vec<Operation>,
    /// The start of the next page: pass it as `cursor`. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl Example for OperationPage {
    fn example() -> Self {
        Self { data: vec![Operation::example()], next_cursor: None }
    }
}

#[derive(ApiResponse)]
pub(in super::super) enum ListAnswer {
    /// A page.
    #[oai(status = 200)]
    Page(
        Body<OperationPage>,
        /// The next page, if there is one, as `<…>; rel="next"`.
        #[oai(header = "Link")]
        Option<String>,
    ),
}

/// The operation that was asked for, and how many jobs it is about.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "OperationAsked", skip_serializing_if_is_none, example)]
pub(in super::super) struct Asked {
    /// How many jobs it is about now.
    #[oai(validator(minimum(value = "0")))]
    pub matched: i64,
    /// Whether that is an estimate.
    pub matched_estimated: bool,
    // The operation. Absent in a dry run, which makes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

impl Example for Asked {
    fn example() -> Self {
        Self { matched: 4711, matched_estimated: false, operation: Some(Operation::example()) }
    }
}

#[derive(ApiResponse)]
pub(in super::super) enum AskAnswer {
    /// A dry run: nothing was changed.
    #[oai(status = 200)]
    Dry(Body<Asked>),
    /// The operation is asked for. `GET /operations/{operation_id}` tells how it goes on.
    #[oai(status = 202)]
    Asked(
        Body<Asked>,
        /// Where the operation can be read.
        #[oai(header = "Location")]
        String,
    ),
}
