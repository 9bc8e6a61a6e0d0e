//! Leavings of outcomes, on their way to the tidier.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::lock;
use crate::job::JobId;

/// The most jobs whose leavings wait; the oldest are forgotten beyond.
const LEFT_MOST: usize = 100_000;

/// The way of what outcomes leave behind to the tidier.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leftovers(Arc<(Mutex<Left>, Notify)>);

/// Jobs whose outcomes leave something behind.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// They have ended, and may hold a unique key.
    pub ended: Vec<JobId>,
    /// They have snoozed, and may have done so many times.
    pub snoozed: Vec<JobId>,
    /// They failed, are tried again, and may have many errors.
    pub failed: Vec<JobId>,
    closed: bool,
}

impl Leftovers {
    /// Adds jobs that have ended and may hold a unique key, jobs that have snoozed, and jobs that
    /// may have many errors.
    pub(crate) fn add(&self, ended: Vec<JobId>, snoozed: Vec<JobId>, failed: Vec<JobId>) {
        if ended.is_empty() && snoozed.is_empty() && failed.is_empty() {
            return;
        }
        {
            let left = &mut *lock(&self.0.0);
            let lists = [&mut left.ended, &mut left.snoozed, &mut left.failed];
            for (all, ids) in lists.into_iter().zip([ended, snoozed, failed]) {
                all.extend(ids);
                all.drain(..all.len().saturating_sub(LEFT_MOST));
            }
        }
        self.0.1.notify_one();
    }

    /// Everything since the last call, at least one job; `None` when no more will come. For one
    /// taker.
    pub(crate) async fn take(&self) -> Option<Left> {
        loop {
            {
                let mut left = lock(&self.0.0);
                if !(left.ended.is_empty() && left.snoozed.is_empty() && left.failed.is_empty()) {
                    let closed = left.closed;
                    let taken = std::mem::take(&mut *left);
                    left.closed = closed;
                    return Some(taken);
                }
                if left.closed {
                    return None;
                }
            }
            self.0.1.notified().await;
        }
    }

    /// No more will come.
    pub(crate) fn close(&self) {
        lock(&self.0.0).closed = true;
        self.0.1.notify_one();
    }
}
