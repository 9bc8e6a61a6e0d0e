//! Rescues: what a lost worker held waits again, or ends.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::job::{JobId, WorkerId};
use crate::store::row::Row;
use crate::store::session::{Parameters, silence, sql, unprepared};
use crate::store::{Result, Store};

/// How long a rescue may take: more than the statement that moves the jobs of a large instance.
const RESCUE_WITHIN: Duration = Duration::from_secs(40);

/// What a rescue brought back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rescued {
    /// Jobs that wait again.
    pub returned: u64,
    /// Jobs whose crash budget is used up, or that were cancelled or superseded.
    pub ended: Vec<JobId>,
    /// Those of them that failed, with their tasks and queues.
    pub failed: Vec<(JobId, String, String)>,
}

impl Store {
    /// Takes back what `worker` held, if it is lost still: its name, if that is known, and what
    /// came of its jobs. `None`: it is not lost, or somebody else is about it.
    pub async fn worker_rescue(
        &self,
        worker: WorkerId,
        crash_budget: u32,
    ) -> Result<Option<(Option<String>, Rescued)>> {
        let mut session = self.upkeep.take().await?;
        session.asked();
        let rescued = timeout(RESCUE_WITHIN, rescue(&mut session.client, worker, crash_budget));
        let rescued = rescued.await.unwrap_or_else(|_| Err(silence()));
        session.gave(&rescued);
        rescued
    }
}

/// See [`Store::worker_rescue`].
async fn rescue(
    client: &mut Client,
    worker: WorkerId,
    crash_budget: u32,
) -> Result<Option<(Option<String>, Rescued)>> {
    let within = RESCUE_WITHIN;
    let transaction = client.transaction().await?;
    let locked = unprepared(&transaction, within, sql!("worker/lock": UUID), &[&worker.0]).await?;
    let name: Option<String> = match locked.first() {
        Some(row) if row.try_get::<_, bool>(0)? => Some(row.try_get(1)?),
        Some(_) => return Ok(None),
        None if unprepared(&transaction, within, sql!("worker/known": UUID), &[&worker.0])
            .await?
            .is_empty() =>
        {
            None
        }
        None => return Ok(None),
    };
    let budget = i32::try_from(crash_budget).unwrap_or(i32::MAX);
    let crash = i32::from(!locked.is_empty());
    let statement = sql!("lease/rescue": UUID, INT4, INT4, TEXT);
    let parameters: Parameters<'_> = &[&worker.0, &budget, &crash, &name];
    let rows = unprepared(&transaction, within, statement, parameters).await?;
    unprepared(&transaction, within, sql!("worker/remove": UUID), &[&worker.0]).await?;
    let rescued = rows.first().map(rescued).transpose()?.unwrap_or_default();
    transaction.commit().await?;
    Ok(Some((name, rescued)))
}

fn rescued(row: &Row) -> Result<Rescued> {
    let ended: Vec<Uuid> = row.try_get(1)?;
    let (failed, tasks): (Vec<Uuid>, Vec<String>) = (row.try_get(2)?, row.try_get(3)?);
    let queues: Vec<String> = row.try_get(4)?;
    let failed = failed.into_iter().zip(tasks).zip(queues);
    Ok(Rescued {
        failed: failed.map(|((id, task), queue)| (JobId(id), task, queue)).collect(),
        returned: u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or_default(),
        ended: ended.into_iter().map(JobId).collect(),
    })
}
