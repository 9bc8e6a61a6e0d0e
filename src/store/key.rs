//! Unique keys, and the order in which locks are taken.
//!
//! A key has a row in `unique_key`, which names its holder. An outcome is written without a look at
//! that row. So a session that has locked it, such as an open SQL transaction, cannot hold up an
//! outcome. Keys are freed afterwards. Until then the holder has ended, and a key whose holder has
//! ended counts as free. The keys that are to be freed are only remembered in the process. A row
//! that a killed process left stays until somebody takes the key, or until retention forgets the
//! job.
//!
//! A key may have a window (`until`), which outlives its job: a holder that completed, or that is
//! gone since, keeps the key until then. A holder that failed or was cancelled does not, and a
//! deletion takes the key along. `key_is_free` decides it, for every statement that takes or frees
//! a key. The leader frees keys whose window is over, without waiting for them.
//!
//! Every statement takes its locks in this order, each kind in the order that is given:
//!
//! 1. `idempotency`, by (principal, path, key);
//! 2. `unique_key`, by (queue, key);
//! 3. `week`: a retry takes a share lock on the row of its job's week;
//! 4. `worker`: a rescue locks the row of the lost one before its leases;
//! 5. `lease`, by id;
//! 6. `ready`, by id;
//! 7. `job` and what hangs on it: `outcome`, `attempt`, `superseded`, `progress`.
//!
//! A submission locks all of its keys in one pass, before anything else. A cancellation, a retry
//! and a deletion lock the key of their job first. Outcomes, rescues and claims lock no key; what
//! frees or prunes keys passes by those that are locked. A lock that is not waited for (SKIP
//! LOCKED) has no place in the order.
//!
//! `superseded` has the jobs whose key went to a replacement while a worker held them. Such a job
//! does not wait again: it ends `cancelled`. That is decided before its outcome is written. It is
//! decided again when it is claimed, since the transaction of the replacement may have been open
//! until then.

use std::collections::{HashMap, HashSet};

use tokio::time::Instant;
use uuid::Uuid;

use super::row::Row;
use super::session::sql;
use super::{Result, Store};
use crate::job::JobId;
use crate::job::submission::Submission;

impl Store {
    /// Those of these jobs that do not wait again, with the job that took the unique key of each.
    pub async fn key_superseded(&self, ids: &[JobId]) -> Result<HashMap<JobId, JobId>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = self.outcomes.query(sql!("key/superseded": UUID_ARRAY), &[&ids]).await?;
        rows.iter().map(|row| Ok((JobId(row.try_get(0)?), JobId(row.try_get(1)?)))).collect()
    }

    /// The places of those of these submissions whose keys somebody has locked, such as an open SQL
    /// transaction.
    pub async fn key_held(
        &self,
        jobs: &[(JobId, Submission)],
        deadline: Instant,
    ) -> Result<HashSet<usize>> {
        let queues: Vec<&str> = jobs.iter().map(|(_, job)| job.queue.as_str()).collect();
        let keys: Vec<Option<&str>> = jobs
            .iter()
            .map(|(_, job)| job.unique.as_ref().map(|unique| unique.key.as_str()))
            .collect();
        let statement = sql!("key/held": TEXT_ARRAY, TEXT_ARRAY);
        let rows = self.submissions.query_by(deadline, statement, &[&queues, &keys]).await?;
        let place =
            |row: &Row| Ok(usize::try_from(row.try_get::<_, i64>(0)? - 1).unwrap_or_default());
        rows.iter().map(place).collect()
    }

    /// Frees the unique keys of those of these jobs that have ended, without waiting. Answers those
    /// whose keys somebody has locked, which are to be tried again. A key that is never freed does
    /// no harm.
    pub async fn key_free(&self, ids: &[JobId]) -> Result<Vec<JobId>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = self.upkeep.query(sql!("key/free": UUID_ARRAY), &[&ids]).await?;
        rows.iter().map(|row| Ok(JobId(row.try_get(0)?))).collect()
    }

    /// Frees up to `most` keys whose window is over, unless their jobs go on. Answers how many
    /// windows were over.
    pub async fn key_over(&self, most: u32) -> Result<u32> {
        let rows = self.upkeep.query(sql!("key/over": INT8), &[&i64::from(most)]).await?;
        let over = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose()?;
        Ok(over.and_then(|over| over.try_into().ok()).unwrap_or_default())
    }
}
