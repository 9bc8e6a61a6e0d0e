//! First answers that are kept for those who repeat a request.

use std::time::Duration;

use tokio::time::Instant;

use super::session::sql;
use super::{Result, Store};

impl Store {
    /// How many answers are kept for a principal, counted up to `most`.
    pub(crate) async fn idempotency_count(
        &self,
        principal: &str,
        most: u32,
        deadline: Instant,
    ) -> Result<u32> {
        let statement = sql!("idempotency/count": TEXT, INT8);
        let rows =
            self.submissions.query_by(deadline, statement, &[&principal, &i64::from(most)]).await?;
        let count = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose()?;
        Ok(count.and_then(|count| count.try_into().ok()).unwrap_or_default())
    }

    /// Forgets up to `most` answers that were kept for so long. Answers how many.
    pub(crate) async fn idempotency_forget(&self, keep: Duration, most: u32) -> Result<u32> {
        let statement = sql!("idempotency/forget": FLOAT8, INT8);
        let rows = self.upkeep.query(statement, &[&keep.as_secs_f64(), &i64::from(most)]).await?;
        let count = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose()?;
        Ok(count.and_then(|count| count.try_into().ok()).unwrap_or_default())
    }
}
