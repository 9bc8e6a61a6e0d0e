//! The default priorities of queues, for a client without a service. It hears of no changes, so it
//! looks at them when it submits, once a second at most.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::events::Defaults;
use crate::store::{Result, Store};

/// How old they may be.
const FRESH: Duration = Duration::from_secs(1);

pub(super) struct Priorities {
    store: Store,
    pub(super) defaults: Defaults,
    /// When they were read.
    read_at: Mutex<Instant>,
}

impl Priorities {
    /// Reads them for the first time.
    pub(super) async fn read(store: Store) -> Result<Self> {
        let (defaults, read_at) = (Defaults::default(), Mutex::new(Instant::now()));
        defaults.learn(store.queue_settings(None).await?);
        Ok(Self { store, defaults, read_at })
    }

    /// Reads what changed, if that was done long ago. Callers beside the one that reads go on with
    /// what is known. So does everybody while it fails: a submission is not held up by it twice.
    pub(super) async fn look(&self) {
        let Ok(mut read_at) = self.read_at.try_lock() else { return };
        if read_at.elapsed() < FRESH {
            return;
        }
        match self.store.queue_settings(self.defaults.since()).await {
            Ok(changes) => {
                self.defaults.learn(changes);
            }
            Err(error) => tracing::debug!(%error, "the settings of queues could not be read"),
        }
        *read_at = Instant::now();
    }
}
