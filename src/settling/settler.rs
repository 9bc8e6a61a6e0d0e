//! Settling a batch of outcomes, whatever the database says about it.
//!
//! Only a value can be at fault: SQLSTATE class 22 says so, and 54000 where nothing is notified of.
//! Such an outcome becomes a failure, or its job would be held for ever. Every other refusal may
//! pass: the outcome is kept and tried again. One outcome that cannot be written does not hold back
//! its neighbours. A batch that is refused is settled in halves in the end, and the outcomes that
//! are still refused then come again later. Outcomes whose lease another transaction has locked
//! come again later at once.

use std::time::Duration;

use tokio::time::sleep;

use super::delivery::{Delivery, leases_of, log_failed};
use super::meter::{ended_unknown, out_of_time};
#[cfg(feature = "faults")]
use super::mutant;
use crate::events::{Gates, Left, Leftovers};
use crate::job::JobId;
use crate::job::clocks::{DEADLINE_EXCEEDED, EXPIRED};
use crate::job::ending::Ending;
use crate::job::failure::Failure;
use crate::job::state::Status;
use crate::store::attempt::{ERROR_LONG, ERRORS_MANY};
use crate::store::lease::{Settled, Settlement};
use crate::store::{Error, Store};

/// How often a batch is refused before it is settled in halves.
pub(super) const TOGETHER: u32 = 3;
/// For what was refused before: its halves are tried at once.
pub(super) const APART: u32 = 1;
const PAUSE_LEAST: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_secs(1);
const REFUSED: &str = "outcome_refused";

/// The outcome of a batch.
#[derive(Default)]
pub(super) struct Settlements {
    /// The jobs that have ended now.
    pub(super) ended: Vec<JobId>,
    /// Outcomes that the database refuses for now.
    pub(super) kept: Vec<Delivery>,
}

/// The meaning of a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refusal {
    /// The queue of notifications is full.
    Announcement,
    /// A value cannot be kept as it is.
    Value,
    /// There is no partition for a row.
    Partition,
    /// The database is away or busy.
    Passing,
    /// Anything else, which may pass too.
    Other,
}

impl Refusal {
    fn of(error: &Error, announced: bool) -> Self {
        match error {
            _ if error.is_limit() && announced => Self::Announcement,
            _ if error.is_limit() || error.is_of_value() => Self::Value,
            _ if error.lacks_partition() => Self::Partition,
            _ if error.is_passing() => Self::Passing,
            _ => Self::Other,
        }
    }
}

#[derive(Clone)]
pub(super) struct Settler {
    pub(super) store: Store,
    pub(super) leftovers: Leftovers,
    pub(super) gates: Gates,
}

impl Settler {
    /// Settles a batch, however long the database is away. It is refused so many `tries` before it
    /// is settled in halves.
    pub(super) async fn settle(&self, batch: &[Delivery], tries: u32) -> Settlements {
        self.settle_part(batch, tries, batch.len()).await
    }

    /// Settles the whole of a batch of so many outcomes, or a part. A refusal of parts has been
    /// told with the whole.
    async fn settle_part(&self, batch: &[Delivery], tries: u32, whole: usize) -> Settlements {
        let (mut pause, mut announce, mut tries) = (PAUSE_LEAST, true, tries);
        loop {
            let error = match self.store.lease_settle(batch, announce).await {
                Ok(settled) => {
                    #[cfg(feature = "faults")]
                    mutant::settle_unfenced(&self.store, batch, &settled).await;
                    return Settlements { ended: self.note(batch, &settled), kept: Vec::new() };
                }
                #[cfg(feature = "faults")]
                Err(_) if mutant::has_no_settlement_retry() => return Settlements::default(),
                Err(error) => error,
            };
            if error.is_locked()
                && let Some(settlements) = self.without_held(batch, whole).await
            {
                return settlements;
            }
            let refusal = Refusal::of(&error, announce);
            match refusal {
                // The outcomes matter more; the poll finds what waits again.
                Refusal::Announcement => {
                    announce = false;
                    continue;
                }
                Refusal::Value => return self.without_value(batch, &error, whole).await,
                Refusal::Partition => {
                    let _ = self.store.partition_ensure().await;
                    tries -= 1;
                }
                Refusal::Passing => {}
                Refusal::Other => tries -= 1,
            }
            if batch.len() == whole || refusal == Refusal::Passing {
                tracing::warn!(%error, outcomes = batch.len(), job.id = %batch[0].settlement.id,
                    "outcomes cannot be settled yet; they are kept and tried again");
            }
            if tries == 0 {
                return match batch {
                    [one] => Settlements { ended: Vec::new(), kept: vec![one.clone()] },
                    many => self.halves(many, whole).await,
                };
            }
            sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
            pause = (pause * 2).min(PAUSE_MOST);
        }
    }

