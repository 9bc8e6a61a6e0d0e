//! Unique keys, and the order in which locks are taken.
//!
//! A key has a row in `unique_key`, which names its holder. An outcome is written without a look at
//! that row. So a session that has locked it, such as an open SQL transaction, cannot hold up an
//! outcome. Keys are freed afterwards. Until then the holder has ended, and a key whose holder has
//! ended counts as free. The keys that are to be freed are only remembered in the process. A row
//! that a killed process left stays until somebody takes the key, or until retention forgets the
//! job.
//!
//! Every statement takes its locks in this order, each kind in the order that is given:
//!
//! 1. `unique_key`, by (queue, key);
//! 2. `week`: a retry takes a share lock on the row of its job's week;
//! 3. `worker`: a rescue locks the row of the lost one before its leases;
//! 4. `lease`, by id;
//! 5. `ready`, by id;
//! 6. `job` and what hangs on it: `outcome`, `attempt`, `superseded`, `progress`.
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
}
