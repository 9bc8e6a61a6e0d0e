//! Tasks: what jobs are to do. In code the type that does one is a [`Handler`].

mod builtin;
mod context;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use schemars::generate::{Contract, SchemaSettings};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use context::Context;

use crate::job::backoff::Backoff;
use crate::job::bounds::RESULT_BYTES_MOST;
use crate::job::json::Json;
use crate::queue::TaskName;

/// How an attempt ends that does not end well. Of the texts 8 KiB are kept.
#[derive(Debug)]
pub enum TaskError {
    /// Try again, after the task's back-off.
    Retry(String),
    /// Trying again is of no use: the job fails.
    Permanent(String),
    /// Come back later, after a second at least; the attempt is not spent.
    Snooze(Duration),
}

impl TaskError {
    pub fn permanent(reason: impl ToString) -> Self {
        Self::Permanent(reason.to_string())
    }

    pub fn retry(reason: impl ToString) -> Self {
        Self::Retry(reason.to_string())
    }
}

/// Any error asks for another attempt.
impl<E: std::error::Error> From<E> for TaskError {
    fn from(error: E) -> Self {
        Self::Retry(error.to_string())
    }
}

/// Does what the jobs of one task ask for.
///
/// A job runs at least once: a worker that dies after it did the work and before the outcome was kept has it run again.
pub trait Handler: Send + Sync + 'static {
    /// The task's name: 1 to 100 of `a-z A-Z 0-9 _ - . :`.
    const NAME: &'static str;
    /// What a job's payload must be. The documentation of its fields becomes that of its JSON Schema.
    type Payload: DeserializeOwned + JsonSchema + Send;
    /// What the job's result will be: at most 1 MiB of JSON, or the job fails with the code `result_too_large`.
    type Output: Serialize + JsonSchema + Send;

    /// What it does, in a sentence.
    fn description(&self) -> &'static str {
        ""
    }

    /// Attempts of a job that does not say how many.
    fn max_attempts(&self) -> u32 {
        10
    }

    /// How long a failed job waits for its next attempt.
    fn backoff(&self) -> Backoff {
        Backoff::default()
    }

    /// How long one attempt may take, if the job does not say; `None`: as the service is configured.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// A payload that shows the form, for the documentation.
    fn example(&self) -> Option<Json> {
        None
    }

    /// Does the work. When `context` says that it is cancelled, return soon, with any error.
    ///
    /// It runs on a thread of the service's runtime and must not block it: the other handlers and the API have no more threads
    /// than the machine has cores. Hand work that computes for long, or waits without `await`, to
    /// [`tokio::task::spawn_blocking`], and await that.
    fn run(
        &self,
        context: Context,
        payload: Self::Payload,
    ) -> impl Future<Output = Result<Self::Output, TaskError>> + Send;
}

/// Why an erased handler did not succeed.
pub(crate) enum RunError {
    /// The payload is not what the task takes.
    InvalidPayload(String),
    /// The result cannot be kept as JSON.
    InvalidResult(String),
    /// The result is longer than [`RESULT_BYTES_MOST`].
    ResultTooLarge,
    Task(TaskError),
}

/// A handler whatever its types.
pub(crate) trait AnyHandler: Send + Sync {
    fn run_any(
        self: Arc<Self>,
        context: Context,
        payload: Json,
    ) -> BoxFuture<'static, Result<Json, RunError>>;
}

impl<H: Handler> AnyHandler for H {
    fn run_any(
        self: Arc<Self>,
        context: Context,
        payload: Json,
    ) -> BoxFuture<'static, Result<Json, RunError>> {
        async move {
            let payload =
                payload.to().map_err(|error| RunError::InvalidPayload(error.to_string()))?;
            let output = self.run(context, payload).await.map_err(RunError::Task)?;
            match Json::from_serialize_within(&output, RESULT_BYTES_MOST) {
                Ok(Some(result)) => Ok(result),
                Ok(None) => Err(RunError::ResultTooLarge),
                Err(fault) => Err(RunError::InvalidResult(fault.to_string())),
            }
        }
        .boxed()
    }
}

/// A task with its defaults.
#[derive(Clone)]
pub struct Registered {
    pub(crate) handler: Arc<dyn AnyHandler>,
    pub description: &'static str,
    pub max_attempts: u32,
    pub backoff: Backoff,
    pub timeout: Option<Duration>,
    pub payload_schema: Option<Json>,
    pub result_schema: Option<Json>,
    pub example: Option<Json>,
}

/// The JSON Schema (draft 2020-12) of what is read as a `T`, or of what one is written as.
fn schema<T: JsonSchema>(contract: Contract) -> Option<Json> {
    let mut settings = SchemaSettings::draft2020_12();
    settings.contract = contract;
    Json::from_serialize(&settings.into_generator().into_root_schema_for::<T>()).ok()
}

/// The tasks that this process does.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<TaskName, Registered>);

impl Registry {
    /// The tasks that come with the service: `echo`, `hello_world`, `sleep`, `noop` and `flaky`.
    pub fn builtin() -> Self {
        let mut registry = Self::default();
        builtin::add(&mut registry);
        registry
    }

    /// Adds a handler, or puts it in the place of the one with its name.
    ///
    /// # Panics
    /// When the handler's name is no task name: a mistake of the program, seen when it starts.
    pub fn add<H: Handler>(&mut self, handler: H) {
        let name = TaskName::new(H::NAME).unwrap_or_else(|| {
            panic!("{:?} is no task name: it must be {}", H::NAME, TaskName::RULE)
        });
        let registered = Registered {
            description: handler.description(),
            max_attempts: handler.max_attempts(),
            backoff: handler.backoff(),
            timeout: handler.timeout(),
            payload_schema: schema::<H::Payload>(Contract::Deserialize),
            result_schema: schema::<H::Output>(Contract::Serialize),
            example: handler.example(),
            handler: Arc::new(handler),
        };
        self.0.insert(name, registered);
    }

    pub fn get(&self, name: &TaskName) -> Option<&Registered> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&TaskName, &Registered)> {
        self.0.iter()
    }
}
