//! How many dead letters each task has, for `/metrics`. They are read when somebody asks, and not
//! again for a minute, since there may be many groups of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use metrics::gauge;
use tokio::sync::Mutex;

use crate::settling::meter::{OTHERS, task_label};
use crate::store::Store;
use crate::store::dead_letter::LetterFilter;

/// For how long a reading serves everybody.
const FRESH_FOR: Duration = Duration::from_secs(60);
/// After so long a database does not keep anybody from the other metrics.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct DeadLetters {
    store: Store,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    read_at: Option<Instant>,
    named: BTreeSet<String>,
}

impl DeadLetters {
    pub(super) fn new(store: Store) -> Self {
        Self { store, state: Mutex::default() }
    }

    pub(super) async fn read(&self) {
        let mut state = self.state.lock().await;
        if state.read_at.is_some_and(|at| at.elapsed() < FRESH_FOR) {
            return;
        }
        state.read_at = Some(Instant::now());
        let all = LetterFilter::default();
        let (groups, others) =
            match tokio::time::timeout(PATIENCE, self.store.dead_letters(&all)).await {
                Ok(Ok(letters)) => letters,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the dead letters could not be counted");
                    return;
                }
                Err(_) => {
                    tracing::debug!("the dead letters could not be counted in time");
                    return;
                }
            };
        let mut counts: BTreeMap<String, i64> =
            state.named.iter().map(|task| (task.clone(), 0)).collect();
        for group in groups {
            *counts.entry(task_label(&group.task)).or_default() += group.count.jobs;
        }
        *counts.entry(OTHERS.to_owned()).or_default() += others.jobs;
        for (task, jobs) in counts {
            gauge!("reveille_dead_letters", "task" => task.clone()).set(jobs as f64);
            state.named.insert(task);
        }
    }
}
