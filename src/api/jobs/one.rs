//! A single job: reading and steering it.

use std::time::Duration;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Path, Query};

use super::super::Services;
use super::super::answers::{CHANGE, Refused};
use super::super::body::Body;
use super::super::etag;
use super::super::failure::after_change;
use super::super::params::{IdText, PreferText, TagsText, WaitText, no_job};
use super::super::problem::Problem;
use super::super::security::Bearer;
use super::answers::{CancelAnswer, DeleteAnswer, GetAnswer};
use super::attempts::{Attempt, Attempts};
use super::refused;
use super::view::Job;
use super::wait::Patience;
use crate::job::JobId;
use crate::refusals;
use crate::store::job::{Cancelled, Deleted, Retried};

/// The newest attempts that are shown of a job that has had more.
const ATTEMPTS_MOST: u32 = 1000;

refusals! {
    pub(super) GetJob: &[400, 404];
    pub(super) ListAttempts: &[400, 404];
    pub(super) CancelJob: CHANGE, &[400, 404, 409];
    pub(super) RetryJob: CHANGE, &[400, 404, 409];
    pub(super) DeleteJob: CHANGE, &[400, 404, 409];
}

#[derive(Default)]
pub(crate) struct JobApi;

/// A job.
#[OpenApi(tag = "super::super::Tag::Jobs")]
impl JobApi {
    /// Read a job
    ///
    /// All that is known of it: its state, its payload, its result or error, its times, its
    /// progress, and what it waits for.
    #[oai(path = "/jobs/:job_id", method = "get", operation_id = "get_job")]
    async fn get_job(
        &self,
        services: Data<&Services>,
        /// The job's id, from the answer to its submission.
        job_id: Path<IdText>,
        /// Wait so many seconds for the end of the job. The answer comes as soon as it ends.
        wait: Query<Option<WaitText>>,
        /// `wait=N` means the same as the query parameter. The service ignores a preference that it
        /// cannot follow.
        #[oai(name = "Prefer")]
        prefer: Header<Option<PreferText>>,
        /// The `ETag` of an earlier answer. If nothing changed, the answer is 304 and empty.
        /// `warnings`, `waiting_for` and `progress` do not count, because they change by themselves.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<TagsText>>,
        _token: Bearer,
    ) -> Result<GetAnswer, Refused<GetJob>> {
        let id = job_id.0.job()?;
        let Patience { wait, applied } = Patience::of(wait.0.as_ref(), prefer.0.as_ref())?;
        let job = services.wait_for(id, wait.unwrap_or_default()).await?;
        let mut job = job.ok_or_else(|| no_job(id))?;
        let tag = job.tag();
        if etag::is_known(if_none_match.0.as_ref().map(|tags| tags.0.as_str()), &tag) {
            return Ok(GetAnswer::NotModified(tag, applied));
        }
        Ok(GetAnswer::Job(Body(job), tag, applied))
    }

    /// Cancel a job
    ///
    /// A waiting job is cancelled at once (200). The handler of a running job is told to stop
    /// (202): if it succeeds all the same the job is `completed`, else `cancelled`.
    #[oai(path = "/jobs/:job_id/cancel", method = "post", operation_id = "cancel_job")]
    async fn cancel_job(
        &self,
        services: Data<&Services>,
        /// The job's id, from the answer to its submission.
        job_id: Path<IdText>,
        _token: Bearer,
    ) -> Result<CancelAnswer, Refused<CancelJob>> {
        let id = job_id.0.job()?;
        let cancelled = services.jobs.cancel(id).await?;
        if let Cancelled::AlreadyFinal(status) = cancelled {
            return Err(refused::already_final(id, status).into());
        }
        let job = services.changed(id).await?;
        Ok(if cancelled == Cancelled::Ended {
            CancelAnswer::Cancelled(Body(job))
        } else {
            CancelAnswer::Told(Body(job))
        })
    }

    /// Run a job once more
    ///
    /// A job that has ended (`completed`, `failed` or `cancelled`) waits again, with fresh
    /// attempts. The call is refused (409) while another job holds its `unique_key`.
    #[oai(path = "/jobs/:job_id/retry", method = "post", operation_id = "retry_job")]
    async fn retry_job(
        &self,
        services: Data<&Services>,
        /// The job's id, from the answer to its submission.
        job_id: Path<IdText>,
        _token: Bearer,
    ) -> Result<Body<Job>, Refused<RetryJob>> {
        let id = job_id.0.job()?;
        match services.jobs.retry(id).await? {
            Retried::Queued => Ok(Body(services.changed(id).await?)),
            Retried::Unknown => Err(no_job(id).into()),
            Retried::Removing => {
                let detail = "The job is being removed. Nothing was changed. Try again.";
                Err(Problem::unavailable("database_busy", detail, 1).into())
            }
            Retried::NotFinal => Err(refused::not_final(id).into()),
            Retried::KeyHeld(holder) => Err(refused::key_held(holder).into()),
        }
    }

    /// List the attempts of a job
    ///
    /// Every attempt in order: its end, or that it runs, and its worker. Of a job with more than
    /// 1,000 attempts, or with errors of more than 8 MiB, the newest.
    #[oai(path = "/jobs/:job_id/attempts", method = "get", operation_id = "list_attempts")]
    async fn list_attempts(
        &self,
        services: Data<&Services>,
        /// The job's id, from the answer to its submission.
        job_id: Path<IdText>,
        _token: Bearer,
    ) -> Result<Body<Attempts>, Refused<ListAttempts>> {
        let id = job_id.0.job()?;
        let rows =
            services.store.attempt_list(id, ATTEMPTS_MOST).await?.ok_or_else(|| no_job(id))?;
        Ok(Body(Attempts { data: rows.into_iter().map(Attempt::from).collect() }))
    }

    /// Delete a job
    ///
    /// A waiting job never runs, and nothing is kept of a job that has ended. Cancel a running job
    /// first.
    #[oai(path = "/jobs/:job_id", method = "delete", operation_id = "delete_job")]
    async fn delete_job(
        &self,
        services: Data<&Services>,
        /// The job's id, from the answer to its submission.
        job_id: Path<IdText>,
        _token: Bearer,
    ) -> Result<DeleteAnswer, Refused<DeleteJob>> {
        let id = job_id.0.job()?;
        match services.store.job_delete(id).await? {
            Deleted::Gone => {
                services.jobs.tell_ended(id).await;
                Ok(DeleteAnswer::Deleted)
            }
            Deleted::Processing => Err(refused::processing(id).into()),
            Deleted::Unknown => Err(no_job(id).into()),
        }
    }
}

impl Job {
    /// The entity tag of the job without what changes by itself.
    fn tag(&mut self) -> String {
        let (warnings, progress) = (std::mem::take(&mut self.warnings), self.progress.take());
        let waiting_for = self.waiting_for.take();
        let tag = etag::tag(self);
        (self.warnings, self.progress, self.waiting_for) = (warnings, progress, waiting_for);
        tag
    }
}

impl Services {
    /// The job after something was done to it.
    async fn changed(&self, id: JobId) -> Result<Job, Problem> {
        let job = self.wait_for(id, Duration::ZERO).await.map_err(after_change)?;
        job.ok_or_else(|| no_job(id))
    }
}
