//! The rescuer: takes back the jobs of workers that stopped answering.

use metrics::counter;

use crate::events::{Leadership, Left, Leftovers};
use crate::job::WorkerId;
use crate::job::failure::Failure;
use crate::settling::log_failed;
use crate::shutdown::Shutdown;
use crate::store::{Result, Store};

/// Rescues whenever the heartbeat says that there is somebody to be rescued. A rescue that is under
/// way when the service ends is undone, and left to the others.
pub(crate) async fn rescue(
    store: Store,
    leadership: Leadership,
    leftovers: Leftovers,
    crash_budget: u32,
    shutdown: Shutdown,
) {
    let work = async {
        loop {
            leadership.rescue().await;
            rescue_all(&store, &leftovers, crash_budget).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = shutdown.stopping.cancelled() => {}
    }
}

/// A worker that cannot be dealt with does not keep the others from it: somebody may have locked
/// its rows.
async fn rescue_all(store: &Store, leftovers: &Leftovers, crash_budget: u32) {
    let lost = store.worker_lost().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "lost workers could not be looked for; the next heartbeat tries again");
        Vec::new()
    });
    for worker in lost {
        if let Err(error) = rescue_one(store, leftovers, crash_budget, worker).await {
            tracing::warn!(%error, worker.id = %worker,
                "a lost worker could not be dealt with; the next heartbeat tries again");
        }
    }
}

async fn rescue_one(
    store: &Store,
    leftovers: &Leftovers,
    crash_budget: u32,
    worker: WorkerId,
) -> Result<()> {
    let Some((name, rescued)) = store.worker_rescue(worker, crash_budget).await? else {
        return Ok(());
    };
    counter!("reveille_rescues_total").increment(1);
    let words = "its worker was lost too often, at last while it ran alone";
    let failure = Failure::new("worker_lost", words);
    for (id, task, queue) in &rescued.failed {
        log_failed(*id, &failure, Some(task), Some(queue));
    }
    if !rescued.failed.is_empty()
        && let Err(error) = store.dead_letters_sort().await
    {
        tracing::debug!(%error, "failures of a rescue have no family yet; the leader finds it out");
    }
    let ended = rescued.ended.len() as u64;
    leftovers.add(Left { ended: rescued.ended, ..Left::default() });
    for (became, jobs) in [("waiting", rescued.returned), ("ended", ended)] {
        counter!("reveille_jobs_rescued_total", "became" => became).increment(jobs);
    }
    let Some(name) = name else {
        tracing::warn!(worker.id = %worker, returned = rescued.returned, ended,
                "jobs that were claimed by a worker after it was taken for lost are given back");
        return Ok(());
    };
    tracing::warn!(worker.id = %worker, worker.name = name, returned = rescued.returned, ended,
            "a worker was lost; its jobs are taken back");
    Ok(())
}
