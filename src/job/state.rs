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

use serde::Serialize;

/// How a job stands, as users see it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
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
    /// Somebody cancelled it.
    Cancelled,
}

impl Status {
    /// Each status, in the order of a life.
    pub const ALL: [Self; 6] = [
        Self::Scheduled,
        Self::Queued,
        Self::Processing,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Its name, as the API and SQL spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

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
}

impl AttemptEnd {
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "completed" => Self::Completed,
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            "lost" => Self::Lost,
            "released" => Self::Released,
            "snoozed" => Self::Snoozed,
            _ => return None,
        })
    }
}
