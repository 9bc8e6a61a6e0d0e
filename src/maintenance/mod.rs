//! What keeps the house: taking back what lost workers held, and partitions made ahead.

use std::time::Duration;

use metrics::counter;

use crate::engine::Duties;
use crate::shutdown::Shutdown;
use crate::store::{Result, Store};

/// How often the leader makes partitions; they reach weeks ahead.
const PARTITIONS_EVERY: Duration = Duration::from_secs(6 * 3600);

/// Takes back the jobs of workers that stopped answering, whenever the heartbeat says that there are any.
pub async fn rescue(store: Store, duties: Duties, crash_budget: u32, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = duties.rescue() => {}
            () = shutdown.stopping.cancelled() => return,
        }
        if let Err(error) = rescue_once(&store, crash_budget).await {
            tracing::warn!(%error, "lost workers could not be dealt with; the next heartbeat tries again");
        }
    }
}

async fn rescue_once(store: &Store, crash_budget: u32) -> Result<()> {
    for worker in store.worker_lost().await? {
        let Some((name, rescued)) = store.worker_rescue(worker, crash_budget).await? else {
            continue;
        };
        counter!("reveille_rescues_total").increment(1);
        counter!("reveille_jobs_rescued_total").increment(rescued.returned + rescued.ended);
        tracing::warn!(worker.id = %worker, worker.name = name, returned = rescued.returned, ended = rescued.ended,
            "a worker was lost; its jobs are taken back");
    }
    Ok(())
}

/// Makes the partitions of the weeks to come, if this instance leads.
pub async fn make_partitions(store: Store, duties: Duties, shutdown: Shutdown) {
    let mut every = tokio::time::interval(PARTITIONS_EVERY);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = shutdown.stopping.cancelled() => return,
        }
        if duties.leads()
            && let Err(error) = store.partition_ensure().await
        {
            tracing::warn!(%error, "partitions could not be made; it is tried again in a while");
        }
    }
}
