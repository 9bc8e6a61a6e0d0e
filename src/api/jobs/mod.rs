//! Jobs: submitting and reading them.

mod answers;
mod view;

use std::time::{Duration, Instant};

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use uuid::Uuid;

use answers::{
    BatchAnswer, CancelAnswer, Include, JobPage, SubmitAnswer, Submitted, SubmittedBatch,
};
use view::{Job, JobStatus};

use super::Services;
use super::answers::{BODY, Refused};
use super::body::{Body, Read};
use super::failure::of_batch;
use super::params::{IdText, no_job};
use super::problem::Problem;
use super::security::Bearer;
use super::submission::{BatchBody, SubmissionBody};
use crate::job::JobId;
use crate::job::json::Json;
use crate::refusals;
use crate::store::job::{Cancelled, JobFilter, Retried};
use crate::store::submission::Outcome;

/// The longest that a call may wait for the end of a job.
const WAIT_MOST_SECONDS: u32 = 60;

refusals! {
    pub SubmitJob: BODY, &[409];
    pub SubmitJobs: BODY, &[409];
    pub GetJob: &[400, 404];
    pub ListJobs: &[400];
    pub CancelJob: &[400, 404, 409];
    pub RetryJob: &[400, 404, 409];
}

pub struct JobsApi;

/// Jobs.
#[OpenApi(tag = "super::Tag::Jobs")]
impl JobsApi {
    /// Submit a job
    ///
    /// The job exists once this is answered: its commit was flushed. A worker that is free is woken by the insert itself.
    /// Everything but `payload` is optional.
    #[oai(path = "/jobs", method = "post", operation_id = "submit_job")]
    async fn submit_job(
        &self,
        services: Data<&Services>,
        /// Answer when the job has ended, or after so many seconds (at most 60) with status 202.
        wait: Query<Option<u32>>,
        job: Read<SubmissionBody>,
        _token: Bearer,
    ) -> Result<SubmitAnswer, Refused<SubmitJob>> {
        let wait = wait_seconds(wait.0)?;
        let written = services.submitter.submit(job.0.0).await?;
        let (id, existing) = (written.job_id, written.outcome == Outcome::Existing);
        let location = format!("/jobs/{id}");
        let mut submitted = Submitted::from(written);
        let Some(wait) = wait else {
            return Ok(if existing {
                SubmitAnswer::Existing(Body(submitted), location)
            } else {
                SubmitAnswer::Created(Body(submitted), location)
            });
        };
        if let Some(job) = services.wait_for(id, wait).await? {
            submitted.status = job.status;
        }
        let ended = matches!(
            submitted.status,
            JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled
        );
        Ok(match (ended, existing) {
            (false, _) => SubmitAnswer::Waiting(Body(submitted), location),
            (true, true) => SubmitAnswer::Existing(Body(submitted), location),
            (true, false) => SubmitAnswer::Created(Body(submitted), location),
        })
    }

    /// Submit many jobs
    ///
    /// Up to 10,000 jobs in one JSON array (or, with `application/x-ndjson`, one a line), in one transaction: all of them or
    /// none. The answers are in their order, and their ids ascend. Conflicts of unique keys are resolved in order, within
    /// the batch too.
    #[oai(path = "/jobs/batch", method = "post", operation_id = "submit_jobs")]
    async fn submit_jobs(
        &self,
        services: Data<&Services>,
        jobs: Read<BatchBody>,
        _token: Bearer,
    ) -> Result<BatchAnswer, Refused<SubmitJobs>> {
        let written = services.submitter.submit_many(jobs.0.0).await.map_err(of_batch)?;
        Ok(BatchAnswer::Created(Body(SubmittedBatch {
            jobs: written.into_iter().map(Submitted::from).collect(),
        })))
    }