    async fn halves(&self, batch: &[Delivery], whole: usize) -> Settlements {
        let (first, second) = batch.split_at(batch.len() / 2);
        let mut done = Box::pin(self.settle_part(first, APART, whole)).await;
        let more = Box::pin(self.settle_part(second, APART, whole)).await;
        done.ended.extend(more.ended);
        done.kept.extend(more.kept);
        done
    }

    /// Settles those outcomes of a batch whose leases nobody has locked, and keeps the others.
    /// `None`: the lock is another one.
    async fn without_held(&self, batch: &[Delivery], whole: usize) -> Option<Settlements> {
        let held = self.store.lease_held(&leases_of(batch)).await.ok()?;
        let is_held = |outcome: &Delivery| held.contains(&outcome.settlement.lease);
        let (kept, free): (Vec<_>, Vec<_>) = batch.iter().cloned().partition(is_held);
        let first = kept.first()?;
        tracing::warn!(outcomes = kept.len(), job.id = %first.settlement.id,
            "another transaction has locked the leases of outcomes; they are kept and tried again");
        let mut settlements = Settlements::default();
        if !free.is_empty() {
            settlements = Box::pin(self.settle_part(&free, APART, whole)).await;
        }
        settlements.kept.extend(kept);
        Some(settlements)
    }

    /// Settles a batch of which a value is refused: that outcome becomes a failure that says so.
    async fn without_value(&self, batch: &[Delivery], error: &Error, whole: usize) -> Settlements {
        let [outcome] = batch else { return self.halves(batch, whole).await };
        let settlement = &outcome.settlement;
        tracing::error!(%error, job.id = %settlement.id, "the database refused a value of an outcome; the job fails");
        let words = "the database refused the outcome; the service's log says why";
        let ending = match &settlement.ending {
            // The failure itself is refused.
            Ending::Failed(known) if known.code == REFUSED => {
                return Settlements { ended: Vec::new(), kept: vec![outcome.clone()] };
            }
            _ => Ending::Failed(Failure::new(REFUSED, words)),
        };
        let settlement = Settlement { ending, ..settlement.clone() };
        Box::pin(self.settle(&[Delivery { settlement, ..outcome.clone() }], APART)).await
    }

    /// Counts what became of outcomes, and logs what somebody has to know of. Answers the jobs that
    /// have ended now.
    fn note(&self, batch: &[Delivery], settled: &[Settled]) -> Vec<JobId> {
        let mut ended = Vec::with_capacity(batch.len());
        let mut left = Left::default();
        for (outcome, settled) in batch.iter().zip(settled) {
            let settlement = &outcome.settlement;
            match settled {
                // It may be this very outcome, if the answer to an earlier try was lost: whoever
                // waits looks again.
                Settled::Applied(Some(_)) | Settled::AlreadyFinal => {
                    ended.push(settlement.id);
                    if settlement.keyed {
                        left.ended.push(settlement.id);
                    }
                    if settlement.timed {
                        left.timed.push(settlement.id);
                    }
                }
                Settled::Applied(None) if matches!(settlement.ending, Ending::Snooze { .. }) => {
                    left.snoozed.push(settlement.id);
                }
                Settled::Applied(None) if has_many_errors(settlement) => {
                    left.failed.push(settlement.id);
                }
                Settled::Applied(None) | Settled::LeaseLost => {}
            }
            self.give_back_turn(outcome, *settled);
            let became = became(settlement, *settled);
            match &outcome.meter {
                Some(meter) => meter.ended(became),
                None => ended_unknown(became),
            }
            log(outcome, *settled, became);
        }
        self.leftovers.add(left);
        ended
    }
}

