//! Jobs: submitting and listing them. [`one`] reads and steers a single one.

mod answers;
mod attempts;
pub(super) mod filters;
mod one;
pub(super) mod refused;
pub(super) mod view;
mod wait;

use poem::Request;
use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Query};
use uuid::Uuid;

use answers::{BatchAnswer, JobPage, ListAnswer, SubmitAnswer, Submitted, SubmittedBatch};
use filters::{Includes, Queues, Statuses, Tags, Tasks};
pub(super) use one::JobApi;
use view::Job;
use wait::Patience;

use super::Services;
use super::answers::{BODY, Refused};
use super::body::{Body, Read};
use super::failure::of_batch;
use super::params::{
    CursorText, JOBS_A_PAGE, JobsLimit, JsonText, KeyText, PreferText, TimeText, WaitText,
    invalid_cursor, next_link, page_limit,
};
use super::problem::Problem;
use super::repeats::{Named, RepeatText};
use super::security::Bearer;
use super::submission::{BatchBody, SubmissionBody};
use crate::job::JobId;
use crate::job::json::Json;
use crate::job::written::Outcome;
use crate::refusals;
use crate::store::job::JobFilter;

refusals! {
    pub(super) SubmitJob: BODY, &[409, 429];
    pub(super) SubmitJobs: BODY, &[409, 429];
    pub(super) ListJobs: &[400];
}

#[derive(Default)]
pub(super) struct JobsApi;

