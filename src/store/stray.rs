//! Statements that nobody waits for any more: their caller went away, or its time was over.
//!
//! The server goes on with them, so their connection keeps its place in its pool until the server has answered, or has
//! closed it: else each caller who hangs up behind a lock would leave one more session behind. What may be cancelled is.
//!
//! A frozen server neither answers nor closes. So somebody looks now and then, over a connection of its own: whether
//! another host has taken over, or whether the session is gone or idle because its answer was lost.

use std::sync::Arc;
use std::time::Duration;

use bb8::PooledConnection;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::connect::Target;
use super::error::Result;
use super::session::{Manager, Session, sql, unprepared};

/// How long a request to cancel may take. It is only sent; the answer comes over the statement's own connection.
const CANCEL_WITHIN: Duration = Duration::from_secs(2);
/// How long after a cancellation the connection is used again: the request might reach the next statement.
const LATE_CANCEL: Duration = Duration::from_millis(200);
/// How often a session that does not answer is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a look may take.
const LOOK_WITHIN: Duration = Duration::from_secs(5);
/// Behind a pooler sessions cannot be told apart: after this time the connection is closed, and the pooler sees to the rest.
const POOLED_MOST: Duration = Duration::from_secs(75);

/// Looks after statements that nobody waits for.
#[derive(Clone)]
pub(super) struct Strays {
    target: Target,
    /// One request to cancel at a time.
    cancelling: Arc<Semaphore>,
    /// The direct connection: one at a time.
    direct: Arc<Semaphore>,
}

impl Strays {
    pub(super) fn new(target: Target) -> Self {
        let one = || Arc::new(Semaphore::new(1));
        Self { target, cancelling: one(), direct: one() }
    }

    /// The turn at the direct connection.
    pub(super) fn direct(&self) -> Arc<Semaphore> {
        self.direct.clone()
    }

    /// Keeps the connection's place until it has answered or is of no use, in the background.
    pub(super) fn keep(&self, session: PooledConnection<'static, Manager>, cancel: bool) {
        // Without a runtime the process is ending, and its connections with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(self.clone().wait(session, cancel));
        }
    }

    async fn wait(self, mut session: PooledConnection<'static, Manager>, cancel: bool) {
        let answered = tokio::select! {
            answered = self.answer(&session, cancel) => answered,
            () = self.useless(&session) => false,
        };
        if answered {
            session.answered();
        }
    }

    /// Whether everything that was sent has been answered.
    async fn answer(&self, session: &Session, cancel: bool) -> bool {
        if cancel && let Ok(_turn) = self.cancelling.acquire().await {
            let token = session.client.cancel_token();
            let cancelling = token.cancel_query(self.target.tls());
            if !matches!(timeout(CANCEL_WITHIN, cancelling).await, Ok(Ok(()))) {
                tracing::debug!("a statement that nobody waits for could not be cancelled");
            }
        }
        // Answers come in the order of questions.
        let answered = session.client.simple_query("").await.is_ok();
        if cancel {
            sleep(LATE_CANCEL).await;
        }
        answered
    }

    /// Waits until no answer can come any more.
    async fn useless(&self, session: &Session) {
        let Some(pid) = session.pid else { return sleep(POOLED_MOST).await };
        let looked = async {
            loop {
                sleep(LOOK_EVERY).await;
                let Ok(_turn) = self.direct.acquire().await else { return };
                if let Ok(Ok(true)) = timeout(LOOK_WITHIN * 2, self.has_ended(pid)).await {
                    return;
                }
            }
        };
        tokio::select! {
            () = self.target.moved_from(session.host) => {}
            () = looked => {}
        }
        tracing::warn!(
            pid,
            "a database session gave no answer and is given up: its server was replaced, or its answer was lost"
        );
    }

    /// Whether this session is gone, or idle since its answer was lost on the way; then it is ended. To connect also finds out
    /// whether another host has taken over.
    async fn has_ended(&self, pid: i32) -> Result<bool> {
        let (client, _notifications) = self.target.connect().await?;
        let rows = unprepared(&client, LOOK_WITHIN, sql!("session/ended": INT4), &[&pid]).await?;
        rows.first().map_or(Ok(true), |row| row.try_get(0))
    }
}
