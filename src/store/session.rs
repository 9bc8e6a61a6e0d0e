//! A pooled connection that remembers its prepared statements, and the pool's manager around the one of bb8-postgres, which
//! has neither a statement cache nor a word for what went wrong.

use std::collections::HashMap;

use bb8::{ManageConnection, Pool, RunError};
use bb8_postgres::PostgresConnectionManager;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, GenericClient, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connect::{CONNECT_WITHIN, Target};
use super::error::{Error, Result, with_sources};
use super::row::Row;

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
            text: include_str!(concat!("../../sql/", $name, ".sql")),
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
    /// Something was sent, and nobody has read the answer. Such a connection is closed instead of going back to its pool, where
    /// whoever took it next would wait for the same answer.
    unanswered: bool,
}

impl Session {
    /// Gives up waiting for an answer.
    pub(crate) fn abandon(&mut self) -> Error {
        self.unanswered = true;
        Error::Unknown("no answer in time".into())
    }

    /// Runs a statement, prepared once per connection; behind a PgBouncer, which may answer from another server connection
    /// each time, unprepared.
    pub(crate) async fn query(
        &mut self,
        sql: &'static Sql,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        // Stays so if this future is dropped: its caller may be an HTTP request whose client went away.
        self.unanswered = true;
        let result = self.ask(sql, parameters).await;
        self.unanswered = false;
        result
    }

    async fn ask(&mut self, sql: &'static Sql, parameters: Parameters<'_>) -> Result<Vec<Row>> {
        debug_assert_eq!(sql.types.len(), parameters.len(), "{}", sql.name);
        if self.client.is_closed() {
            return Err(Error::Unavailable("the connection was closed".into()));
        }
        if self.pooler {
            return unprepared(&self.client, sql, parameters).await;
        }
        let statement = if let Some(known) = self.prepared.get(sql.name) {
            known.clone()
        } else {
            let statement = self.client.prepare_typed(sql.text, sql.types).await?;
            self.prepared.insert(sql.name, statement.clone());
            statement
        };
        let result = self.client.query(&statement, parameters).await;
        if result.is_err() {
            // A migration may have changed what it returns; the next call prepares it anew.
            self.prepared.remove(sql.name);
        }
        Ok(Row::all(sql.name, result?))
    }
}

/// Runs a statement without preparing it: in a transaction, or on a connection that asks rarely.
pub(super) async fn unprepared(
    client: &impl GenericClient,
    sql: &'static Sql,
    parameters: Parameters<'_>,
) -> Result<Vec<Row>> {
    let typed: Vec<_> = parameters.iter().copied().zip(sql.types.iter().cloned()).collect();
    Ok(Row::all(sql.name, client.query_typed(sql.text, &typed).await?))
}

/// Makes sessions for a pool.
pub(crate) struct Manager {
    inner: PostgresConnectionManager<MakeRustlsConnect>,
    pooler: bool,
}

impl ManageConnection for Manager {
    type Connection = Session;
    type Error = Error;

    async fn connect(&self) -> Result<Session> {
        let connecting = tokio::time::timeout(CONNECT_WITHIN, self.inner.connect());
        let client = connecting
            .await
            .map_err(|_| Error::Unavailable("no connection within four seconds".into()))?
            .map_err(|error| refused_connection(&error))?;
        Ok(Session { client, prepared: HashMap::new(), pooler: self.pooler, unanswered: false })
    }

    async fn is_valid(&self, session: &mut Session) -> Result<()> {
        Ok(session.client.simple_query("").await.map(drop)?)
    }

    fn has_broken(&self, session: &mut Session) -> bool {
        session.unanswered || session.client.is_closed()
    }
}

/// Why no connection could be made. What no waiting mends is told apart: a pooler that takes no settings, a wrong password, a
/// database that is not there.
pub(crate) fn refused_connection(error: &tokio_postgres::Error) -> Error {
    let text = with_sources(error);
    if text.contains("unsupported startup parameter") {
        return Error::Refused {
            state: SqlState::PROTOCOL_VIOLATION.code().into(),
            message: format!(
                "{text}. This looks like a PgBouncer: set pooler = true, and listen_database_url to a direct connection"
            ),
            detail: None,
        };
    }
    match error.code() {
        Some(code) if code.code().starts_with("28") || *code == SqlState::INVALID_CATALOG_NAME => {
            Error::Refused { state: code.code().into(), message: text, detail: None }
        }
        _ => Error::Unavailable(text),
    }
}

/// A pool of at most `size` connections, opened when they are needed. A call waits `patience` for one, and takes the one that was
/// used last, whose server process has its caches warm (draining takes 0.94 of the CPU that it takes if they go round). The
/// others are closed after ten minutes.
pub(crate) async fn pool(
    target: Target,
    size: u32,
    patience: std::time::Duration,
    pooler: bool,
) -> Result<Pool<Manager>> {
    let manager =
        Manager { inner: PostgresConnectionManager::new(target.config, target.tls), pooler };
    // A pool only says that time ran out; what really keeps it from connecting is found out here.
    if let Err(error) = manager.connect().await
        && !error.is_passing()
    {
        return Err(error);
    }
    Pool::builder()
        .max_size(size)
        .test_on_check_out(false)
        .connection_timeout(patience)
        .retry_connection(true)
        .idle_timeout(Some(std::time::Duration::from_secs(600)))
        .max_lifetime(None)
        .queue_strategy(bb8::QueueStrategy::Lifo)
        .build(manager)
        .await
}

/// Takes a connection out of a pool: one that is open still. A pool does not notice what happens to those that lie in it; after a
/// restart of the database all of them are closed.
pub(crate) async fn take(pool: &Pool<Manager>) -> Result<bb8::PooledConnection<'_, Manager>> {
    loop {
        let session = pool.get().await.map_err(|error| match error {
            RunError::User(error) => error,
            RunError::TimedOut => {
                Error::Unavailable("no connection was free or could be made in time".into())
            }
        })?;
        if !session.client.is_closed() {
            return Ok(session);
        }
    }
}
