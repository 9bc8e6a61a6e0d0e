//! Time limits of jobs: what ends by itself while it waits.

use std::time::Duration;

use uuid::Uuid;

use super::job::failure;
use super::row::Row;
use super::session::sql;
use super::{Error, Result, Store};
use crate::job::JobId;
use crate::job::failure::Failure;

/// The most jobs that one pass looks at.
const PASS_MOST: i32 = 1000;

/// A job that ended because its time was over.
#[derive(Clone, Debug)]
pub struct Expired {
    pub id: JobId,
    pub queue: String,
    pub task: String,
    pub failure: Failure,
}

/// How old a job is, by the database's clock.
#[derive(Clone, Copy, Debug)]
pub struct Age {
    pub id: JobId,
    /// From its submission, or from the time before which it does not start.
    pub seconds: f64,
    /// Whether an attempt has begun before.
    pub begun: bool,
}

fn expired(row: &Row) -> Result<Expired> {
    let none = || Error::Unexpected("a job that expired without an error".into());
    Ok(Expired {
        id: JobId(row.try_get("id")?),
        queue: row.try_get("queue")?,
        task: row.try_get("task")?,
        failure: failure(row, "error")?.ok_or_else(none)?,
    })
}

impl Store {
    /// As [`Self::expiry_expire`], by the limits of queues.
    pub async fn expiry_expire_defaults(&self) -> Result<Vec<Expired>> {
        let rows = self.upkeep.query(sql!("expiry/expire_defaults": INT4), &[&PASS_MOST]).await?;
        rows.iter().map(expired).collect()
    }

    /// The ages of jobs. Asked where claims are asked: those who wait for a claim wait for it.
    pub async fn expiry_ages(&self, ids: &[JobId]) -> Result<Vec<Age>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = self.claims.query(sql!("expiry/ages": UUID_ARRAY), &[&ids]).await?;
        let age = |row: &Row| {
            Ok(Age {
                id: JobId(row.try_get("id")?),
                seconds: row.try_get("age")?,
                begun: row.try_get("begun")?,
            })
        };
        rows.iter().map(age).collect()
    }

    /// Ends waiting jobs whose time is over, some of them if they are many. Keys that they hold are
    /// to be freed afterwards.
    pub async fn expiry_expire(&self) -> Result<Vec<Expired>> {
        let rows = self.upkeep.query(sql!("expiry/expire": INT4), &[&PASS_MOST]).await?;
        rows.iter().map(expired).collect()
    }

    /// How long until the next job is to be looked at; `None`: there is none.
    pub async fn expiry_next(&self) -> Result<Option<Duration>> {
        let rows = self.upkeep.query(sql!("expiry/next"), &[]).await?;
        let next = rows.first().map(|row| row.try_get::<_, Option<f64>>(0)).transpose()?.flatten();
        Ok(next.map(|next| Duration::try_from_secs_f64(next.max(0.0)).unwrap_or(Duration::MAX)))
    }

    /// Forgets the limits of those of these jobs that have ended.
    pub async fn expiry_forget(&self, ids: &[JobId]) -> Result<()> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        self.upkeep.query(sql!("expiry/forget": UUID_ARRAY), &[&ids]).await.map(drop)
    }
}
