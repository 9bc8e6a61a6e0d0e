//! The reporter: keeps the progress of running jobs. No caller waits for it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::store::Store;
use crate::store::progress::Progress;
use crate::supervise::Inbox;

const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Keeps the last report of each job, once in [`REPORT_EVERY`].
pub(super) async fn report(store: Store, reports: Inbox<mpsc::Receiver<Progress>>) {
    let mut reports = reports.lock().await;
    let mut last = HashMap::new();
    let mut next = Instant::now();
    let mut open = true;
    while open || !last.is_empty() {
        // A service that leaves waits for this, so it does not sleep on when no more reports can
        // come.
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
