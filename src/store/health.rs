//! Whether the database would take a job.

use super::session::sql;
use super::{Error, Result, Store};

impl Store {
    /// An error unless the database answers and takes writes.
    pub async fn health_ping(&self) -> Result<()> {
        let rows = self.hot(sql!("health/ping"), &[]).await?;
        match rows.first() {
            Some(row) if row.try_get::<_, bool>(0)? => {
                Err(Error::Unavailable("the database is read-only".into()))
            }
            _ => Ok(()),
        }
    }

    /// How many migrations a service must know to run on the schema as it is now.
    pub async fn schema_oldest_service(&self) -> Result<u32> {
        let rows = self.cold(sql!("schema/oldest_service"), &[]).await?;
        let oldest = rows.first().map(|row| row.try_get::<_, Option<i32>>(0)).transpose()?;
        Ok(oldest.flatten().and_then(|oldest| u32::try_from(oldest).ok()).unwrap_or_default())
    }
}
