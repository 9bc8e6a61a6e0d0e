//! Handles of metrics, which are kept: one that is looked up by its name and labels is hashed anew each time.

use metrics::{Counter, Histogram, counter, histogram};

use crate::events::Source;

/// Those of claims.
pub(super) struct ClaimFigures {
    claims: [(Source, Counter); Source::ALL.len()],
    pub(super) suspects: Counter,
    pub(super) took: Histogram,
    pub(super) size: Histogram,
}

impl ClaimFigures {
    pub(super) fn new() -> Self {
        let claims = |source: &'static str| counter!("reveille_claims_total", "source" => source);
        Self {
            claims: Source::ALL.map(|source| (source, claims(source.as_str()))),
            suspects: claims("suspect"),
            took: histogram!("reveille_claim_duration_seconds"),
            size: histogram!("reveille_claim_batch_size"),
        }
    }

    /// So many jobs were claimed, for this reason.
    pub(super) fn claimed(&self, source: Source, jobs: usize) {
        if let Some((_, counter)) = self.claims.iter().find(|(known, _)| *known == source) {
            counter.increment(jobs as u64);
        }
    }
}

/// Those of all jobs together; what is told by queue and task has a [`Meter`](crate::settling::meter::Meter).
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
