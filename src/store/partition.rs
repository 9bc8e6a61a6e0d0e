//! Weekly partitions: made ahead, and removed as a whole when nothing of them is to be kept.
//!
//! A week is removed by a session of its own. Detaching waits for every transaction that is open, which may take long; and a
//! lock for the week, which an operator's retry takes too, has to be held from the last look to the end, or a job that was
//! just sent back to wait would lose what it is to do.

use chrono::NaiveDate;

use super::connect::{CONNECT_WITHIN, Target};
use super::session::{Sql, refused_connection, sql, unprepared};
use super::{Error, Result, Store, prune::Keep};

/// Enough for a transaction that takes long; after it the removal goes on the next time.
const PATIENCE: &str = "-c lock_timeout=60000 -c statement_timeout=0";

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
        self.cold(sql!("partition/ensure"), &[]).await.map(drop)
    }

    /// Weeks of which nothing waits, runs or is to be kept any longer.
    pub async fn partition_expired(&self, keep: Keep) -> Result<Vec<Week>> {
        let (completed, unwell) = keep.seconds();
        let all: Option<i32> = None;
        let rows = self.upkeep(EXPIRED, &[&completed, &unwell, &all]).await?;
        rows.iter()
            .map(|row| Ok(Week { begins: row.try_get(0)?, number: row.try_get(1)? }))
            .collect()
    }
}

const EXPIRED: &Sql = sql!("partition/expired": FLOAT8, FLOAT8, INT4);

/// Removes the partitions of a week, if it may still go. `false`: it may not, or somebody else is about it.
///
/// # Errors
/// When a statement fails; what was begun is ended by the next call.
pub async fn partition_remove(direct: &Target, keep: Keep, week: Week) -> Result<bool> {
    let target = direct.with_options(PATIENCE);
    let connecting = tokio::time::timeout(CONNECT_WITHIN, target.config.connect(target.tls));
    let (client, connection) = connecting
        .await
        .map_err(|_| Error::Unavailable("no connection within four seconds".into()))?
        .map_err(|error| refused_connection(&error))?;
    tokio::spawn(connection);

    let (completed, unwell) = keep.seconds();
    let locked = unprepared(&client, sql!("partition/lock": INT4), &[&week.number]).await?;
    let locked = locked.first().map(|row| row.try_get(0)).transpose()?;
    if locked != Some(true)
        || unprepared(&client, EXPIRED, &[&completed, &unwell, &Some(week.number)])
            .await?
            .is_empty()
    {
        return Ok(false);
    }
    for row in unprepared(&client, sql!("partition/removal": DATE), &[&week.begins]).await? {
        client.batch_execute(row.try_get(0)?).await?;
    }
    unprepared(&client, sql!("partition/leftovers": DATE), &[&week.begins]).await?;
    Ok(true)
}
