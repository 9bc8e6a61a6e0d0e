//! Waiting for the end of a job.

use std::time::{Duration, Instant};

use super::super::Services;
use super::super::problem::Problem;
use super::view::{Job, JobStatus};
use crate::job::JobId;

/// The longest that a call may wait for the end of a job.
const WAIT_MOST_SECONDS: u32 = 60;

pub fn wait_seconds(wait: Option<u32>) -> Result<Option<Duration>, Problem> {
    match wait {
        Some(seconds) if seconds > WAIT_MOST_SECONDS => Err(Problem::bad_request(
            "invalid_wait",
            "wait is a number of seconds from 0 to 60. Ask again after that.",
        )),
        seconds => Ok(seconds.map(|seconds| Duration::from_secs(seconds.into()))),
    }
}

impl Services {
    /// The job as soon as it has ended, or as it stands after `wait`, or when the service leaves. Pushed, not polled.
    pub(super) async fn wait_for(&self, id: JobId, wait: Duration) -> Result<Option<Job>, Problem> {
        let until = Instant::now() + wait;
        let mut waiting = self.events.ends.watch(id);
        loop {
            let Some(row) = self.store.job_get(id).await? else { return Ok(None) };
            let left = until.saturating_duration_since(Instant::now());
            if row.status.is_final() || left.is_zero() || self.shutdown.draining.is_cancelled() {
                let mut job = Job::from(row);
                if matches!(job.status, JobStatus::Queued | JobStatus::Scheduled) {
                    job.warnings = self.hints.of(&job.queue, &job.task).await;
                }
                return Ok(Some(job));
            }
            tokio::select! {
                () = waiting.changed() => {}
                () = tokio::time::sleep(left) => {}
                () = self.shutdown.draining.cancelled() => {}
            }
        }
    }
}
