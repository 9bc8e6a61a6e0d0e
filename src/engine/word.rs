//! What is said beside the outcomes: to the other instances which jobs have ended, and of running jobs how far they are. Nobody
//! waits for either.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::job::JobId;
use crate::listener::{IDS_MOST, news};
use crate::store::Store;
use crate::store::progress::Progress;
use crate::supervise::Inbox;

/// News of outcomes is gathered for so long: NOTIFY takes a database-wide lock.
const NEWS_EVERY: Duration = Duration::from_millis(10);
const REPORT_EVERY: Duration = Duration::from_secs(1);

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
        if let Err(error) = store.news_notify(&news(&ids)).await {
            tracing::debug!(%error, "the others were not told of outcomes; whoever waits there looks again by itself");
        }
    }
}

/// Keeps the last report of each job, once in [`REPORT_EVERY`].
pub(super) async fn report(store: Store, reports: Inbox<mpsc::Receiver<Progress>>) {
    let mut reports = reports.lock().await;
    let mut last = HashMap::new();
    let mut next = Instant::now();
    let mut open = true;
    while open || !last.is_empty() {
        // Whoever leaves waits for this, so it does not sleep on when no more reports can come.
        tokio::select! {
            report = reports.recv(), if open => match report {
                Some(report) => drop(last.insert(report.id, report)),
                None => (open, next) = (false, Instant::now()),
            },
            () = sleep_until(next), if !last.is_empty() => {
                let reports: Vec<Progress> = last.drain().map(|(_, report)| report).collect();
                if let Err(error) = store.progress_report(&reports).await {
                    tracing::debug!(%error, "progress was not kept");
                }
                next = Instant::now() + REPORT_EVERY;
            }
        }
    }
}
