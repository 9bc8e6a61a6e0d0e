//! One step of an operation, in one transaction: the jobs that it moves, and how far it has come.
//! After a death between two steps the next leader goes on where the row says. Two leaders never
//! work on one operation at the same moment, since a step holds the lock of its row.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::timeout;
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use super::purge::purge;
use super::redrive::redrive;
use super::{Jsonb, OperationRow, Skip, write};
use crate::job::JobId;
use crate::operation::{Canary, OperationKind, OperationStatus, TICK};
use crate::store::row::Row;
use crate::store::session::{Parameters, Sql, silence, sql, unprepared};
use crate::store::{Result, Store};

/// How long a step may take: more than the thousand jobs of one need.
const STEP_WITHIN: Duration = Duration::from_secs(40);
/// The most jobs told of that could not be moved.
const SKIPS_MOST: usize = 100;
/// The rest between two steps that follow each other.
const REST_LEAST: Duration = Duration::from_millis(20);
/// The rest of a canary that waits, and of a purge that finds the rest locked.
pub(super) const WAIT: Duration = Duration::from_millis(250);

/// The outcome of a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stepped {
    /// How many jobs of each task were redriven.
    pub redriven: BTreeMap<String, u64>,
    /// Their ids.
    pub moved: Vec<JobId>,
    /// Jobs that were cancelled.
    pub ended: Vec<JobId>,
    /// Jobs that could not be moved.
    pub skipped: u64,
    /// How the operation ended, if it did, and why it halted.
    pub end: Option<(OperationStatus, Option<String>)>,
    /// When the next step is due.
    pub rest: Duration,
}

/// The state that a step leaves.
pub(super) struct Left<'a> {
    row: &'a OperationRow,
    pub(super) cursor: Option<Jsonb>,
    pub(super) next_at: Option<DateTime<Utc>>,
    pub(super) came_on: bool,
    pub(super) moved: i64,
    pub(super) skips: Vec<Skip>,
    pub(super) canary: Option<Canary>,
    pub(super) halted: Option<(Option<Uuid>, String)>,
    pub(super) end: Option<OperationStatus>,
}

impl<'a> Left<'a> {
    pub(super) fn as_before(row: &'a OperationRow) -> Self {
        Self {
            row,
            cursor: row.cursor.clone().map(Jsonb),
            next_at: row.pace.next_at,
            came_on: false,
            moved: 0,
            skips: Vec::new(),
            canary: row.canary.clone(),
            halted: None,
            end: None,
        }
    }
}

impl Store {
    /// Takes an operation one step on. `None`: it has ended, is not to begin yet, or somebody else
    /// works on it.
    pub(crate) async fn operation_step(&self, id: Uuid) -> Result<Option<Stepped>> {
        let mut session = self.upkeep.take().await?;
        session.asked();
        let stepped = timeout(STEP_WITHIN, step(&mut session.client, id));
        let stepped = stepped.await.unwrap_or_else(|_| Err(silence()));
        session.gave(&stepped);
        stepped
    }
}

async fn step(client: &mut Client, id: Uuid) -> Result<Option<Stepped>> {
    let transaction = client.transaction().await?;
    let ask = Ask(&transaction);
    let Some(row) = ask.one(sql!("operation/lock": UUID), &[&id]).await? else { return Ok(None) };
    let row = OperationRow::of(&row)?;
    let (left, stepped) = match row.kind {
        OperationKind::Redrive => redrive(&ask, &row).await?,
        OperationKind::Purge => purge(&ask, &row).await?,
    };
    ask.save(left).await?;
    transaction.commit().await?;
    Ok(Some(stepped))
}

/// Statements within the transaction of a step.
pub(super) struct Ask<'a>(&'a Transaction<'a>);

impl Ask<'_> {
    pub(super) async fn all(
        &self,
        sql: &'static Sql,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        unprepared(self.0, STEP_WITHIN, sql, parameters).await
    }

    pub(super) async fn one(
        &self,
        sql: &'static Sql,
        parameters: Parameters<'_>,
    ) -> Result<Option<Row>> {
        Ok(self.all(sql, parameters).await?.into_iter().next())
    }

    async fn save(&self, left: Left<'_>) -> Result<()> {
        if left.end.is_some() && left.canary.is_some() {
            self.all(sql!("operation/canary_end": UUID), &[&left.row.id]).await?;
        }
        let skipped = i64::try_from(left.skips.len()).unwrap_or(i64::MAX);
        let told = write(&left.skips.iter().take(SKIPS_MOST).collect::<Vec<_>>())?;
        let canary = left.canary.as_ref().map(write).transpose()?;
        let end = left.end.map(OperationStatus::as_str);
        let (halted_by, reason) = left.halted.map_or((None, None), |(by, why)| (by, Some(why)));
        let statement = sql!("operation/save": UUID, JSONB, TIMESTAMPTZ, BOOL, INT8, INT8, JSONB, JSONB, TEXT, UUID, TEXT);
        let parameters: Parameters<'_> = &[
            &left.row.id,
            &left.cursor,
            &left.next_at,
            &left.came_on,
            &left.moved,
            &skipped,
            &told,
            &canary,
            &end,
            &halted_by,
            &reason,
        ];
        self.all(statement, parameters).await.map(drop)
    }
}

/// How long to rest when the next job is to start at this time.
pub(super) fn rest(next_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Duration {
    let ahead = next_at.map(|next| next - now - TICK / 2).and_then(|ahead| ahead.to_std().ok());
    ahead.unwrap_or_default().max(REST_LEAST)
}
