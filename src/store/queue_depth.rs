//! How many jobs wait in each queue, cheaply however many there are.

use super::row::Row;
use super::session::sql;
use super::{Result, Store};

/// How a queue stands.
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
    /// Every queue with waiting jobs, and those that are known and empty (some of them, where there are hundreds).
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
