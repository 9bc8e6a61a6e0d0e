//! Jobs as people see and steer them.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use uuid::Uuid;

use super::session::sql;
use super::value::{Failure, Jsonb};
use super::{Error, Result, Store};
use crate::job::json::Json;
use crate::job::state::Status;
use crate::job::{JobId, WorkerId};

/// Everything about a job. Of those in a list the payload and the result are left out unless asked for.
#[derive(Clone, Debug)]
pub struct JobRow {
    pub job_id: JobId,
    pub status: Status,
    pub queue: String,
    pub task: String,
    pub priority: i16,
    /// When it may start next, or might.
    pub run_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    /// Attempts that have begun.
    pub attempt_count: i32,
    /// How often its worker was lost.
    pub crashes: i32,
    pub max_attempts: i32,
    pub timeout_seconds: f64,
    pub tags: Vec<String>,
    pub unique_key: Option<String>,
    pub payload: Option<Json>,
    /// Who holds it, or held it last.
    pub worker: Option<WorkerId>,
    pub worker_name: Option<String>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub result: Option<Json>,
    pub error: Option<Failure>,
    pub progress: Option<ProgressRow>,
    pub cancel_requested: bool,
}

/// The last word of a handler.
#[derive(Clone, Debug)]
pub struct ProgressRow {
    pub fraction: Option<f64>,
    pub message: Option<String>,
    pub updated_at: DateTime<Utc>,
}

impl Store {
    pub async fn job_get(&self, id: JobId) -> Result<Option<JobRow>> {
        let rows = self.cold(sql!("job/get": UUID), &[&id.0]).await?;
        rows.first().map(job_row).transpose()
    }
}

/// A status as SQL spells it.
pub(super) fn status(text: &str) -> Result<Status> {
    Status::parse(text).ok_or_else(|| Error::Unexpected(format!("the status {text}")))
}

pub(super) fn json(row: &Row, column: &str) -> Option<Json> {
    row.get::<_, Option<Jsonb>>(column).map(|value| value.0)
}

/// What was stored as an error by this version or, in another form, by another one.
pub(super) fn failure(row: &Row, column: &str) -> Option<Failure> {
    let value = json(row, column)?;
    Some(value.to().unwrap_or_else(|_| Failure::new("handler_error", value.as_str())))
}

pub(super) fn job_row(row: &Row) -> Result<JobRow> {
    Ok(JobRow {
        job_id: JobId(row.get("job_id")),
        status: status(row.get("status"))?,
        queue: row.get("queue"),
        task: row.get("task"),
        priority: row.get("priority"),
        run_at: row.get("run_at"),
        created_at: row.get("created_at"),
        attempt_count: row.get::<_, Option<i32>>("attempt_count").unwrap_or_default(),
        crashes: row.get("crashes"),
        max_attempts: row.get("max_attempts"),
        timeout_seconds: row.get("timeout_seconds"),
        tags: row.get::<_, Option<Vec<String>>>("tags").unwrap_or_default(),
        unique_key: row.get("unique_key"),
        payload: json(row, "payload"),
        worker: row.get::<_, Option<Uuid>>("worker").map(WorkerId),
        worker_name: row.get("worker_name"),
        started_at: row.get("started_at"),
        finished_at: row.get("finished_at"),
        result: json(row, "result"),
        error: failure(row, "error"),
        progress: row.get::<_, Option<DateTime<Utc>>>("progress_at").map(|updated_at| {
            ProgressRow {
                fraction: row.get("progress_fraction"),
                message: row.get("progress_message"),
                updated_at,
            }
        }),
        cancel_requested: row.get("cancel_requested"),
    })
}
