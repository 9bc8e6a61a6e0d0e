//! A pooled connection that remembers its prepared statements, and the pool's manager around the one of bb8-postgres, which
//! has neither a statement cache nor a word for what went wrong.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bb8::{ManageConnection, Pool, PooledConnection, RunError};
use bb8_postgres::PostgresConnectionManager;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, GenericClient, RowStream, Statement};

use super::connect::{Reached, Target};
use super::error::{Error, Result};
use super::purpose::Purpose;
use super::row::Row;
use super::stray::Strays;

/// One statement of `sql/`, with the types of its parameters.
#[derive(Debug)]
pub(crate) struct Sql {
    /// Its file under `sql/`, without the ending.
    pub name: &'static str,
    pub text: &'static str,
    pub types: &'static [Type],
}

/// `sql!("job/submit": UUID_ARRAY, TEXT_ARRAY)`: the file `sql/job/submit.sql`.
macro_rules! sql {
    ($name:literal $(: $($type:ident),+)?) => {
        &$crate::store::session::Sql {
            name: $name,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/", $name, ".sql")),
            types: &[$($(tokio_postgres::types::Type::$type),+)?],
        }
    };
}
pub(crate) use sql;

pub(crate) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection and what was prepared on it.
pub(crate) struct Session {
    pub(crate) client: Client,
    prepared: HashMap<&'static str, Statement>,
    pooler: bool,
    /// Which of the target's hosts it leads to.
    pub(super) host: usize,
    /// `None` behind a pooler.
    pub(super) backend: Option<Backend>,
    /// Something was sent, and nobody has read the answer. Such a connection does not go back to its pool, where whoever took
    /// it next would wait for the same answer.
    unanswered: bool,
}

/// The server's process of a session. Processes that follow each other may have one number, so its start belongs to it.
#[derive(Clone, Copy)]
pub(super) struct Backend {
    pub(super) pid: i32,
    pub(super) started_at: DateTime<Utc>,
}

impl Session {
    /// Something is to be sent by other means than [`Session::query`].
    pub(super) fn asked(&mut self) {
        self.unanswered = true;
    }

    /// Everything that was sent has been answered.
    pub(super) fn answered(&mut self) {
        self.unanswered = false;
    }

    /// This came of the last that was sent. Where nobody knows what came of it, its answer may be under way still.
    pub(super) fn gave<T>(&mut self, result: &Result<T>) {
        self.unanswered = matches!(result, Err(Error::Unknown(_)));
    }

    /// Runs a statement, prepared once per connection; behind a PgBouncer, which may answer from another server connection
    /// each time, unprepared.
    pub(crate) async fn query(
        &mut self,
        sql: &'static Sql,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        self.each(sql, parameters, |row| rows.push(row)).await?;
        Ok(rows)
    }

    /// As [`Session::query`], but each row is handed on as it comes: all of them together may be more than the memory holds.
    pub(crate) async fn each(
        &mut self,
        sql: &'static Sql,
        parameters: Parameters<'_>,
        take: impl FnMut(Row),
    ) -> Result<()> {
        // Stays so if this future is dropped: its caller may be an HTTP request whose client went away.
        self.unanswered = true;
        let result = self.ask(sql, parameters, take).await;
        self.unanswered = false;
        if result.is_err() {
            // A migration may have changed what it returns; the next call prepares it anew.
            self.prepared.remove(sql.name);
        }
        result
    }

    async fn ask(
        &mut self,
        sql: &'static Sql,
        parameters: Parameters<'_>,
        mut take: impl FnMut(Row),
    ) -> Result<()> {
        debug_assert_eq!(sql.types.len(), parameters.len(), "{}", sql.name);
        if self.client.is_closed() {
            return Err(Error::Unavailable("the connection was closed".into()));
        }
        let mut rows = pin!(self.send(sql, parameters).await?);
        while let Some(row) = rows.try_next().await? {
            take(Row::new(sql.name, row));
        }
        Ok(())
    }

    async fn send(&mut self, sql: &'static Sql, parameters: Parameters<'_>) -> Result<RowStream> {
        let values = parameters.iter().copied();
        if self.pooler {
            let typed = values.zip(sql.types.iter().cloned());
            return Ok(self.client.query_typed_raw(sql.text, typed).await?);
        }
        let statement = if let Some(known) = self.prepared.get(sql.name) {
            known.clone()
        } else {
            let statement = self.client.prepare_typed(sql.text, sql.types).await?;
            self.prepared.insert(sql.name, statement.clone());
            statement
        };
        Ok(self.client.query_raw(&statement, values).await?)
    }
}

