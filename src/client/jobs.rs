//! Jobs as callers read and steer them: what the library and the HTTP API share.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::events::{Ends, Notice};
use crate::job::JobId;
use crate::store::job::{Cancelled, Job, JobFilter, JobPage, Retried};
use crate::store::{Result, Store};

/// A look that found the job not ended, though its end was announced, is followed by a rest: any
/// role can announce it. Each rest is twice as long as the one before.
const REST_LEAST: Duration = Duration::from_millis(50);
const REST_MOST: Duration = Duration::from_secs(1);

/// How often an ended job is tried to be sent back, before its week counts as being removed.
const LOOKS: usize = 5;

/// Reads and steers jobs. Clones share the database and the news of ends.
#[derive(Clone)]
pub(crate) struct Jobs {
    store: Store,
    ends: Ends,
}

impl Jobs {
    pub(crate) fn new(store: Store, ends: Ends) -> Self {
        Self { store, ends }
    }

    pub(crate) async fn get(&self, id: JobId) -> Result<Option<Job>> {
        self.store.job_get(id).await
    }

    pub(crate) async fn list(&self, filter: &JobFilter) -> Result<JobPage> {
        self.store.job_list(filter).await
    }

    pub(crate) async fn tags(&self, id: JobId) -> Result<Vec<String>> {
        self.store.job_tags(id).await
    }

    /// The job as soon as it has ended, or as it stands after `within`, or when `leaving` is told.
    pub(crate) async fn wait(
        &self,
        id: JobId,
        within: Duration,
        leaving: &CancellationToken,
    ) -> Result<Option<Job>> {
        let begun = Instant::now();
        let mut waiting = self.ends.watch(id);
        let mut rest = Duration::ZERO;
        loop {
            let Some(job) = self.store.job_get(id).await? else { return Ok(None) };
            let left = within.saturating_sub(begun.elapsed());
            if job.status.is_final() || left.is_zero() || leaving.is_cancelled() {
                return Ok(Some(job));
            }
            let announced = async {
                sleep(rest).await;
                waiting.changed().await;
            };
            tokio::select! {
                () = announced => rest = (rest * 2).clamp(REST_LEAST, REST_MOST),
                () = sleep(left) => {}
                () = leaving.cancelled() => {}
            }
        }
    }

    /// Cancels a job, and tells those who wait for it if that ended it.
    pub(crate) async fn cancel(&self, id: JobId) -> Result<Cancelled> {
        let cancelled = self.store.job_cancel(id).await?;
        if cancelled == Cancelled::Ended {
            self.tell_ended(id).await;
        }
        Ok(cancelled)
    }

    /// Sends a job that has ended back to wait.
    pub(crate) async fn retry(&self, id: JobId) -> Result<Retried> {
        let retried = self.retry_ended(id).await?;
        if retried == Retried::Queued
            // The errors of its new life come on top of those that it has.
            && let Err(error) = self.store.attempt_trim_errors(&[id]).await
        {
            tracing::debug!(%error, "old errors could not be cut");
        }
        Ok(retried)
    }

    async fn retry_ended(&self, id: JobId) -> Result<Retried> {
        // A job may end between the two looks, and another caller may be faster to send it back.
        for _ in 0..LOOKS {
            match self.store.job_retry(id).await? {
                Retried::NotFinal => {}
                retried => return Ok(retried),
            }
            match self.store.job_get(id).await? {
                None => return Ok(Retried::Unknown),
                Some(job) if !job.status.is_final() => return Ok(Retried::NotFinal),
                Some(_) => {}
            }
        }
        Ok(Retried::Removing)
    }

    /// Callers who wait for the end of this job look again, at the other instances too.
    pub(crate) async fn tell_ended(&self, id: JobId) {
        self.ends.ended([id]);
        // Without it they look when their time is over.
        if let Err(error) = self.store.news_notify(&Notice::of_ended(vec![id]).to_string()).await {
            tracing::debug!(%error, "the others were not told of the end of a job");
        }
    }
}
