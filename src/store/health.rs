//! Whether the database would take a job. Probes come from anybody, in any number. One answer
//! serves all that ask within half a second, one question is asked at a time, and it has a
//! connection of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::session::sql;
use super::{Error, Purpose, Result, Store};

/// For how long an answer is good, from its question on.
const FRESH: Duration = Duration::from_millis(500);

/// The answer of the database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    pub database: Database,
    /// How many migrations a service must know to run on the schema as it is now; `None`: it could
    /// not be read.
    pub oldest_service: Option<u32>,
}

/// Whether the database takes writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Database {
    Writable,
    /// Submissions find its disk full.
    Full,
    /// A standby, or one that was made read-only.
    ReadOnly,
    Unreachable,
    /// It did not answer in time.
    Silent,
}

/// It did not answer in time.
const SILENT: Health = Health { database: Database::Silent, oldest_service: None };

/// The last question, and its answer once that is there.
#[derive(Clone, Default)]
pub(super) struct Asked(Arc<Mutex<Option<Question>>>);

struct Question {
    at: Instant,
    answer: watch::Receiver<Option<Health>>,
}

impl Question {
    /// Whether its answer is still to come. It comes whether or not anybody waits for it, so that
    /// no old one is kept for those who ask next.
    fn is_open(&self) -> bool {
        self.answer.borrow().is_none() && self.answer.has_changed().is_ok()
    }
}

impl Store {
    /// The answer of the database within the last half second, or now. Comes within two seconds.
    pub async fn health(&self) -> Health {
        let mut answer = {
            let mut asked = self.asked.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = asked.as_ref().filter(|it| it.at.elapsed() < FRESH || it.is_open());
            match known {
                Some(question) => question.answer.clone(),
                None => {
                    let question = Question { at: Instant::now(), answer: self.question() };
                    asked.insert(question).answer.clone()
                }
            }
        };
        // An error says that the runtime of the question has ended.
        let answered = answer.wait_for(Option::is_some).await.ok();
        let health = answered.and_then(|health| health.clone()).unwrap_or(SILENT);
        // Known without writing anything, and newer than the answer.
        let full = health.database == Database::Writable && self.disk.is_full();
        if full { Health { database: Database::Full, ..health } } else { health }
    }

    /// Asks in the background: callers who go away take the answer from nobody.
    fn question(&self) -> watch::Receiver<Option<Health>> {
        let (store, (tell, answer)) = (self.clone(), watch::channel(None));
        tokio::spawn(async move {
            let asking = store.health_ask();
            let health = tokio::time::timeout(Purpose::Probes.within(), asking).await;
            let health = health.unwrap_or(SILENT);
            tracing::debug!(database = ?health.database, "the database was asked how it is");
            tell.send_replace(Some(health));
        });
        answer
    }

    async fn health_ask(&self) -> Health {
        let database = match self.health_ping().await {
            Ok(true) => Database::Writable,
            Ok(false) => Database::ReadOnly,
            Err(error) => {
                tracing::debug!(%error, "the database is not fit for jobs");
                let silent = matches!(error, Error::Unknown(_));
                if silent { Database::Silent } else { Database::Unreachable }
            }
        };
        let oldest_service = match database {
            Database::Writable | Database::Full | Database::ReadOnly => {
                self.schema_oldest_service().await.ok()
            }
            Database::Unreachable | Database::Silent => None,
        };
        Health { database, oldest_service }
    }

    /// Whether the database takes writes.
    async fn health_ping(&self) -> Result<bool> {
        let rows = self.probes.query(sql!("health/ping"), &[]).await?;
        let read_only = rows.first().map(|row| row.try_get::<_, bool>(0)).transpose()?;
        Ok(read_only == Some(false))
    }

    async fn schema_oldest_service(&self) -> Result<u32> {
        let rows = self.probes.query(sql!("schema/oldest_service"), &[]).await?;
        let oldest = rows.first().map(|row| row.try_get::<_, Option<i32>>(0)).transpose()?;
        Ok(oldest.flatten().and_then(|oldest| u32::try_from(oldest).ok()).unwrap_or_default())
    }
}
