//! The settings of queues as this process knows them, so that no job asks the database for them.
//!
//! A change is announced, and each instance looks at what changed; the poll is the fallback. The
//! instance that made the change knows it at once. Times of changes come from the database, and
//! rise with each change of a queue, so knowledge that arrives late replaces nothing newer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

use crate::job::fields::{QueueChange, QueueSettings};
use crate::queue::QueueName;

/// The settings of all queues. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Whether any queue has settings; spares a lock for each job.
    some: AtomicBool,
    /// Whether any of them gives its jobs time limits.
    limited: AtomicBool,
    queues: RwLock<Queues>,
    asked: Notify,
    /// Something was new.
    learned: Notify,
}

#[derive(Debug, Default)]
struct Queues {
    by_name: HashMap<QueueName, (DateTime<Utc>, Option<Arc<QueueSettings>>)>,
    newest: Option<DateTime<Utc>>,
}

impl Defaults {
    /// How far a look reaches back beyond the newest change. A change has the time of its
    /// statement, and may be seen after one that was made later.
    const OVERLAP: TimeDelta = TimeDelta::minutes(1);

    /// The settings of a queue that has any.
    pub(crate) fn of(&self, queue: &QueueName) -> Option<Arc<QueueSettings>> {
        if !self.0.some.load(Ordering::Acquire) {
            return None;
        }
        self.read().by_name.get(queue)?.1.clone()
    }

    /// The priority of jobs that are submitted to this queue without one, if it says.
    pub(crate) fn priority(&self, queue: &QueueName) -> Option<i16> {
        self.of(queue)?.priority?.try_into().ok()
    }

    /// Whether any queue gives its jobs time limits.
    pub(crate) fn any_limited(&self) -> bool {
        self.0.limited.load(Ordering::Acquire)
    }

    /// Takes in what the database says. Answers whether any of it is new.
    pub(crate) fn learn(&self, changes: impl IntoIterator<Item = QueueChange>) -> bool {
        let mut is_new = false;
        let mut queues = self.0.queues.write().unwrap_or_else(PoisonError::into_inner);
        for QueueChange { queue, settings, at } in changes {
            queues.newest = queues.newest.max(Some(at));
            let known = queues.by_name.get(&queue).map(|known| known.0);
            if known.is_none_or(|known| known < at) {
                is_new = true;
                queues.by_name.insert(queue, (at, settings.map(Arc::new)));
            }
        }
        // A queue without settings is remembered only as long as an older change may arrive.
        if let Some(newest) = queues.newest {
            let recent = newest - Self::OVERLAP * 2;
            queues.by_name.retain(|_, (at, settings)| settings.is_some() || *at > recent);
        }
        if is_new {
            let mut settings = queues.by_name.values().filter_map(|known| known.1.as_ref());
            self.0.limited.store(settings.any(|queue| queue.is_limited()), Ordering::Release);
            self.0.learned.notify_one();
        }
        self.0.some.store(!queues.by_name.is_empty(), Ordering::Release);
        is_new
    }

    /// From when on the database is to be asked for changes; `None`: for all that there is.
    pub(crate) fn since(&self) -> Option<DateTime<Utc>> {
        self.read().newest.map(|newest| newest - Self::OVERLAP)
    }

    /// Settings may have changed. Calls coalesce until [`Defaults::asked`] returns.
    pub(crate) fn ask(&self) {
        self.0.asked.notify_one();
    }

    /// Returns when the database is to be asked what changed.
    pub(crate) async fn asked(&self) {
        self.0.asked.notified().await;
    }

    /// Returns when settings have changed since the call before.
    pub(crate) async fn learned(&self) {
        self.0.learned.notified().await;
    }

    fn read(&self) -> RwLockReadGuard<'_, Queues> {
        self.0.queues.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(queue: &str, second: i64, priority: Option<i64>) -> QueueChange {
        let settings =
            priority.map(|it| QueueSettings { priority: Some(it), ..QueueSettings::default() });
        let at = DateTime::from_timestamp(second, 0).expect("a time");
        QueueChange { queue: QueueName::new(queue).expect("a name"), settings, at }
    }

    #[test]
    fn what_arrives_late_replaces_nothing_newer() {
        let defaults = Defaults::default();
        let mail = QueueName::new("mail").expect("a name");
        assert_eq!(defaults.priority(&mail), None);
        defaults.learn([change("mail", 100, Some(1))]);
        assert_eq!(defaults.priority(&mail), Some(1));
        defaults.learn([change("mail", 102, None)]);
        defaults.learn([change("mail", 101, Some(2))]);
        assert_eq!(defaults.priority(&mail), None, "it was reset after that");
        let since = defaults.since().expect("something is known");
        assert_eq!(since.timestamp(), 102 - 60);
    }

    #[test]
    fn queues_that_lost_their_settings_are_forgotten_in_the_end() {
        let defaults = Defaults::default();
        defaults.learn((0..1000).map(|nth| change(&format!("q{nth}"), 100, None)));
        assert_eq!(defaults.read().by_name.len(), 1000);
        defaults.learn([change("mail", 300, Some(1))]);
        assert_eq!(defaults.read().by_name.len(), 1);
    }
}
