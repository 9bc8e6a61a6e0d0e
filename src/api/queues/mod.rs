//! Queues: how they stand, their settings, and stopping and starting them.

mod settings;
mod view;

use poem::Request;
use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Path, Query};

pub(super) use settings::changed_meanwhile;
use settings::{Change, Conditions, DeleteAnswer, GetAnswer, PutAnswer, tag};
use view::{ListAnswer, Queue, QueuePage};

use super::Services;
use super::answers::{BODY, CHANGE, Refused};
use super::body::{Body, Maybe, Read};
use super::failure::after_change;
use super::params::{
    CursorText, QUEUES_A_PAGE, QueueText, QueuesLimit, TagsText, invalid_cursor, next_link,
    page_limit,
};
use super::problem::Problem;
use super::schema::SettingsPatch;
use super::security::Bearer;
use crate::events::Notice;
use crate::job::fields::{PauseRequest, QueueSettings};
use crate::queue::QueueName;
use crate::refusals;
use crate::store::queue::QueueRow;

refusals! {
    pub(super) ListQueues: &[400];
    pub(super) GetQueue: &[400, 404];
    pub(super) PutQueue: BODY, CHANGE, &[412];
    pub(super) PatchQueue: BODY, CHANGE, &[404, 412];
    pub(super) DeleteQueueSettings: CHANGE, &[400, 404, 412];
    pub(super) PauseQueue: BODY, CHANGE;
    pub(super) ResumeQueue: CHANGE, &[400, 404];
}

fn only_if(if_match: &Header<Option<TagsText>>) -> Conditions<'_> {
    let if_match = if_match.0.as_ref().map(TagsText::text);
    Conditions { if_match, ..Conditions::default() }
}

#[derive(Default)]
pub(super) struct QueuesApi;

/// Queues.
#[OpenApi(tag = "super::Tag::Queues")]
impl QueuesApi {
    /// List queues
    ///
    /// The queues by name, with the numbers of their jobs. A queue is known from its first job,
    /// pause or setting on. A day after its last job it is forgotten, unless it has settings or is
    /// paused.
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
    /// Whether it is paused, the numbers of its jobs, and its settings, each with where it comes
    /// from. The `ETag` is that of the settings alone.
    #[oai(path = "/queues/:queue", method = "get", operation_id = "get_queue")]
    async fn get_queue(
        &self,
        services: Data<&Services>,
        /// The queue's name.
        queue: Path<QueueText>,
        _token: Bearer,
    ) -> Result<GetAnswer, Refused<GetQueue>> {
        let name = queue.0.queue()?;
        let row = services.queue_row(&name).await?.ok_or_else(|| no_queue(&name))?;
        let tag = tag(&name, &row.kept);
        Ok(GetAnswer::Queue(Body(Queue::from(row)), tag))
    }

    /// Set the settings of a queue
    ///
    /// They replace all settings that the queue had, and hold at once: for jobs that wait already,
    /// too. `priority` alone is given to a job when it is submitted. A queue that is not known is
    /// made (201).
    #[oai(path = "/queues/:queue", method = "put", operation_id = "put_queue")]
    async fn put_queue(
        &self,
        services: Data<&Services>,
        /// The queue's name.
        queue: Path<QueueText>,
        /// The `ETag` of the settings that are to be replaced. If others have changed them since,
        /// nothing is changed (412).
        #[oai(name = "If-Match")]
        if_match: Header<Option<TagsText>>,
        /// `*`: only make the queue. If it is known already, nothing is changed (412).
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<TagsText>>,
        settings: Read<QueueSettings>,
        token: Bearer,
    ) -> Result<PutAnswer, Refused<PutQueue>> {
        let name = queue.0.queue()?;
        let if_none_match = if_none_match.0.as_ref().map(TagsText::text);
        let conditions = Conditions { if_none_match, ..only_if(&if_match) };
        let change = Change::Put(settings.0);
        let known = services.change(&name, &change, conditions, &token.caller()).await?;
        let (queue, tag) = services.changed_queue(&name).await?;
        Ok(if known { PutAnswer::Changed(queue, tag) } else { PutAnswer::Created(queue, tag) })
    }

