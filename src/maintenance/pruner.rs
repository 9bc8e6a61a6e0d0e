//! The pruner: forgets jobs that ended long enough ago, in chunks, so that no transaction is long.
//!
//! It works in chunks and not only by whole partitions, because a partition holds a week and is
//! bound by the last of its jobs. A failed job is kept for a month, a waiting one for as long as it
//! waits, and a retention may be a minute.
//!
//! A queue may keep its jobs for a shorter time. Nothing finds jobs that have ended by their queue:
//! an index of it would be written with each submission. So the ends are walked in their order,
//! once for all queues that keep jobs equally long, and each job is asked for its queue. A walk
//! goes on where it stopped, and begins anew when other queues belong to it. It costs nothing where
//! no queue has such a setting.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use metrics::counter;

use super::LeaderService;
use crate::events::Defaults;
use crate::job::fields::QueueSettings;
use crate::queue::QueueName;
use crate::store::job::{Keep, Pruned, from_the_front};
use crate::store::{Result, Store};

/// Jobs of each state that one transaction looks at.
const CHUNK: u32 = 5_000;
const REST_LEAST: Duration = Duration::from_secs(1);
const REST_MOST: Duration = Duration::from_secs(60);
/// How far a walk goes back before it goes on. An end has the time of its statement, and may be
/// seen after one that came later.
const OVERLAP: TimeDelta = TimeDelta::seconds(10);

pub(crate) struct Pruner {
    store: Store,
    defaults: Defaults,
    keep: Keep,
    walks: Mutex<Vec<Walk>>,
}

/// The way through the ends for queues that keep their jobs equally long.
#[derive(Clone, PartialEq, Debug)]
struct Walk {
    keep: Keep,
    queues: Vec<QueueName>,
    from: [Pruned; 3],
}

impl LeaderService for Pruner {
    const FAILED: &'static str = "ended jobs could not be forgotten";

    /// A tenth of the shortest time that anything is kept.
    fn every(&self) -> Duration {
        let shortest = |keep: Keep| keep.completed.min(keep.failed_or_cancelled);
        let walks = self.walks().iter().map(|walk| shortest(walk.keep)).min();
        let least = walks.map_or(shortest(self.keep), |least| least.min(shortest(self.keep)));
        (least / 10).clamp(REST_LEAST, REST_MOST)
    }

    /// A queue that is to keep its jobs for a shorter time ends the rest.
    async fn rest(&self) {
        tokio::time::sleep(REST_LEAST).await;
        let rest = self.every().saturating_sub(REST_LEAST);
        let _ = tokio::time::timeout(rest, self.defaults.learned()).await;
    }

    async fn run_once(&self) -> Result<()> {
        self.prune(self.keep, None, from_the_front()).await?;
        let known = self.walks().clone();
        let mut walks = walks(self.keep, self.store.queue_retentions().await?, known);
        for walk in &mut walks {
            let queues: Vec<&str> = walk.queues.iter().map(QueueName::as_str).collect();
            walk.from = self.prune(walk.keep, Some(&queues), back(walk.from)).await?;
        }
        *self.walks() = walks;
        Ok(())
    }
}

impl Pruner {
    pub(crate) fn new(store: Store, defaults: Defaults, keep: Keep) -> Self {
        Self { store, defaults, keep, walks: Mutex::default() }
    }

    fn walks(&self) -> MutexGuard<'_, Vec<Walk>> {
        self.walks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is past its time, of these queues or of all, and answers how far it came.
    async fn prune(
        &self,
        keep: Keep,
        queues: Option<&[&str]>,
        mut from: [Pruned; 3],
    ) -> Result<[Pruned; 3]> {
        loop {
            let begun = Instant::now();
            from = self.store.job_prune(keep, queues, from, CHUNK).await?;
            for pruned in from.iter().filter(|pruned| pruned.count > 0) {
                counter!("reveille_pruned_jobs_total", "state" => pruned.state.as_str())
                    .increment(pruned.count);
                tracing::debug!(
                    state = pruned.state.as_str(),
                    jobs = pruned.count,
                    duration_ms = begun.elapsed().as_secs_f64() * 1e3,
                    "ended jobs are forgotten"
                );
            }
            if from.iter().all(|pruned| pruned.looked < u64::from(CHUNK)) {
                return Ok(from);
            }
            // Others need the connection too: a walk over millions of jobs takes every other turn.
            tokio::time::sleep(begun.elapsed()).await;
        }
    }
}

fn back(from: [Pruned; 3]) -> [Pruned; 3] {
    from.map(|pruned| Pruned {
        since: pruned.since.checked_sub_signed(OVERLAP).unwrap_or(pruned.since),
        ..pruned
    })
}

/// The walks for these queues. A known walk with the same queues goes on where it was.
fn walks(service: Keep, queues: Vec<(QueueName, QueueSettings)>, known: Vec<Walk>) -> Vec<Walk> {
    let mut by_time: BTreeMap<(Duration, Duration), Vec<QueueName>> = BTreeMap::new();
    for (queue, settings) in queues {
        let keep = shorter(service, &settings);
        if keep != service {
            by_time.entry((keep.completed, keep.failed_or_cancelled)).or_default().push(queue);
        }
    }
    let walk = |((completed, failed_or_cancelled), mut queues): (_, Vec<QueueName>)| {
        queues.sort();
        let keep = Keep { completed, failed_or_cancelled };
        let same = |walk: &&Walk| walk.keep == keep && walk.queues == queues;
        let from = known.iter().find(same).map_or_else(from_the_front, |walk| walk.from);
        Walk { keep, queues, from }
    };
    by_time.into_iter().map(walk).collect()
}

/// How long jobs of a queue with these settings are kept: never longer than by the service.
fn shorter(service: Keep, settings: &QueueSettings) -> Keep {
    let of = |own: Option<f64>, service: Duration| {
        let own = own.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        own.map_or(service, |own| own.min(service))
    };
    Keep {
        completed: of(settings.keep_completed_seconds, service.completed),
        failed_or_cancelled: of(settings.keep_failed_seconds, service.failed_or_cancelled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const SERVICE: Keep = Keep { completed: DAY, failed_or_cancelled: DAY };

    fn queue(name: &str, completed: f64) -> (QueueName, QueueSettings) {
        let keep_completed_seconds = Some(completed);
        let settings = QueueSettings { keep_completed_seconds, ..QueueSettings::default() };
        (QueueName::new(name).expect("a name"), settings)
    }

    #[test]
    fn queues_that_keep_equally_long_share_a_walk_which_begins_anew_with_another_queue() {
        let queues = vec![queue("b", 60.0), queue("a", 60.0), queue("c", 5.0), queue("d", 1e9)];
        let mut first = walks(SERVICE, queues.clone(), Vec::new());
        let names = |walk: &Walk| walk.queues.iter().map(ToString::to_string).collect::<String>();
        assert_eq!(first.iter().map(names).collect::<Vec<_>>(), ["c", "ab"], "d keeps no less");
        let later = chrono::Utc::now();
        for walk in &mut first {
            walk.from = walk.from.map(|it| Pruned { since: later, ..it });
        }
        let again = walks(SERVICE, queues.clone(), first.clone());
        assert_eq!(again, first);
        let more = walks(SERVICE, [queues, vec![queue("e", 60.0)]].concat(), first.clone());
        assert_eq!((more[0].from, names(&more[1])), (first[0].from, "abe".to_owned()));
        assert_eq!(more[1].from, from_the_front());
    }
}
