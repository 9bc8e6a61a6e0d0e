//! The pruner: forgets jobs that ended long enough ago, in chunks, so that no transaction is long.
//!
//! It works in chunks and not only by whole partitions, because a partition holds a week and is
//! bound by the last of its jobs. A failed job is kept for a month, a waiting one for as long as it
//! waits, and a retention may be a minute.

use std::time::{Duration, Instant};

use metrics::counter;

use super::LeaderService;
use crate::store::job::{Keep, from_the_front};
use crate::store::{Result, Store};

/// Jobs of each state that one transaction forgets.
const CHUNK: u32 = 5_000;
const REST_LEAST: Duration = Duration::from_secs(1);
const REST_MOST: Duration = Duration::from_secs(60);

pub(crate) struct Pruner {
    pub store: Store,
    pub keep: Keep,
}

impl LeaderService for Pruner {
    const FAILED: &'static str = "ended jobs could not be forgotten";

    /// A tenth of the shortest time that anything is kept.
    fn every(&self) -> Duration {
        (self.keep.completed.min(self.keep.failed_or_cancelled) / 10).clamp(REST_LEAST, REST_MOST)
    }

    async fn run_once(&self) -> Result<()> {
        let mut from = from_the_front();
        loop {
            let begun = Instant::now();
            from = self.store.job_prune(self.keep, from, CHUNK).await?;
            for pruned in from.iter().filter(|pruned| pruned.count > 0) {
                counter!("reveille_pruned_jobs_total", "state" => pruned.state.as_str())
                    .increment(pruned.count);
                tracing::debug!(
                    state = pruned.state.as_str(),
                    jobs = pruned.count,
                    duration_ms = begun.elapsed().as_secs_f64() * 1e3,
                    "ended jobs are forgotten"
                );
            }
            if from.iter().all(|pruned| pruned.count < u64::from(CHUNK)) {
                return Ok(());
            }
        }
    }
}
