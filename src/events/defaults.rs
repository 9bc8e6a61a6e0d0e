//! The settings of queues as this process knows them, so that no job asks the database for them.
//!
//! A change is announced, and each instance looks at what changed; the poll is the fallback. The
//! instance that made the change knows it at once. Times of changes come from `settings_clock` of
//! the database. They rise with each change of any queue, and changes are seen in their order. So a
//! look asks for what is later than the newest change it has seen, and knowledge that arrives late
//! replaces nothing newer. A poll reads all that there is and forgets the rest: a standby that took
//! over may lack the last changes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
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
    by_name: HashMap<QueueName, Change>,
    /// The newest change that a look has seen. A change of this process may come before others
    /// that no look has seen yet.
    newest: Option<DateTime<Utc>>,
}

#[derive(Debug)]
struct Change {
    at: DateTime<Utc>,
    settings: Option<Arc<QueueSettings>>,
    /// When this process heard of it.
    heard_at: Instant,
}

impl Queues {
    /// Takes in a change, if it is newer than what is known. Answers whether it is.
    fn take(&mut self, QueueChange { queue, settings, at }: QueueChange) -> bool {
        let is_new = self.by_name.get(&queue).is_none_or(|known| known.at < at);
        if is_new {
            let settings = settings.map(Arc::new);
            self.by_name.insert(queue, Change { at, settings, heard_at: Instant::now() });
        }
        is_new
    }
}

impl Defaults {
    /// For how long a queue without settings is remembered: longer than an answer that says
    /// otherwise may be on its way.
    const KEPT: Duration = Duration::from_secs(120);

    /// The settings of a queue that has any.
    pub(crate) fn of(&self, queue: &QueueName) -> Option<Arc<QueueSettings>> {
        if !self.0.some.load(Ordering::Acquire) {
            return None;
        }
        self.read().by_name.get(queue)?.settings.clone()
    }

    /// The priority of jobs that are submitted to this queue without one, if it says.
    pub(crate) fn priority(&self, queue: &QueueName) -> Option<i16> {
        self.of(queue)?.priority?.try_into().ok()
    }

    /// Whether any queue gives its jobs time limits.
    pub(crate) fn any_limited(&self) -> bool {
        self.0.limited.load(Ordering::Acquire)
    }

    /// Takes in a change that this process made. Answers whether it is new.
    pub(crate) fn learn(&self, change: QueueChange) -> bool {
        self.change(|queues| queues.take(change))
    }

    /// Takes in the changes that a look has seen. Answers whether any is new.
    pub(crate) fn seen(&self, changes: Vec<QueueChange>) -> bool {
        self.change(|queues| {
            queues.newest = queues.newest.max(changes.iter().map(|change| change.at).max());
            let mut is_new = false;
            for change in changes {
                is_new |= queues.take(change);
            }
            is_new
        })
    }

    /// Takes in all that there is, as the database said to a question that was sent at `asked_at`.
    /// Earlier knowledge is forgotten. Answers whether anything is new.
    pub(crate) fn found(&self, all: Vec<QueueChange>, asked_at: Instant) -> bool {
        self.change(|queues| {
            queues.newest = all.iter().map(|change| change.at).max();
            let mut before = std::mem::take(&mut queues.by_name);
            let mut is_new = false;
            for change in all {
                let known = before.remove(&change.queue);
                match known.filter(|known| known.at == change.at || known.heard_at > asked_at) {
                    Some(known) => {
                        queues.by_name.insert(change.queue.clone(), known);
                        is_new |= queues.take(change);
                    }
                    None => is_new |= queues.take(change),
                }
            }
            let stays = |it: &Change| it.heard_at > asked_at || it.settings.is_none();
            is_new |= !before.values().all(stays);
            before.retain(|_, known| stays(known));
            queues.by_name.extend(before);
            is_new
        })
    }

    fn change(&self, change: impl FnOnce(&mut Queues) -> bool) -> bool {
        let mut queues = self.0.queues.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = change(&mut queues);
        let kept = |it: &Change| it.settings.is_some() || it.heard_at.elapsed() < Self::KEPT;
        queues.by_name.retain(|_, known| kept(known));
        if is_new {
            let mut settings = queues.by_name.values().filter_map(|it| it.settings.as_ref());
            self.0.limited.store(settings.any(|queue| queue.is_limited()), Ordering::Release);
            self.0.learned.notify_one();
        }
        self.0.some.store(!queues.by_name.is_empty(), Ordering::Release);
        is_new
    }

    /// After which change the database is to be asked for others; `None`: for all that there is.
    pub(crate) fn since(&self) -> Option<DateTime<Utc>> {
        self.read().newest
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
    fn a_change_that_arrives_late_replaces_nothing_newer() {
        let defaults = Defaults::default();
        let mail = QueueName::new("mail").expect("a name");
        assert_eq!(defaults.priority(&mail), None);
        assert!(defaults.seen(vec![change("mail", 100, Some(1))]));
        assert_eq!(defaults.priority(&mail), Some(1));
        assert!(defaults.learn(change("mail", 102, None)));
        assert!(!defaults.seen(vec![change("mail", 101, Some(2))]));
        assert_eq!(defaults.priority(&mail), None, "it was reset after that");
        let since = defaults.since().expect("something is known");
        assert_eq!(since.timestamp(), 101, "no look has seen what comes before its own change");
    }

    #[test]
    fn a_look_at_all_forgets_what_the_database_no_longer_knows() {
        let (defaults, asked_at) = (Defaults::default(), Instant::now());
        let [mail, post] = ["mail", "post"].map(|name| QueueName::new(name).expect("a name"));
        defaults.seen(vec![change("mail", 100, Some(1)), change("post", 101, Some(2))]);
        // Both were heard while the question was under way.
        assert!(!defaults.found(vec![change("mail", 90, Some(8))], asked_at));
        assert_eq!((defaults.priority(&mail), defaults.priority(&post)), (Some(1), Some(2)));
        let after = Instant::now();
        assert!(defaults.found(vec![change("mail", 90, Some(8))], after));
        assert_eq!((defaults.priority(&mail), defaults.priority(&post)), (Some(8), None));
        assert_eq!(defaults.since().map(|since| since.timestamp()), Some(90));
        assert!(!defaults.found(vec![change("mail", 90, Some(8))], Instant::now()));
    }

    #[test]
    fn queues_that_lost_their_settings_are_forgotten_in_the_end() {
        let defaults = Defaults::default();
        defaults.seen((0..1000).map(|nth| change(&format!("q{nth}"), 100, None)).collect());
        assert_eq!(defaults.read().by_name.len(), 1000);
        let before = Instant::now().checked_sub(Defaults::KEPT).expect("a machine that is up");
        let mut queues = defaults.0.queues.write().expect("nobody panicked");
        queues.by_name.values_mut().for_each(|known| known.heard_at = before);
        drop(queues);
        defaults.learn(change("mail", 300, Some(1)));
        assert_eq!(defaults.read().by_name.len(), 1);
    }
}
