//! Operations on many jobs, which the leader carries out step by step.
//!
//! Each step is a transaction that moves a thousand jobs at most and writes how far it has come. So
//! a leader that dies loses nothing, and the next one goes on. Without an operation there is nothing
//! to do: a notice wakes the leader, and so does a new connection of the listener. It looks without
//! being told once a minute, or every few seconds where nothing can be heard.

use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::counter;
use tokio::time::sleep;
use uuid::Uuid;

use crate::events::{Events, Leadership, Left, Notice};
use crate::operation::OperationStatus;
use crate::settling::meter::task_label;
use crate::shutdown::Shutdown;
use crate::store::operation::Stepped;
use crate::store::{Error, Result, Store};

/// The longest rest of a leader that hears notices.
const REST_MOST: Duration = Duration::from_secs(60);
/// Of one that does not, and of one whose last step failed.
const REST_DEAF: Duration = Duration::from_secs(5);
const REST_FAILED: Duration = Duration::from_secs(1);

/// Carries operations out whenever this instance leads.
pub(crate) async fn operate(
    store: Store,
    events: Events,
    leadership: Leadership,
    shutdown: Shutdown,
) {
    let work = async {
        let mut failing = false;
        loop {
            leadership.led().await;
            let (rest, error) = round(&store, &events).await;
            if let Some(error) = error.as_ref().filter(|_| !failing) {
                tracing::warn!(%error, "an operation on jobs could not go on; it is tried again and again");
            }
            failing = error.is_some();
            tokio::select! {
                () = sleep(rest) => {}
                () = events.operations.told() => {}
            }
        }
    };
    shutdown.stopping.run_until_cancelled(work).await;
}

/// Takes each operation that is due one step on: one that cannot go on does not keep the others.
/// Answers when the next one is due, and the last error.
async fn round(store: &Store, events: &Events) -> (Duration, Option<Error>) {
    let mut rest = if events.listening.load(Ordering::Relaxed) { REST_MOST } else { REST_DEAF };
    let open = match store.operation_open().await {
        Ok(open) => open,
        Err(error) => return (REST_FAILED, Some(error)),
    };
    let mut failed = None;
    for (id, seconds) in open {
        // A little early: a step works ahead.
        let due = Duration::try_from_secs_f64(seconds - 0.2).unwrap_or_default();
        let next = if due.is_zero() { step(store, events, id).await } else { Ok(Some(due)) };
        let next = next.unwrap_or_else(|error| {
            failed = Some(error);
            None
        });
        rest = rest.min(next.unwrap_or(REST_FAILED));
    }
    (rest, failed)
}

/// Answers when the operation is due again. `None`: it is not to begin yet, or somebody else is
/// about it.
async fn step(store: &Store, events: &Events, id: Uuid) -> Result<Option<Duration>> {
    let Some(stepped) = store.operation_step(id).await? else { return Ok(None) };
    let Stepped { redriven, moved, ended, skipped, end, rest } = stepped;
    for (task, jobs) in redriven {
        counter!("reveille_redriven_jobs_total", "task" => task_label(&task)).increment(jobs);
    }
    // The errors of their new lives come on top of those that they have.
    events.leftovers.add(Left { failed: moved, ..Left::default() });
    counter!("reveille_redrive_skips_total").increment(skipped);
    counter!("reveille_purged_jobs_total").increment(ended.len() as u64);
    if !ended.is_empty() {
        events.ends.ended(ended.iter().copied());
        if let Err(error) = store.news_notify(&Notice::of_ended(ended).to_string()).await {
            tracing::debug!(%error, "the others were not told of purged jobs");
        }
    }
    match end {
        Some((OperationStatus::Halted, why)) => {
            tracing::warn!(operation.id = %id, why, "an operation was halted by its canary; mend what failed, then redrive the rest");
        }
        Some(_) => {
            tracing::info!(operation.id = %id, "an operation is done; `GET /operations/{{id}}` counts its jobs");
        }
        None => return Ok(Some(rest)),
    }
    Ok(Some(REST_MOST))
}
