//! Sweeps: claims of whole queues in their order, whichever lanes they have.
//!
//! A claim that names lanes costs two probes of the index for each. Where a lane has one job, they
//! cost more than the job does: jobs of 100,000 queues took six times as long as those of one.

use std::collections::HashMap;

use super::claim::{Claim, ClaimRoom, LEASE_MOST, LaneClaim, Reading};
use crate::job::WorkerId;
use crate::queue::{Lane, QueueName, TaskName};
use crate::store::row::Row;
use crate::store::session::{Parameters, sql};
use crate::store::{Result, Store};

/// What a sweep gave.
#[derive(Debug, Default)]
pub struct Swept {
    /// The lanes that the claim is about: those that gave jobs, have jobs to come or are held.
    pub lanes: Vec<LaneClaim>,
    /// Its jobs, and when the lanes that it came by have more. Every other lane of these queues is
    /// empty.
    pub claim: Claim,
    /// The queue that it did not get through, of which it took nothing; `None`: there is none.
    pub stopped: Option<QueueName>,
}

impl Store {
    /// Claims what is due of these tasks, in whole queues from the one named `begin` on, as far as
    /// so many `rows` of the index go and there is `room`.
    pub async fn lease_sweep(
        &self,
        worker: WorkerId,
        begin: &str,
        tasks: &[String],
        rows: usize,
        room: &mut ClaimRoom,
    ) -> Result<Swept> {
        let statement = sql!("lease/sweep": TEXT, TEXT_ARRAY, UUID, INT8, INT4);
        let most = i64::try_from(rows).unwrap_or(i64::MAX);
        let parameters: Parameters<'_> = &[&begin, &tasks, &worker.0, &most, &LEASE_MOST];
        let mut sweep = Sweeping {
            reading: Reading::new(room),
            places: HashMap::new(),
            swept: Swept::default(),
        };
        let mut failed = None;
        let take = |row: Row| {
            if let Err(error) = sweep.row(&row) {
                failed.get_or_insert(error);
            }
        };
        self.claims.each(statement, parameters, take).await?;
        failed.map_or_else(|| Ok(sweep.end()), Err)
    }
}

/// As [`Reading`], where the rows say which lanes there are.
struct Sweeping<'a> {
    reading: Reading<'a>,
    /// The place of each lane in `swept`.
    places: HashMap<Lane, usize>,
    swept: Swept,
}

impl Sweeping<'_> {
    fn row(&mut self, row: &Row) -> Result<()> {
        if self.reading.is_lease(row)? {
            return Ok(());
        }
        let Some(queue) = row.try_get::<_, Option<&str>>(14)? else { return Ok(()) };
        let Some(task) = row.try_get::<_, Option<&str>>(15)? else {
            self.swept.stopped = Some(QueueName::trusted(queue));
            return Ok(());
        };
        let nth = self.lane(queue, task, row.try_get(16)?);
        self.reading.of_lane(row, nth, &self.swept.lanes[nth].lane)
    }

    /// The place of this lane: mostly that of the row before.
    fn lane(&mut self, queue: &str, task: &str, priority: i16) -> usize {
        let last = self.swept.lanes.last().map(|last| &last.lane);
        let same = last.is_some_and(|last| {
            (last.queue.as_str(), last.task.as_str(), last.priority) == (queue, task, priority)
        });
        let next = self.swept.lanes.len();
        if same {
            return next - 1;
        }
        let alike = last.map(|last| &last.task).filter(|known| known.as_str() == task);
        let task = alike.cloned().unwrap_or_else(|| TaskName::trusted(task));
        let lane = Lane { queue: QueueName::trusted(queue), task, priority };
        let nth = *self.places.entry(lane.clone()).or_insert(next);
        if nth == next {
            self.swept.lanes.push(LaneClaim { lane, bound: None, most: usize::MAX });
        }
        nth
    }

    fn end(self) -> Swept {
        let Self { reading, mut swept, .. } = self;
        swept.claim = reading.end();
        // Of a lane the first job to come counts, and one row says that it is held.
        swept.claim.due.sort();
        swept.claim.due.dedup_by_key(|(nth, _)| *nth);
        swept.claim.held.sort_by_key(|(nth, _)| *nth);
        swept.claim.held.dedup_by_key(|(nth, _)| *nth);
        swept
    }
}
