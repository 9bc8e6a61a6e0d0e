//! Queues: known, counted, paused and resumed.

use chrono::{DateTime, Utc};

use super::row::Row;
use super::session::{Sql, sql};
use super::{Result, Store};
use crate::caller::Caller;
use crate::queue::QueueName;

/// A count, exact up to 10,000, or a share of that where many queues are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    pub jobs: i64,
    pub estimated: bool,
}

/// How a queue stands.
#[derive(Clone, Debug)]
pub struct QueueRow {
    pub name: QueueName,
    pub paused_at: Option<DateTime<Utc>>,
    pub scheduled: Count,
    pub queued: Count,
    pub processing: Count,
    /// Since when the oldest job that could start has been waiting.
    pub oldest_waiting_at: Option<DateTime<Utc>>,
}

/// How many jobs wait in a queue, cheaply however many there are.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Depth {
    pub queue: String,
    /// Jobs that might run now; estimated where there are very many.
    pub due: f64,
    /// Jobs whose time is to come; likewise.
    pub later: f64,
    /// For how long the first of them has been due.
    pub oldest_seconds: f64,
}

impl Depth {
    /// Takes another queue into the account of this one.
    pub fn add(&mut self, other: &Self) {
        self.due += other.due;
        self.later += other.later;
        self.oldest_seconds = self.oldest_seconds.max(other.oldest_seconds);
    }
}

impl Store {
    /// Remembers queues that have had jobs.
    pub async fn queue_register(&self, names: &[&str]) -> Result<()> {
        self.claims.query(sql!("queue/register": TEXT_ARRAY), &[&names]).await.map(drop)
    }

    /// The names of at most `limit` queues after this one, in order.
    pub async fn queue_names(&self, after: &str, limit: u32) -> Result<Vec<QueueName>> {
        let limit = i64::from(limit);
        let rows = self.people.query(sql!("queue/names": TEXT, INT8), &[&after, &limit]).await?;
        rows.iter().map(|row| Ok(QueueName::trusted(row.try_get(0)?))).collect()
    }

    /// Those of these queues that are known, in their order.
    pub async fn queue_state(&self, names: &[QueueName]) -> Result<Vec<QueueRow>> {
        let names: Vec<&str> = names.iter().map(QueueName::as_str).collect();
        let rows = self.people.query(sql!("queue/state": TEXT_ARRAY), &[&names]).await?;
        rows.iter().filter_map(|row| queue_row(row).transpose()).collect()
    }

    /// Has nothing of this queue claimed any more; it need not be known. Answers whether that
    /// changed anything.
    pub async fn queue_pause(&self, name: &QueueName, caller: &Caller) -> Result<bool> {
        self.queue_steer(sql!("queue/pause": TEXT, TEXT, TEXT), name, caller).await
    }

    /// Has jobs of this queue claimed again, by whoever looks at it. Answers whether that changed
    /// anything.
    pub async fn queue_resume(&self, name: &QueueName, caller: &Caller) -> Result<bool> {
        self.queue_steer(sql!("queue/resume": TEXT, TEXT, TEXT), name, caller).await
    }

    async fn queue_steer(
        &self,
        statement: &'static Sql,
        name: &QueueName,
        caller: &Caller,
    ) -> Result<bool> {
        let (principal, request) = (caller.principal.text(), caller.request_id.as_deref());
        let changed = self.people.query(statement, &[&name.as_str(), &principal, &request]).await?;
        Ok(!changed.is_empty())
    }

    /// The queues that are paused.
    pub async fn queue_paused(&self) -> Result<Vec<String>> {
        self.people
            .query(sql!("queue/paused"), &[])
            .await?
            .iter()
            .map(|row| row.try_get(0))
            .collect()
    }

    /// The queues that were paused so lately that claims sent before may still bring jobs of them.
    /// Asked where claims are asked: readers do not hold it up.
    pub async fn queue_paused_lately(&self) -> Result<Vec<QueueName>> {
        let rows = self.claims.query(sql!("queue/paused_lately"), &[]).await?;
        rows.iter().map(|row| Ok(QueueName::trusted(row.try_get(0)?))).collect()
    }

    /// Every queue with waiting jobs, and those that are known and empty (some of them, where there
    /// are hundreds).
    pub async fn queue_depths(&self) -> Result<Vec<Depth>> {
        let rows = self.upkeep.query(sql!("queue/depths"), &[]).await?;
        let depth = |row: &Row| {
            Ok(Depth {
                queue: row.try_get(0)?,
                due: row.try_get(1)?,
                later: row.try_get(2)?,
                oldest_seconds: row.try_get(3)?,
            })
        };
        rows.iter().map(depth).collect()
    }
}

/// `None`: the queue is not known.
fn queue_row(row: &Row) -> Result<Option<QueueRow>> {
    if !row.try_get::<_, bool>("known")? {
        return Ok(None);
    }
    let count = |jobs: &str, estimated: &str| -> Result<Count> {
        Ok(Count { jobs: row.try_get(jobs)?, estimated: row.try_get(estimated)? })
    };
    Ok(Some(QueueRow {
        name: QueueName::trusted(row.try_get("name")?),
        paused_at: row.try_get("paused_at")?,
        scheduled: count("scheduled", "scheduled_estimated")?,
        queued: count("queued", "queued_estimated")?,
        processing: count("processing", "processing_estimated")?,
        oldest_waiting_at: row.try_get("oldest_waiting_at")?,
    }))
}
