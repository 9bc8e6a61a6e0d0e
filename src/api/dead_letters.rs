//! Dead letters: the jobs that failed for good, grouped by how, and sending them back.

use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::Services;
use super::answers::{BODY, Refused};
use super::body::{Body, Read};
use super::jobs::filters::{Queues, Tasks};
use super::jobs::view::{JobError, example_id, example_time};
use super::operations::dry;
use super::operations::view::AskAnswer;
use super::params::{CodeText, FamilyText, TimeText};
use super::redrive::RedriveBody;
use super::security::Bearer;
use crate::operation::OperationKind;
use crate::refusals;
use crate::store::dead_letter::{LetterFilter, Letters};
use crate::store::queue::Count;

refusals! {
    pub(super) ListDeadLetters: &[400];
    pub(super) RedriveDeadLetters: BODY;
}

/// Jobs of one task and queue that failed for good in the same way.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "DeadLetterGroup", skip_serializing_if_is_none, example)]
pub(super) struct Group {
    /// Their task.
    #[oai(validator(min_length = 1, max_length = 100))]
    pub task: String,
    /// Their queue.
    #[oai(validator(min_length = 1, max_length = 64))]
    pub queue: String,
    /// The failure family: a hash of task, queue, code and message. Words of the message with a
    /// digit, such as numbers and ids, do not count.
    #[oai(validator(min_length = 16, max_length = 16))]
    pub family: String,
    /// The number of the jobs.
    #[oai(validator(minimum(value = "0")))]
    pub count: i64,
    /// Whether that is an estimate. Counts beyond 10,000 are; with many groups, counts beyond a
    /// group's share of 200,000. The times are those of the counted jobs then.
    pub estimated: bool,
    /// The time of the first failure.
    pub first_failed_at: DateTime<Utc>,
    /// The time of the last one.
    pub last_failed_at: DateTime<Utc>,
    /// The newest of the jobs.
    pub example_job_id: Uuid,
    // The error of that job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
}

impl From<Letters> for Group {
    fn from(letters: Letters) -> Self {
        Self {
            task: letters.task,
            queue: letters.queue,
            family: letters.family.to_string(),
            count: letters.count.jobs,
            estimated: letters.count.estimated,
            first_failed_at: letters.first_at,
            last_failed_at: letters.last_at,
            example_job_id: letters.example.0,
            error: letters.error.map(JobError::from),
        }
    }
}

impl Example for Group {
    fn example() -> Self {
        Self {
            task: "send".into(),
            queue: "mail".into(),
            family: "a41c0f3be2d95877".into(),
            count: 4711,
            estimated: false,
            first_failed_at: example_time(),
            last_failed_at: example_time(),
            example_job_id: example_id(),
            error: Some(JobError::example()),
        }
    }
}

/// Failed jobs that are in no group of the answer.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "DeadLetterOther", example)]
pub(super) struct Other {
    /// Their number, up to 10,000.
    #[oai(validator(minimum(value = "0")))]
    pub count: i64,
    /// Whether there are more.
    pub estimated: bool,
}

impl Example for Other {
    fn example() -> Self {
        Self { count: 12, estimated: false }
    }
}

/// The jobs that failed for good.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "DeadLetterList", skip_serializing_if_is_none, example)]
pub(super) struct Groups {
    /// The groups, the last failure first.
    #[oai(validator(max_items = 1000))]
    pub data: Vec<Group>,
    // The jobs beyond. Absent if there are none. Filters do not apply to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<Other>,
}

impl Example for Groups {
    fn example() -> Self {
        Self { data: vec![Group::example()], other: None }
    }
}

#[derive(Default)]
pub(super) struct DeadLettersApi;

/// Dead letters.
#[OpenApi(tag = "super::Tag::DeadLetters")]
impl DeadLettersApi {
    /// List dead letters
    ///
    /// The jobs that failed for good, grouped by task, queue and the way they failed. An answer has
    /// up to 1,000 groups; `GET /jobs?status=failed` lists the jobs themselves.
    #[oai(path = "/dead-letters", method = "get", operation_id = "list_dead_letters")]
    #[expect(clippy::too_many_arguments, reason = "each is a parameter of the operation")]
    async fn list_dead_letters(
        &self,
        services: Data<&Services>,
        /// Only jobs of this queue. Several, repeated or with commas: any of them.
        queue: Query<Option<Queues>>,
        /// Only jobs of this task. Several, repeated or with commas: any of them.
        task: Query<Option<Tasks>>,
        /// Only jobs whose error has this code.
        code: Query<Option<CodeText>>,
        /// Only jobs of this failure family.
        family: Query<Option<FamilyText>>,
        /// Only jobs that failed at this time or later (RFC 3339).
        failed_after: Query<Option<TimeText>>,
        /// Only jobs that failed before this time (RFC 3339).
        failed_before: Query<Option<TimeText>>,
        _token: Bearer,
    ) -> Result<Body<Groups>, Refused<ListDeadLetters>> {
        let time = |text: Option<TimeText>, name| text.map(|text| text.time(name)).transpose();
        let filter = LetterFilter {
            queues: Queues::read(queue.0)?,
            tasks: Tasks::read(task.0)?,
            codes: code.0.map(CodeText::code).transpose()?.into_iter().collect(),
            family: family.0.map(|text| text.family()).transpose()?,
            failed_after: time(failed_after.0, "failed_after")?,
            failed_before: time(failed_before.0, "failed_before")?,
        };
        let (groups, others) = services.store.dead_letters(&filter).await?;
        let Count { jobs, estimated } = others;
        let other = (jobs > 0).then_some(Other { count: jobs, estimated });
        Ok(Body(Groups { data: groups.into_iter().map(Group::from).collect(), other }))
    }

    /// Redrive dead letters
    ///
    /// Sends jobs that failed for good back to wait: the same ids, with fresh attempts. It begins
    /// with the oldest, and takes those that failed before this call. A job whose unique key
    /// another job holds stays where it is, and is told. Name a filter, or `"all": true`.
    #[oai(path = "/dead-letters/redrive", method = "post", operation_id = "redrive_dead_letters")]
    async fn redrive_dead_letters(
        &self,
        services: Data<&Services>,
        redrive: Read<RedriveBody>,
        token: Bearer,
    ) -> Result<AskAnswer, Refused<RedriveDeadLetters>> {
        let (Read(RedriveBody { redrive, dry_run }, _room), caller) = (redrive, token.caller());
        let matched = services.store.redrive_matched(&redrive).await?;
        if dry_run {
            return Ok(dry(matched.count));
        }
        let count = matched.count;
        let id = services.store.redrive_create(redrive, matched, &caller).await?;
        Ok(services.asked(id, OperationKind::Redrive, count, &caller, "..").await?)
    }
}
