//! Gates: the turns of concurrency keys. A job with a key waits in `keyed` until it has a turn, and
//! then in `ready`, as others do.
//!
//! A gate names the jobs that have a turn, and what counts is whether they still can: a job that has
//! ended gives its turn back by that, however it ended. So no outcome names a gate, none waits for
//! one, and none can leak a turn. The next jobs are let in afterwards, by a statement of its own.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::row::Row;
use super::session::{Parameters, sql};
use super::{Result, Store};
use crate::job::JobId;
use crate::queue::{Lane, QueueName, TaskName};

/// The most jobs that a pass looks at, in some 20 ms.
const PASS_MOST: i32 = 1000;
/// The most gates that the leader reads at a time.
pub(crate) const LOOK_MOST: i64 = 1000;

/// What came of giving turns.
#[derive(Debug, Default)]
pub struct Opened {
    /// The lanes where jobs have a turn now.
    pub lanes: Vec<Lane>,
    /// Keys that another session has locked.
    pub busy: Vec<String>,
}

impl Opened {
    fn add(&mut self, queue: &QueueName, row: &Row) -> Result<()> {
        if let Some(busy) = row.try_get(0)? {
            self.busy.push(busy);
        } else if let Some(task) = row.try_get::<_, Option<&str>>(1)? {
            let (task, priority) = (TaskName::trusted(task), row.try_get(2)?);
            self.lanes.push(Lane { queue: queue.clone(), task, priority });
        }
        Ok(())
    }
}

/// What a pass over a queue did.
#[derive(Debug, Default)]
pub struct Pass {
    pub opened: Opened,
    /// Whether it did anything.
    pub any: bool,
    /// The key to go on behind; `None`: it came to the last one.
    pub reached: Option<String>,
    /// When the next job is due.
    pub next: Option<Duration>,
}

/// Who has the turn that a job waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TurnHolder {
    pub id: JobId,
    /// When it is tried again, if it waits for that.
    pub run_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Gives the free turns of these keys to the next jobs of each. Before that, jobs that are
    /// `yielding` let the others pass.
    pub async fn gate_open(
        &self,
        queue: &QueueName,
        keys: &[String],
        yielding: &[JobId],
    ) -> Result<Opened> {
        let yielding: Vec<Uuid> = yielding.iter().map(|id| id.0).collect();
        let statement = sql!("gate/open": TEXT, TEXT_ARRAY, UUID_ARRAY);
        let parameters: Parameters<'_> = &[&queue.as_str(), &keys, &yielding];
        let mut opened = Opened::default();
        for row in self.outcomes.query(statement, parameters).await? {
            opened.add(queue, &row)?;
        }
        Ok(opened)
    }

    /// Gives turns to jobs of a queue that have come, of keys behind this one. `None`: another
    /// session is at it.
    pub async fn gate_sweep(&self, queue: &QueueName, begin: &str) -> Result<Option<Pass>> {
        let statement = sql!("gate/sweep": TEXT, TEXT, INT4);
        let parameters: Parameters<'_> = &[&queue.as_str(), &begin, &PASS_MOST];
        let mut done: Option<Pass> = None;
        for row in self.outcomes.query(statement, parameters).await? {
            let pass = done.get_or_insert_default();
            pass.opened.add(queue, &row)?;
            if let Some(seen) = row.try_get::<_, Option<i64>>(3)? {
                pass.any = seen > 0;
                pass.reached = row.try_get(4)?;
                pass.next = row.try_get::<_, Option<f64>>(5)?.map(seconds);
            }
        }
        Ok(done)
    }

    /// The queues of which jobs may have a turn, and when.
    pub async fn gate_due(&self) -> Result<Vec<(QueueName, Duration)>> {
        let rows = self.upkeep.query(sql!("gate/due"), &[]).await?;
        let due = |row: &Row| Ok((QueueName::trusted(row.try_get(0)?), seconds(row.try_get(1)?)));
        rows.iter().map(due).collect()
    }

    /// Looks at the next [`LOOK_MOST`] gates behind this one, and has those looked at that nobody
    /// was told of. Answers how many, and the last gate that it came to.
    pub async fn gate_look(
        &self,
        (queue, key): (&str, &str),
    ) -> Result<(i64, Option<(String, String)>)> {
        let parameters: Parameters<'_> = &[&queue, &key, &LOOK_MOST];
        let rows = self.upkeep.query(sql!("gate/look": TEXT, TEXT, INT8), parameters).await?;
        let Some(row) = rows.first() else { return Ok((0, None)) };
        let last: (Option<String>, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
        Ok((row.try_get(0)?, last.0.zip(last.1)))
    }

    /// Forgets queues of which no key waits or runs.
    pub async fn gate_tidy(&self) -> Result<()> {
        self.upkeep.query(sql!("gate/tidy"), &[]).await.map(drop)
    }

    /// Of a job that waits for its turn: who has it, if anybody has. `None`: it does not.
    pub async fn gate_holder(&self, id: JobId) -> Result<Option<Option<TurnHolder>>> {
        let rows = self.people.query(sql!("gate/holder": UUID), &[&id.0]).await?;
        let holder = |row: &Row| {
            let Some(id) = row.try_get::<_, Option<Uuid>>(0)? else { return Ok(None) };
            Ok(Some(TurnHolder { id: JobId(id), run_at: row.try_get(1)? }))
        };
        rows.first().map(holder).transpose()
    }
}

/// As long as that is ahead; nothing if it is past.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}
