//! The rescuer: takes back the jobs of workers that stopped answering.

use metrics::counter;

use crate::events::{Duties, Leftovers};
use crate::shutdown::Shutdown;
use crate::store::{Failure, Result, Store};

/// Rescues whenever the heartbeat says that there is somebody to be rescued.
pub async fn rescue(
    store: Store,
    duties: Duties,
    leftovers: Leftovers,
    crash_budget: u32,
    shutdown: Shutdown,
) {
    loop {
        tokio::select! {
            () = duties.rescue() => {}
            () = shutdown.stopping.cancelled() => return,
        }
        if let Err(error) = rescue_once(&store, &leftovers, crash_budget).await {
            tracing::warn!(%error, "lost workers could not be dealt with; the next heartbeat tries again");
        }
    }
}

async fn rescue_once(store: &Store, leftovers: &Leftovers, crash_budget: u32) -> Result<()> {
    for worker in store.worker_lost().await? {
        let Some((name, rescued)) = store.worker_rescue(worker, crash_budget).await? else {
            continue;
        };
        counter!("reveille_rescues_total").increment(1);
        for (id, task, queue) in &rescued.failed {
            Failure::new(
                "worker_lost",
                "its worker was lost too often, at last while it ran alone",
            )
            .tell(*id, Some(task), Some(queue));
        }
        let ended = rescued.ended.len() as u64;
        leftovers.add(rescued.ended, Vec::new());
        for (became, jobs) in [("waiting", rescued.returned), ("ended", ended)] {
            counter!("reveille_jobs_rescued_total", "became" => became).increment(jobs);
        }
        if name.is_empty() {
            tracing::warn!(worker.id = %worker, returned = rescued.returned, ended,
                "jobs that were claimed by a worker after it was taken for lost are given back");
            continue;
        }
        tracing::warn!(worker.id = %worker, worker.name = name, returned = rescued.returned, ended,
            "a worker was lost; its jobs are taken back");
    }
    Ok(())
}
