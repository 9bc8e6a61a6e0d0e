//! Partitions: those of the weeks to come are made, those of old weeks go as a whole. Removing one
//! gives its disk space back, which forgetting its jobs one by one does not.

use std::time::Duration;

use metrics::counter;

use super::LeaderService;
use crate::store::job::Keep;
use crate::store::{Result, Store, Target};

/// Partitions reach weeks ahead, and an old one may stay for a while.
const EVERY: Duration = Duration::from_secs(600);

pub(crate) struct Partitions {
    pub store: Store,
    /// For what a PgBouncer cannot do.
    pub direct: Target,
    pub keep: Keep,
}

impl LeaderService for Partitions {
    const FAILED: &'static str = "partitions could not be made or removed";

    fn every(&self) -> Duration {
        EVERY
    }

    async fn run_once(&self) -> Result<()> {
        self.store.partition_ensure().await?;
        for week in self.store.partition_expired(self.keep).await? {
            if self.store.partition_remove(&self.direct, self.keep, week).await? {
                counter!("reveille_partitions_dropped_total").increment(1);
                tracing::info!(week.begins = %week.begins, "the partitions of an old week are removed: all of its jobs ended long enough ago");
            }
        }
        Ok(())
    }
}