/// Jobs.
#[OpenApi(tag = "super::Tag::Jobs")]
impl JobsApi {
    /// Submit a job
    ///
    /// The job exists once this is answered: the database has flushed its commit. The insert itself
    /// wakes a free worker. Everything but `payload` is optional.
    /// A request with an `Idempotency-Key` may be repeated: it is answered as it was at first.
    #[oai(path = "/jobs", method = "post", operation_id = "submit_job")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    async fn submit_job(
        &self,
        request: &Request,
        services: Data<&Services>,
        /// Wait so many seconds for the end of the job. If it has not ended by then, the status is
        /// 202.
        wait: Query<Option<WaitText>>,
        /// `wait=N` means the same as the query parameter. The service ignores a preference that it
        /// cannot follow.
        #[oai(name = "Prefer")]
        prefer: Header<Option<PreferText>>,
        /// A name for this request, such as a UUID. The same request with the same key is answered
        /// as the first one, for a day, and submits nothing.
        #[oai(name = "Idempotency-Key")]
        _key: Header<Option<RepeatText>>,
        job: Read<SubmissionBody>,
        token: Bearer,
    ) -> Result<SubmitAnswer, Refused<SubmitJob>> {
        let Patience { wait, applied } = Patience::of(wait.0.as_ref(), prefer.0.as_ref())?;
        let named = Named::of(request, &token, "/jobs")?;
        let Read(SubmissionBody(mut job), room) = job;
        let (queue, task) = (job.queue.clone(), job.task.clone());
        let mut warnings = std::mem::take(&mut job.warnings);
        let (written, replayed) = match named {
            None => (services.submitter.submit(job).await?, None),
            Some(named) => {
                let (mut all, replayed) =
                    Box::pin(services.repeat(named, vec![job], Problem::from)).await?;
                (all.pop().ok_or_else(Problem::internal)?, replayed)
            }
        };
        drop(room);
        let (id, existing) = (written.job_id, written.outcome == Outcome::Existing);
        let mut submitted = Submitted::from(written);
        // It is kept, whether or not it can be looked at.
        if let Some(wait) = wait
            && let Ok(Some(job)) = Box::pin(services.wait_for(id, wait)).await
        {
            submitted.take(job);
        } else if !existing {
            submitted.warnings = services.hints.of(queue.as_str(), task.as_str()).await;
        }
        if !existing {
            warnings.append(&mut submitted.warnings);
            submitted.warnings = warnings;
        }
        let (body, location) = (Body(submitted), services.location(id));
        Ok(match (wait.is_some() && !body.0.status.is_final(), existing) {
            (true, _) => SubmitAnswer::Waiting(body, location, applied, replayed),
            (_, true) => SubmitAnswer::Existing(body, location, applied, replayed),
            (_, false) => SubmitAnswer::Created(body, location, applied, replayed),
        })
    }

    /// Submit many jobs
    ///
    /// Up to 10,000 jobs in one JSON array (or, with `application/x-ndjson`, one a line), in one
    /// transaction: all of them or none. The answers are in their order, and their ids ascend.
    /// Conflicts of unique keys are resolved in order, within the batch too. A request with an
    /// `Idempotency-Key` may be repeated: it is answered as it was at first.
    #[oai(path = "/jobs/batch", method = "post", operation_id = "submit_jobs")]
    async fn submit_jobs(
        &self,
        request: &Request,
        services: Data<&Services>,
        /// A name for this request, such as a UUID. The same request with the same key is answered
        /// as the first one, for a day, and submits nothing.
        #[oai(name = "Idempotency-Key")]
        _key: Header<Option<RepeatText>>,
        jobs: Read<BatchBody>,
        token: Bearer,
    ) -> Result<BatchAnswer, Refused<SubmitJobs>> {
        let named = Named::of(request, &token, "/jobs/batch")?;
        let Read(BatchBody(mut jobs), room) = jobs;
        let lanes: Vec<_> = jobs.iter().map(|job| (job.queue.clone(), job.task.clone())).collect();
        let warnings: Vec<_> =
            jobs.iter_mut().map(|job| std::mem::take(&mut job.warnings)).collect();
        let (written, replayed) = match named {
            None => (services.submitter.submit_many(jobs).await.map_err(of_batch)?, None),
            Some(named) => Box::pin(services.repeat(named, jobs, of_batch)).await?,
        };
        drop(room);
        let mut jobs: Vec<_> = written.into_iter().map(Submitted::from).collect();
        let lanes = lanes.iter().map(|(queue, task)| (queue.as_str(), task.as_str()));
        let hints = services.hints.of_many(lanes).await;
        for (job, (mut warnings, hints)) in jobs.iter_mut().zip(warnings.into_iter().zip(hints)) {
            if job.outcome != Outcome::Existing {
                warnings.extend(hints);
                job.warnings = warnings;
            }
        }
        Ok(BatchAnswer::Created(Body(SubmittedBatch { jobs }), replayed))
    }

    /// List jobs
    ///
    /// The newest first, and stable while jobs arrive. A list leaves out payloads and results
    /// unless `include` asks for them. A page may have fewer jobs than `limit`, even none, although
    /// more follow. One call looks at some thousands and reads some 8 MiB, and the next goes on
    /// where it stopped. Only a page without `next_cursor` is the last.
    #[oai(path = "/jobs", method = "get", operation_id = "list_jobs")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    async fn list_jobs(
        &self,
        request: &Request,
        services: Data<&Services>,
        /// Only jobs in this state. Several, repeated or with commas: any of them.
        status: Query<Option<Statuses>>,
        /// Only jobs of this queue. Several, repeated or with commas: any of them.
        queue: Query<Option<Queues>>,
        /// Only jobs of this task. Several, repeated or with commas: any of them.
        task: Query<Option<Tasks>>,
        /// Only jobs with this tag. Repeated: with all of them. A comma is part of a tag.
        tag: Query<Option<Tags>>,
        /// Only jobs with this unique key.
        unique_key: Query<Option<KeyText>>,
        /// Only jobs submitted at this time or later (RFC 3339).
        created_after: Query<Option<TimeText>>,
        /// Only jobs submitted before this time (RFC 3339).
        created_before: Query<Option<TimeText>>,
        /// Only jobs whose payload contains this JSON, as `@>` of jsonb has it.
        payload_contains: Query<Option<JsonText>>,
        /// The parts to read beside the rest. Several: repeated or with commas.
        include: Query<Option<Includes>>,
        /// The most jobs that a page may have.
        limit: Query<Option<JobsLimit>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<CursorText>>,
        _token: Bearer,
    ) -> Result<ListAnswer, Refused<ListJobs>> {
        let beside = Includes::read(include.0)?;
        let time = |text: Option<TimeText>, name| text.map(|text| text.time(name)).transpose();
        let filter = JobFilter {
            statuses: Statuses::read(status.0)?,
            queues: Queues::read(queue.0)?,
            tasks: Tasks::read(task.0)?,
            tags: Tags::read(tag.0)?,
            unique_key: unique_key.0.map(KeyText::key).transpose()?,
            created_after: time(created_after.0, "created_after")?,
            created_before: time(created_before.0, "created_before")?,
            payload_contains: payload_contains.0.map(|json| read_contained(&json.0)).transpose()?,
            below: cursor.0.map(|cursor| read_cursor(&cursor.0)).transpose()?,
            payloads: beside.payloads,
            results: beside.results,
            limit: page_limit(limit.0.map(|limit| limit.0), JOBS_A_PAGE)?,
        };
        let page = services.store.job_list(&filter).await?;
        let next_cursor = page.next.map(|id| id.0.simple().to_string());
        let link = next_link(request, services.public_url.as_deref(), next_cursor.as_deref());
        let data = page.jobs.into_iter().map(Job::from).collect();
        Ok(ListAnswer::Page(Body(JobPage { data, next_cursor }), link))
    }
}

fn read_contained(text: &str) -> Result<Json, Problem> {
    Json::parse(text.as_bytes()).map_err(|fault| {
        let detail = format!("payload_contains must be JSON: {}", fault.message);
        Problem::parameter("payload_contains", "invalid_payload_contains", detail)
    })
}

fn read_cursor(text: &str) -> Result<JobId, Problem> {
    Uuid::try_parse(text).map(JobId).map_err(|_| invalid_cursor())
}
