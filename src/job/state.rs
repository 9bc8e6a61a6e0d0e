//! The states of a job.
//!
//! ```text
//! scheduled → queued → processing → completed | failed | cancelled
//! processing → scheduled (retry, snooze)      processing → queued (release, rescue)
//! scheduled | queued → cancelled              an end → queued (an operator's retry)
//! ```
//! The table that holds the job's row is its state, so none of these is ever written as such.
//! `ready` holds those that are scheduled or queued (a matter of the clock), `lease` those in
//! processing, `outcome` those that have ended.

use super::names::names;

/// How a job stands, as users see it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// It waits for its time.
    Scheduled,
    /// It may start.
    Queued,
    /// A worker holds it.
    Processing,
    /// It ended well.
    Completed,
    /// Its attempts are used up, or its error was permanent.
    Failed,
    /// A caller cancelled it.
    Cancelled,
}

names!(Status {
    Scheduled = "scheduled",
    Queued = "queued",
    Processing = "processing",
    Completed = "completed",
    Failed = "failed",
    Cancelled = "cancelled",
});

impl Status {
    /// Whether the job has ended.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AttemptEnd {
    Completed,
    Failed,
    Cancelled,
    /// Its worker stopped answering. Spends no attempt.
    Lost,
    /// Its worker left, and gave it back. Spends no attempt.
    Released,
    /// The handler asked to be run later. Spends no attempt.
    Snoozed,
    /// It failed and ended the job, which a redrive sent back later.
    Redriven,
}

names!(AttemptEnd {
    Completed = "completed",
    Failed = "failed",
    Cancelled = "cancelled",
    Lost = "lost",
    Released = "released",
    Snoozed = "snoozed",
    Redriven = "redriven",
});
