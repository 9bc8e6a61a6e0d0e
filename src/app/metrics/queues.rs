//! How the queues stand, for `/metrics`: read when somebody asks, and not again for some seconds.
//! While the database does not answer they stay as they were, and the time of the last reading
//! tells how old they are.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics::gauge;
use tokio::sync::Mutex;

use crate::queue::QueueName;
use crate::settling::meter::{OTHERS, QUEUES_MOST};
use crate::store::Store;
use crate::store::queue::Depth;

/// For how long a reading serves everybody.
const FRESH_FOR: Duration = Duration::from_secs(5);
/// After so long a database does not keep anybody from the other metrics.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Queues {
    store: Store,
    state: Mutex<State>,
}

struct State {
    read_at: Option<Instant>,
    named: HashSet<String>,
}

impl Queues {
    pub(super) fn new(store: Store) -> Self {
        // The default queue is told from the start.
        let named = HashSet::from([QueueName::default().to_string()]);
        Self { store, state: Mutex::new(State { read_at: None, named }) }
    }

    pub(super) async fn read(&self) {
        let mut state = self.state.lock().await;
        if state.read_at.is_some_and(|at| at.elapsed() < FRESH_FOR) {
            return;
        }
        match tokio::time::timeout(PATIENCE, self.store.queue_depths()).await {
            Ok(Ok(depths)) => {
                state.set(depths);
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                gauge!("reveille_queues_read_at_seconds").set(now.as_secs_f64());
            }
            Ok(Err(error)) => tracing::debug!(%error, "the queues could not be measured"),
            Err(_) => tracing::debug!("the queues could not be measured in time"),
        }
        state.read_at = Some(Instant::now());
    }
}

impl State {
    fn set(&mut self, depths: Vec<Depth>) {
        let mut gone = self.named.clone();
        let mut others = Depth::default();
        for depth in depths {
            gone.remove(&depth.queue);
            if self.named.contains(&depth.queue) || self.named.len() < QUEUES_MOST {
                show(&depth);
                self.named.insert(depth.queue);
            } else {
                others.add(&depth);
            }
        }
        for queue in gone {
            show(&Depth { queue, ..Depth::default() });
        }
        if self.named.len() == QUEUES_MOST {
            show(&Depth { queue: OTHERS.into(), ..others });
        }
    }
}

fn show(depth: &Depth) {
    let queue = || depth.queue.clone();
    gauge!("reveille_queue_depth", "queue" => queue()).set(depth.due);
    gauge!("reveille_queue_scheduled", "queue" => queue()).set(depth.later);
    gauge!("reveille_queue_oldest_waiting_seconds", "queue" => queue()).set(depth.oldest_seconds);
    gauge!("reveille_queue_keys", "queue" => queue()).set(depth.keys);
    gauge!("reveille_queue_keyed", "queue" => queue()).set(depth.keyed);
}
