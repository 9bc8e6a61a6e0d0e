//! What must not be, for builds with faults: see `settling/mutant.rs`.

use uuid::Uuid;

use super::Settlement;
use crate::job::ending::Ending;
use crate::store::Store;
use crate::store::error::Result;
use crate::store::session::sql;
use crate::store::value::Jsonb;

impl Store {
    /// Writes the results of completed jobs without looking at leases.
    pub(crate) async fn lease_settle_unfenced(&self, settlements: &[&Settlement]) -> Result<()> {
        let (mut ids, mut leases, mut results) = (Vec::new(), Vec::new(), Vec::new());
        for settlement in settlements {
            if let Ending::Completed(result) = &settlement.ending {
                ids.push(settlement.id.0);
                leases.push(settlement.lease.0);
                results.push(Jsonb(result.clone()));
            }
        }
        let (ids, leases): (Vec<Uuid>, Vec<Uuid>) = (ids, leases);
        let statement = sql!("lease/settle_unfenced": UUID_ARRAY, UUID_ARRAY, JSONB_ARRAY);
        self.outcomes.query(statement, &[&ids, &leases, &results]).await.map(drop)
    }
}
