//! Errors of the levels below, as problems.

use http::StatusCode;

use super::problem::Problem;
use crate::job::JobId;
use crate::job::submission::FieldError;
use crate::store::Error;
use crate::submitter::SubmitError;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match &error {
            Error::Unavailable(_) | Error::Misconfigured { .. } => {
                tracing::debug!(%error, "a request could not reach the database");
                database_unavailable()
            }
            Error::Unknown(_) => {
                tracing::debug!(%error, "a request lost the database");
                let detail = "The database gave no answer, or the connection was lost while it \
                              worked. A read can be repeated; after a change, look whether it \
                              was made.";
                Self::unavailable("outcome_unknown", detail, 1)
            }
            Error::Busy { .. } => {
                tracing::debug!(%error, "the database gave up on a request");
                Self::unavailable(
                    "database_busy",
                    "The database was too busy to answer in time. Nothing was changed. Try \
                     again, or ask for less.",
                    1,
                )
            }
            Error::Refused { .. } | Error::Unexpected(_) => {
                tracing::error!(%error, "the database refused a request");
                Self::internal()
            }
        }
    }
}

/// 503 while the database is away.
pub(super) fn database_unavailable() -> Problem {
    let detail = "The database cannot be reached at the moment. Nothing was changed. Try again.";
    Problem::unavailable("database_unavailable", detail, 1)
}

/// The problem of a change that was made, of which the answer could not be read afterwards. A
/// caller who is told that nothing was changed would have it made twice.
pub(super) fn after_change(problem: Problem) -> Problem {
    if problem.status() != StatusCode::SERVICE_UNAVAILABLE {
        return problem;
    }
    let detail = "This was carried out, but the database could not be asked how things stand \
                  now. Look before you repeat it.";
    Problem::unavailable("outcome_unknown", detail, 1)
}

/// Of one submission; [`of_batch`] is for many.
impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Invalid(faults) => Self::invalid(faults),
            SubmitError::Conflict(held) => conflict(&held, |_| "/unique_key".into()),
            SubmitError::Unavailable(cause) => {
                tracing::debug!(%cause, "a submission could not reach the database");
                Self::unavailable(
                    "database_unavailable",
                    "The database cannot be reached at the moment. Nothing was submitted. Try \
                     again.",
                    1,
                )
            }
            SubmitError::Unknown(cause) => {
                tracing::debug!(%cause, "a submission was not confirmed");
                let detail = "The database did not confirm the submission in time: it may have \
                              been kept. Send it again with the Idempotency-Key that it had. \
                              Without one, look for it in GET /jobs first.";
                Self::unavailable("outcome_unknown", detail, 1)
            }
            SubmitError::KeyBusy => {
                let detail = "An open database transaction holds this unique_key, or locks a \
                              table of jobs. Nothing was submitted. Try again when it has ended.";
                Self::unavailable("unique_key_busy", detail, 1)
            }
            SubmitError::Refused(cause) => {
                tracing::error!(%cause, "the database refused a submission");
                Self::internal()
            }
        }
    }
}

/// Of a batch: a conflict names the place of each submission that was refused.
pub(super) fn of_batch(error: SubmitError) -> Problem {
    match error {
        SubmitError::Conflict(held) => conflict(&held, |nth| format!("/{nth}/unique_key")),
        other => other.into(),
    }
}

fn conflict(held: &[(usize, JobId)], pointer: impl Fn(usize) -> String) -> Problem {
    let errors = held.iter().map(|(nth, id)| {
        let message = format!("Job {id} holds this key.");
        FieldError::new(pointer(*nth), "unique_key_conflict", message)
    });
    let detail = "A job holds this unique_key: it has not ended, or completed within its \
                  unique_for_seconds. Nothing was submitted. Wait, use another key, or submit with \
                  on_conflict keep or replace.";
    let problem = Problem::conflict("unique_key_conflict", detail).errors(errors.collect());
    match held.first() {
        Some((_, id)) => problem.job(id.0),
        None => problem,
    }
}
