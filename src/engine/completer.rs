//! Outcomes, settled many in one statement: at once when none is in flight, and meanwhile they gather. The buffer is bounded
//! and outlives an outage of the database; an outcome whose lease did not is answered as stale, and changes nothing.

use std::collections::HashMap;
use std::time::Duration;

use metrics::{counter, histogram};
use tokio::sync::mpsc;

use super::running::Running;
use crate::events::Events;
use crate::job::JobId;
use crate::listener::{IDS_MOST, news};
use crate::store::lease::{Settled, Settlement};
use crate::store::worker::Progress;
use crate::store::{Error, Store};

/// Outcomes that wait to be settled.
pub(super) const WAITING_MOST: usize = 10_000;
/// Outcomes of one statement.
const BATCH_MOST: usize = 1000;
/// Bytes of results and errors in one statement.
const BYTES_MOST: usize = 16 << 20;
const PAUSE_MOST: Duration = Duration::from_secs(1);
/// News of outcomes is gathered for so long: NOTIFY takes a database-wide lock.
const NEWS_EVERY: Duration = Duration::from_millis(10);

/// Settles until the last sender is gone.
pub(super) async fn run(
    store: Store,
    mut settlements: mpsc::Receiver<Settlement>,
    running: Running,
    events: Events,
) {
    let (tell, told) = mpsc::unbounded_channel();
    let teller = tokio::spawn(tell_others(store.clone(), told));
    let mut batch = Vec::with_capacity(BATCH_MOST);
    while settlements.recv_many(&mut batch, BATCH_MOST).await > 0 {
        histogram!("reveille_settle_batch_size")
            .record(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        let mut rest = &batch[..];
        while !rest.is_empty() {
            let (part, more) = rest.split_at(fitting(rest));
            let ended = settle(&store, part).await;
            if !ended.is_empty() {
                events.ends.ended(ended.iter().copied());
                let _ = tell.send(ended);
            }
            rest = more;
        }
        running.end_all(batch.drain(..).map(|settlement| (settlement.lease, settlement.id)));
    }
    drop(tell);
    let _ = teller.await;
}

/// How many of the first outcomes go into one statement: one at least.
fn fitting(batch: &[Settlement]) -> usize {
    let mut bytes = 0;
    let fits = |settlement: &&Settlement| {
        bytes += settlement.ending.bytes();
        bytes <= BYTES_MOST
    };
    batch.iter().take_while(fits).count().max(1)
}

/// Settles a batch, however long it takes. Answers the jobs that have ended now.
async fn settle(store: &Store, batch: &[Settlement]) -> Vec<JobId> {
    let mut pause = Duration::from_millis(50);
    let mut announce = true;
    loop {
        match store.lease_settle(batch, announce).await {
            Ok(settled) => return note(batch, &settled),
            // The queue of notifications is full. The outcomes matter more; the poll finds what waits again.
            Err(error) if error.state() == Some("54000") && announce => announce = false,
            Err(error) if error.is_passing() => {
                tracing::warn!(%error, outcomes = batch.len(), "outcomes cannot be settled yet; they are kept and tried again");
                tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
                pause = (pause * 2).min(PAUSE_MOST);
            }
            Err(error) if batch.len() > 1 => {
                // One outcome that the database refuses must not hold back the others.
                tracing::error!(%error, "a batch of outcomes was refused; they are settled one by one");
                let mut ended = Vec::new();
                for settlement in batch {
                    ended.extend(Box::pin(settle(store, std::slice::from_ref(settlement))).await);
                }
                return ended;
            }
            Err(error) => return refused(store, batch, &error).await,
        }
    }
}

/// An outcome that cannot be kept as it is becomes a failure that says so; else its job would be held for ever.
async fn refused(store: &Store, batch: &[Settlement], error: &Error) -> Vec<JobId> {
    let Some(settlement) = batch.first() else { return Vec::new() };
    tracing::error!(%error, job.id = %settlement.id, "an outcome was refused by the database");
    let failure = crate::store::Failure::new(
        "outcome_refused",
        "the database refused the outcome; the service's log says why",
    );
    if matches!(&settlement.ending, crate::store::lease::Ending::Failed(known) if known.code == failure.code)
    {
        return Vec::new();
    }
    let ending = crate::store::lease::Ending::Failed(failure);
    Box::pin(settle(store, &[Settlement { ending, ..settlement.clone() }])).await
}

fn note(batch: &[Settlement], settled: &[Settled]) -> Vec<JobId> {
    let mut ended = Vec::with_capacity(batch.len());
    let mut counts: HashMap<&'static str, u64> = HashMap::new();
    for (settlement, settled) in batch.iter().zip(settled) {
        let outcome = match settled {
            Settled::Applied(Some(status)) => {
                ended.push(settlement.id);
                status.as_str()
            }
            Settled::Applied(None) => settlement.ending.as_str(),
            Settled::LeaseLost => "lease_lost",
            // It may be this very outcome, if the answer to an earlier try was lost: whoever waits looks again.
            Settled::AlreadyFinal => {
                ended.push(settlement.id);
                "already_final"
            }
        };
        if matches!(settled, Settled::LeaseLost | Settled::AlreadyFinal) {
            tracing::warn!(job.id = %settlement.id, why = outcome, "a late outcome changes nothing");
        }
        *counts.entry(outcome).or_default() += 1;
    }
    for (outcome, count) in counts {
        counter!("reveille_job_outcomes_total", "outcome" => outcome).increment(count);
    }
    ended
}

/// Tells the other instances which jobs have ended: after the commit, coalesced, and short.
async fn tell_others(store: Store, mut told: mpsc::UnboundedReceiver<Vec<JobId>>) {
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

/// Keeps the last report of each job, once a second.
pub(super) async fn report(store: Store, mut reports: mpsc::Receiver<Progress>) {
    let mut batch = Vec::new();
    while reports.recv_many(&mut batch, 1024).await > 0 {
        let last: HashMap<JobId, Progress> =
            batch.drain(..).map(|report| (report.id, report)).collect();
        if let Err(error) = store.progress_report(&last.into_values().collect::<Vec<_>>()).await {
            tracing::debug!(%error, "progress was not kept");
        }
        if !reports.is_closed() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::job::LeaseId;
    use crate::store::Failure;
    use crate::store::lease::Ending;

    #[test]
    fn a_statement_is_bounded_by_bytes_and_takes_one_at_least() {
        let outcome = |bytes: usize| Settlement {
            lease: LeaseId(Uuid::nil()),
            id: JobId(Uuid::nil()),
            place: 1,
            ending: Ending::Failed(Failure::new("permanent", "x".repeat(bytes))),
            keyed: false,
        };
        let half = BYTES_MOST / 2;
        assert_eq!(fitting(&[outcome(half), outcome(half), outcome(1)]), 2);
        assert_eq!(fitting(&[outcome(BYTES_MOST + 1), outcome(0)]), 1);
    }
}
