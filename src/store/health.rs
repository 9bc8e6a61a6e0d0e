//! Whether the database would take a job.

use super::session::sql;
use super::{Error, Result, Store};

impl Store {
    /// An error unless the database answers and takes writes.
    pub async fn health_ping(&self) -> Result<()> {
        let rows = self.hot(sql!("health/ping"), &[]).await?;
        match rows.first() {
            Some(row) if row.get::<_, bool>(0) => {
                Err(Error::Unavailable("the database is read-only".into()))
            }
            _ => Ok(()),
        }
    }
}
