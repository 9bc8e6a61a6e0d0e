//! How far running handlers say they are.

use uuid::Uuid;

use super::session::sql;
use super::{Result, Store};
use crate::job::{JobId, LeaseId};

/// The last word of a running handler.
#[derive(Clone, Debug)]
pub struct Progress {
    pub lease: LeaseId,
    pub id: JobId,
    /// 0 to 1.
    pub fraction: Option<f64>,
    pub message: Option<String>,
}

impl Store {
    /// Keeps the last report of each job.
    pub async fn progress_report(&self, reports: &[Progress]) -> Result<()> {
        let leases: Vec<Uuid> = reports.iter().map(|report| report.lease.0).collect();
        let ids: Vec<Uuid> = reports.iter().map(|report| report.id.0).collect();
        let fractions: Vec<Option<f64>> = reports.iter().map(|report| report.fraction).collect();
        let messages: Vec<Option<&str>> =
            reports.iter().map(|report| report.message.as_deref()).collect();
        let statement = sql!("progress/report": UUID_ARRAY, UUID_ARRAY, FLOAT8_ARRAY, TEXT_ARRAY);
        self.outcomes.query(statement, &[&leases, &ids, &fractions, &messages]).await.map(drop)
    }
}
