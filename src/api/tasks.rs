//! Tasks: what jobs can ask for.

use poem::web::Data;
use poem_openapi::param::Path;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::Services;
use super::answers::Refused;
use super::body::Body;
use super::params::TaskText;
use super::problem::Problem;
use super::security::Bearer;
use crate::job::backoff::Backoff;
use crate::job::json::Json;
use crate::refusals;
use crate::spelling::did_you_mean;
use crate::store::task::KnownTask;

refusals! {
    pub(super) ListTasks: &[400];
    pub(super) GetTask: &[400, 404];
}

/// The back-off of a failed job. The `n`-th wait is `base_seconds` times the `n - 1`-th power of
/// `factor`, at most `max_seconds`, and up to the share `jitter` of that more or less.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub(super) struct TaskRetry {
    /// The first wait.
    #[oai(validator(minimum(value = "0")))]
    pub base_seconds: f64,
    /// The ratio of each wait to the wait before.
    #[oai(validator(minimum(value = "0")))]
    pub factor: f64,
    /// The longest wait.
    #[oai(validator(minimum(value = "0")))]
    pub max_seconds: f64,
    /// The random share of each wait.
    #[oai(validator(minimum(value = "0"), maximum(value = "1")))]
    pub jitter: f64,
}

impl From<Backoff> for TaskRetry {
    fn from(backoff: Backoff) -> Self {
        Self {
            base_seconds: backoff.base.as_secs_f64(),
            factor: backoff.factor,
            max_seconds: backoff.max.as_secs_f64(),
            jitter: backoff.jitter,
        }
    }
}

impl Example for TaskRetry {
    fn example() -> Self {
        Backoff::default().into()
    }
}

/// A task that jobs can ask for.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "TaskDetails", example, skip_serializing_if_is_none)]
pub(super) struct Task {
    /// Its name, for the `task` of a job.
    #[oai(validator(min_length = 1, max_length = 100))]
    pub name: String,
    /// Its work, in a sentence.
    pub description: String,
    /// Whether a running worker serves it. Without one its jobs wait.
    pub served: bool,
    /// The number of running workers that serve it.
    #[oai(validator(minimum(value = "0")))]
    pub workers: u32,
    /// The attempts of a job that does not say how many.
    #[oai(validator(minimum(value = "1")))]
    pub max_attempts: u32,
    /// The time limit of an attempt, if the job does not name one. Absent: the setting
    /// `default_timeout_seconds` of its service.
    #[oai(validator(minimum(value = "0")))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<f64>,
    // The back-off of a failed job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<TaskRetry>,
    /// The form of the payload, as JSON Schema (draft 2020-12).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_schema: Option<Json>,
    /// The form of the result, as JSON Schema (draft 2020-12).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_schema: Option<Json>,
    /// A payload that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<Json>,
}

impl From<KnownTask> for Task {
    fn from(known: KnownTask) -> Self {
        let task = known.task;
        Self {
            name: task.name.to_string(),
            description: task.description,
            served: known.workers > 0,
            workers: known.workers,
            max_attempts: task.max_attempts,
            timeout_seconds: task.timeout_seconds,
            retry: task.backoff.map(TaskRetry::from),
            payload_schema: task.payload_schema,
            result_schema: task.result_schema,
            example: task.example,
        }
    }
}

impl Example for Task {
    fn example() -> Self {
        let json = |value: serde_json::Value| Json::from_serialize(&value).ok();
        Self {
            name: "sleep".into(),
            description: "Waits for `seconds`, and says how far it is.".into(),
            served: true,
            workers: 2,
            max_attempts: 10,
            timeout_seconds: None,
            retry: Some(TaskRetry::example()),
            payload_schema: json(serde_json::json!({
                "type": "object", "required": ["seconds"],
                "properties": {"seconds": {"type": "number", "minimum": 0}},
            })),
            result_schema: json(serde_json::json!({"type": "null"})),
            example: json(serde_json::json!({"seconds": 2.5})),
        }
    }
}

/// The tasks that are known.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub(super) struct TaskList {
    /// The tasks, by name.
    pub data: Vec<Task>,
}

impl Example for TaskList {
    fn example() -> Self {
        Self { data: vec![Task::example()] }
    }
}

/// Not in pages: programs register their tasks, each with what its code says, and no caller adds
/// any.
#[derive(Default)]
pub(super) struct TasksApi;

/// Tasks.
#[OpenApi(tag = "super::Tag::Tasks")]
impl TasksApi {
    /// List tasks
    ///
    /// Every task that a worker of this database serves or has served, with the form of its payload
    /// and of its result.
    #[oai(path = "/tasks", method = "get", operation_id = "list_tasks")]
    async fn list_tasks(
        &self,
        services: Data<&Services>,
        _token: Bearer,
    ) -> Result<Body<TaskList>, Refused<ListTasks>> {
        let tasks = services.store.task_list(None).await?;
        Ok(Body(TaskList { data: tasks.into_iter().map(Task::from).collect() }))
    }

    /// Get a task
    ///
    /// With the form of its payload and of its result, an example, and its defaults.
    #[oai(path = "/tasks/:name", method = "get", operation_id = "get_task")]
    async fn get_task(
        &self,
        services: Data<&Services>,
        /// The task's name.
        name: Path<TaskText>,
        _token: Bearer,
    ) -> Result<Body<Task>, Refused<GetTask>> {
        let TaskText(name) = name.0;
        match services.store.task_list(Some(&name)).await?.pop() {
            Some(task) => Ok(Body(task.into())),
            None => Err(services.no_task(&name).await.into()),
        }
    }
}

/// 404 for a task, with a hint at the name that was meant.
pub(super) fn no_task(name: &str, known: &[&str]) -> Problem {
    let hint = did_you_mean(name, known);
    let detail =
        format!("No worker has registered this task. GET /tasks lists those that are known.{hint}");
    Problem::not_found("task_not_found", detail)
}

impl Services {
    /// The hint may be missing: without it the answer is the same.
    async fn no_task(&self, name: &str) -> Problem {
        let known = self.store.task_list(None).await.unwrap_or_default();
        let names: Vec<&str> = known.iter().map(|known| known.task.name.as_str()).collect();
        no_task(name, &names)
    }
}
