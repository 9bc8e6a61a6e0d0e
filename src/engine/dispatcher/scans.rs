//! Which lanes are to be read.

use super::{Dispatcher, Scan};
use crate::events::Source;
use crate::queue::QueueName;

/// The most queues that wait to be looked at one by one.
const SCANS_MOST: usize = 100;

impl Dispatcher {
    /// Has the lanes of a queue read, or of all. Rarely more than one or two queues: a statement submitted to many lanes, or a
    /// queue was resumed. Where there are many, one look at everything serves all of them.
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
}
