//! Tasks: which names are known, and who serves them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::job::json;
use super::row::Row;
use super::session::sql;
use super::value::Jsonb;
use super::{Result, Store};
use crate::job::backoff::Backoff;
use crate::job::json::Json;
use crate::queue::TaskName;

/// A task's description of itself.
#[derive(Clone, Debug)]
pub struct TaskRow {
    pub name: TaskName,
    pub description: String,
    pub max_attempts: u32,
    /// `None`: as the service is configured.
    pub timeout_seconds: Option<f64>,
    /// `None` if it was registered by a service that did not say.
    pub backoff: Option<Backoff>,
    pub payload_schema: Option<Json>,
    pub result_schema: Option<Json>,
    pub example: Option<Json>,
}

/// A task that is known, and how many live workers serve it.
#[derive(Clone, Debug)]
pub struct KnownTask {
    pub task: TaskRow,
    pub workers: u32,
}

/// A back-off as it is stored.
#[derive(Serialize, Deserialize)]
struct Retry {
    base_seconds: f64,
    factor: f64,
    max_seconds: f64,
    jitter: f64,
}

impl From<Backoff> for Retry {
    fn from(backoff: Backoff) -> Self {
        Self {
            base_seconds: backoff.base.as_secs_f64(),
            factor: backoff.factor,
            max_seconds: backoff.max.as_secs_f64(),
            jitter: backoff.jitter,
        }
    }
}

impl Retry {
    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff {
            base: Duration::try_from_secs_f64(self.base_seconds).ok()?,
            factor: self.factor,
            max: Duration::try_from_secs_f64(self.max_seconds).ok()?,
            jitter: self.jitter,
        })
    }
}

impl Store {
    /// Makes tasks known to all doors.
    pub async fn task_register(&self, tasks: &[TaskRow]) -> Result<()> {
        let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        let descriptions: Vec<&str> = tasks.iter().map(|task| task.description.as_str()).collect();
        let attempts: Vec<i32> =
            tasks.iter().map(|task| i32::try_from(task.max_attempts).unwrap_or(i32::MAX)).collect();
        let timeouts: Vec<Option<f64>> = tasks.iter().map(|task| task.timeout_seconds).collect();
        let retries = column(tasks, |task| {
            task.backoff.and_then(|backoff| Json::from_serialize(&Retry::from(backoff)).ok())
        });
        let payloads = column(tasks, |task| task.payload_schema.clone());
        let results = column(tasks, |task| task.result_schema.clone());
        let examples = column(tasks, |task| task.example.clone());
        let statement = sql!("task/register": TEXT_ARRAY, TEXT_ARRAY, INT4_ARRAY, FLOAT8_ARRAY, JSONB_ARRAY, JSONB_ARRAY,
            JSONB_ARRAY, JSONB_ARRAY);
        self.upkeep
            .query(
                statement,
                &[
                    &names,
                    &descriptions,
                    &attempts,
                    &timeouts,
                    &retries,
                    &payloads,
                    &results,
                    &examples,
                ],
            )
            .await
            .map(drop)
    }

    /// The tasks that are known, by name; or the one of this name.
    pub async fn task_list(&self, name: Option<&str>) -> Result<Vec<KnownTask>> {
        let rows = self.people.query(sql!("task/list": TEXT), &[&name]).await?;
        rows.iter().map(known_task).collect()
    }
}

fn column(tasks: &[TaskRow], pick: fn(&TaskRow) -> Option<Json>) -> Vec<Option<Jsonb>> {
    tasks.iter().map(|task| pick(task).map(Jsonb)).collect()
}

fn known_task(row: &Row) -> Result<KnownTask> {
    let retry = json(row, "retry")?.and_then(|retry| retry.to::<Retry>().ok());
    Ok(KnownTask {
        task: TaskRow {
            name: TaskName::trusted(row.try_get("name")?),
            description: row.try_get("description")?,
            max_attempts: u32::try_from(row.try_get::<_, i32>("max_attempts")?).unwrap_or_default(),
            timeout_seconds: row.try_get("timeout_seconds")?,
            backoff: retry.and_then(|retry| retry.backoff()),
            payload_schema: json(row, "payload_schema")?,
            result_schema: json(row, "result_schema")?,
            example: json(row, "example")?,
        },
        workers: u32::try_from(row.try_get::<_, i64>("workers")?).unwrap_or(u32::MAX),
    })
}
