//! Leavings of outcomes, on their way to the tidier.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::lock;
use crate::job::JobId;

/// The most jobs whose leavings wait; the oldest are forgotten beyond.
const LEFT_MOST: usize = 100_000;

/// The way of what outcomes leave behind to the tidier.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leftovers(Arc<(Mutex<State>, Notify)>);

#[derive(Debug, Default)]
struct State {
    left: Left,
    closed: bool,
}

/// Jobs whose outcomes leave something behind.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// They have ended, and may hold a unique key.
    pub ended: Vec<JobId>,
    /// They have ended, and had time limits.
    pub timed: Vec<JobId>,
    /// They have snoozed, and may have done so many times.
    pub snoozed: Vec<JobId>,
    /// They failed, are tried again, and may have many errors.
    pub failed: Vec<JobId>,
}

impl Left {
    fn lists(&mut self) -> [&mut Vec<JobId>; 4] {
        [&mut self.ended, &mut self.timed, &mut self.snoozed, &mut self.failed]
    }

    fn is_empty(&mut self) -> bool {
        self.lists().iter().all(|list| list.is_empty())
    }
}

impl Leftovers {
    /// Adds jobs to those that wait for the tidier.
    pub(crate) fn add(&self, mut more: Left) {
        if more.is_empty() {
            return;
        }
        {
            let state = &mut *lock(&self.0.0);
            for (all, ids) in state.left.lists().into_iter().zip(more.lists()) {
                all.append(ids);
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
                let state = &mut *lock(&self.0.0);
                if !state.left.is_empty() {
                    return Some(std::mem::take(&mut state.left));
                }
                if state.closed {
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
