//! A step of a redrive: failed jobs wait again, under their own ids.
//!
//! Where the row of a job lies is its state, so no job goes back twice, whoever else redrives it.
//! The filter is applied again to each, since it may have been retried, deleted or redriven since.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::step::{Ask, Left, Stepped, WAIT, rest};
use super::{Moment, NewOperation, OperationRow, Skip, write};
use crate::caller::Caller;
use crate::job::JobId;
use crate::operation::{
    Canary, OperationKind, OperationStatus, Redrive, RedriveCanary, STEP_MOST, Turn,
};
use crate::store::job::failure;
use crate::store::queue::Count;
use crate::store::session::{Parameters, sql};
use crate::store::{Result, Store};

/// The most jobs that a step looks at for those it is about.
const LOOKED_MOST: i64 = 5_000;
/// The most jobs of a canary that one look judges.
const JUDGED_MOST: i64 = 1_000;

/// How far a redrive has come.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
struct Reached {
    /// The last job.
    id: Uuid,
    /// There are no more.
    done: bool,
}

/// How many jobs a redrive is about, and when that was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matched {
    pub count: Count,
    moment: Moment,
}

impl Store {
    /// Tells how many jobs a redrive is about.
    pub(crate) async fn redrive_matched(&self, redrive: &Redrive) -> Result<Matched> {
        let filter = redrive.filter.clone().unwrap_or_default();
        if filter.family.is_some() {
            // Failures of the release before have their families then.
            self.dead_letters_sort().await?;
        }
        let moment = self.operation_moment().await?;
        let count = self.dead_letters_matched(&filter, moment.bound, moment.at).await?;
        Ok(Matched { count, moment })
    }

    /// Asks for a redrive, and answers the id of its operation.
    pub(crate) async fn redrive_create(
        &self,
        redrive: Redrive,
        matched: Matched,
        caller: &Caller,
    ) -> Result<Uuid> {
        let Redrive { filter, rate_per_second, delay_seconds, canary } = redrive;
        let new = NewOperation {
            kind: OperationKind::Redrive,
            filter: filter.unwrap_or_default(),
            moment: matched.moment,
            rate: Some(rate_per_second),
            delay_seconds,
            matched: matched.count,
            canary: canary.map(RedriveCanary::begin),
        };
        self.operation_create(new, caller).await
    }
}

/// Moves the next failed jobs, as many as its pace and its canary allow.
pub(super) async fn redrive<'a>(
    ask: &Ask<'_>,
    row: &'a OperationRow,
) -> Result<(Left<'a>, Stepped)> {
    let (mut left, mut stepped) = (Left::as_before(row), Stepped::default());
    let reached: Option<Reached> = row.cursor.as_ref().and_then(|cursor| cursor.to().ok());
    let mut reached = reached.unwrap_or_default();
    let matched = u64::try_from(row.matched.jobs).unwrap_or_default();
    let mut room = row.pace.room(row.now);
    if let Some(canary) = &mut left.canary {
        if canary.watches() {
            judge(ask, row.id, canary).await?;
        }
        let before = (canary.stage, canary.ended);
        match canary.turn(matched, reached.done, row.now) {
            Turn::Move(most) => room = room.min(most),
            Turn::Wait => {
                // It waits for its jobs, and does not stand still.
                (left.came_on, stepped.rest) = (true, WAIT);
                return Ok((left, stepped));
            }
            Turn::Halt => {
                let why = halted(canary);
                left.end = Some(OperationStatus::Halted);
                stepped.end = Some((OperationStatus::Halted, Some(why.clone())));
                left.halted = Some((canary.first_failed, why));
                return Ok((left, stepped));
            }
        }
        if canary.stage != before.0 {
            ask.all(sql!("operation/canary_end": UUID), &[&row.id]).await?;
        }
    }
    if room == 0 && !reached.done {
        stepped.rest = rest(row.pace.next_at, row.now);
        return Ok((left, stepped));
    }
    let found =
        if reached.done { Found::default() } else { find(ask, row, &reached, room).await? };
    let (moved, skips) = move_back(ask, row, &found).await?;
    if let Some(canary) = left.canary.as_mut().filter(|canary| canary.watches()) {
        watch(ask, row, canary, &moved).await?;
    }
    for id in &moved {
        if let Some(task) = found.tasks.get(id) {
            *stepped.redriven.entry(task.clone()).or_default() += 1;
        }
    }
    reached = Reached { id: found.reached.unwrap_or(reached.id), done: reached.done || found.done };
    let pace = row.pace.after(row.now, moved.len());
    left.cursor = Some(write(&reached)?);
    left.next_at = pace.next_at;
    (left.came_on, left.moved) = (true, i64::try_from(moved.len()).unwrap_or(i64::MAX));
    stepped.skipped = skips.len() as u64;
    left.skips = skips;
    stepped.moved = moved.into_iter().map(JobId).collect();
    let decided = left.canary.as_ref().is_none_or(|canary| !canary.watches());
    if reached.done && decided {
        left.end = Some(OperationStatus::Completed);
        stepped.end = Some((OperationStatus::Completed, None));
    }
    stepped.rest = rest(pace.next_at, row.now);
    Ok((left, stepped))
}

