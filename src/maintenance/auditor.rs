//! The auditor: forgets who did what after 90 days, in chunks, so that no transaction is long.

use std::time::Duration;

use super::LeaderService;
use crate::store::{Result, Store};

const KEEP: Duration = Duration::from_secs(90 * 86_400);
const EVERY: Duration = Duration::from_secs(3600);
/// Actions that one transaction forgets.
const CHUNK: u32 = 1_000;

pub(crate) struct Auditor {
    pub store: Store,
}

impl LeaderService for Auditor {
    const FAILED: &'static str = "old entries of the audit could not be forgotten";

    fn every(&self) -> Duration {
        EVERY
    }

    async fn run_once(&self) -> Result<()> {
        while self.store.audit_prune(KEEP, CHUNK).await? >= u64::from(CHUNK) {}
        Ok(())
    }
}
