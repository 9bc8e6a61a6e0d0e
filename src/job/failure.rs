//! Why attempts end badly.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::JobId;
use super::bounds::{ERROR_BYTES_MOST, SNOOZES_MOST, excerpt};
use super::ending::Ending;

/// Why an attempt ended badly, as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Failure {
    /// Stable: `handler_error`, `permanent`, `panicked`, `timed_out`, `invalid_payload`,
    /// `invalid_result`, `result_too_large`, `outcome_refused`, `unreadable`, `worker_lost`,
    /// `cancelled`, `superseded`, `expired`, `deadline_exceeded`, `snooze_limit`, and of an attempt
    /// `snoozed`. Handlers may give others.
    pub code: String,
    /// The event, for people.
    pub message: String,
    /// The other job that the message is about, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<Uuid>,
}

impl Failure {
    /// With a message of at most `ERROR_BYTES_MOST`.
    pub fn new(code: &str, message: &str) -> Self {
        let message = excerpt(message, ERROR_BYTES_MOST);
        Self { code: code.to_owned(), message, job_id: None }
    }

    /// With a message in two parts, the second of which may be long.
    pub fn about(code: &str, what: &str, why: &str) -> Self {
        let why = excerpt(why, ERROR_BYTES_MOST.saturating_sub(what.len()));
        Self { code: code.to_owned(), message: format!("{what}{why}"), job_id: None }
    }

    /// Of a job that has snoozed as often as it may.
    pub(crate) fn snooze_limit() -> Self {
        let message = format!(
            "the job has snoozed {SNOOZES_MOST} times, which is as often as it may; retry it to let it go on"
        );
        Self::new("snooze_limit", &message)
    }

    /// Of a job that ends because `replacement` took its unique key, where it would have waited
    /// again after `ending`.
    pub(crate) fn superseded(replacement: JobId, ending: &Ending) -> Self {
        let message = match ending {
            Ending::Retry { failure, .. } => {
                let Self { code, message, .. } = failure;
                format!(
                    "job {replacement} took its unique key, and its last attempt failed ({code}: {message})"
                )
            }
            _ => format!("job {replacement} took its unique key"),
        };
        Self { job_id: Some(replacement.0), ..Self::new("superseded", &message) }
    }
}
