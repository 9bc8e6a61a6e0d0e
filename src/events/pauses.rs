//! Queues that were paused a moment ago.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::lock;
use crate::queue::QueueName;

/// Remembers pauses. A claim that was sent before may still bring jobs of them, and others are held
/// ahead of a free slot: those must not start. A later claim is told by the database.
///
/// A notice of a pause only asks for a look at the database: any role can notify.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pauses(Arc<Paused>);

#[derive(Debug, Default)]
struct Paused {
    /// Whether there are any; spares a lock for each job that starts.
    some: AtomicBool,
    since: Mutex<Since>,
    asked: Notify,
    /// The end of a pause may have changed.
    timed: Notify,
}

#[derive(Debug, Default)]
struct Since {
    queues: HashMap<QueueName, Instant>,
    /// When the last of them was added.
    last: Option<Instant>,
}

impl Pauses {
    /// For how long a pause is remembered: longer than any claim takes.
    const KEPT: Duration = Duration::from_secs(120);

    /// The queue is paused now.
    pub(crate) fn pause(&self, queue: QueueName) {
        let now = Instant::now();
        let mut since = lock(&self.0.since);
        since.queues.retain(|_, at| at.elapsed() < Self::KEPT);
        since.queues.insert(queue, now);
        since.last = Some(now);
        self.0.some.store(true, Ordering::Release);
        self.0.timed.notify_one();
    }

    /// These queues are paused, as the database said to a question that was sent at `asked_at`.
    /// Earlier knowledge is forgotten.
    pub(super) fn found(&self, queues: Vec<QueueName>, asked_at: Instant) {
        let mut since = lock(&self.0.since);
        since.queues.retain(|_, at| *at > asked_at);
        for queue in queues {
            since.queues.entry(queue).or_insert(asked_at);
        }
        since.last = since.queues.values().max().copied();
        self.0.some.store(since.last.is_some(), Ordering::Release);
    }

    /// Whether a job of this queue must not start that was claimed by a statement sent at
    /// `asked_at`.
    pub(crate) fn forbid(&self, queue: &QueueName, asked_at: Instant) -> bool {
        if !self.0.some.load(Ordering::Acquire) {
            return false;
        }
        let mut since = lock(&self.0.since);
        if since.last.is_none_or(|last| last.elapsed() >= Self::KEPT) {
            *since = Since::default();
            self.0.some.store(false, Ordering::Release);
        }
        since.queues.get(queue).is_some_and(|at| asked_at <= *at)
    }

    /// A queue may have been paused. Calls coalesce until [`Pauses::asked`] returns.
    pub(crate) fn ask(&self) {
        self.0.asked.notify_one();
        self.0.timed.notify_one();
    }

    /// Returns when a queue may have been paused, or the end of a pause may have changed.
    pub(crate) async fn timed(&self) {
        self.0.timed.notified().await;
    }

    /// Returns when the database is to be asked which queues are paused.
    pub(crate) async fn asked(&self) {
        self.0.asked.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).expect("a name")
    }

    #[test]
    fn a_pause_that_was_found_counts_for_claims_sent_before_its_question_and_no_more_are_kept() {
        let (pauses, before) = (Pauses::default(), Instant::now());
        for nth in 0..1000 {
            pauses.found(vec![queue(&format!("q{nth}"))], Instant::now());
        }
        assert_eq!(lock(&pauses.0.since).queues.len(), 1);
        let asked_at = Instant::now();
        pauses.found(vec![queue("a"), queue("b")], asked_at);
        let after = asked_at + Duration::from_nanos(1);
        assert!(pauses.forbid(&queue("a"), before) && pauses.forbid(&queue("b"), asked_at));
        assert!(!pauses.forbid(&queue("a"), after), "it was resumed, and claimed from again");
        assert!(!pauses.forbid(&queue("q1"), before));
        // Paused here while a question that does not know it is under way.
        pauses.pause(queue("here"));
        pauses.found(Vec::new(), asked_at);
        assert!(pauses.forbid(&queue("here"), after) && !pauses.forbid(&queue("a"), before));
    }
}
