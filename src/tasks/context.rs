//! The view that a running handler has of its job, and its way to report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, ClientError};
use crate::job::bounds::{PROGRESS_BYTES_MOST, excerpt};
use crate::job::{JobId, LeaseId};
use crate::queue::{QueueName, TaskName};
use crate::store::progress::Progress;

/// One attempt at a job: what it is, how long it may take, and whether to stop. Clones are cheap.
///
/// A unit test has [`Context::test`], and [`TestContext`](super::TestContext) for more.
#[derive(Clone, Debug)]
pub struct Context {
    pub(crate) job_id: JobId,
    pub(crate) queue: QueueName,
    pub(crate) task: TaskName,
    pub(crate) priority: i16,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    pub(crate) lease: LeaseId,
    pub(crate) deadline: Instant,
    pub(crate) job_deadline: Option<Instant>,
    pub(crate) cancel: CancellationToken,
    pub(crate) around: Arc<Around>,
}

/// Shared by all attempts of a process.
#[derive(Debug)]
pub(crate) struct Around {
    pub(crate) reports: mpsc::Sender<Progress>,
    pub(crate) client: Client,
}

impl Context {
    /// The id of the job.
    pub fn job_id(&self) -> JobId {
        self.job_id
    }

    /// The queue that the job waited in.
    pub fn queue(&self) -> &str {
        self.queue.as_str()
    }

    /// The name of the task.
    pub fn task(&self) -> &str {
        self.task.as_str()
    }

    /// The priority of the job, from 0 (first) to 9.
    pub fn priority(&self) -> u8 {
        u8::try_from(self.priority).unwrap_or_default()
    }

    /// The number of this attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// How many attempts the job may spend: its own number, or else that of its task.
    pub fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// Whether the job fails if this attempt does.
    pub fn is_last_attempt(&self) -> bool {
        self.attempt >= self.max_attempts
    }

    /// When this attempt must have ended: by its timeout, or by the deadline of the job.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long this attempt may still take.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// How long the job may still take, its waits and further attempts included; `None`: it has no
    /// `deadline_seconds`.
    pub fn job_time_left(&self) -> Option<Duration> {
        let deadline = self.job_deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// The tags of the job. A claim does not read them, so this asks the database.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn tags(&self) -> Result<Vec<String>, ClientError> {
        self.around.client.tags(self.job_id).await
    }

    /// Submits jobs from within this one, and reads others. A job that runs again submits again:
    /// give the new job a [`unique`](crate::NewJob::unique) key, such as one with
    /// [`job_id`](Self::job_id).
    pub fn client(&self) -> &Client {
        &self.around.client
    }

    /// Whether to stop: the job was cancelled, timed out or lost, or the service is leaving.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Returns when it is time to stop.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Reports how far the work is: a fraction from 0 to 1, and a message of which 1 KiB is kept.
    /// The service keeps the last report of each second.
    pub fn progress(&self, fraction: f64, message: impl Into<String>) {
        let fraction = fraction.is_finite().then(|| fraction.clamp(0.0, 1.0));
        let report = Progress {
            lease: self.lease,
            id: self.job_id,
            fraction,
            message: Some(excerpt(&message.into(), PROGRESS_BYTES_MOST)),
        };
        // A full channel drops the report: the next one is as good.
        let _ = self.around.reports.try_send(report);
    }
}
