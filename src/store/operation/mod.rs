//! Operations on many jobs: asked for, listed and stopped. [`step`] carries one out.

mod purge;
mod redrive;
mod step;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use step::Stepped;

use super::audit::Action;
use super::queue::Count;
use super::row::Row;
use super::session::{Parameters, sql};
use super::value::Jsonb;
use super::{Error, Result, Store};
use crate::caller::Caller;
use crate::job::json::Json;
use crate::operation::{Canary, DeadLetterFilter, OperationKind, OperationStatus, Pace};

/// A job that an operation could not move.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
pub(crate) struct Skip {
    pub job_id: Uuid,
    pub code: String,
    /// The job in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_id: Option<Uuid>,
}

/// An operation to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewOperation {
    pub kind: OperationKind,
    pub filter: DeadLetterFilter,
    pub moment: Moment,
    pub rate: Option<f64>,
    pub delay_seconds: f64,
    pub matched: Count,
    pub canary: Option<Canary>,
}

/// When an operation was asked for, and the highest id of a job of then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub at: DateTime<Utc>,
    pub bound: Uuid,
}

/// An operation.
#[derive(Clone, Debug)]
pub(crate) struct OperationRow {
    pub id: Uuid,
    pub kind: OperationKind,
    pub filter: DeadLetterFilter,
    pub bound: Uuid,
    pub cursor: Option<Json>,
    pub pace: Pace,
    pub created_at: DateTime<Utc>,
    pub starts_at: DateTime<Utc>,
    pub worked_at: Option<DateTime<Utc>>,
    pub stopped_at: Option<DateTime<Utc>>,
    /// `None`: it is open.
    pub end: Option<OperationStatus>,
    pub matched: Count,
    pub moved: i64,
    pub skipped: i64,
    pub skips: Vec<Skip>,
    pub canary: Option<Canary>,
    pub halted_by: Option<Uuid>,
    pub reason: Option<String>,
    pub principal: String,
    /// The database's time.
    pub now: DateTime<Utc>,
}

impl OperationRow {
    /// How it stands.
    pub(crate) fn status(&self) -> OperationStatus {
        let ahead = self.starts_at > self.now;
        self.end.unwrap_or(if ahead {
            OperationStatus::Scheduled
        } else {
            OperationStatus::Running
        })
    }

    fn of(row: &Row) -> Result<Self> {
        let kind: &str = row.try_get("kind")?;
        let end: Option<&str> = row.try_get("outcome")?;
        let unknown = |what: &str| Error::Unexpected(format!("an operation that is {what}"));
        let end =
            end.map(|end| OperationStatus::parse(end).ok_or_else(|| unknown(end))).transpose()?;
        Ok(Self {
            id: row.try_get("id")?,
            kind: OperationKind::parse(kind).ok_or_else(|| unknown(kind))?,
            filter: read(row, "filter")?.unwrap_or_default(),
            bound: row.try_get("id_bound")?,
            cursor: row.try_get::<_, Option<Jsonb>>("cursor")?.map(|cursor| cursor.0),
            pace: Pace { rate: row.try_get("rate")?, next_at: row.try_get("next_at")? },
            created_at: row.try_get("created_at")?,
            starts_at: row.try_get("starts_at")?,
            worked_at: row.try_get("worked_at")?,
            stopped_at: row.try_get("stopped_at")?,
            end,
            matched: Count {
                jobs: row.try_get("matched")?,
                estimated: row.try_get("matched_estimated")?,
            },
            moved: row.try_get("moved")?,
            skipped: row.try_get("skipped")?,
            skips: read(row, "skips")?.unwrap_or_default(),
            canary: read(row, "canary")?,
            halted_by: row.try_get("halted_by")?,
            reason: row.try_get("reason")?,
            principal: row.try_get("principal")?,
            now: row.try_get("now")?,
        })
    }
}

/// A column of JSON that this release wrote.
fn read<T: DeserializeOwned>(row: &Row, column: &str) -> Result<Option<T>> {
    let Some(Jsonb(json)) = row.try_get(column)? else { return Ok(None) };
    let unread = |error: serde_json::Error| {
        Error::Unexpected(format!("the {column} of an operation: {error}"))
    };
    json.to().map(Some).map_err(unread)
}

