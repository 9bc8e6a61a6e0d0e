//! Outcomes of submissions.

use super::JobId;
use super::names::names;
use super::state::Status;

/// The answer to one submission.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The id of the job, which may be one that was there before.
    pub job_id: JobId,
    /// How the job stands.
    pub status: Status,
    /// The outcome of the submission.
    pub outcome: Outcome,
}

/// Whether a submission made a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It is a new job.
    Created,
    /// Another job holds the unique key, and was kept.
    Existing,
    /// A waiting job took the new content.
    Replaced,
}

names!(Outcome { Created = "created", Existing = "existing", Replaced = "replaced" });
