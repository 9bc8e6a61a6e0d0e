//! Handles of metrics, which are kept: one that is looked up by its name and labels is hashed again
//! each time.

use metrics::{Counter, Histogram, counter, histogram};

/// Those of all jobs together; what is told by queue and task has a
/// [`Meter`](crate::settling::meter::Meter).
pub(super) struct JobFigures {
    pub(super) waited: Histogram,
    pub(super) given_back: Counter,
    pub(super) timeouts: Counter,
}

impl Default for JobFigures {
    fn default() -> Self {
        Self {
            waited: histogram!("reveille_job_wait_seconds"),
            given_back: counter!("reveille_jobs_given_back_total"),
            timeouts: counter!("reveille_job_timeouts_total"),
        }
    }
}
