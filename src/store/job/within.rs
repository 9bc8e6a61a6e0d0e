//! Submitting within a transaction of an application.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::super::row::Row;
use super::super::session::sql;
use super::super::value::Jsonb;
use super::super::{Error, Result};
use super::submit::{all_written, delay, run_at};
use crate::job::fields::Settings;
use crate::job::json::Json;
use crate::job::submission::Submission;
use crate::job::written::Written;

/// Submits a job within a transaction of an application, by the function that is there for them.
pub(crate) async fn submit_within(
    transaction: &Transaction<'_>,
    job: &Submission,
) -> Result<Written> {
    let statement = sql!("job/submit_within": JSONB);
    let Ok(jobs) = Json::from_serialize(&[Asked::new(job)]).map(Jsonb) else {
        return Err(Error::Unexpected("the job cannot be written as JSON".into()));
    };
    let rows = transaction.query_typed(statement.text, &[(&jobs, Type::JSONB)]).await?;
    match all_written(&Row::all(statement.name, rows))?.pop() {
        Some(Ok(written)) => Ok(written),
        _ => Err(Error::Unexpected("no answer to a submission".into())),
    }
}

/// A submission with the names that its fields have in the other doors.
#[derive(Serialize)]
struct Asked<'a> {
    payload: &'a Json,
    task: &'a str,
    queue: &'a str,
    priority: Option<i16>,
    run_at: Option<DateTime<Utc>>,
    delay_seconds: Option<f64>,
    max_attempts: Option<i32>,
    timeout_seconds: Option<f64>,
    tags: &'a [String],
    unique_key: Option<&'a str>,
    on_conflict: Option<&'a str>,
    #[serde(flatten)]
    settings: Option<&'a Settings>,
}

impl<'a> Asked<'a> {
    fn new(job: &'a Submission) -> Self {
        Self {
            payload: &job.payload,
            task: job.task.as_str(),
            queue: job.queue.as_str(),
            priority: job.priority,
            run_at: run_at(job),
            delay_seconds: delay(job),
            max_attempts: job.max_attempts,
            timeout_seconds: job.timeout_seconds,
            tags: &job.tags,
            unique_key: job.unique.as_ref().map(|unique| unique.key.as_str()),
            on_conflict: job.unique.as_ref().map(|unique| unique.on_conflict.as_str()),
            settings: job.settings.as_deref(),
        }
    }
}
