//! Submitting within a transaction of an application.

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::super::row::Row;
use super::super::session::sql;
use super::super::value::Jsonb;
use super::super::{Error, Result};
use super::submit::all_written;
use crate::job::json::Json;
use crate::job::submission::{Asked, Submission};
use crate::job::written::Written;

/// Submits a job within a transaction of an application, by the function that is there for them.
pub(crate) async fn submit_within(
    transaction: &Transaction<'_>,
    job: &Submission,
) -> Result<Written> {
    let statement = sql!("job/submit_within": JSONB);
    let Ok(jobs) = Json::from_serialize(&[Asked::new(job)]).map(Jsonb) else {
        return Err(Error::Unexpected("the job cannot be written as JSON".into()));
    };
    let rows = transaction.query_typed(statement.text, &[(&jobs, Type::JSONB)]).await?;
    match all_written(&Row::all(statement.name, rows))?.pop() {
        Some(Ok(written)) => Ok(written),
        _ => Err(Error::Unexpected("no answer to a submission".into())),
    }
}
