//! What a running handler knows of its job, and can say.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::job::bounds::{PROGRESS_BYTES_MOST, excerpt};
use crate::job::{JobId, LeaseId};
use crate::store::progress::Progress;

/// The circumstances of one attempt.
#[derive(Clone, Debug)]
pub struct Context {
    pub job_id: JobId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    pub(crate) lease: LeaseId,
    pub(crate) deadline: Instant,
    pub(crate) cancel: CancellationToken,
    pub(crate) reports: mpsc::Sender<Progress>,
}

impl Context {
    /// How long this attempt may still take.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether to stop: the job was cancelled, timed out or lost, or the service is leaving.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Returns when it is time to stop.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Says how far the work is: a fraction from 0 to 1, and a word, of which 1 KiB is kept. The last report of a while is kept.
    pub fn progress(&self, fraction: f64, message: impl Into<String>) {
        let fraction = fraction.is_finite().then(|| fraction.clamp(0.0, 1.0));
        let report = Progress {
            lease: self.lease,
            id: self.job_id,
            fraction,
            message: Some(excerpt(&message.into(), PROGRESS_BYTES_MOST)),
        };
        // A full channel drops the report: the next one is as good.
        let _ = self.reports.try_send(report);
    }
}
