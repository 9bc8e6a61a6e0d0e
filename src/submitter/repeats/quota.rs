//! How many keys each principal has, as far as it is known here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::store::Store;

/// The keys that a principal may have.
const MOST: u32 = 1_000_000;
/// A principal is counted again after so many new keys here since the last count, or after an
/// eighth of those that were left then.
const LEAST_BETWEEN: u32 = 1_000;
const SHARE_BETWEEN: u32 = 8;
/// A principal with most of its keys is counted again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// The principals that are remembered. Beyond, all are forgotten, and counted again.
const PRINCIPALS_MOST: usize = 10_000;

pub(super) struct Quota {
    most: u32,
    known: Mutex<HashMap<String, Counted>>,
}

#[derive(Clone, Copy)]
struct Counted {
    keys: u32,
    /// Keys that this process has kept since.
    since: u32,
    at: Instant,
}

impl Counted {
    fn is_old(&self, most: u32, now: Instant) -> bool {
        let left = most.saturating_sub(self.keys);
        self.since > (left / SHARE_BETWEEN).max(LEAST_BETWEEN)
            || self.keys + self.since > most / 2 && now - self.at > AGAIN_AFTER
    }
}

impl Quota {
    pub(super) fn new() -> Self {
        Self { most: MOST, known: Mutex::default() }
    }

    /// Whether a principal may have one more. It may while they cannot be counted: a repetition is
    /// answered all the same, and the next request counts again. A count takes half of the time that
    /// the request has at most, which needs the rest for itself.
    pub(super) async fn admits(&self, store: &Store, principal: &str, deadline: Instant) -> bool {
        let now = Instant::now();
        if self.is_to_be_counted(principal, now) {
            let until = now + deadline.saturating_duration_since(now) / 2;
            match store.idempotency_count(principal, self.most, until).await {
                Ok(keys) => self.counted(principal, keys, now),
                Err(error) => tracing::debug!(%error, "idempotency keys could not be counted"),
            }
        }
        let known = self.known();
        known.get(principal).is_none_or(|it| it.keys + it.since < self.most)
    }

    /// One who asks next to a count goes by the one before.
    fn is_to_be_counted(&self, principal: &str, now: Instant) -> bool {
        let mut known = self.known();
        let Some(counted) = known.get_mut(principal) else { return true };
        let old = counted.is_old(self.most, now);
        if old {
            *counted = Counted { keys: counted.keys + counted.since, since: 0, at: now };
        }
        old
    }

    fn counted(&self, principal: &str, keys: u32, at: Instant) {
        let mut known = self.known();
        if known.len() >= PRINCIPALS_MOST && !known.contains_key(principal) {
            known.clear();
        }
        known.insert(principal.to_owned(), Counted { keys, since: 0, at });
    }

    /// A key was kept.
    pub(super) fn kept(&self, principal: &str) {
        if let Some(counted) = self.known().get_mut(principal) {
            counted.since += 1;
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Counted>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_the_more_often_the_fewer_are_left() {
        let now = Instant::now();
        let counted = |keys, since| Counted { keys, since, at: now };
        assert!(!counted(0, MOST / 8).is_old(MOST, now));
        assert!(counted(0, MOST / 8 + 1).is_old(MOST, now));
        assert!(counted(MOST - 9_000, 1_126).is_old(MOST, now));
        assert!(!counted(MOST, LEAST_BETWEEN).is_old(MOST, now));
        let later = now + AGAIN_AFTER + Duration::from_secs(1);
        assert!(counted(MOST, 0).is_old(MOST, later) && !counted(9, 0).is_old(MOST, later));
    }
}