    /// Change settings of a queue
    ///
    /// Settings that are left out stay as they are, and `null` takes one away. An object such as
    /// `retry` is replaced as a whole.
    #[oai(path = "/queues/:queue", method = "patch", operation_id = "patch_queue")]
    async fn patch_queue(
        &self,
        services: Data<&Services>,
        /// The queue's name.
        queue: Path<QueueText>,
        /// The `ETag` of the settings that are to be changed. If others have changed them since,
        /// nothing is changed (412).
        #[oai(name = "If-Match")]
        if_match: Header<Option<TagsText>>,
        settings: Read<SettingsPatch>,
        token: Bearer,
    ) -> Result<GetAnswer, Refused<PatchQueue>> {
        let name = queue.0.queue()?;
        let (change, conditions) = (Change::Patch(settings.0), only_if(&if_match));
        services.change(&name, &change, conditions, &token.caller()).await?;
        let (queue, tag) = services.changed_queue(&name).await?;
        Ok(GetAnswer::Queue(queue, tag))
    }

    /// Take away the settings of a queue
    ///
    /// All defaults count again. Jobs of the queue stay as they are.
    #[oai(path = "/queues/:queue", method = "delete", operation_id = "delete_queue_settings")]
    async fn delete_queue_settings(
        &self,
        services: Data<&Services>,
        /// The queue's name.
        queue: Path<QueueText>,
        /// The `ETag` of the settings that are to be taken away. If others have changed them since,
        /// nothing is changed (412).
        #[oai(name = "If-Match")]
        if_match: Header<Option<TagsText>>,
        token: Bearer,
    ) -> Result<DeleteAnswer, Refused<DeleteQueueSettings>> {
        let (name, conditions) = (queue.0.queue()?, only_if(&if_match));
        services.change(&name, &Change::Delete, conditions, &token.caller()).await?;
        Ok(DeleteAnswer::Deleted)
    }

    /// Pause a queue
    ///
    /// No job of the queue starts any more: on this instance once this is answered, on the others
    /// within a second. Running jobs go on, and new jobs are accepted. A queue can be paused before
    /// its first job. A pause may have a reason, and an end. Of a paused queue both are replaced if
    /// one is given; else nothing changes.
    #[oai(path = "/queues/:queue/pause", method = "post", operation_id = "pause_queue")]
    async fn pause_queue(
        &self,
        services: Data<&Services>,
        /// The queue's name.
        queue: Path<QueueText>,
        pause: Maybe<PauseRequest>,
        token: Bearer,
    ) -> Result<Body<Queue>, Refused<PauseQueue>> {
        let (name, caller) = (queue.0.queue()?, token.caller());
        let pause = pause.0.unwrap_or_default();
        if services.store.queue_pause(&name, &pause, &caller).await? {
            tracing::info!(queue.name = %name, principal = %caller.principal, reason = pause.reason,
                "the queue is paused");
        }
        services.pause_everywhere(&name).await;
        services.hints.forget().await;
        // It is known from now on.
        let row = services.queue_row(&name).await.map_err(after_change)?;
        Ok(Body(row.map(Queue::from).ok_or_else(Problem::internal)?))
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
        let row = services.queue_row(&name).await.map_err(after_change)?;
        Ok(Body(row.map(Queue::from).ok_or_else(|| no_queue(&name))?))
    }
}

/// 404 for a queue.
pub(super) fn no_queue(name: &QueueName) -> Problem {
    let detail = format!(
        "There is no queue `{name}`. A queue is known from its first job, pause or setting on; \
         GET /queues lists them."
    );
    Problem::not_found("queue_not_found", detail)
}

impl Services {
    async fn queue_row(&self, name: &QueueName) -> Result<Option<QueueRow>, Problem> {
        Ok(self.store.queue_state(std::slice::from_ref(name)).await?.into_iter().next())
    }

    /// The queue after its settings were changed, with their tag.
    async fn changed_queue(&self, name: &QueueName) -> Result<(Body<Queue>, String), Problem> {
        let row = self.queue_row(name).await.map_err(after_change)?;
        let row = row.ok_or_else(Problem::internal)?;
        let tag = tag(name, &row.kept);
        Ok((Body(Queue::from(row)), tag))
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