fn write<T: Serialize>(value: &T) -> Result<Jsonb> {
    let unwritten = |message| Error::Unexpected(format!("a value of an operation: {message}"));
    Json::from_serialize(value).map(Jsonb).map_err(|fault| unwritten(fault.message))
}

/// The entry in the audit for asking for an operation.
struct Noted {
    action: Action,
    target: String,
    reason: String,
}

impl Noted {
    /// A purge is of its queue, and a redrive of the jobs of its filter.
    fn of(id: Uuid, NewOperation { kind, filter, .. }: &NewOperation) -> Self {
        let (operation, about) = (format!("operation {id}"), filter.about());
        match kind {
            OperationKind::Redrive => {
                Self { action: Action::RedriveDeadLetters, target: operation, reason: about }
            }
            OperationKind::Purge => {
                Self { action: Action::PurgeQueue, target: about, reason: operation }
            }
        }
    }
}

impl Store {
    /// The database's time, and the highest id of a job that was submitted by then.
    pub(crate) async fn operation_moment(&self) -> Result<Moment> {
        let rows = self.people.query(sql!("operation/moment"), &[]).await?;
        let row = rows.first().ok_or_else(|| Error::Unexpected("no time".into()))?;
        Ok(Moment { at: row.try_get(0)?, bound: row.try_get(1)? })
    }

    /// Makes an operation, and tells the leader.
    pub(crate) async fn operation_create(
        &self,
        new: NewOperation,
        caller: &Caller,
    ) -> Result<Uuid> {
        let id = Uuid::now_v7();
        let filter = write(&new.filter)?;
        let canary = new.canary.as_ref().map(write).transpose()?;
        let noted = Noted::of(id, &new);
        let statement = sql!("operation/create": UUID, TEXT, JSONB, UUID, FLOAT8, TIMESTAMPTZ, FLOAT8, INT8, BOOL, JSONB, TEXT, TEXT, TEXT, TEXT, TEXT);
        let parameters: Parameters<'_> = &[
            &id,
            &new.kind.as_str(),
            &filter,
            &new.moment.bound,
            &new.rate,
            &new.moment.at,
            &new.delay_seconds,
            &new.matched.jobs,
            &new.matched.estimated,
            &canary,
            &caller.principal.text(),
            &caller.request_id.as_deref(),
            &noted.action.as_str(),
            &noted.target,
            &noted.reason,
        ];
        self.people.query(statement, parameters).await?;
        Ok(id)
    }

    /// At most `limit` operations, the newest first: those with ids below this one. Also below which
    /// one to go on, if there are more.
    pub(crate) async fn operation_list(
        &self,
        below: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<OperationRow>, Option<Uuid>)> {
        // One more tells whether there is a next page.
        let mut rows = self.operations(None, below, limit + 1).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(|row| row.id);
        Ok((rows, next))
    }

    /// An operation.
    pub(crate) async fn operation_get(&self, id: Uuid) -> Result<Option<OperationRow>> {
        Ok(self.operations(Some(id), None, 1).await?.pop())
    }

    async fn operations(
        &self,
        id: Option<Uuid>,
        below: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<OperationRow>> {
        let statement = sql!("operation/list": UUID, UUID, INT8);
        let rows = self.people.query(statement, &[&id, &below, &i64::from(limit)]).await?;
        rows.iter().map(OperationRow::of).collect()
    }

    /// Stops an operation; `false`: it had ended, or there is none. Nothing is moved once this is
    /// answered.
    pub(crate) async fn operation_stop(&self, id: Uuid, caller: &Caller) -> Result<bool> {
        let statement = sql!("operation/stop": UUID, TEXT, TEXT, TEXT);
        let action = Action::StopOperation.as_str();
        let (principal, request) = (caller.principal.text(), caller.request_id.as_deref());
        Ok(!self.people.query(statement, &[&id, &principal, &request, &action]).await?.is_empty())
    }

    /// The operations that are due next, and in how many seconds each is.
    pub(crate) async fn operation_open(&self) -> Result<Vec<(Uuid, f64)>> {
        let rows = self.upkeep.query(sql!("operation/open"), &[]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Forgets operations that ended so many seconds ago.
    pub(crate) async fn operation_forget(&self, seconds: f64) -> Result<()> {
        self.upkeep.query(sql!("operation/forget": FLOAT8), &[&seconds]).await.map(drop)
    }
}
