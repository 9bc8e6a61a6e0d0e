//! Weekly partitions: made ahead, and removed as a whole when nothing of them is to be kept.
//!
//! A week is removed by a session of its own, since detaching waits for every transaction that is
//! open, which may take long. An operator's retry has a share lock on the row of its week. The
//! removal locks that row, looks a last time, and marks the week. From then on no job of it is sent
//! back to wait, or that job would lose its task and payload.

use std::time::Duration;

use chrono::NaiveDate;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::connect::Target;
use super::job::Keep;
use super::session::{Sql, in_time, silence, sql, unprepared};
use super::{Error, Result, Store};

/// Not enough for a transaction that takes long, but the next call goes on where this one gave up.
/// Meanwhile nobody else has the direct connection, and lost answers want to be looked after.
const PATIENCE: &str = "-c lock_timeout=5000";
/// How long its statements may take in all. To detach waits for transactions, which PATIENCE
/// bounds; to drop frees disk space.
const WITHIN: Duration = Duration::from_secs(120);
/// How long it may take to begin or to commit. The answer to COMMIT can be lost, or wait for a
/// standby.
const EDGE_WITHIN: Duration = Duration::from_secs(5);

/// A week whose partitions may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Week {
    /// The Monday it began with.
    pub begins: NaiveDate,
    number: i32,
}

impl Store {
    /// Makes the partitions of the weeks to come.
    pub async fn partition_ensure(&self) -> Result<()> {
        self.upkeep.query(sql!("partition/ensure"), &[]).await.map(drop)
    }

    /// Weeks of which nothing waits, runs or is to be kept any longer.
    pub async fn partition_expired(&self, keep: Keep) -> Result<Vec<Week>> {
        let (completed, failed_or_cancelled) = keep.seconds();
        let all: Option<i32> = None;
        let rows = self.upkeep.query(EXPIRED, &[&completed, &failed_or_cancelled, &all]).await?;
        rows.iter()
            .map(|row| Ok(Week { begins: row.try_get(0)?, number: row.try_get(1)? }))
            .collect()
    }
}

const EXPIRED: &Sql = sql!("partition/expired": FLOAT8, FLOAT8, INT4);

impl Store {
    /// Removes the partitions of a week, if it may still go, over a session of its own. `false`: it
    /// may not, or somebody else is about it.
    ///
    /// # Errors
    /// When a statement fails; what was begun is ended by the next call.
    pub async fn partition_remove(&self, direct: &Target, keep: Keep, week: Week) -> Result<bool> {
        let turn = self.strays.direct();
        let _turn = turn.acquire().await.map_err(|error| Error::Unavailable(error.to_string()))?;
        let (mut client, _notifications) = direct.with_options(PATIENCE).connect().await?;
        timeout(WITHIN, remove(&mut client, keep, week)).await.map_err(|_| silence())?
    }
}

/// See [`Store::partition_remove`].
async fn remove(client: &mut Client, keep: Keep, week: Week) -> Result<bool> {
    if !exclude_release_before(client, week).await? || !mark(client, keep, week).await? {
        return Ok(false);
    }
    let removal = sql!("partition/removal": DATE);
    for row in unprepared(client, WITHIN, removal, &[&week.begins]).await? {
        in_time(WITHIN, client.batch_execute(row.try_get(0)?)).await?;
    }
    let leftovers = sql!("partition/leftovers": DATE);
    unprepared(client, WITHIN, leftovers, &[&week.begins]).await?;
    Ok(true)
}

/// Locks the week, looks a last time whether it may go, and says so in its row.
async fn mark(client: &mut Client, keep: Keep, week: Week) -> Result<bool> {
    let (completed, failed_or_cancelled) = keep.seconds();
    let transaction = in_time(EDGE_WITHIN, client.transaction()).await?;
    unprepared(&transaction, WITHIN, sql!("partition/take": INT4), &[&week.number]).await?;
    let expired = unprepared(
        &transaction,
        WITHIN,
        EXPIRED,
        &[&completed, &failed_or_cancelled, &Some(week.number)],
    )
    .await?;
    let goes = !expired.is_empty();
    unprepared(&transaction, WITHIN, sql!("partition/mark": INT4, BOOL), &[&week.number, &goes])
        .await?;
    in_time(EDGE_WITHIN, transaction.commit()).await?;
    Ok(goes)
}

/// A service of the release before holds a lock while it removes the week, or sends a job of it
/// back to wait. Another role's lock on the same number is no reason to wait.
async fn exclude_release_before(client: &Client, week: Week) -> Result<bool> {
    let rows = unprepared(client, WITHIN, sql!("partition/lock": INT4), &[&week.number]).await?;
    let Some(row) = rows.first() else { return Ok(false) };
    let (locked, counts): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    if !locked && !counts {
        let sessions: &str = row.try_get(2)?;
        tracing::warn!(week.begins = %week.begins, sessions,
            "other roles hold an advisory lock on an old week; it is removed all the same");
    }
    Ok(locked || !counts)
}
