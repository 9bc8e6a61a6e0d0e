//! Operations on many jobs: how they go on, and stopping them. A redrive is asked for beside the
//! dead letters, and a purge beside its queue.

pub(super) mod view;

use poem::Request;
use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use uuid::Uuid;

use view::{AskAnswer, Asked, ListAnswer, Operation, OperationPage};

use super::Services;
use super::answers::{CHANGE, Refused};
use super::body::Body;
use super::failure::after_change;
use super::params::{
    CursorText, DelayText, OPERATIONS_A_PAGE, OperationText, OperationsLimit, QueueText,
    SwitchText, invalid_cursor, next_link, page_limit,
};
use super::problem::Problem;
use super::queues::no_queue;
use super::security::Bearer;
use crate::caller::Caller;
use crate::operation::{DeadLetterFilter, KEPT_DAYS, OperationKind, PURGE_DELAY};
use crate::refusals;
use crate::store::operation::NewOperation;
use crate::store::queue::Count;

refusals! {
    pub(super) ListOperations: &[400];
    pub(super) GetOperation: &[400, 404];
    pub(super) StopOperation: CHANGE, &[400, 404, 409];
    pub(super) PurgeQueue: CHANGE, &[400, 404];
}

#[derive(Default)]
pub(super) struct OperationsApi;

/// Operations.
#[OpenApi(tag = "super::Tag::Operations")]
impl OperationsApi {
    /// List operations
    ///
    /// Redrives and purges, the newest first. They are kept for 90 days after their end.
    #[oai(path = "/operations", method = "get", operation_id = "list_operations")]
    async fn list_operations(
        &self,
        request: &Request,
        services: Data<&Services>,
        /// The most operations that a page may have.
        limit: Query<Option<OperationsLimit>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<CursorText>>,
        _token: Bearer,
    ) -> Result<ListAnswer, Refused<ListOperations>> {
        let limit = page_limit(limit.0.map(|limit| limit.0), OPERATIONS_A_PAGE)?;
        let below = cursor.0.map(|it| Uuid::try_parse(&it.0).map_err(|_| invalid_cursor()));
        let (rows, next) = services.store.operation_list(below.transpose()?, limit).await?;
        let next_cursor = next.map(|id| id.simple().to_string());
        let link = next_link(request, services.public_url.as_deref(), next_cursor.as_deref());
        let data = rows.into_iter().map(Operation::from).collect();
        Ok(ListAnswer::Page(Body(OperationPage { data, next_cursor }), link))
    }

    /// Read an operation
    ///
    /// How far it has come, and how it ended.
    #[oai(path = "/operations/:operation_id", method = "get", operation_id = "get_operation")]
    async fn get_operation(
        &self,
        services: Data<&Services>,
        /// The operation's id, from the answer that asked for it.
        operation_id: Path<OperationText>,
        _token: Bearer,
    ) -> Result<Body<Operation>, Refused<GetOperation>> {
        let id = operation_id.0.operation()?;
        Ok(Body(services.operation(id).await?))
    }

    /// Stop an operation
    ///
    /// Nothing more is moved within a second. Jobs that were moved stay so. Before `starts_at` this
    /// undoes the operation: it touches no job.
    #[oai(path = "/operations/:operation_id", method = "delete", operation_id = "stop_operation")]
    async fn stop_operation(
        &self,
        services: Data<&Services>,
        /// The operation's id, from the answer that asked for it.
        operation_id: Path<OperationText>,
        token: Bearer,
    ) -> Result<Body<Operation>, Refused<StopOperation>> {
        let (id, caller) = (operation_id.0.operation()?, token.caller());
        if !services.store.operation_stop(id, &caller).await? {
            let known = services.operation(id).await?;
            return Err(ended(known.status.as_str()).into());
        }
        tracing::info!(operation.id = %id, principal = %caller.principal, "an operation was stopped");
        Ok(Body(services.operation(id).await.map_err(after_change)?))
    }
}

#[derive(Default)]
pub(super) struct PurgeApi;

