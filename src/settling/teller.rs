//! The teller: tells the other instances which jobs have ended. No caller waits for it.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::events::{IDS_MOST, Notice};
use crate::job::JobId;
use crate::store::Store;
use crate::supervise::Inbox;

/// News of outcomes is gathered for so long: NOTIFY takes a database-wide lock.
const NEWS_EVERY: Duration = Duration::from_millis(10);

/// Tells the other instances which jobs have ended: after the commit, coalesced, and short.
pub(super) async fn tell_others(store: Store, told: Inbox<mpsc::UnboundedReceiver<Vec<JobId>>>) {
    let mut told = told.lock().await;
    while let Some(mut ids) = told.recv().await {
        tokio::time::sleep(NEWS_EVERY).await;
        while let Ok(more) = told.try_recv() {
            if ids.len() <= IDS_MOST {
                ids.extend(more);
            }
        }
        if let Err(error) = store.news_notify(&Notice::of_ended(ids).to_string()).await {
            tracing::debug!(%error, "the other instances were not told of outcomes; callers who wait there look again by themselves");
        }
    }
}
