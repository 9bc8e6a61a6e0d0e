//! How attempts end.

use chrono::{DateTime, Utc};

use super::failure::Failure;
use super::json::Json;

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// It succeeded, with this result.
    Completed(Json),
    /// For good.
    Failed(Failure),
    /// It gave way to a cancellation.
    Cancelled(Failure),
    /// It failed and is tried again after so many seconds.
    Retry {
        /// How long the job waits.
        seconds: f64,
        /// Why the attempt failed.
        failure: Failure,
    },
    /// It asked to come back after so many seconds; the attempt is not spent.
    Snooze {
        /// How long the job waits.
        seconds: f64,
    },
    /// It was given back; the attempt is not spent.
    Release,
    /// It was claimed and did not begin; it waits again where it stood.
    NotStarted {
        /// Where the job stood.
        run_at: DateTime<Utc>,
    },
}

impl Ending {
    /// Its name in the statement and in metrics, whose labels stay as they were.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled(_) => "cancelled",
            Self::Retry { .. } => "retry",
            Self::Snooze { .. } => "snooze",
            Self::Release => "release",
            Self::NotStarted { .. } => "unbegun",
        }
    }

    /// How long it is to wait.
    pub fn seconds(&self) -> f64 {
        match self {
            Self::Retry { seconds, .. } | Self::Snooze { seconds } => *seconds,
            _ => 0.0,
        }
    }

    /// Where it stood before its claim, if it goes back there.
    pub fn run_at(&self) -> Option<DateTime<Utc>> {
        if let Self::NotStarted { run_at } = self { Some(*run_at) } else { None }
    }

    /// Whether the job is to wait again.
    pub fn waits_again(&self) -> bool {
        match self {
            Self::Completed(_) | Self::Failed(_) | Self::Cancelled(_) => false,
            Self::Retry { .. } | Self::Snooze { .. } | Self::Release | Self::NotStarted { .. } => {
                true
            }
        }
    }

    /// About how much room its result or error takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Completed(result) => result.as_str().len(),
            Self::Failed(failure) | Self::Cancelled(failure) | Self::Retry { failure, .. } => {
                failure.message.len()
            }
            _ => 0,
        }
    }
}
