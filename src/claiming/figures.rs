//! Handles of metrics, which are kept: one that is looked up by its name and labels is hashed anew
//! each time.

use metrics::{Counter, Histogram, counter, histogram};

use crate::events::Source;

/// Those of claims.
pub(crate) struct ClaimFigures {
    claims: [(Source, Counter); Source::ALL.len()],
    pub suspects: Counter,
    pub took: Histogram,
    pub size: Histogram,
}

impl ClaimFigures {
    pub(crate) fn new() -> Self {
        let claims = |source: &'static str| counter!("reveille_claims_total", "source" => source);
        Self {
            claims: Source::ALL.map(|source| (source, claims(source.as_str()))),
            suspects: claims("suspect"),
            took: histogram!("reveille_claim_duration_seconds"),
            size: histogram!("reveille_claim_batch_size"),
        }
    }

    /// So many jobs were claimed, for this reason.
    pub(crate) fn claimed(&self, source: Source, jobs: usize) {
        if let Some((_, counter)) = self.claims.iter().find(|(known, _)| *known == source) {
            counter.increment(jobs as u64);
        }
    }
}
