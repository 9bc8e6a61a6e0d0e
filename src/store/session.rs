//! A pooled connection that remembers its prepared statements, and the pool's manager. That wraps
//! the one of bb8-postgres, which has neither a statement cache nor a word for what went wrong.

mod pool;

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, GenericClient, RowStream, Statement};

pub(super) use pool::{Connections, Manager};

use super::error::{Error, Result};
use super::purpose::{Purpose, names_and_values};
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
    /// The purpose that its settings serve.
    serves: Purpose,
    /// Which of the target's hosts it leads to.
    pub(super) host: usize,
    /// `None` behind a pooler.
    pub(super) backend: Option<Backend>,
    /// Something was sent, and nobody has read the answer. Such a connection does not go back to
    /// its pool, where whoever took it next would wait for the same answer.
    unanswered: bool,
}

/// The server's process of a session. Processes that follow each other may have one number, so its
/// start belongs to it.
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

    /// This came of the last that was sent. Where nobody knows what came of it, its answer may be
    /// under way still.
    pub(super) fn gave<T>(&mut self, result: &Result<T>) {
        self.unanswered = matches!(result, Err(Error::Unknown(_)));
    }

    /// Takes the settings of another purpose than the one it has served: a client has so few
    /// connections that each serves all.
    async fn serve(&mut self, purpose: Purpose) -> Result<()> {
        let settings = purpose.settings();
        let (names, values) = names_and_values(&settings);
        let setting = sql!("session/serve": TEXT_ARRAY, TEXT_ARRAY);
        let set = timeout(purpose.within(), self.query(setting, &[&names, &values])).await;
        // Nothing of what was asked has been sent.
        let unavailable = |error: Error| Error::Unavailable(error.cause());
        set.unwrap_or_else(|_| Err(silence())).map_err(unavailable)?;
        self.serves = purpose;
        Ok(())
    }

    /// Runs a statement, prepared once per connection; behind a PgBouncer, which may answer from
    /// another server connection each time, unprepared.
    pub(crate) async fn query(
        &mut self,
        sql: &'static Sql,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        self.each(sql, parameters, |row| rows.push(row)).await?;
        Ok(rows)
    }

    /// As [`Session::query`], but each row is handed on as it comes: all of them together may be
    /// more than the memory holds.
    pub(crate) async fn each(
        &mut self,
        sql: &'static Sql,
        parameters: Parameters<'_>,
        take: impl FnMut(Row),
    ) -> Result<()> {
        // Stays so if this future is dropped: its caller may be an HTTP request whose client went
        // away.
        self.unanswered = true;
        let result = self.ask(sql, parameters, take).await;
        self.unanswered = false;
        if result.is_err() {
            // A migration may have changed what it returns; the next call prepares it again.
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

/// Runs a statement without preparing it: in a transaction, or on a connection that asks rarely.
/// Waits `within` for the answer.
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

/// The database's answer within this time.
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
