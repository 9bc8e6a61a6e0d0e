//! The tidier: clears away what outcomes leave behind, after they were written. It frees the unique
//! keys of jobs that have ended, and forgets their time limits. It keeps the last snoozes of a job,
//! and cuts errors where a job has many.
//!
//! Nobody waits for it: a key whose holder has ended counts as free. A key that somebody has
//! locked, such as an open SQL transaction, is tried again, ever more rarely. A process that dies
//! leaves the keys that it has not freed to the pruner.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::events::{Left, Leftovers};
use crate::job::JobId;
use crate::store::Store;

/// Jobs of one statement.
const CHUNK: usize = 1000;
/// Keys that are tried again; beyond, the oldest are left to the pruner.
const LOCKED_MOST: usize = 100_000;
const PAUSE_LEAST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(5);
/// How long it goes on once every outcome is settled.
const LAST_MOST: Duration = Duration::from_millis(300);

/// Tidies up until no more will come, and then once more; at the end of the service for
/// [`LAST_MOST`] at most.
pub(crate) async fn tidy(store: Store, leftovers: Leftovers, stopping: CancellationToken) {
    let over = async {
        stopping.cancelled().await;
        sleep(LAST_MOST).await;
    };
    tokio::select! {
        () = tidy_up(&store, &leftovers) => {}
        () = over => {}
    }
}

async fn tidy_up(store: &Store, leftovers: &Leftovers) {
    let (mut locked, mut pause, mut again) = (Vec::new(), PAUSE_LEAST, Instant::now());
    let mut open = true;
    while open {
        let Left { mut ended, timed, snoozed, failed } = tokio::select! {
            left = leftovers.take() => left.unwrap_or_else(|| {
                open = false;
                Left::default()
            }),
            () = sleep_until(again), if !locked.is_empty() => Left::default(),
        };
        for ids in timed.chunks(CHUNK) {
            // The leader comes by them when they are over.
            if let Err(error) = store.expiry_forget(ids).await {
                tracing::debug!(%error, "time limits of ended jobs could not be forgotten");
            }
        }
        for ids in snoozed.chunks(CHUNK) {
            // The next snooze of the job tidies up after both.
            if let Err(error) = store.attempt_trim(ids).await {
                tracing::debug!(%error, "old snoozes could not be forgotten");
            }
        }
        for ids in failed.chunks(CHUNK) {
            // The next failure of the job tidies up after both.
            if let Err(error) = store.attempt_trim_errors(ids).await {
                tracing::debug!(%error, "old errors could not be cut");
            }
        }
        let due = !open || Instant::now() >= again;
        if due {
            ended.append(&mut locked);
        }
        for ids in ended.chunks(CHUNK) {
            locked.extend(free(store, ids).await);
        }
        locked.drain(..locked.len().saturating_sub(LOCKED_MOST));
        if due {
            pause = if locked.is_empty() { PAUSE_LEAST } else { (pause * 2).min(PAUSE_MOST) };
            again = Instant::now() + pause;
        }
    }
}

/// Answers the jobs whose keys are to be tried again.
async fn free(store: &Store, ids: &[JobId]) -> Vec<JobId> {
    match store.key_free(ids).await {
        Ok(locked) => locked,
        Err(error) => {
            tracing::debug!(%error, keys = ids.len(), "unique keys of ended jobs could not be freed; they count as free");
            ids.to_vec()
        }
    }
}
