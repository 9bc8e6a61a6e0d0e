//! Outcomes on their way to the database, with what goes along.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::Key;
use super::meter::Meter;
use crate::events::Turn;
use crate::job::bounds::excerpt;
use crate::job::ending::Ending;
use crate::job::failure::Failure;
use crate::job::family::Family;
use crate::job::{JobId, LeaseId};
use crate::store::lease::{Settlement, Settles};

/// Bytes of an error's message in the log; the job has more of it.
const LOGGED_BYTES_MOST: usize = 1 << 10;

/// An outcome to be settled.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub settlement: Settlement,
    /// Counts its end; `None` if its task is not known.
    pub meter: Option<Arc<Meter>>,
    /// The turn that the job has among those of its `concurrency_key`; `None` for most jobs.
    pub turn: Option<Box<Turn>>,
    /// The room that a large result takes until it is settled.
    #[expect(dead_code, reason = "it is held, and dropped with the outcome")]
    pub room: Option<Arc<OwnedSemaphorePermit>>,
}

impl Delivery {
    pub(super) fn key(&self) -> Key {
        (self.settlement.lease, self.settlement.id)
    }
}

impl Settles for Delivery {
    fn settlement(&self) -> &Settlement {
        &self.settlement
    }

    fn family(&self, ending: &Ending) -> Option<i64> {
        let (Ending::Failed(failure), Some(meter)) = (ending, &self.meter) else { return None };
        Some(Family::of(meter.task.as_str(), meter.queue.as_str(), failure).0)
    }
}

/// The leases of a batch, once for each run of outcomes of one lease.
pub(super) fn leases_of(batch: &[Delivery]) -> Vec<LeaseId> {
    let mut leases: Vec<LeaseId> = batch.iter().map(|outcome| outcome.settlement.lease).collect();
    leases.dedup();
    leases
}

/// Logs that a job failed for good: somebody has to look at it.
pub(crate) fn log_failed(job: JobId, failure: &Failure, task: Option<&str>, queue: Option<&str>) {
    tracing::warn!(job.id = %job, task.name = task, queue.name = queue, error.code = failure.code,
        error.message = excerpt(&failure.message, LOGGED_BYTES_MOST), "job failed; it is not tried again");
}
