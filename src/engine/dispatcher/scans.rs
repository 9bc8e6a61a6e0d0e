//! Which lanes are to be read.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::{Dispatcher, Scan};
use crate::events::Source;
use crate::queue::QueueName;
use crate::store::Result;

/// The most queues that wait to be looked at one by one.
const SCANS_MOST: usize = 100;
/// How long a queue counts as noted.
const SEEN_FOR: Duration = Duration::from_secs(3600);

impl Dispatcher {
    /// Has the lanes of a queue read, or of all. Rarely more than one or two queues: a statement
    /// submitted to many lanes, or a queue was resumed. Where there are many, one look at
    /// everything serves all of them.
    pub(super) fn scan(&mut self, queue: Option<QueueName>) {
        let waits =
            |scan: &Scan| scan.after.is_none() && (scan.queue.is_none() || scan.queue == queue);
        if self.to_scan.iter().any(waits) {
            return;
        }
        let queue = queue.filter(|_| self.to_scan.len() < SCANS_MOST);
        if queue.is_none() {
            self.to_scan.retain(|scan| scan.queue.is_none());
        }
        self.to_scan.push_back(Scan { queue, source: Source::Notify, after: None });
    }

    /// Has the next page read, in turn with other queues. A look at everything ends before another
    /// one begins: while notices of very many queues come, one more is asked for with each page.
    pub(super) fn go_on(&mut self, next: Scan) {
        let another = self.to_scan.iter().position(|scan| scan.queue.is_none());
        let place = another.filter(|_| next.queue.is_none()).unwrap_or(self.to_scan.len());
        self.to_scan.insert(place, next);
    }

    /// Those of these queues that are not known to be listed.
    pub(super) fn unseen<'a>(
        &self,
        queues: impl Iterator<Item = &'a QueueName>,
    ) -> HashSet<QueueName> {
        queues.filter(|queue| !self.queues_seen.contains(*queue)).cloned().collect()
    }

    /// Notes once an hour that queues still have jobs: those without any are forgotten one day.
    pub(super) fn see_queues_anew(&mut self) {
        if self.seen_since.elapsed() >= SEEN_FOR {
            self.queues_seen.clear();
            self.seen_since = Instant::now();
        }
    }

    /// Makes queues known, once each, so that they are listed when they are empty again.
    pub(super) async fn register(&mut self, unseen: HashSet<QueueName>) -> Result<()> {
        if !unseen.is_empty() {
            let names: Vec<&str> = unseen.iter().map(QueueName::as_str).collect();
            self.store.queue_register(&names).await?;
            self.queues_seen.extend(unseen);
        }
        Ok(())
    }
}
