//! Queues: known, counted, paused and resumed.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::audit::Action;
use super::defaults::Kept;
use super::row::Row;
use super::session::{Parameters, sql};
use super::{Result, Store};
use crate::caller::Caller;
use crate::job::fields::PauseRequest;
use crate::queue::QueueName;

/// A number of jobs, exact up to 10,000, or a share of that where many are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    /// The jobs.
    pub jobs: i64,
    /// Whether that is an estimate.
    pub estimated: bool,
}

/// The pause of a queue, and its circumstances.
#[derive(Clone, PartialEq, Debug)]
pub struct Pause {
    pub at: DateTime<Utc>,
    /// When it ends by itself; `None`: somebody ends it.
    pub until: Option<DateTime<Utc>>,
    /// Who asked for it, as `crate::caller` tells.
    pub by: Option<String>,
    pub reason: Option<String>,
}

impl Pause {
    /// From the columns that begin with `pause`.
    fn of(row: &Row) -> Result<Option<Self>> {
        let Some(at) = row.try_get("paused_at")? else { return Ok(None) };
        Ok(Some(Self {
            at,
            until: row.try_get("paused_until")?,
            by: row.try_get("paused_by")?,
            reason: row.try_get("pause_reason")?,
        }))
    }
}

/// How a queue stands.
#[derive(Clone, Debug)]
pub struct QueueRow {
    pub name: QueueName,
    pub pause: Option<Pause>,
    pub kept: Kept,
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
    /// Concurrency keys of which a job runs or waits, out to some thousands.
    pub keys: f64,
    /// Jobs that wait for their turn among those of their key, or for their time, likewise.
    pub keyed: f64,
}

impl Depth {
    /// Takes another queue into the account of this one.
    pub fn add(&mut self, other: &Self) {
        self.due += other.due;
        self.later += other.later;
        self.oldest_seconds = self.oldest_seconds.max(other.oldest_seconds);
        self.keys += other.keys;
        self.keyed += other.keyed;
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
    pub async fn queue_pause(
        &self,
        name: &QueueName,
        pause: &PauseRequest,
        caller: &Caller,
    ) -> Result<bool> {
        let statement = sql!("queue/pause": TEXT, TIMESTAMPTZ, FLOAT8, TEXT, TEXT, TEXT, TEXT);
        let PauseRequest { reason, until, seconds } = pause;
        let action = Action::PauseQueue.as_str();
        let (principal, request) = (caller.principal.text(), caller.request_id.as_deref());
        let parameters: Parameters<'_> =
            &[&name.as_str(), until, seconds, reason, &principal, &request, &action];
        Ok(!self.people.query(statement, parameters).await?.is_empty())
    }

    /// Has jobs of this queue claimed again, by whoever looks at it. Answers whether that changed
    /// anything.
    pub async fn queue_resume(&self, name: &QueueName, caller: &Caller) -> Result<bool> {
        let statement = sql!("queue/resume": TEXT, TEXT, TEXT, TEXT);
        let (principal, request) = (caller.principal.text(), caller.request_id.as_deref());
        let action = Action::ResumeQueue.as_str();
        let parameters: Parameters<'_> = &[&name.as_str(), &principal, &request, &action];
        Ok(!self.people.query(statement, parameters).await?.is_empty())
    }

    /// Ends the pauses whose time has come: their queues, and how long until the next one ends.
    pub async fn queue_resume_due(&self) -> Result<(Vec<QueueName>, Option<Duration>)> {
        let (mut resumed, mut next) = (Vec::new(), None);
        for row in &self.upkeep.query(sql!("queue/resume_due"), &[]).await? {
            match row.try_get::<_, Option<&str>>(0)? {
                Some(name) => resumed.push(QueueName::trusted(name)),
                None => next = row.try_get::<_, Option<f64>>(1)?,
            }
        }
        let span = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).ok();
        Ok((resumed, next.and_then(span)))
    }

    /// Forgets queues that have had nothing for so long, and answers how many.
    pub async fn queue_forget(&self, after: Duration) -> Result<u64> {
        let rows = self.upkeep.query(sql!("queue/forget": FLOAT8), &[&after.as_secs_f64()]).await?;
        let gone = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose()?;
        Ok(gone.map_or(0, i64::cast_unsigned))
    }

    /// The queues that are paused.
    pub async fn queue_paused(&self) -> Result<Vec<(String, Pause)>> {
        let mut paused = Vec::new();
        for row in &self.people.query(sql!("queue/paused"), &[]).await? {
            if let Some(pause) = Pause::of(row)? {
                paused.push((row.try_get(0)?, pause));
            }
        }
        Ok(paused)
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
                keys: row.try_get(4)?,
                keyed: row.try_get(5)?,
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
        pause: Pause::of(row)?,
        kept: Kept::of(row)?,
        scheduled: count("scheduled", "scheduled_estimated")?,
        queued: count("queued", "queued_estimated")?,
        processing: count("processing", "processing_estimated")?,
        oldest_waiting_at: row.try_get("oldest_waiting_at")?,
    }))
}
