//! Weekly partitions: made ahead, and removed as a whole when nothing of them is to be kept.
//!
//! A week is removed by a session of its own. Detaching waits for every transaction that is open, which may take long; and a
//! lock for the week, which an operator's retry takes too, has to be held from the last look to the end, or a job that was
//! just sent back to wait would lose what it is to do.

use std::time::Duration;

use chrono::NaiveDate;
use tokio::time::timeout;

use super::connect::Target;
use super::session::{Sql, silence, sql, unprepared};
use super::{Error, Result, Store, prune::Keep};

/// Enough for a transaction that takes long; after it the removal goes on the next time.
const PATIENCE: &str = "-c lock_timeout=60000 -c statement_timeout=0";
/// How long one statement of it may take: to detach waits for transactions, and nothing cuts it short.
const WITHIN: Duration = Duration::from_secs(600);

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
        let (completed, unwell) = keep.seconds();
        let all: Option<i32> = None;
        let rows = self.upkeep.query(EXPIRED, &[&completed, &unwell, &all]).await?;
        rows.iter()
            .map(|row| Ok(Week { begins: row.try_get(0)?, number: row.try_get(1)? }))
            .collect()
    }
}

const EXPIRED: &Sql = sql!("partition/expired": FLOAT8, FLOAT8, INT4);

impl Store {
    /// Removes the partitions of a week, if it may still go, over a session of its own. `false`: it may not, or somebody else is
    /// about it.
    ///
    /// # Errors
    /// When a statement fails; what was begun is ended by the next call.
    pub async fn partition_remove(&self, direct: &Target, keep: Keep, week: Week) -> Result<bool> {
        let turn = self.strays.direct();
        let _turn = turn.acquire().await.map_err(|error| Error::Unavailable(error.to_string()))?;
        let (client, _notifications) = direct.with_options(PATIENCE).connect().await?;
        let (completed, unwell) = keep.seconds();
        let lock = sql!("partition/lock": INT4);
        let locked = unprepared(&client, WITHIN, lock, &[&week.number]).await?;
        let locked = locked.first().map(|row| row.try_get(0)).transpose()?;
        let still = [&completed as _, &unwell as _, &Some(week.number) as _];
        if locked != Some(true) || unprepared(&client, WITHIN, EXPIRED, &still).await?.is_empty() {
            return Ok(false);
        }
        let removal = sql!("partition/removal": DATE);
        for row in unprepared(&client, WITHIN, removal, &[&week.begins]).await? {
            let removing = client.batch_execute(row.try_get(0)?);
            timeout(WITHIN, removing).await.map_err(|_| silence())??;
        }
        let leftovers = sql!("partition/leftovers": DATE);
        unprepared(&client, WITHIN, leftovers, &[&week.begins]).await?;
        Ok(true)
    }
}
