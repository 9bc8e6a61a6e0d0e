//! Jobs that wait, by their lanes.

use chrono::{DateTime, Utc};

use super::session::{Parameters, sql};
use super::{Result, Store};
use crate::queue::{Lane, QueueName, TaskName};

/// The most lanes that are read at a time, in some 20 ms: claims wait meanwhile.
pub(crate) const LANES_PAGE: usize = 2000;
impl Store {
    /// The next [`LANES_PAGE`] lanes with jobs behind this one, of one queue or of all, and when
    /// the first job of each is due.
    pub async fn ready_lanes(
        &self,
        queue: Option<&QueueName>,
        after: Option<&Lane>,
    ) -> Result<Vec<(Lane, DateTime<Utc>)>> {
        let queue = queue.map(QueueName::as_str);
        let (name, task, priority) = after.map_or_else(
            || (queue.unwrap_or_default(), "", -1),
            |lane| (lane.queue.as_str(), lane.task.as_str(), lane.priority),
        );
        let limit = i64::try_from(LANES_PAGE).unwrap_or(i64::MAX);
        let statement = sql!("ready/lanes": TEXT, TEXT, TEXT, INT2, INT8);
        let parameters: Parameters<'_> = &[&queue, &name, &task, &priority, &limit];
        let rows = self.claims.query(statement, parameters).await?;
        rows.iter()
            .map(|row| {
                let lane = Lane {
                    queue: QueueName::trusted(row.try_get(0)?),
                    task: TaskName::trusted(row.try_get(1)?),
                    priority: row.try_get(2)?,
                };
                Ok((lane, row.try_get(3)?))
            })
            .collect()
    }
}
