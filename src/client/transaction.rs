//! Submitting within a transaction of the caller.

use chrono::Utc;
use serde::Deserialize;
use tokio_postgres::Transaction;
use uuid::Uuid;

use crate::job::JobId;
use crate::job::fields::NewJob;
use crate::job::written::Written;
use crate::store::Error;
use crate::store::job::submit_within;
use crate::submitter::SubmitError;

/// Submits a job within a transaction of the caller, over a connection of the caller. The job
/// exists if that commits, and a worker is woken by the commit. The role needs USAGE on the schema
/// `reveille` and EXECUTE on `reveille.submit_many`, which this calls.
///
/// ```no_run
/// # async fn example(mut db: tokio_postgres::Client) -> anyhow::Result<()> {
/// use reveille::{NewJob, submit_in};
///
/// let transaction = db.transaction().await?;
/// transaction.execute("insert into orders (id) values ($1)", &[&7_i64]).await?;
/// submit_in(&transaction, NewJob::new("send_invoice", &7)).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// Another driver, such as sqlx, executes the statement itself. It takes one `jsonb` (with sqlx a
/// `sqlx::types::Json`), a list of jobs with the fields that the HTTP API has:
///
/// ```sql
/// select job_id, status, outcome from reveille.submit_many($1)
/// -- $1: [{"task": "send_invoice", "payload": 7, "queue": "mail"}]
/// ```
///
/// # Errors
/// See [`SubmitError`]. The transaction is aborted then, as by any statement that fails, unless the
/// error is [`SubmitError::Invalid`]: that is found before anything is sent.
pub async fn submit_in(transaction: &Transaction<'_>, job: NewJob) -> Result<Written, SubmitError> {
    let job = job.check(Utc::now()).map_err(SubmitError::Invalid)?;
    submit_within(transaction, &job).await.map_err(|error| refusal(&error))
}

fn refusal(error: &Error) -> SubmitError {
    match error {
        Error::Refused { detail: Some(detail), .. } if error.is_doubled() => match holder(detail) {
            Some(holder) => SubmitError::Conflict(vec![(0, holder)]),
            None => SubmitError::Refused(error.to_string()),
        },
        _ if error.is_locked() => SubmitError::KeyBusy,
        Error::Refused { .. } | Error::Unexpected(_) => SubmitError::Refused(error.to_string()),
        // The transaction is not committed, whatever came of the statement.
        _ => SubmitError::Unavailable(error.to_string()),
    }
}

/// Who holds the unique key, as the database says.
fn holder(detail: &str) -> Option<JobId> {
    #[derive(Deserialize)]
    struct Held {
        job_id: Uuid,
    }
    let held: Vec<Held> = serde_json::from_str(detail).ok()?;
    held.first().map(|held| JobId(held.job_id))
}
