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
use super::view::Job;
use super::wait::Patience;
use crate::events::Notice;
use crate::job::JobId;
use crate::job::state::Status;
use crate::refusals;
use crate::store::job::{Cancelled, Deleted, Retried};

/// The newest attempts that are shown of a job that has had more.
const ATTEMPTS_MOST: u32 = 1000;

refusals! {
    pub GetJob: &[400, 404];
    pub ListAttempts: &[400, 404];
    pub CancelJob: CHANGE, &[400, 404, 409];
    pub RetryJob: CHANGE, &[400, 404, 409];
    pub DeleteJob: CHANGE, &[400, 404, 409];
}

pub struct JobApi;

/// A job.
#[OpenApi(tag = "super::super::Tag::Jobs")]
impl JobApi {
    /// Read a job
    ///
    /// With all that is known of it: how it stands, its payload, its result or error, its times and its progress.
    #[oai(path = "/jobs/:job_id", method = "get", operation_id = "get_job")]
    async fn get_job(
        &self,
        services: Data<&Services>,
        /// The job's id, from the answer to its submission.
        job_id: Path<IdText>,
        /// Answer when the job has ended, or after so many seconds (at most 60) as it stands then.
        wait: Query<Option<WaitText>>,
        /// `wait=N` is the same as the query parameter. One that cannot be followed is ignored.
        #[oai(name = "Prefer")]
        prefer: Header<Option<PreferText>>,
        /// The `ETag` of an earlier answer: if the job is still so, the answer is 304 and empty. `warnings` and `progress` do
        /// not count, because they change by themselves.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<TagsText>>,
        _token: Bearer,
    ) -> Result<GetAnswer, Refused<GetJob>> {
        let id = job_id.0.job()?;
        let Patience { wait, applied } = Patience::of(wait.0.as_ref(), prefer.0.as_ref())?;
        let job = services.wait_for(id, wait.unwrap_or_default()).await?;
        let mut job = job.ok_or_else(|| no_job(id))?;
        let tag = job.tag();
        if etag::is_known(if_none_match.0.as_ref().map(TagsText::as_str), &tag) {
            return Ok(GetAnswer::NotModified(tag, applied));
        }
        Ok(GetAnswer::Job(Body(job), tag, applied))
    }

    /// Cancel a job
    ///
    /// One that waits is cancelled at once (200). The handler of one that is being processed is told to stop (202): if it
    /// succeeds all the same the job is `completed`, else `cancelled`.
    #[oai(path = "/jobs/:job_id/cancel", method = "post", operation_id = "cancel_job")]
    async fn cancel_job(
        &self,
        services: Data<&Services>,
        /// The job's id, from the answer to its submission.
        job_id: Path<IdText>,
        _token: Bearer,
    ) -> Result<CancelAnswer, Refused<CancelJob>> {
        let id = job_id.0.job()?;
        let cancelled = services.store.job_cancel(id).await?;
        if let Cancelled::AlreadyFinal(status) = cancelled {
            let detail = format!(
                "The job has ended: it is {}. There is nothing left to cancel.",
                status.as_str()
            );
            return Err(Problem::conflict("job_already_final", detail).job(id.0).into());
        }
        if cancelled == Cancelled::Ended {
            services.tell_ended(id).await;
            return Ok(CancelAnswer::Cancelled(Body(services.changed(id).await?)));
        }
        let job = services.changed(id).await?;
        Ok(CancelAnswer::Told(Body(job)))
    }

    /// Run a job once more
    ///
    /// One that has ended (`completed`, `failed` or `cancelled`) waits again, with fresh attempts. While another job that has not
    /// ended holds its `unique_key` it is refused (409).
    #[oai(path = "/jobs/:job_id/retry", method = "post", operation_id = "retry_job")]
    async fn retry_job(
        &self,
        services: Data<&Services>,
        /// The job's id, from the answer to its submission.
        job_id: Path<IdText>,
        _token: Bearer,
    ) -> Result<Body<Job>, Refused<RetryJob>> {
        let id = job_id.0.job()?;
        let mut retried = services.store.job_retry(id).await?;
        let mut job = services.changed(id).await?;
        if retried == Retried::NotFinal && Status::from(job.status).is_final() {
            // It ended between the two.
            retried = services.store.job_retry(id).await?;
            job = services.changed(id).await?;
        }
        match retried {
            Retried::Queued => Ok(Body(job)),
            Retried::NotFinal if Status::from(job.status).is_final() => {
                let detail = "The job is being removed. Nothing was changed. Try again.";
                Err(Problem::unavailable("database_busy", detail, 1).into())
            }
            Retried::NotFinal => {
                let detail = "The job has not ended, so there is nothing to run once more. Cancel it first, or wait.";
                Err(Problem::conflict("job_not_final", detail).job(id.0).into())
            }
            Retried::KeyHeld(holder) => {
                let detail = "Another job that has not ended holds this job's unique_key. Wait for it, or cancel it first.";
                Err(Problem::conflict("unique_key_conflict", detail).job(holder.0).into())
            }
        }
    }

    /// List the attempts of a job
    ///
    /// Every one in order: how it ended, or that it runs, and who did it. Of a job that has had more than 1,000, or whose
    /// errors come to more than 8 MiB, the newest.
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
    /// One that waits never runs, and of one that has ended nothing is kept. One that is being processed has to be cancelled
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
                services.tell_ended(id).await;
                Ok(DeleteAnswer::Deleted)
            }
            Deleted::Processing => {
                let detail =
                    "A worker holds the job. Cancel it, wait for its end, and delete it then.";
                Err(Problem::conflict("job_processing", detail).job(id.0).into())
            }
            Deleted::Unknown => Err(no_job(id).into()),
        }
    }
}

impl Job {
    /// The entity tag of the job without what changes by itself.
    fn tag(&mut self) -> String {
        let (warnings, progress) = (std::mem::take(&mut self.warnings), self.progress.take());
        let tag = etag::tag(self);
        (self.warnings, self.progress) = (warnings, progress);
        tag
    }
}

impl Services {
    /// The job after something was done to it.
    async fn changed(&self, id: JobId) -> Result<Job, Problem> {
        let job = self.wait_for(id, Duration::ZERO).await.map_err(after_change)?;
        job.ok_or_else(|| no_job(id))
    }

    /// Whoever waits for the end of this job looks again, at the other instances too.
    async fn tell_ended(&self, id: JobId) {
        self.events.ends.ended([id]);
        // Without it they look when their time is over.
        if let Err(error) = self.store.news_notify(&Notice::of_ended(vec![id]).to_string()).await {
            tracing::debug!(%error, "the others were not told of the end of a job");
        }
    }
}
