//! Jobs: submitted, listed, shown and steered, forgotten.

mod list;
#[cfg(feature = "service")]
mod once;
mod prune;
mod submit;
mod within;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub(crate) use list::PAGE_MOST;
pub(super) use list::first_id;
pub use list::{JobFilter, JobPage};
#[cfg(feature = "service")]
pub(crate) use once::{Once, Round};
pub(crate) use prune::Pruned;
pub use prune::{Keep, from_the_front};
pub(crate) use within::submit_within;

use super::row::Row;
use super::session::sql;
use super::value::Jsonb;
use super::{Error, Result, Store};
use crate::job::failure::Failure;
use crate::job::fields::Settings;
use crate::job::json::Json;
use crate::job::state::Status;
use crate::job::{JobId, WorkerId};

/// Everything about a job. Of those in a list the payload and the result are left out unless asked
/// for.
#[derive(Clone, Debug)]
pub struct Job {
    /// The id of the job.
    pub job_id: JobId,
    /// How the job stands.
    pub status: Status,
    /// The queue of the job.
    pub queue: String,
    /// The task of the job.
    pub task: String,
    /// The priority, from 0 (first) to 9.
    pub priority: i16,
    /// When it may start next, or might.
    pub run_at: DateTime<Utc>,
    /// When the job was submitted.
    pub created_at: DateTime<Utc>,
    /// Attempts that have begun.
    pub attempt_count: i32,
    /// How often its worker was lost.
    pub crashes: i32,
    /// How many attempts the job may spend.
    pub max_attempts: i32,
    /// How long one attempt may take.
    pub timeout_seconds: f64,
    /// The tags of the job.
    pub tags: Vec<String>,
    /// The unique key that the job was submitted with.
    pub unique_key: Option<String>,
    /// The payload of the task.
    pub payload: Option<Json>,
    /// Who holds it, or held it last.
    pub worker: Option<WorkerId>,
    /// The name of that worker.
    pub worker_name: Option<String>,
    /// When the current or last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When the job ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The job's result, if it completed.
    pub result: Option<Json>,
    /// Why the job failed, or its last attempt.
    pub error: Option<Failure>,
    /// The last report of its handler.
    pub progress: Option<JobProgress>,
    /// Whether its handler has been, or is about to be, told to stop.
    pub cancel_requested: bool,
    /// How often a redrive sent it back after it had failed.
    pub redrives: i32,
    /// Its rare fields.
    pub settings: Settings,
}

/// The last word of a handler.
#[derive(Clone, Debug)]
pub struct JobProgress {
    /// How much is done, from 0 to 1.
    pub fraction: Option<f64>,
    /// How far it is, in words.
    pub message: Option<String>,
    /// When this was reported.
    pub updated_at: DateTime<Utc>,
}

impl Store {
    /// Reads a job.
    pub async fn job_get(&self, id: JobId) -> Result<Option<Job>> {
        let rows = self.people.query(sql!("job/get": UUID), &[&id.0]).await?;
        rows.first().map(job_row).transpose()
    }

    /// The tags of a job; none if there is no such job.
    pub async fn job_tags(&self, id: JobId) -> Result<Vec<String>> {
        let rows = self.people.query(sql!("job/tags": UUID), &[&id.0]).await?;
        let tags = rows.first().map(|row| row.try_get::<_, Option<Vec<String>>>(0)).transpose()?;
        Ok(tags.flatten().unwrap_or_default())
    }

    /// Which of these jobs have ended.
    pub async fn job_ended(&self, ids: &[JobId]) -> Result<Vec<JobId>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = self.people.query(sql!("job/ended": UUID_ARRAY), &[&ids]).await?;
        rows.iter().map(|row| Ok(JobId(row.try_get(0)?))).collect()
    }
}

/// A status as SQL spells it.
pub(super) fn status(text: &str) -> Result<Status> {
    Status::parse(text).ok_or_else(|| Error::Unexpected(format!("the status {text}")))
}

pub(super) fn json(row: &Row, column: &str) -> Result<Option<Json>> {
    Ok(row.try_get::<_, Option<Jsonb>>(column)?.map(|value| value.0))
}

/// An error that was stored by this version or, in another form, by another one.
pub(super) fn failure(row: &Row, column: &str) -> Result<Option<Failure>> {
    let read =
        |value: Json| value.to().unwrap_or_else(|_| Failure::new("handler_error", value.as_str()));
    Ok(json(row, column)?.map(read))
}

