//! The default priorities of queues, for a client without a service. It hears of no changes, so it
//! looks at them when it submits, once a second at most.
//!
//! A submission waits half a second for such a look at most. Where the database does not answer in
//! that time, the client goes on with what it knows, and looks again later.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::events::Defaults;
use crate::store::{Result, Store};

/// How old they may be.
const FRESH: Duration = Duration::from_secs(1);
/// How long a submission waits for them.
const WAIT_MOST: Duration = Duration::from_millis(500);
/// After a look that failed or took too long, submissions wait for none for so long.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// All of them are read so often, and else what changed.
const ALL_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Priorities {
    store: Store,
    pub(super) defaults: Defaults,
    looks: Mutex<Looks>,
}

struct Looks {
    /// When the next one is due.
    next_at: Instant,
    /// When all of them were read.
    all_at: Instant,
}

impl Priorities {
    /// Reads them for the first time.
    pub(super) async fn read(store: Store) -> Result<Self> {
        let (defaults, all_at) = (Defaults::default(), Instant::now());
        defaults.found(store.queue_settings(None).await?, all_at);
        let looks = Mutex::new(Looks { next_at: all_at + FRESH, all_at });
        Ok(Self { store, defaults, looks })
    }

    /// Reads what changed, if that was done long ago. Callers beside the one that reads go on with
    /// what is known.
    pub(super) async fn look(&self) {
        let Ok(mut looks) = self.looks.try_lock() else { return };
        let asked_at = Instant::now();
        if asked_at < looks.next_at {
            return;
        }
        let since = self.defaults.since().filter(|_| looks.all_at.elapsed() < ALL_EVERY);
        let rest = match timeout(WAIT_MOST, self.store.queue_settings(since)).await {
            Ok(Ok(changes)) if since.is_some() => {
                self.defaults.seen(changes);
                FRESH
            }
            Ok(Ok(all)) => {
                self.defaults.found(all, asked_at);
                looks.all_at = asked_at;
                FRESH
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the settings of queues could not be read");
                AFTER_FAILURE
            }
            Err(_) => {
                tracing::debug!("the settings of queues were not read in time");
                AFTER_FAILURE
            }
        };
        looks.next_at = Instant::now() + rest;
    }
}
