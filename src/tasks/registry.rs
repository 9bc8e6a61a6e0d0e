//! The tasks of a process, and what becomes of each: it is made, started, run and stopped.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all, try_join_all};
use schemars::JsonSchema;
use schemars::generate::{Contract, SchemaSettings};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Context, Handler, TaskError, builtin};
use crate::job::backoff::Backoff;
use crate::job::bounds::RESULT_BYTES_MOST;
use crate::job::json::Json;
use crate::queue::TaskName;
use crate::supervise::words_of;

/// How long [`Handler::start`] may take.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long [`Handler::stop`] may take at least, however little is left of the grace period.
const STOP_LEAST: Duration = Duration::from_secs(1);

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

    fn start_any(&self) -> BoxFuture<'_, Result<(), TaskError>>;

    fn stop_any(&self) -> BoxFuture<'_, ()>;
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

    fn start_any(&self) -> BoxFuture<'_, Result<(), TaskError>> {
        self.start().boxed()
    }

    fn stop_any(&self) -> BoxFuture<'_, ()> {
        self.stop().boxed()
    }
}

/// A task with its defaults.
#[derive(Clone)]
pub(crate) struct Registered {
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

/// A task could not be started.
#[derive(Debug, thiserror::Error)]
#[error(
    "the task {task} could not be started: {why}. Correct what it needs, or start without this task"
)]
pub(crate) struct NotStarted {
    task: TaskName,
    why: String,
}

/// The tasks that this process does.
#[derive(Clone, Default)]
pub(crate) struct Registry(BTreeMap<TaskName, Registered>);

impl Registry {
    /// The tasks that come with the service: `echo`, `hello_world`, `sleep`, `noop` and `flaky`.
    pub(crate) fn builtin() -> Self {
        let mut registry = Self::default();
        builtin::add(&mut registry);
        registry
    }

    /// The name of a handler's task.
    ///
    /// # Panics
    /// When it is not a valid name: a mistake of the program, seen when it starts.
    pub(crate) fn name_of<H: Handler>() -> TaskName {
        TaskName::new(H::NAME).unwrap_or_else(|| {
            panic!("{:?} is not a valid task name: it must be {}", H::NAME, TaskName::RULE)
        })
    }

    /// Adds a handler, or puts it in the place of the one with its name.
    ///
    /// # Panics
    /// As [`Self::name_of`].
    pub(crate) fn add<H: Handler>(&mut self, handler: H) {
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
        self.0.insert(Self::name_of::<H>(), registered);
    }

    pub(crate) fn get(&self, name: &TaskName) -> Option<&Registered> {
        self.0.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TaskName, &Registered)> {
        self.0.iter()
    }

    /// Starts the handlers, all at once, and notes each that has started, also when one fails.
    pub(crate) async fn start(&self, started: &Started) -> Result<(), NotStarted> {
        self.start_within(START_WITHIN, started).await
    }

    async fn start_within(&self, most: Duration, started: &Started) -> Result<(), NotStarted> {
        let all = self.iter().map(|(name, task)| async move {
            let handler = &task.handler;
            let why = |why| NotStarted { task: name.clone(), why };
            start(&**handler, most).await.map_err(why)?;
            started.lock().push((name.clone(), handler.clone()));
            Ok(())
        });
        try_join_all(all).await.map(drop)
    }
}

/// Starts a handler, or says why that failed.
async fn start(handler: &dyn AnyHandler, most: Duration) -> Result<(), String> {
    let starting = AssertUnwindSafe(async { handler.start_any().await }).catch_unwind();
    match timeout(most, starting).await {
        Ok(Ok(started)) => started.map_err(|error| error.to_string()),
        Ok(Err(panic)) => Err(format!("it panicked: {}", words_of(&*panic))),
        Err(_) => Err(format!("it took longer than {} s", most.as_secs_f64())),
    }
}

/// A handler and the name of its task.
type Named = (TaskName, Arc<dyn AnyHandler>);

/// The handlers that were started, and are to be stopped. Clones share them: a start that is given
/// up half-way has started some.
#[derive(Clone, Default)]
pub(crate) struct Started(Arc<Mutex<Vec<Named>>>);

