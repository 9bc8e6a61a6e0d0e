//! The connections of a purpose, in a pool.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bb8::{ManageConnection, Pool, PooledConnection, RunError};
use bb8_postgres::PostgresConnectionManager;
use tokio::time::{Instant, timeout_at};

use super::super::connect::{Reached, Target};
use super::super::error::{Error, Result};
use super::super::purpose::Purpose;
use super::super::row::Row;
use super::super::stray::Strays;
use super::{Backend, Parameters, Session, Sql, one, silence, sql};

/// Makes sessions for a pool.
pub(in crate::store) struct Manager {
    target: Target,
    /// The purpose of the settings of new sessions.
    purpose: Purpose,
    pooler: bool,
    /// Why the last one could not be made. A pool only says that time ran out.
    failure: Arc<Mutex<Option<String>>>,
}

impl Manager {
    async fn reach(&self) -> Result<Reached<()>> {
        self.target
            .reach(|config, tls| async move {
                Ok((PostgresConnectionManager::new(config, tls).connect().await?, ()))
            })
            .await
    }
}

impl ManageConnection for Manager {
    type Connection = Session;
    type Error = Error;

    async fn connect(&self) -> Result<Session> {
        let made = self.reach().await;
        let failure = made.as_ref().err().map(Error::cause);
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        let Reached { client, host, .. } = made?;
        let backend = if self.pooler {
            None
        } else {
            let within = Purpose::Probes.within();
            let row = one(&client, within, sql!("session/backend")).await?;
            Some(Backend { pid: row.try_get(0)?, started_at: row.try_get(1)? })
        };
        let (prepared, pooler, serves) = (HashMap::new(), self.pooler, self.purpose);
        Ok(Session { client, prepared, pooler, serves, host, backend, unanswered: false })
    }

    async fn is_valid(&self, session: &mut Session) -> Result<()> {
        Ok(session.client.simple_query("").await.map(drop)?)
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        session.unanswered || session.client.is_closed() || self.target.has_left(session.host)
    }
}

/// The connections of one purpose, opened when they are needed. The one that was used last is taken
/// first, since its server process has its caches warm (0.94 of the CPU of a drain that goes
/// round). The others are closed after ten minutes.
#[derive(Clone)]
pub(in crate::store) struct Connections {
    pub(in crate::store) purpose: Purpose,
    /// The most of them.
    pub(in crate::store) size: u32,
    pub(in crate::store) pool: Pool<Manager>,
    target: Target,
    failure: Arc<Mutex<Option<String>>>,
    strays: Strays,
}

impl Connections {
    /// At most `size` of them.
    pub(in crate::store) async fn new(
        purpose: Purpose,
        size: u32,
        target: Target,
        pooler: bool,
        strays: Strays,
    ) -> Result<Self> {
        let failure = Arc::<Mutex<_>>::default();
        let manager = Manager { target: target.clone(), purpose, pooler, failure: failure.clone() };
        let pool = Pool::builder()
            .max_size(size)
            .test_on_check_out(false)
            .connection_timeout(purpose.patience())
            .retry_connection(true)
            .idle_timeout(Some(Duration::from_secs(600)))
            .max_lifetime(None)
            .queue_strategy(bb8::QueueStrategy::Lifo)
            .build(manager)
            .await?;
        Ok(Self { purpose, size, pool, target, failure, strays })
    }

    /// The same connections, for another purpose. They take its settings when it is their turn.
    pub(in crate::store) fn shared_with(&self, purpose: Purpose) -> Self {
        Self { purpose, ..self.clone() }
    }

    /// Takes a connection: one that is open still, to the host that was good last. A pool does not
    /// notice what happens to those that lie in it; after a restart of the database all of them are
    /// closed.
    pub(in crate::store) async fn take(&self) -> Result<Taken> {
        loop {
            let session = self.pool.get_owned().await.map_err(|error| match error {
                RunError::User(error) => error,
                RunError::TimedOut => self.none_free(),
            })?;
            if !session.client.is_closed() && !self.target.has_left(session.host) {
                let (strays, cancel) = (self.strays.clone(), self.purpose.may_cancel());
                let mut taken = Taken { session: Some(session), strays, cancel };
                if taken.serves != self.purpose {
                    taken.serve(self.purpose).await?;
                }
                return Ok(taken);
            }
        }
    }

    /// As [`Self::take`], by this time.
    pub(in crate::store) async fn take_by(&self, deadline: Instant) -> Result<Taken> {
        let taken = timeout_at(deadline, self.take()).await;
        taken.map_err(|_| self.none_free())?
    }

    /// Runs a statement; waits for its answer no longer than the purpose allows.
    pub(in crate::store) async fn query(
        &self,
        sql: &'static Sql,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        let mut session = self.take().await?;
        let deadline = Instant::now() + self.purpose.within();
        self.ask(&mut session, deadline, sql, parameters).await
    }

    /// As [`Self::query`], but each row is handed on as it comes.
    pub(in crate::store) async fn each(
        &self,
        sql: &'static Sql,
        parameters: Parameters<'_>,
        take: impl FnMut(Row),
    ) -> Result<()> {
        let mut session = self.take().await?;
        let (host, deadline) = (session.host, Instant::now() + self.purpose.within());
        self.in_time(host, deadline, session.each(sql, parameters, take)).await
    }

    /// Runs a statement and answers by `deadline`: `Unavailable` if nothing was sent by then,
    /// `Unknown` if it was.
    pub(in crate::store) async fn query_by(
        &self,
        deadline: Instant,
        sql: &'static Sql,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        let mut session = self.take_by(deadline).await?;
        self.ask(&mut session, deadline, sql, parameters).await
    }

    /// Waits for an answer until `deadline`, or until another host has taken over.
    pub(in crate::store) async fn ask(
        &self,
        session: &mut Session,
        deadline: Instant,
        sql: &'static Sql,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        let host = session.host;
        self.in_time(host, deadline, session.query(sql, parameters)).await
    }

    async fn in_time<T>(
        &self,
        host: usize,
        deadline: Instant,
        answer: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            biased;
            answer = timeout_at(deadline, answer) => {
                answer.map_err(|_| silence())?
            }
            () = self.target.moved_from(host) => {
                Err(Error::Unknown("another host of the database has taken over".into()))
            }
        }
    }

    fn none_free(&self) -> Error {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        Error::Unavailable(match &*failure {
            Some(why) => why.clone(),
            None => "no connection was free in time".into(),
        })
    }
}

/// A connection out of a pool. If it is dropped before it was answered, its place stays taken until
/// the answer is there.
pub(in crate::store) struct Taken {
    /// There until it is dropped.
    session: Option<PooledConnection<'static, Manager>>,
    strays: Strays,
    cancel: bool,
}

impl Deref for Taken {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().expect("it is there until it is dropped")
    }
}

impl DerefMut for Taken {
    fn deref_mut(&mut self) -> &mut Session {
        self.session.as_mut().expect("it is there until it is dropped")
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(session) = self.session.take()
            && session.unanswered
            && !session.client.is_closed()
        {
            self.strays.keep(session, self.cancel);
        }
    }
}
