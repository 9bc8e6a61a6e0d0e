//! Forgetting jobs that ended long enough ago.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::job::state::Status;
use crate::store::session::{Parameters, sql};
use crate::store::{Result, Store};

/// How long jobs are kept after their end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keep {
    /// How long completed jobs are kept.
    pub completed: Duration,
    /// Failed and cancelled ones.
    pub failed_or_cancelled: Duration,
}

impl Keep {
    pub(in crate::store) fn seconds(self) -> (f64, f64) {
        (self.completed.as_secs_f64(), self.failed_or_cancelled.as_secs_f64())
    }
}

/// Where the next chunk of a state begins. A forgotten job stays in the index until vacuum, and
/// would be passed by again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pruned {
    pub state: Status,
    /// How many jobs were forgotten.
    pub count: u64,
    /// How many were looked at.
    pub looked: u64,
    pub since: DateTime<Utc>,
}

/// Every state of an end, from its beginning.
pub fn from_the_front() -> [Pruned; 3] {
    let since = DateTime::UNIX_EPOCH;
    [Status::Completed, Status::Failed, Status::Cancelled].map(|state| Pruned {
        state,
        count: 0,
        looked: 0,
        since,
    })
}

impl Store {
    /// Looks at up to `most` jobs of each state that ended before their time, from where `from`
    /// ended. Forgets the jobs of these queues; `None`: of all.
    pub async fn job_prune(
        &self,
        keep: Keep,
        queues: Option<&[&str]>,
        from: [Pruned; 3],
        most: u32,
    ) -> Result<[Pruned; 3]> {
        let (completed, failed_or_cancelled) = keep.seconds();
        let states = from.map(|pruned| pruned.state.as_str());
        let keeps = from.map(|pruned| match pruned.state {
            Status::Completed => completed,
            _ => failed_or_cancelled,
        });
        let since = from.map(|pruned| pruned.since);
        let statement =
            sql!("job/prune": TEXT_ARRAY, FLOAT8_ARRAY, TIMESTAMPTZ_ARRAY, INT8, TEXT_ARRAY);
        let most = i64::from(most);
        let parameters: Parameters<'_> =
            &[&states.as_slice(), &keeps.as_slice(), &since.as_slice(), &most, &queues];
        let rows = self.upkeep.query(statement, parameters).await?;
        let mut next = from.map(|pruned| Pruned { count: 0, looked: 0, ..pruned });
        for row in &rows {
            let state: &str = row.try_get(0)?;
            if let Some(pruned) = next.iter_mut().find(|pruned| pruned.state.as_str() == state) {
                pruned.looked = row.try_get::<_, i64>(1)?.cast_unsigned();
                pruned.since = row.try_get(2)?;
                pruned.count = row.try_get::<_, i64>(3)?.cast_unsigned();
            }
        }
        Ok(next)
    }
}
