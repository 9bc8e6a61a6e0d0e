//! Whether the database would take a job, and who serves what.

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

    /// The tasks that some live worker serves.
    pub async fn task_served(&self) -> Result<Vec<String>> {
        Ok(self.cold(sql!("task/served"), &[]).await?.iter().map(|row| row.get(0)).collect())
    }
}