impl Started {
    /// Stops the handlers, all at once. A handler that has not stopped by this time is left, but
    /// each has [`STOP_LEAST`].
    pub(crate) async fn stop(&self, by: Instant) {
        let by = by.max(Instant::now() + STOP_LEAST);
        let handlers = std::mem::take(&mut *self.lock());
        let all = handlers.into_iter().map(|(name, handler)| async move {
            let stopping = AssertUnwindSafe(async { handler.stop_any().await }).catch_unwind();
            match timeout_at(by, stopping).await {
                Ok(Ok(())) => {}
                Ok(Err(panic)) => {
                    tracing::warn!(task.name = %name, "stopping a task panicked: {}", words_of(&*panic));
                }
                Err(_) => tracing::warn!(task.name = %name, "a task did not stop in time"),
            }
        });
        join_all(all).await;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Named>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts what is done to it.
    #[derive(Default)]
    struct Counts {
        started: AtomicUsize,
        stopped: AtomicUsize,
    }

    struct Sound(Arc<Counts>);

    impl Handler for Sound {
        const NAME: &'static str = "sound";
        type Payload = Json;
        type Output = ();

        async fn start(&self) -> Result<(), TaskError> {
            self.0.started.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        async fn stop(&self) {
            self.0.stopped.fetch_add(1, Ordering::Relaxed);
        }

        async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
            Ok(())
        }
    }

    enum Fault {
        Error,
        Panic,
        Silence,
    }

    struct Faulty(Fault);

    impl Handler for Faulty {
        const NAME: &'static str = "unsound";
        type Payload = Json;
        type Output = ();

        async fn start(&self) -> Result<(), TaskError> {
            match self.0 {
                Fault::Error => Err("no model".into()),
                Fault::Panic => panic!("no luck"),
                Fault::Silence => std::future::pending().await,
            }
        }

        async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
            Ok(())
        }
    }

    /// Does not stop when it is told to, or panics then.
    struct Stubborn(bool);

    impl Handler for Stubborn {
        const NAME: &'static str = "stubborn";
        type Payload = Json;
        type Output = ();

        async fn stop(&self) {
            assert!(!self.0, "it panics");
            std::future::pending().await
        }

        async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
            Ok(())
        }
    }

    fn counted(counts: &Counts) -> [usize; 2] {
        [&counts.started, &counts.stopped].map(|it| it.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_start_that_fails_says_which_task_and_why_and_knows_which_to_stop() {
        for (fault, why) in [
            (Fault::Error, "no model"),
            (Fault::Panic, "it panicked: no luck"),
            (Fault::Silence, "it took longer than 0.05 s"),
        ] {
            let (counts, mut registry) = (Arc::<Counts>::default(), Registry::default());
            registry.add(Faulty(fault));
            registry.add(Sound(counts.clone()));
            let (most, started) = (Duration::from_millis(50), Started::default());
            let said = registry.start_within(most, &started).await.unwrap_err().to_string();
            let begins = format!("the task unsound could not be started: {why}. ");
            assert!(said.starts_with(&begins), "{said}");
            started.stop(Instant::now()).await;
            assert_eq!(counted(&counts), [1, 1], "started and stopped");
        }
    }

    #[tokio::test]
    async fn a_start_that_is_given_up_knows_which_to_stop() {
        let (counts, mut registry) = (Arc::<Counts>::default(), Registry::default());
        registry.add(Faulty(Fault::Silence));
        registry.add(Sound(counts.clone()));
        let started = Started::default();
        assert!(registry.start(&started).now_or_never().is_none());
        assert_eq!(counted(&counts), [1, 0]);
        for _ in 0..2 {
            started.stop(Instant::now()).await;
            assert_eq!(counted(&counts), [1, 1], "once");
        }
    }

    #[tokio::test]
    async fn those_that_do_not_stop_hold_up_nobody_beyond_their_time() {
        for panics in [true, false] {
            let (counts, mut registry) = (Arc::<Counts>::default(), Registry::default());
            registry.add(Sound(counts.clone()));
            registry.add(Stubborn(panics));
            let started = Started::default();
            registry.start(&started).await.expect("both start");
            assert_eq!(counted(&counts), [1, 0]);
            let begun = Instant::now();
            started.stop(begun).await;
            assert_eq!(counted(&counts), [1, 1]);
            assert_eq!(begun.elapsed() >= STOP_LEAST, !panics);
        }
    }
}
