//! Statements that nobody waits for any more: their caller went away, or its time was over.
//!
//! The server goes on with them. So their connection keeps its place in its pool until the server
//! has answered, or has closed it. Else each caller who hangs up behind a lock would leave one more
//! session behind. A statement that may be cancelled is.
//!
//! A frozen server neither answers nor closes. So a watch looks now and then, over a connection of
//! its own. It finds out whether another host has taken over, or whether the session is gone or
//! idle because its answer was lost.

use std::sync::Arc;
use std::time::Duration;

use bb8::PooledConnection;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::connect::Target;
use super::error::Result;
use super::session::{Backend, Manager, Parameters, Session, sql, unprepared};

/// How long a request to cancel may take. It is only sent; the answer comes over the statement's
/// own connection.
const CANCEL_WITHIN: Duration = Duration::from_secs(2);
/// How long after a cancellation the connection is used again: the request might reach the next
/// statement.
const LATE_CANCEL: Duration = Duration::from_millis(200);
/// How often a session that does not answer is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long the answer of a look is waited for. To connect for it has limits of its own.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// How long an answer is waited for behind a pooler, where sessions cannot be told apart. Then the
/// connection is closed, and the pooler sees to the rest. A statement that was cancelled has ended
/// soon, or its answer was lost.
fn pooled_most(cancelled: bool) -> Duration {
    Duration::from_secs(if cancelled { 2 } else { 75 })
}

/// Looks after statements that nobody waits for.
#[derive(Clone)]
pub(super) struct Strays {
    target: Arc<Target>,
    /// One request to cancel at a time.
    cancelling: Arc<Semaphore>,
    /// The direct connection: one at a time.
    direct: Arc<Semaphore>,
}

impl Strays {
    pub(super) fn new(target: Target) -> Self {
        let one = || Arc::new(Semaphore::new(1));
        Self { target: Arc::new(target), cancelling: one(), direct: one() }
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
        } else if !session.client.is_closed() {
            let pid = session.backend.map(|backend| backend.pid);
            tracing::warn!(
                pid,
                "a database session gave no answer and is given up: its server was replaced, or its answer was lost"
            );
        }
    }

    /// Whether everything that was sent has been answered.
    async fn answer(&self, session: &Session, cancel: bool) -> bool {
        if cancel {
            self.cancel(session).await;
        }
        // Answers come in the order of questions.
        let asked = session.client.simple_query("");
        let answered = if session.backend.is_some() {
            asked.await.is_ok()
        } else {
            matches!(timeout(pooled_most(cancel), asked).await, Ok(Ok(_)))
        };
        if answered && cancel {
            sleep(LATE_CANCEL).await;
        }
        answered
    }

    async fn cancel(&self, session: &Session) {
        let Ok(_turn) = self.cancelling.acquire().await else { return };
        let token = session.client.cancel_token();
        let cancelling = token.cancel_query(self.target.tls());
        if !matches!(timeout(CANCEL_WITHIN, cancelling).await, Ok(Ok(()))) {
            tracing::debug!("a statement whose caller is gone could not be cancelled");
        }
    }

    /// Waits until no answer can come any more.
    async fn useless(&self, session: &Session) {
        let looked = async {
            let Some(backend) = session.backend else { return std::future::pending().await };
            loop {
                sleep(LOOK_EVERY).await;
                let Ok(_turn) = self.direct.acquire().await else { return };
                if let Ok(true) = self.has_ended(backend).await {
                    return;
                }
            }
        };
        tokio::select! {
            () = self.target.moved_from(session.host) => {}
            () = looked => {}
        }
    }

    /// Whether this session is gone, or idle since its answer was lost on the way; then it is
    /// ended. To connect also finds out whether another host has taken over.
    async fn has_ended(&self, backend: Backend) -> Result<bool> {
        let (client, _notifications) = self.target.connect().await?;
        let statement = sql!("session/ended": INT4, TIMESTAMPTZ);
        let parameters: Parameters<'_> = &[&backend.pid, &backend.started_at];
        let rows = unprepared(&client, LOOK_WITHIN, statement, parameters).await?;
        rows.first().map_or(Ok(true), |row| row.try_get(0))
    }
}
