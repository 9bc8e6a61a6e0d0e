//! Handlers in unit tests, without a service and without a database.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Context;
use super::context::Around;
use crate::client::{Client, Recorded};
use crate::job::fields::NewJob;
use crate::job::submission::TIME_LIMIT_MOST;
use crate::job::{JobId, LeaseId};
use crate::queue::{QueueName, TaskName};
use crate::store::progress::Progress;

/// Reports beyond these are dropped, as a service drops them.
const REPORTS_MOST: usize = 1024;

impl Context {
    /// The first of ten attempts at a job of the queue `default`, with 15 minutes of time. Its
    /// [`client`](Self::client) keeps what is submitted to itself.
    ///
    /// ```
    /// # use reveille::{Context, Handler, TaskError};
    /// struct Double;
    ///
    /// impl Handler for Double {
    ///     const NAME: &'static str = "double";
    ///     type Payload = u32;
    ///     type Output = u32;
    ///
    ///     async fn run(&self, context: Context, payload: u32) -> Result<u32, TaskError> {
    ///         context.progress(0.5, "half of it");
    ///         payload.checked_mul(2).ok_or_else(|| TaskError::permanent("too large"))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// assert_eq!(Double.run(Context::test(), 4).await.unwrap(), 8);
    /// assert!(Double.run(Context::test(), u32::MAX).await.unwrap_err().is_permanent());
    /// # }
    /// ```
    pub fn test() -> Self {
        TestContext::new().context()
    }
}

/// An attempt for a unit test that chooses its job, cancels it, or looks at what the handler said
/// and submitted.
///
/// ```
/// # use reveille::{Context, Handler, NewJob, TaskError, TestContext};
/// struct Fan;
///
/// impl Handler for Fan {
///     const NAME: &'static str = "fan";
///     type Payload = u32;
///     type Output = ();
///
///     async fn run(&self, context: Context, most: u32) -> Result<(), TaskError> {
///         for nth in 0..most {
///             context.client().submit(NewJob::new("blade", &nth)).await?;
///         }
///         context.progress(1.0, "all are on their way");
///         if context.is_last_attempt() { Err("it always fails")? } else { Ok(()) }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let test = TestContext::new().attempt(3).max_attempts(3);
/// let error = Fan.run(test.context(), 2).await.unwrap_err();
/// assert_eq!(error.to_string(), "it always fails");
/// assert_eq!(test.submitted().len(), 2);
/// assert_eq!(test.progress(), Some((1.0, "all are on their way".to_owned())));
/// # }
/// ```
#[derive(Debug)]
pub struct TestContext {
    context: Context,
    recorded: Arc<Recorded>,
    reports: Mutex<Reports>,
}

#[derive(Debug)]
struct Reports {
    channel: mpsc::Receiver<Progress>,
    last: Option<(f64, String)>,
}

impl Default for TestContext {
    fn default() -> Self {
        Self::new()
    }
}

impl TestContext {
    /// An attempt as that of [`Context::test`].
    pub fn new() -> Self {
        let (reports, channel) = mpsc::channel(REPORTS_MOST);
        let recorded = Arc::new(Recorded::default());
        let client = Client::recording(recorded.clone());
        let context = Context {
            job_id: JobId(Uuid::now_v7()),
            queue: QueueName::default(),
            task: TaskName::trusted("test"),
            priority: 5,
            attempt: 1,
            max_attempts: 10,
            lease: LeaseId(Uuid::new_v4()),
            deadline: Instant::now() + Duration::from_secs(900),
            job_deadline: None,
            cancel: CancellationToken::new(),
            around: Arc::new(Around { reports, client }),
        };
        Self { context, recorded, reports: Mutex::new(Reports { channel, last: None }) }
    }

    /// The context for the handler under test.
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// Sets the queue of the job.
    #[must_use]
    pub fn queue(mut self, queue: &str) -> Self {
        self.context.queue = QueueName::trusted(queue);
        self
    }

    /// Sets the name of the task.
    #[must_use]
    pub fn task(mut self, task: &str) -> Self {
        self.context.task = TaskName::trusted(task);
        self
    }

    /// Sets the priority of the job, from 0 (first) to 9.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.context.priority = priority.into();
        self
    }

    /// Adds a tag to the job.
    #[must_use]
    pub fn tag(self, tag: impl Into<String>) -> Self {
        self.recorded.tag(tag.into());
        self
    }

    /// Sets the number of the attempt, from 1.
    #[must_use]
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.context.attempt = attempt;
        self
    }

    /// Sets how many attempts the job may spend.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.context.max_attempts = attempts;
        self
    }

    /// Sets how long the attempt may still take. A test that is late is not cancelled by itself.
    #[must_use]
    pub fn time_left(mut self, time: Duration) -> Self {
        self.context.deadline = Instant::now() + time.min(TIME_LIMIT_MOST);
        self
    }

    /// Tells the handler to stop.
    pub fn cancel(&self) {
        self.context.cancel.cancel();
    }

    /// The last report of the handler.
    pub fn progress(&self) -> Option<(f64, String)> {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        while let Ok(report) = reports.channel.try_recv() {
            let fraction = report.fraction.unwrap_or(f64::NAN);
            reports.last = Some((fraction, report.message.unwrap_or_default()));
        }
        reports.last.clone()
    }

    /// The jobs that the handler submitted, in order.
    pub fn submitted(&self) -> Vec<NewJob> {
        self.recorded.submitted()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_context_of_a_test_has_the_job_that_the_test_says() {
        let test = TestContext::new()
            .queue("images")
            .task("resize")
            .priority(0)
            .tag("cat")
            .tag("dog")
            .attempt(2)
            .max_attempts(2)
            .time_left(Duration::from_secs(3));
        let context = test.context();
        assert_eq!((context.queue(), context.task(), context.priority()), ("images", "resize", 0));
        assert_eq!((context.attempt(), context.max_attempts()), (2, 2));
        assert!(context.is_last_attempt() && context.time_left() <= Duration::from_secs(3));
        assert!(context.deadline() > Instant::now());
        assert_eq!(context.tags().await.unwrap(), ["cat", "dog"]);
        assert!(!Context::test().is_last_attempt());
        let ages = TestContext::new().time_left(Duration::MAX).context().time_left();
        assert!(ages > Duration::from_secs(365 * 86_400));
    }

    #[tokio::test]
    async fn a_test_cancels_and_sees_what_was_said_and_submitted() {
        let test = TestContext::new();
        let context = test.context();
        assert_eq!((test.progress(), test.submitted().len()), (None, 0));
        context.progress(0.2, "begun");
        context.progress(7.0, "over");
        assert_eq!(test.progress(), Some((1.0, "over".into())));
        assert_eq!(test.progress(), Some((1.0, "over".into())), "the last one stays");
        assert!(!context.is_cancelled());
        test.cancel();
        assert!(context.is_cancelled());
        context.cancelled().await;

        let written = context.client().submit(NewJob::new("echo", &1).queue("next")).await.unwrap();
        let refused = context.client().submit(NewJob::new("echo", &1).queue("No")).await;
        assert_eq!(refused.unwrap_err().code(), "validation_failed");
        let jobs = [2, 3].map(|nth| NewJob::new("echo", &nth));
        assert_eq!(context.client().submit_many(jobs).await.unwrap().len(), 2);
        let submitted = test.submitted();
        assert_eq!((submitted.len(), submitted[0].queue.as_deref()), (3, Some("next")));
        let unknown = context.client().get(written.job_id).await.unwrap_err();
        assert_eq!(unknown.code(), "database_unavailable");
    }
}
