//! Whether the main runtime runs: handlers that block every thread of it stop it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::shutdown::Shutdown;

/// How often the main runtime says that it runs.
const TICK_EVERY: Duration = Duration::from_secs(1);

/// When the main runtime ran last.
#[derive(Clone)]
pub(super) struct Ticks {
    began: Instant,
    millis: Arc<AtomicU64>,
}

impl Ticks {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), millis: Arc::default() }
    }

    /// Says again and again that the runtime that it is spawned on runs.
    pub(super) async fn tick(self, shutdown: Shutdown) {
        loop {
            let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.millis.store(millis, Ordering::Relaxed);
            tokio::select! {
                () = tokio::time::sleep(TICK_EVERY) => {}
                () = shutdown.stopping.cancelled() => return,
            }
        }
    }

    /// For how long it has not run.
    pub(super) fn still_for(&self) -> Duration {
        let ticked = Duration::from_millis(self.millis.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(ticked)
    }
}