    /// List jobs
    ///
    /// The newest first, and stable while jobs arrive. Payloads and results are left out unless `include` asks for them.
    #[oai(path = "/jobs", method = "get", operation_id = "list_jobs")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    async fn list_jobs(
        &self,
        services: Data<&Services>,
        /// Only jobs that stand so.
        status: Query<Option<JobStatus>>,
        /// Only jobs of this queue.
        queue: Query<Option<String>>,
        /// Only jobs of this task.
        task: Query<Option<String>>,
        /// Only jobs with this tag.
        tag: Query<Option<String>>,
        /// Only jobs with this unique key.
        unique_key: Query<Option<String>>,
        /// Only jobs submitted at this time or later (RFC 3339).
        created_after: Query<Option<chrono::DateTime<chrono::Utc>>>,
        /// Only jobs submitted before this time (RFC 3339).
        created_before: Query<Option<chrono::DateTime<chrono::Utc>>>,
        /// Only jobs whose payload contains this JSON, as `@>` of jsonb has it.
        payload_contains: Query<Option<String>>,
        /// What to read beside the rest; may be repeated.
        include: Query<Vec<Include>>,
        /// How many jobs a page has, 1 to 200; 50 without it.
        limit: Query<Option<u32>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        _token: Bearer,
    ) -> Result<Body<JobPage>, Refused<ListJobs>> {
        let limit = limit.0.unwrap_or(50);
        if !(1..=200).contains(&limit) {
            return Err(Problem::bad_request(
                "invalid_limit",
                "limit is a number from 1 to 200. Follow next_cursor for more.",
            )
            .into());
        }
        let payload_contains = match payload_contains.0 {
            Some(text) => Some(Json::parse(text.as_bytes()).map_err(|fault| {
                Problem::bad_request(
                    "invalid_payload_contains",
                    format!("payload_contains must be JSON: {}", fault.message),
                )
            })?),
            None => None,
        };
        let filter = JobFilter {
            status: status.0.map(Into::into),
            queue: queue.0,
            task: task.0,
            tag: tag.0,
            unique_key: unique_key.0,
            created_after: created_after.0,
            created_before: created_before.0,
            payload_contains,
            below: cursor.0.as_deref().map(read_cursor).transpose()?,
            payloads: include.0.contains(&Include::Payload),
            results: include.0.contains(&Include::Result),
            // One more tells whether there is a next page.
            limit: limit + 1,
        };
        let mut rows = services.store.job_list(&filter).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next_cursor = rows.last().filter(|_| more).map(|row| row.job_id.0.simple().to_string());
        Ok(Body(JobPage { data: rows.into_iter().map(Job::from).collect(), next_cursor }))
    }

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
        wait: Query<Option<u32>>,
        _token: Bearer,
    ) -> Result<Body<Job>, Refused<GetJob>> {
        let id = job_id.0.job()?;
        let wait = wait_seconds(wait.0)?.unwrap_or_default();
        Ok(Body(services.wait_for(id, wait).await?.ok_or_else(|| no_job(id))?))
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
        let job = services.wait_for(id, Duration::ZERO).await?.ok_or_else(|| no_job(id))?;
        if cancelled == Cancelled::Ended {
            services.events.ends.ended([id]);
            // Whoever waits at another instance; without it they look when their time is over.
            if let Err(error) = services.store.news_notify(&crate::listener::news(&[id])).await {
                tracing::debug!(%error, "the others were not told of a cancellation");
            }
            return Ok(CancelAnswer::Cancelled(Body(job)));
        }
        Ok(CancelAnswer::Told(Body(job)))
    }

    /// Run a job once more
    ///
    /// One that has ended (`completed`, `failed` or `cancelled`) waits again, with fresh attempts.
    #[oai(path = "/jobs/:job_id/retry", method = "post", operation_id = "retry_job")]
    async fn retry_job(
        &self,
        services: Data<&Services>,
        /// The job's id, from the answer to its submission.
        job_id: Path<IdText>,
        _token: Bearer,
    ) -> Result<Body<Job>, Refused<RetryJob>> {
        let id = job_id.0.job()?;
        let retried = services.store.job_retry(id).await?;
        let job = services.wait_for(id, Duration::ZERO).await?.ok_or_else(|| no_job(id))?;
        match retried {
            Retried::Queued => Ok(Body(job)),
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
}

fn read_cursor(text: &str) -> Result<JobId, Problem> {
    Uuid::try_parse(text).map(JobId).map_err(|_| {
        Problem::bad_request("invalid_cursor", "This is no cursor of a list. Pass next_cursor of the page before as it is, or leave it out.")
    })
}

fn wait_seconds(wait: Option<u32>) -> Result<Option<Duration>, Problem> {
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
    async fn wait_for(&self, id: JobId, wait: Duration) -> Result<Option<Job>, Problem> {
        let until = Instant::now() + wait;
        let mut waiting = self.events.ends.watch(id);
        loop {
            let Some(row) = self.store.job_get(id).await? else { return Ok(None) };
            let left = until.saturating_duration_since(Instant::now());
            if row.status.is_final() || left.is_zero() || self.shutdown.draining.is_cancelled() {
                let mut job = Job::from(row);
                if matches!(job.status, JobStatus::Queued | JobStatus::Scheduled) {
                    job.warnings.extend(self.unserved(&job.task).await);
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

    /// Why a job of this task would wait, if nobody serves it. A hint: that it cannot be read is no reason to fail.
    async fn unserved(&self, task: &str) -> Option<String> {
        let served = self.store.task_served().await.ok()?;
        if served.iter().any(|name| name == task) {
            return None;
        }
        let names: Vec<&str> = served.iter().map(String::as_str).collect();
        let hint = super::fields::did_you_mean(task, &names);
        Some(format!("No running worker serves the task {task:?}, so the job waits.{hint}"))
    }
}