impl Settler {
    /// A job that has ended gives its turn to the next one of its key. One that waits for another
    /// attempt keeps it, or lets the others pass.
    fn give_back_turn(&self, outcome: &Delivery, settled: Settled) {
        let Some(turn) = &outcome.turn else { return };
        let settlement = &outcome.settlement;
        match (settled, &settlement.ending) {
            (Settled::Applied(Some(_)) | Settled::AlreadyFinal, _) => self.gates.give_back(turn),
            (Settled::Applied(None), Ending::Retry { .. } | Ending::Snooze { .. })
                if turn.yields =>
            {
                self.gates.let_pass(turn, settlement.id);
            }
            (Settled::Applied(None) | Settled::LeaseLost, _) => {}
        }
    }
}

/// Whether the errors of a job that is tried again may come to too much. A long one may be the first
/// of a life that follows others, whose errors are kept.
fn has_many_errors(settlement: &Settlement) -> bool {
    let Ending::Retry { failure, .. } = &settlement.ending else { return false };
    settlement.attempt >= ERRORS_MANY
        || settlement.attempt > 1 && failure.message.len() >= ERROR_LONG
}

/// The name in metrics for the end of an outcome.
fn became(settlement: &Settlement, settled: Settled) -> &'static str {
    match settled {
        Settled::Applied(Some(status)) => status.as_str(),
        Settled::Applied(None) => settlement.ending.as_str(),
        Settled::LeaseLost => "lease_lost",
        Settled::AlreadyFinal => "already_final",
    }
}

/// Logs outcomes that did not count, and jobs that failed for good.
fn log(outcome: &Delivery, settled: Settled, became: &str) {
    let id = outcome.settlement.id;
    let meter = outcome.meter.as_ref();
    let (task, queue) = meter.map(|it| (it.task.as_str(), it.queue.as_str())).unzip();
    match (settled, &outcome.settlement.ending) {
        (Settled::Applied(Some(Status::Failed)), Ending::Failed(failure)) => {
            if let (EXPIRED | DEADLINE_EXCEEDED, Some(queue)) = (failure.code.as_str(), queue) {
                out_of_time(&failure.code, queue);
            }
            log_failed(id, failure, task, queue);
        }
        (Settled::Applied(Some(Status::Failed)), Ending::Snooze { .. }) => {
            log_failed(id, &Failure::snooze_limit(), task, queue);
        }
        (Settled::Applied(_), _) => {}
        (Settled::LeaseLost, _) => {
            tracing::warn!(job.id = %id, why = became, "discarded a stale outcome");
        }
        (Settled::AlreadyFinal, _) => {
            tracing::warn!(job.id = %id, why = became,
                "discarded an outcome, which may have been settled before");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_value_is_at_fault_and_a_full_queue_of_notifications_is_not() {
        let refused = |state: &str| Error::Refused {
            state: state.into(),
            message: String::new(),
            detail: None,
        };
        for (state, refusal) in [
            ("22P05", Refusal::Value),
            ("22003", Refusal::Value),
            ("54000", Refusal::Announcement),
            ("23514", Refusal::Partition),
            ("XX000", Refusal::Other),
            ("58030", Refusal::Other),
            ("53400", Refusal::Other),
            ("0A000", Refusal::Other),
            ("23505", Refusal::Other),
        ] {
            assert_eq!(Refusal::of(&refused(state), true), refusal, "{state}");
        }
        assert_eq!(Refusal::of(&refused("54000"), false), Refusal::Value);
        assert_eq!(Refusal::of(&Error::Unknown(String::new()), true), Refusal::Passing);
        assert_eq!(Refusal::of(&Error::Unexpected(String::new()), true), Refusal::Other);
    }
}
