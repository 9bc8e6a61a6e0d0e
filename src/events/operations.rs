//! Word of operations on many jobs, on its way to the leader.

use std::sync::Arc;

use tokio::sync::Notify;

/// Whether an operation may have been asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations(Arc<Notify>);

impl Operations {
    /// Operations are to be looked at. Calls coalesce until [`Operations::told`] returns.
    pub(crate) fn tell(&self) {
        self.0.notify_one();
    }

    /// Returns when operations are to be looked at; a call before counts.
    pub(crate) async fn told(&self) {
        self.0.notified().await;
    }
}
