//! What became of submissions.

use super::JobId;
use super::state::Status;

/// What became of one submission.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    pub job_id: JobId,
    pub status: Status,
    pub outcome: Outcome,
}

/// Whether a submission made a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Created,
    /// A job that has not ended holds the unique key, and was kept.
    Existing,
    /// A waiting job took the new content.
    Replaced,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Existing => "existing",
            Self::Replaced => "replaced",
        }
    }
}