/// Runs a statement without preparing it: in a transaction, or on a connection that asks rarely. Waits `within` for the answer.
pub(super) async fn unprepared(
    client: &impl GenericClient,
    within: Duration,
    sql: &'static Sql,
    parameters: Parameters<'_>,
) -> Result<Vec<Row>> {
    let typed: Vec<_> = parameters.iter().copied().zip(sql.types.iter().cloned()).collect();
    let rows = in_time(within, client.query_typed(sql.text, &typed)).await?;
    Ok(Row::all(sql.name, rows))
}

/// The one row of an answer to [`unprepared`].
pub(super) async fn one(
    client: &impl GenericClient,
    within: Duration,
    sql: &'static Sql,
) -> Result<Row> {
    let row = unprepared(client, within, sql, &[]).await?.pop();
    row.ok_or_else(|| Error::Unexpected(format!("no row of {}", sql.name)))
}

/// What the database answers within this time.
pub(super) async fn in_time<T>(
    within: Duration,
    answer: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
) -> Result<T> {
    Ok(timeout(within, answer).await.map_err(|_| silence())??)
}

/// How long the answer to a short question is waited for.
pub(super) const SHORT: Duration = Duration::from_secs(30);

/// Something was sent and not answered in time.
pub(super) fn silence() -> Error {
    Error::Unknown("no answer in time".into())
}

/// Makes sessions for a pool.
pub(super) struct Manager {
    target: Target,
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
        let (prepared, pooler) = (HashMap::new(), self.pooler);
        Ok(Session { client, prepared, pooler, host, backend, unanswered: false })
    }

    async fn is_valid(&self, session: &mut Session) -> Result<()> {
        Ok(session.client.simple_query("").await.map(drop)?)
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        session.unanswered || session.client.is_closed() || self.target.has_left(session.host)
    }
}

/// The connections of one purpose, opened when they are needed. The one that was used last is taken first, since its server process
/// has its caches warm (draining takes 0.94 of the CPU that it takes if they go round). The others are closed after ten minutes.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) purpose: Purpose,
    /// The most of them.
    pub(super) size: u32,
    pub(super) pool: Pool<Manager>,
    target: Target,
    failure: Arc<Mutex<Option<String>>>,
    strays: Strays,
}

impl Connections {
    /// At most `size` of them.
    pub(super) async fn new(
        purpose: Purpose,
        size: u32,
        target: Target,
        pooler: bool,
        strays: Strays,
    ) -> Result<Self> {
        let failure = Arc::<Mutex<_>>::default();
        let manager = Manager { target: target.clone(), pooler, failure: failure.clone() };
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

    /// Takes a connection: one that is open still, to the host that was good last. A pool does not notice what happens to those
    /// that lie in it; after a restart of the database all of them are closed.
    pub(super) async fn take(&self) -> Result<Taken> {
        loop {
            let session = self.pool.get_owned().await.map_err(|error| match error {
                RunError::User(error) => error,
                RunError::TimedOut => self.none_free(),
            })?;
            if !session.client.is_closed() && !self.target.has_left(session.host) {
                let (strays, cancel) = (self.strays.clone(), self.purpose.may_cancel());
                return Ok(Taken { session: Some(session), strays, cancel });
            }
        }
    }

    /// As [`Self::take`], by this time.
    pub(super) async fn take_by(&self, deadline: Instant) -> Result<Taken> {
        let taken = timeout_at(deadline, self.take()).await;
        taken.map_err(|_| self.none_free())?
    }

    /// Runs a statement; waits for its answer no longer than the purpose allows.
    pub(super) async fn query(
        &self,
        sql: &'static Sql,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        let mut session = self.take().await?;
        let deadline = Instant::now() + self.purpose.within();
        self.ask(&mut session, deadline, sql, parameters).await
    }

    /// As [`Self::query`], but each row is handed on as it comes.
    pub(super) async fn each(
        &self,
        sql: &'static Sql,
        parameters: Parameters<'_>,
        take: impl FnMut(Row),
    ) -> Result<()> {
        let mut session = self.take().await?;
        let (host, deadline) = (session.host, Instant::now() + self.purpose.within());
        self.in_time(host, deadline, session.each(sql, parameters, take)).await
    }

    /// Runs a statement and answers by `deadline`: `Unavailable` if nothing was sent by then, `Unknown` if it was.
    pub(super) async fn query_by(
        &self,
        deadline: Instant,
        sql: &'static Sql,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        let mut session = self.take_by(deadline).await?;
        self.ask(&mut session, deadline, sql, parameters).await
    }

    /// Waits for an answer until `deadline`, or until another host has taken over.
    pub(super) async fn ask(
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

/// A connection out of a pool. If it is dropped before it was answered, its place stays taken until the answer is there.
pub(super) struct Taken {
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
