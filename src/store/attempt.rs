//! The attempts of a job: what became of each.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::job::failure;
use super::row::Row;
use super::session::{Parameters, sql};
use super::{Error, Result, Store};
use crate::job::failure::Failure;
use crate::job::state::AttemptEnd;
use crate::job::{JobId, LeaseId, WorkerId};

/// One execution of a job.
#[derive(Clone, Debug)]
pub struct AttemptRow {
    /// Its number. Numbers recur: one that was given back is not spent.
    pub attempt: i32,
    pub lease: LeaseId,
    pub worker: Option<WorkerId>,
    /// While the worker is known; that of a lost one stays.
    pub worker_name: Option<String>,
    pub started_at: DateTime<Utc>,
    /// `None`: it runs.
    pub finished_at: Option<DateTime<Utc>>,
    pub end: Option<AttemptEnd>,
    pub error: Option<Failure>,
    pub wait_seconds: f64,
    pub run_seconds: f64,
}

/// Bytes of the errors of a list, as they are written out.
const ERRORS_BYTES: i64 = 8 << 20;
/// Snoozes of a job that are kept.
const SNOOZES_KEPT: i64 = 10;
/// Bytes of messages of a job's attempts that are kept whole. All of them have 64 KiB at most:
/// beside these there are the one that ends the job
/// ([`ERROR_BYTES_MOST`](crate::job::bounds::ERROR_BYTES_MOST)), and up to a thousand of 24 bytes.
const MESSAGES_WHOLE: i64 = 32 << 10;
/// The first attempt before which all errors of a job may come to more than 64 KiB.
pub(crate) const ERRORS_MANY: u32 = 8;
/// Bytes of a message from which on errors are counted before. A job that an operator sent back has
/// errors of earlier lives, cut to [`MESSAGES_WHOLE`] then. Beside these there is room for seven
/// shorter ones, or for one long one, and for the one that ends the job.
pub(crate) const ERROR_LONG: usize = 2 << 10;

impl Store {
    /// Forgets all but the last snoozes of these jobs; the last one says how many there were.
    pub async fn attempt_trim(&self, ids: &[JobId]) -> Result<()> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let statement = sql!("attempt/trim": UUID_ARRAY, INT8);
        self.upkeep.query(statement, &[&ids, &SNOOZES_KEPT]).await.map(drop)
    }

    /// The jobs among these that have snoozed so many `times`.
    pub async fn attempt_snoozed(&self, ids: &[JobId], times: u32) -> Result<Vec<JobId>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let statement = sql!("attempt/snoozed": UUID_ARRAY, INT8);
        let rows = self.outcomes.query(statement, &[&ids, &i64::from(times)]).await?;
        rows.iter().map(|row| Ok(JobId(row.try_get(0)?))).collect()
    }

    /// Cuts errors of the attempts of these jobs, so that those of a job have 64 KiB at most. The
    /// first and the last stay whole.
    pub async fn attempt_trim_errors(&self, ids: &[JobId]) -> Result<()> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let statement = sql!("attempt/trim_errors": UUID_ARRAY, INT8);
        self.upkeep.query(statement, &[&ids, &MESSAGES_WHOLE]).await.map(drop)
    }

    /// The newest attempts of a job, in order, as far as their errors have some 8 MiB at most;
    /// `None` for an unknown job.
    pub async fn attempt_list(&self, id: JobId, limit: u32) -> Result<Option<Vec<AttemptRow>>> {
        let statement = sql!("attempt/list": UUID, INT8, INT8);
        let parameters: Parameters<'_> = &[&id.0, &i64::from(limit), &ERRORS_BYTES];
        let rows = self.people.query(statement, parameters).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        rows.iter()
            .rev()
            .filter_map(|row| attempt_row(row).transpose())
            .collect::<Result<_>>()
            .map(Some)
    }
}

fn attempt_row(row: &Row) -> Result<Option<AttemptRow>> {
    let Some(lease) = row.try_get::<_, Option<Uuid>>("lease")? else { return Ok(None) };
    let end = row.try_get::<_, Option<&str>>("outcome")?;
    let unknown = |end| Error::Unexpected(format!("an attempt that ended as {end}"));
    Ok(Some(AttemptRow {
        attempt: row.try_get("attempt")?,
        lease: LeaseId(lease),
        worker: row.try_get::<_, Option<Uuid>>("worker")?.map(WorkerId),
        worker_name: row.try_get("worker_name")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        end: end.map(|end| AttemptEnd::parse(end).ok_or_else(|| unknown(end))).transpose()?,
        error: failure(row, "error")?,
        wait_seconds: row.try_get("wait_seconds")?,
        run_seconds: row.try_get("run_seconds")?,
    }))
}