/// Takes the ends of its jobs into a canary's account.
async fn judge(ask: &Ask<'_>, id: Uuid, canary: &mut Canary) -> Result<()> {
    let statement = sql!("operation/canary_look": UUID, INT8);
    let Some(row) = ask.one(statement, &[&id, &JUDGED_MOST]).await? else { return Ok(()) };
    let count = |column: &str| -> Result<u64> {
        Ok(u64::try_from(row.try_get::<_, i64>(column)?).unwrap_or_default())
    };
    canary.ended += count("ended")?;
    canary.failed += count("failed")?;
    // The stage may halt by a look to come, which does not see this job again.
    if canary.first_failed.is_none() {
        canary.first_failed = row.try_get("first")?;
        canary.error = failure(&row, "error")?;
    }
    Ok(())
}

fn halted(canary: &Canary) -> String {
    let Canary { stage, failed, moved, halt_at, error, .. } = canary;
    let job = canary.first_failed.map_or_else(|| "a job".to_owned(), |id| format!("job {id}"));
    let why = error.as_ref().map(|it| format!(" ({}: {})", it.code, it.message));
    let why = why.unwrap_or_default();
    format!(
        "{job} failed again{why}; in stage {} of the canary {failed} of {moved} did, and halt_at is {halt_at}",
        stage + 1
    )
}

/// Jobs that a redrive is to move, which are locked.
#[derive(Default)]
struct Found {
    ids: Vec<Uuid>,
    /// Jobs among these that have a unique key.
    keyed: Vec<Uuid>,
    /// Jobs that somebody else has locked.
    busy: Vec<Uuid>,
    tasks: HashMap<Uuid, String>,
    reached: Option<Uuid>,
    done: bool,
}

async fn find(ask: &Ask<'_>, row: &OperationRow, from: &Reached, room: u32) -> Result<Found> {
    let filter = &row.filter;
    let statement = sql!("operation/candidates": TEXT, TEXT, TEXT, INT8, TIMESTAMPTZ, TIMESTAMPTZ, UUID, UUID, TIMESTAMPTZ, INT8, INT8);
    let parameters: Parameters<'_> = &[
        &filter.queue,
        &filter.task,
        &filter.code,
        &filter.family(),
        &filter.failed_after,
        &filter.failed_before,
        &from.id,
        &row.bound,
        &row.created_at,
        &LOOKED_MOST,
        &i64::from(room.min(STEP_MOST)),
    ];
    let mut found = Found::default();
    for candidate in ask.all(statement, parameters).await? {
        found.reached = candidate.try_get("reached")?;
        found.done = candidate.try_get("done")?;
        let Some(id) = candidate.try_get("id")? else { continue };
        if candidate.try_get("busy")? {
            found.busy.push(id);
            continue;
        }
        found.ids.push(id);
        found.tasks.insert(id, candidate.try_get("task")?);
        if candidate.try_get("keyed")? {
            found.keyed.push(id);
        }
    }
    Ok(found)
}

/// Sends jobs back to wait. Answers those that it moved, and those that it did not.
async fn move_back(
    ask: &Ask<'_>,
    row: &OperationRow,
    found: &Found,
) -> Result<(Vec<Uuid>, Vec<Skip>)> {
    let skip = |job_id, code: &str, holder_id| Skip { job_id, code: code.to_owned(), holder_id };
    let mut skips: Vec<_> = found.busy.iter().map(|&id| skip(id, "job_busy", None)).collect();
    if !found.keyed.is_empty() {
        for key in ask.all(sql!("operation/keys": UUID_ARRAY), &[&found.keyed]).await? {
            let (job_id, holder_id): (Uuid, Option<Uuid>) = (key.try_get(0)?, key.try_get(1)?);
            if holder_id != Some(job_id) {
                let taken = "unique_key_conflict";
                let code = if holder_id.is_some() { taken } else { "unique_key_busy" };
                skips.push(skip(job_id, code, holder_id));
            }
        }
    }
    let kept: HashSet<Uuid> = skips.iter().map(|skip| skip.job_id).collect();
    let ids: Vec<Uuid> = found.ids.iter().copied().filter(|id| !kept.contains(id)).collect();
    if ids.is_empty() {
        return Ok((Vec::new(), skips));
    }
    let starts = row.pace.starts(row.now, ids.len());
    let statement = sql!("operation/put_back": UUID_ARRAY, TIMESTAMPTZ_ARRAY);
    let rows = ask.all(statement, &[&ids, &starts]).await?;
    let moved: Vec<Uuid> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_>>()?;
    Ok((moved, skips))
}

/// Has a canary watch the jobs that were moved.
async fn watch(
    ask: &Ask<'_>,
    row: &OperationRow,
    canary: &mut Canary,
    moved: &[Uuid],
) -> Result<()> {
    if moved.is_empty() {
        return Ok(());
    }
    ask.all(sql!("operation/canary_add": UUID, UUID_ARRAY), &[&row.id, &moved]).await?;
    canary.moved += moved.len() as u64;
    canary.moved_at = Some(row.now);
    Ok(())
}
