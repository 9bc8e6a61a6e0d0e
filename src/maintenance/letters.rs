//! Dead letters: failures that were written without their family get it, and operations that ended
//! long ago are forgotten.
//!
//! The settler of an outcome knows its task, and writes the family at once. SQL that fails a job,
//! such as a rescue, does not; nor did the release before.

use std::time::Duration;

use super::LeaderService;
use crate::operation::KEPT_DAYS;
use crate::store::{Result, Store};

/// A look that finds nothing is a single probe of an index.
const EVERY: Duration = Duration::from_secs(30);

pub(crate) struct Letters {
    pub store: Store,
}

impl LeaderService for Letters {
    const FAILED: &'static str = "dead letters could not be sorted";

    fn every(&self) -> Duration {
        EVERY
    }

    async fn run_once(&self) -> Result<()> {
        while self.store.dead_letters_sort().await? > 0 {}
        self.store.operation_forget(f64::from(KEPT_DAYS) * 86_400.0).await
    }
}
