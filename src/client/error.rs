//! Why reading or steering jobs failed.

use crate::job::submission::FieldError;
use crate::store::Error;
use crate::submitter::words;

pub(super) const SHUT_DOWN: &str = "the service was shut down";

/// Why jobs could not be read or steered. [`SubmitError`](crate::SubmitError) is that of
/// submissions.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// The call is not valid: everything that is wrong, by the names that the HTTP API has.
    #[error("nothing was changed: {}", words(.0))]
    Invalid(Vec<FieldError>),
    /// Nothing was changed. It may be repeated.
    #[error("the database cannot be reached, and nothing was changed: {0}")]
    Unavailable(String),
    /// The database gave up for a passing reason, such as a lock. Nothing was changed, and it may
    /// be repeated.
    #[error("the database was too busy, and nothing was changed: {0}")]
    Busy(String),
    /// The answer was lost, so a change may have been made or not. Look before it is repeated.
    #[error("the database did not answer, and a change may have been made: {0}")]
    Unknown(String),
    /// The database refused it.
    #[error("the database refused: {0}")]
    Refused(String),
}

impl ClientError {
    /// The code of the error, stable for programs. The HTTP API has the same codes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "validation_failed",
            Self::Unavailable(_) => "database_unavailable",
            Self::Busy(_) => "database_busy",
            Self::Unknown(_) => "outcome_unknown",
            Self::Refused(_) => "internal_error",
        }
    }

    pub(super) fn closed() -> Self {
        Self::Unavailable(SHUT_DOWN.into())
    }

    pub(super) fn of(error: Error) -> Self {
        let cause = error.cause();
        match error {
            Error::Unavailable(_) | Error::Misconfigured { .. } => Self::Unavailable(cause),
            Error::Busy { .. } => Self::Busy(cause),
            Error::Unknown(_) => Self::Unknown(cause),
            Error::Refused { .. } | Error::Unexpected(_) => Self::Refused(cause),
        }
    }
}
