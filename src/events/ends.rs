//! The ends of jobs on their way to those who wait for them. They coalesce.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, watch};

use super::{Notice, lock};
use crate::job::JobId;

/// The ends of jobs, for those who wait for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    waiting: Arc<Mutex<HashMap<JobId, watch::Sender<u64>>>>,
    unnamed: Arc<Notify>,
}

impl Ends {
    /// Takes in a notice, if it is of ends.
    pub(crate) fn hear(&self, notice: Notice) {
        match notice {
            Notice::Ended(ids) => self.ended(ids),
            Notice::SomeEnded => self.some_ended(),
            _ => {}
        }
    }

    /// Arms a wait. Arm first, look at the job then, and wait last: an end in between is not
    /// missed.
    pub(crate) fn watch(&self, id: JobId) -> Waiting {
        let mut waiting = lock(&self.waiting);
        let seen = waiting.entry(id).or_insert_with(|| watch::channel(0).0).subscribe();
        Waiting { id, seen, ends: self.clone() }
    }

    /// These jobs have ended.
    pub(crate) fn ended(&self, ids: impl IntoIterator<Item = JobId>) {
        let waiting = lock(&self.waiting);
        if waiting.is_empty() {
            return;
        }
        for id in ids {
            if let Some(sender) = waiting.get(&id) {
                sender.send_modify(|times| *times += 1);
            }
        }
    }

    /// Some jobs may have ended, and nobody says which. Calls coalesce until [`Ends::unnamed`]
    /// returns.
    pub(crate) fn some_ended(&self) {
        self.unnamed.notify_one();
    }

    /// Returns when jobs may have ended that were not named.
    pub(crate) async fn unnamed(&self) {
        self.unnamed.notified().await;
    }

    /// The jobs that are waited for.
    pub(crate) fn awaited(&self) -> Vec<JobId> {
        lock(&self.waiting).keys().copied().collect()
    }
}

/// A wait for the end of a job.
#[derive(Debug)]
pub(crate) struct Waiting {
    id: JobId,
    seen: watch::Receiver<u64>,
    ends: Ends,
}

impl Waiting {
    /// Returns when the job may have ended since the last call, or since the wait was armed.
    pub(crate) async fn changed(&mut self) {
        // The sender lives as long as somebody waits, so this is no error.
        let _ = self.seen.changed().await;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = lock(&self.ends.waiting);
        if waiting.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.remove(&self.id);
        }
    }
}