/// Purges.
#[OpenApi(tag = "super::Tag::Queues")]
impl PurgeApi {
    /// Purge a queue
    ///
    /// Cancels every job of the queue that waits now, with the code `purged`. Jobs that run go on,
    /// and jobs that come later stay. It starts after 30 seconds. Until then
    /// `DELETE /operations/{operation_id}` undoes it.
    #[oai(path = "/queues/:queue/purge", method = "post", operation_id = "purge_queue")]
    async fn purge_queue(
        &self,
        services: Data<&Services>,
        /// The queue's name.
        queue: Path<QueueText>,
        /// Tell how many jobs wait, and change nothing.
        dry_run: Query<Option<SwitchText>>,
        /// The seconds until it starts.
        delay_seconds: Query<Option<DelayText>>,
        token: Bearer,
    ) -> Result<AskAnswer, Refused<PurgeQueue>> {
        let name = queue.0.queue()?;
        let delay = delay_seconds.0.map(|text| text.seconds()).transpose()?;
        let rows = services.store.queue_state(std::slice::from_ref(&name)).await?;
        let row = rows.first().ok_or_else(|| no_queue(&name))?;
        let matched = Count {
            jobs: row.scheduled.jobs + row.queued.jobs,
            estimated: row.scheduled.estimated || row.queued.estimated,
        };
        if dry_run.0.is_some_and(|switch| switch.is_on()) {
            return Ok(dry(matched));
        }
        let new = NewOperation {
            kind: OperationKind::Purge,
            filter: DeadLetterFilter {
                queue: Some(name.to_string()),
                ..DeadLetterFilter::default()
            },
            moment: services.store.operation_moment().await?,
            rate: None,
            delay_seconds: delay.unwrap_or(PURGE_DELAY),
            matched,
            canary: None,
        };
        let caller = token.caller();
        let id = services.store.operation_create(new, &caller).await?;
        Ok(services.asked(id, OperationKind::Purge, matched, &caller, "../..").await?)
    }
}

/// The answer of a dry run.
pub(super) fn dry(matched: Count) -> AskAnswer {
    let Count { jobs, estimated } = matched;
    AskAnswer::Dry(Body(Asked { matched: jobs, matched_estimated: estimated, operation: None }))
}

/// 404 for an operation.
pub(super) fn no_operation(id: Uuid) -> Problem {
    let detail = format!(
        "There is no operation {id}. It was never asked for here, or ended more than {KEPT_DAYS} \
         days ago; GET /operations lists them."
    );
    Problem::not_found("operation_not_found", detail)
}

/// 409: an operation that has ended cannot be stopped.
pub(super) fn ended(status: &str) -> Problem {
    let detail = format!("The operation has ended: it is {status}. There is nothing left to stop.");
    Problem::conflict("operation_ended", detail)
}

/// An id for the specification.
pub(super) fn example_id() -> Uuid {
    view::example_id()
}

impl Services {
    async fn operation(&self, id: Uuid) -> Result<Operation, Problem> {
        let row = self.store.operation_get(id).await?;
        row.map(Operation::from).ok_or_else(|| no_operation(id))
    }

    /// The answer that an operation was asked for. `root` leads from the path of the request to that
    /// of the API.
    pub(super) async fn asked(
        &self,
        id: Uuid,
        kind: OperationKind,
        matched: Count,
        caller: &Caller,
        root: &str,
    ) -> Result<AskAnswer, Problem> {
        tracing::info!(operation.id = %id, principal = %caller.principal, kind = kind.as_str(),
            matched = matched.jobs, "an operation was asked for");
        // The leader may be this instance, without a listener.
        self.events.operations.tell();
        let operation = self.operation(id).await.map_err(after_change)?;
        let location = format!("{}/operations/{id}", self.public_url.as_deref().unwrap_or(root));
        let asked = Asked {
            matched: matched.jobs,
            matched_estimated: matched.estimated,
            operation: Some(operation),
        };
        Ok(AskAnswer::Asked(Body(asked), location))
    }
}
