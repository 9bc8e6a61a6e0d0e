//! Queues: how they stand, and stopping and starting them.

mod view;

use poem::Request;
use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};

use view::{ListAnswer, Queue, QueuePage};

use super::Services;
use super::answers::{CHANGE, Refused};
use super::body::Body;
use super::failure::after_change;
use super::params::{
    CursorText, QUEUES_A_PAGE, QueueText, QueuesLimit, invalid_cursor, next_link, page_limit,
};
use super::problem::Problem;
use super::security::Bearer;
use crate::events::Notice;
use crate::queue::QueueName;
use crate::refusals;

refusals! {
    pub(super) ListQueues: &[400];
    pub(super) GetQueue: &[400, 404];
    pub(super) PauseQueue: CHANGE, &[400];
    pub(super) ResumeQueue: CHANGE, &[400, 404];
}

#[derive(Default)]
pub(super) struct QueuesApi;

/// Queues.
#[OpenApi(tag = "super::Tag::Queues")]
impl QueuesApi {
    /// List queues
    ///
    /// The queues by name, with the numbers of their jobs. A queue is known from its first job on,
    /// or from its first pause.
    #[oai(path = "/queues", method = "get", operation_id = "list_queues")]
    async fn list_queues(
        &self,
        request: &Request,
        services: Data<&Services>,
        /// The most queues that a page may have.
        limit: Query<Option<QueuesLimit>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<CursorText>>,
        _token: Bearer,
    ) -> Result<ListAnswer, Refused<ListQueues>> {
        let limit = page_limit(limit.0.map(|limit| limit.0), QUEUES_A_PAGE)?;
        let after = cursor.0.map(|it| QueueName::new(&it.0).ok_or_else(invalid_cursor));
        let after = after.transpose()?;
        let after = after.as_ref().map_or("", QueueName::as_str);
        // One more tells whether there is a next page.
        let mut names = services.store.queue_names(after, limit + 1).await?;
        let more = names.len() > limit as usize;
        names.truncate(limit as usize);
        let rows = services.store.queue_state(&names).await?;
        let next_cursor = names.last().filter(|_| more).map(ToString::to_string);
        let link = next_link(request, services.public_url.as_deref(), next_cursor.as_deref());
        let data = rows.into_iter().map(Queue::from).collect();
        Ok(ListAnswer::Page(Body(QueuePage { data, next_cursor }), link))
    }

    /// Read a queue
    ///
    /// Whether it is paused, and the numbers of its jobs.
    #[oai(path = "/queues/:queue", method = "get", operation_id = "get_queue")]
    async fn get_queue(
        &self,
        services: Data<&Services>,
        /// The queue's name.
        queue: Path<QueueText>,
        _token: Bearer,
    ) -> Result<Body<Queue>, Refused<GetQueue>> {
        let name = queue.0.queue()?;
        Ok(Body(services.queue(&name).await?.ok_or_else(|| no_queue(&name))?))
    }

    /// Pause a queue
    ///
    /// No job of the queue starts any more: on this instance once this is answered, on the others
    /// within a second. Running jobs go on, and new jobs are accepted. A queue can be paused before
    /// its first job. A pause of a paused queue changes nothing.
    #[oai(path = "/queues/:queue/pause", method = "post", operation_id = "pause_queue")]
    async fn pause_queue(
        &self,
        services: Data<&Services>,
        /// The queue's name.
        queue: Path<QueueText>,
        token: Bearer,
    ) -> Result<Body<Queue>, Refused<PauseQueue>> {
        let (name, caller) = (queue.0.queue()?, token.caller());
        if services.store.queue_pause(&name, &caller).await? {
            tracing::info!(queue.name = %name, principal = %caller.principal, "the queue is paused");
        }
        services.pause_everywhere(&name).await;
        services.hints.forget().await;
        // It is known from now on.
        let queue = services.queue(&name).await.map_err(after_change)?;
        Ok(Body(queue.ok_or_else(Problem::internal)?))
    }

    /// Resume a queue
    ///
    /// The jobs of the queue start again, and all instances are woken for them. Nothing changes if
    /// the queue is not paused.
    #[oai(path = "/queues/:queue/resume", method = "post", operation_id = "resume_queue")]
    async fn resume_queue(
        &self,
        services: Data<&Services>,
        /// The queue's name.
        queue: Path<QueueText>,
        token: Bearer,
    ) -> Result<Body<Queue>, Refused<ResumeQueue>> {
        let (name, caller) = (queue.0.queue()?, token.caller());
        if services.store.queue_resume(&name, &caller).await? {
            tracing::info!(queue.name = %name, principal = %caller.principal, "the queue is resumed");
        }
        services.hints.forget().await;
        services.wake_for(&name).await;
        let queue = services.queue(&name).await.map_err(after_change)?;
        Ok(Body(queue.ok_or_else(|| no_queue(&name))?))
    }
}

/// 404 for a queue.
pub(super) fn no_queue(name: &QueueName) -> Problem {
    let detail = format!(
        "There is no queue `{name}`. A queue is known from its first job on, or from its first \
         pause; GET /queues lists them."
    );
    Problem::not_found("queue_not_found", detail)
}

impl Services {
    async fn queue(&self, name: &QueueName) -> Result<Option<Queue>, Problem> {
        let rows = self.store.queue_state(std::slice::from_ref(name)).await?;
        Ok(rows.into_iter().next().map(Queue::from))
    }

    /// Has every instance give back what it holds of this queue and has not begun.
    async fn pause_everywhere(&self, name: &QueueName) {
        self.events.pause(name.clone());
        if let Err(error) = self.store.news_notify(&Notice::Pause(name.clone()).to_string()).await {
            tracing::debug!(%error, "the others were not told of a paused queue; they hold jobs for a moment only");
        }
    }

    /// Has every instance look at all lanes of this queue.
    async fn wake_for(&self, name: &QueueName) {
        self.events.wakes.wake(|pending| pending.queue(name.clone()));
        if let Err(error) = self.store.news_notify(&Notice::Queue(name.clone()).to_string()).await {
            tracing::debug!(%error, "the others were not told of a resumed queue; their poll finds it");
        }
    }
}
