//! A step of a purge: jobs of a queue that wait are cancelled.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::step::{Ask, Left, Stepped, WAIT, rest};
use super::{OperationRow, write};
use crate::job::JobId;
use crate::operation::OperationStatus;
use crate::store::session::{Parameters, sql};
use crate::store::{Error, Result};

/// How far a purge has come: jobs of a queue lie in this order.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Place {
    task: String,
    priority: i16,
    run_at: DateTime<Utc>,
    id: Uuid,
    /// Whether anything was found since it began at the front.
    found: bool,
}

/// Cancels the next waiting jobs of a queue. It ends when it went through the queue from its front
/// and found none: jobs that were held ahead of a slot come back meanwhile.
pub(super) async fn purge<'a>(ask: &Ask<'_>, row: &'a OperationRow) -> Result<(Left<'a>, Stepped)> {
    let (mut left, mut stepped) = (Left::as_before(row), Stepped::default());
    let place: Option<Place> = row.cursor.as_ref().and_then(|cursor| cursor.to().ok());
    let front = || Place {
        task: String::new(),
        priority: -1,
        run_at: DateTime::UNIX_EPOCH,
        id: Uuid::nil(),
        found: false,
    };
    let from = place.unwrap_or_else(front);
    let queue = row.filter.queue.as_deref().unwrap_or_default();
    let room = row.pace.room(row.now);
    if room == 0 {
        stepped.rest = rest(row.pace.next_at, row.now);
        return Ok((left, stepped));
    }
    let statement = sql!("operation/purge": TEXT, UUID, TEXT, INT2, TIMESTAMPTZ, UUID, INT8);
    let parameters: Parameters<'_> =
        &[&queue, &row.bound, &from.task, &from.priority, &from.run_at, &from.id, &i64::from(room)];
    let nothing = || Error::Unexpected("no row of operation/purge".into());
    let purged = ask.one(statement, parameters).await?.ok_or_else(nothing)?;
    let ended: Vec<Uuid> = purged.try_get("ended")?;
    let (looked, passed): (i64, i64) = (purged.try_get("looked")?, purged.try_get("passed")?);
    let found = from.found || !ended.is_empty() || passed > 0;
    let through = looked < i64::from(room);
    left.cursor = if through {
        None
    } else {
        let (task, priority) = (purged.try_get("task")?, purged.try_get("priority")?);
        let (run_at, id) = (purged.try_get("run_at")?, purged.try_get("id")?);
        Some(write(&Place { task, priority, run_at, id, found })?)
    };
    let pace = row.pace.after(row.now, ended.len());
    left.next_at = pace.next_at;
    left.came_on = !ended.is_empty() || !through;
    left.moved = i64::try_from(ended.len()).unwrap_or(i64::MAX);
    if through && !found {
        left.end = Some(OperationStatus::Completed);
        stepped.end = Some((OperationStatus::Completed, None));
    }
    stepped.rest = rest(pace.next_at, row.now);
    // Jobs that are held ahead of a slot come back within that time.
    if through {
        stepped.rest = stepped.rest.max(WAIT);
    }
    stepped.ended = ended.into_iter().map(JobId).collect();
    Ok((left, stepped))
}
