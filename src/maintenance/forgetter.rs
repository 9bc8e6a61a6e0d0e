//! The forgetter: forgets queues that have had no job for a day, and have neither settings nor a
//! pause. A name that a caller misspelt once would be listed for ever.

use std::time::Duration;

use super::LeaderService;
use crate::store::{Result, Store};

const EVERY: Duration = Duration::from_secs(3600);
/// A queue is known to have jobs to the hour or two: see `sql/queue/register.sql`.
const AFTER: Duration = Duration::from_secs(24 * 3600);

pub(crate) struct Forgetter {
    pub store: Store,
}

impl LeaderService for Forgetter {
    const FAILED: &'static str = "empty queues could not be forgotten";

    fn every(&self) -> Duration {
        EVERY
    }

    async fn run_once(&self) -> Result<()> {
        let queues = self.store.queue_forget(AFTER).await?;
        if queues > 0 {
            tracing::info!(queues, "queues without jobs and settings are forgotten");
        }
        Ok(())
    }
}
