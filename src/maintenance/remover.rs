//! The remover: frees unique keys whose window is over, and forgets first answers that are old
//! enough, in batches.
//!
//! Nobody waits for it: such a key counts as free, and such an answer as none. It keeps the tables as
//! small as the work that they are for.

use std::time::Duration;

use super::LeaderService;
use crate::store::{Result, Store};

/// Rows of one transaction.
const CHUNK: u32 = 1_000;
const EVERY: Duration = Duration::from_secs(5);

pub(crate) struct Remover {
    pub store: Store,
    /// How long first answers are kept.
    pub keep_answers: Duration,
}

impl LeaderService for Remover {
    const FAILED: &'static str = "keys whose time is over could not be forgotten";

    fn every(&self) -> Duration {
        EVERY
    }

    async fn run_once(&self) -> Result<()> {
        while self.store.key_over(CHUNK).await? == CHUNK {}
        while self.store.idempotency_forget(self.keep_answers, CHUNK).await? == CHUNK {}
        Ok(())
    }
}