pub(super) fn job_row(row: &Row) -> Result<Job> {
    Ok(Job {
        job_id: JobId(row.try_get("job_id")?),
        status: status(row.try_get("status")?)?,
        queue: row.try_get("queue")?,
        task: row.try_get("task")?,
        priority: row.try_get("priority")?,
        run_at: row.try_get("run_at")?,
        created_at: row.try_get("created_at")?,
        attempt_count: row.try_get::<_, Option<i32>>("attempt_count")?.unwrap_or_default(),
        crashes: row.try_get("crashes")?,
        max_attempts: row.try_get("max_attempts")?,
        timeout_seconds: row.try_get("timeout_seconds")?,
        tags: row.try_get::<_, Option<Vec<String>>>("tags")?.unwrap_or_default(),
        unique_key: row.try_get("unique_key")?,
        payload: json(row, "payload")?,
        worker: row.try_get::<_, Option<Uuid>>("worker")?.map(WorkerId),
        worker_name: row.try_get("worker_name")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        result: json(row, "result")?,
        error: failure(row, "error")?,
        progress: progress_row(row)?,
        cancel_requested: row.try_get("cancel_requested")?,
        redrives: row.try_get("redrives")?,
        settings: Settings::of(json(row, "settings")?.as_ref()),
    })
}

fn progress_row(row: &Row) -> Result<Option<JobProgress>> {
    let Some(updated_at) = row.try_get("progress_at")? else { return Ok(None) };
    let (fraction, message) = (row.try_get("progress_fraction")?, row.try_get("progress_message")?);
    Ok(Some(JobProgress { fraction, message, updated_at }))
}

/// The outcome of a cancellation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancelled {
    /// It waited, and has ended now.
    Ended,
    /// It is being processed, and its handler is being told.
    Told,
    /// It had ended before.
    AlreadyFinal(Status),
    /// There is no such job.
    Unknown,
}

/// The outcome of a retry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retried {
    /// It waits again.
    Queued,
    /// It has not ended.
    NotFinal,
    /// Another job holds its unique key.
    KeyHeld(JobId),
    /// Its week is being removed. Nothing was changed.
    Removing,
    /// There is no such job.
    Unknown,
}

/// The outcome of a deletion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deleted {
    /// Nothing is left of it.
    Gone,
    /// A worker holds it.
    Processing,
    /// There is no such job.
    Unknown,
}

/// How often a job that moves between two tables is looked for.
const LOOKS: usize = 20;

impl Store {
    /// Cancels a job that waits, or asks its worker to.
    pub async fn job_cancel(&self, id: JobId) -> Result<Cancelled> {
        for _ in 0..LOOKS {
            let rows = self.people.query(sql!("job/cancel": UUID), &[&id.0]).await?;
            let Some(row) = rows.first() else { break };
            if row.try_get(0)? {
                return Ok(Cancelled::Ended);
            }
            if row.try_get::<_, Option<Uuid>>(1)?.is_some() {
                return Ok(Cancelled::Told);
            }
            if let Some(state) = row.try_get::<_, Option<&str>>(2)? {
                return Ok(Cancelled::AlreadyFinal(status(state)?));
            }
            if !row.try_get::<_, bool>(3)? {
                return Ok(Cancelled::Unknown);
            }
        }
        Err(moving())
    }

    /// Sends a job that has ended back to wait, with fresh attempts. For all that does not say so,
    /// it has not ended.
    pub async fn job_retry(&self, id: JobId) -> Result<Retried> {
        let rows = self.people.query(sql!("job/retry": UUID), &[&id.0]).await?;
        let Some(row) = rows.first() else { return Ok(Retried::NotFinal) };
        if row.try_get(0)? {
            return Ok(Retried::Queued);
        }
        if let Some(holder) = row.try_get::<_, Option<Uuid>>(1)? {
            return Ok(Retried::KeyHeld(JobId(holder)));
        }
        if row.try_get(2)? {
            // It took the key before it found the job being removed.
            self.key_free(&[id]).await?;
        }
        Ok(Retried::NotFinal)
    }

    /// Forgets a job that waits or has ended.
    pub async fn job_delete(&self, id: JobId) -> Result<Deleted> {
        for _ in 0..LOOKS {
            let rows = self.people.query(sql!("job/delete": UUID), &[&id.0]).await?;
            let Some(row) = rows.first() else { break };
            match (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?) {
                (true, _, _) => return Ok(Deleted::Gone),
                (_, true, _) => return Ok(Deleted::Processing),
                (_, _, false) => return Ok(Deleted::Unknown),
                _ => {}
            }
        }
        Err(moving())
    }
}

fn moving() -> Error {
    Error::Busy { state: String::new(), message: "the job kept moving".into() }
}
