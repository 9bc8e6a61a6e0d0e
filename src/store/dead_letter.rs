//! Dead letters: the jobs that failed for good, by the families of their failures.
//!
//! A family is one number of a narrow index, so families are found by walking from one to the next,
//! however many jobs each has. Jobs are counted up to a bound, and estimated beyond by the times
//! over which the counted ones are spread.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::job::failure;
use super::queue::Count;
use super::row::Row;
use super::session::{Parameters, sql};
use super::{Result, Store};
use crate::job::JobId;
use crate::job::failure::Failure;
use crate::job::family::Family;
use crate::operation::DeadLetterFilter;

/// The most groups of an answer.
const GROUPS_MOST: usize = 1_000;
/// The most families that one call looks at for those that a filter fits.
const FAMILIES_MOST: i64 = 5_000;
/// The most jobs of one group that are counted, and of all groups of an answer.
const COUNTED_MOST: i64 = 10_000;
const COUNTED_TOGETHER: i64 = 200_000;
/// The least share of a group.
const COUNTED_LEAST: i64 = 200;
/// The most jobs that are looked at to tell how many a redrive is about.
const MATCHED_MOST: i64 = 50_000;
/// Jobs of one statement that sorts failures into families.
const SORTED_MOST: i64 = 1_000;

/// The dead letters that are meant. A member that is empty or `None` does not matter.
#[derive(Clone, Debug, Default)]
pub(crate) struct LetterFilter {
    /// Any of these.
    pub queues: Vec<String>,
    /// Any of these.
    pub tasks: Vec<String>,
    /// Any of these codes of errors.
    pub codes: Vec<String>,
    pub family: Option<Family>,
    pub failed_after: Option<DateTime<Utc>>,
    pub failed_before: Option<DateTime<Utc>>,
}

impl From<&DeadLetterFilter> for LetterFilter {
    fn from(filter: &DeadLetterFilter) -> Self {
        let one = |text: &Option<String>| text.clone().into_iter().collect();
        Self {
            queues: one(&filter.queue),
            tasks: one(&filter.task),
            codes: one(&filter.code),
            family: filter.family().map(Family),
            failed_after: filter.failed_after,
            failed_before: filter.failed_before,
        }
    }
}

/// Jobs that failed in the same way.
#[derive(Clone, Debug)]
pub(crate) struct Letters {
    pub task: String,
    pub queue: String,
    pub family: Family,
    pub count: Count,
    /// When the first of them failed, and the last.
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    /// The newest of them, and its error.
    pub example: JobId,
    pub error: Option<Failure>,
}

/// A family, with its newest job.
struct Kin {
    family: i64,
    task: String,
    queue: String,
    example: JobId,
    error: Option<Failure>,
}

impl Store {
    /// The groups of dead letters, those first that failed last; and how many jobs failed that are
    /// of families beyond these.
    pub(crate) async fn dead_letters(
        &self,
        filter: &LetterFilter,
    ) -> Result<(Vec<Letters>, Count)> {
        let (kins, reached) = self.kins(filter).await?;
        let families: Vec<i64> = kins.iter().map(|kin| kin.family).collect();
        let share = COUNTED_TOGETHER / i64::try_from(families.len().max(1)).unwrap_or(i64::MAX);
        let most = share.clamp(COUNTED_LEAST, COUNTED_MOST);
        let statement = sql!("dead_letter/groups": INT8_ARRAY, TIMESTAMPTZ, TIMESTAMPTZ, INT8);
        let parameters: Parameters<'_> =
            &[&families, &filter.failed_after, &filter.failed_before, &most];
        let rows = self.people.query(statement, parameters).await?;
        let mut kins: HashMap<i64, Kin> = kins.into_iter().map(|kin| (kin.family, kin)).collect();
        let mut groups = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Some(kin) = kins.remove(&row.try_get("family")?) {
                groups.push(group(row, kin)?);
            }
        }
        groups.sort_by_key(|group| std::cmp::Reverse((group.last_at, group.family)));
        let statement = sql!("dead_letter/others": INT8, INT8);
        let rows = self.people.query(statement, &[&reached, &COUNTED_MOST]).await?;
        let mut others = Count { jobs: 0, estimated: false };
        if let Some(row) = rows.first() {
            others = Count { jobs: row.try_get("jobs")?, estimated: row.try_get("cut")? };
        }
        Ok((groups, others))
    }

    /// The families of an answer, and up to which one it was looked; `i64::MAX`: at all of them.
    async fn kins(&self, filter: &LetterFilter) -> Result<(Vec<Kin>, i64)> {
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        let (queues, tasks, codes) =
            (some(&filter.queues), some(&filter.tasks), some(&filter.codes));
        let family = filter.family.map(|family| family.0);
        let plain = queues.is_none() && tasks.is_none() && codes.is_none();
        let most = if plain { GROUPS_MOST as i64 } else { FAMILIES_MOST };
        let statement =
            sql!("dead_letter/families": TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, INT8, INT8);
        let parameters: Parameters<'_> = &[&queues, &tasks, &codes, &family, &most];
        let rows = self.people.query(statement, parameters).await?;
        let mut kins = Vec::new();
        for row in &rows {
            if row.try_get::<_, Option<bool>>("fits")? != Some(true) {
                continue;
            }
            let (Some(task), Some(queue)) = (row.try_get("task")?, row.try_get("queue")?) else {
                continue;
            };
            let (family, example) = (row.try_get("family")?, JobId(row.try_get("id")?));
            kins.push(Kin { family, task, queue, example, error: failure(row, "error")? });
            if kins.len() == GROUPS_MOST {
                return Ok((kins, family));
            }
        }
        let last = rows.last().filter(|_| family.is_none());
        let cut = match last {
            Some(row) if row.try_get::<_, i64>("nth")? == most => Some(row.try_get("family")?),
            _ => None,
        };
        Ok((kins, cut.unwrap_or(i64::MAX)))
    }

    /// Tells how many jobs a redrive is about whose jobs have ids up to `bound` and failed no later
    /// than `known_at`.
    pub(crate) async fn dead_letters_matched(
        &self,
        filter: &DeadLetterFilter,
        bound: Uuid,
        known_at: DateTime<Utc>,
    ) -> Result<Count> {
        let statement = sql!("dead_letter/match": TEXT, TEXT, TEXT, INT8, TIMESTAMPTZ, TIMESTAMPTZ, UUID, UUID, TIMESTAMPTZ, INT8);
        let parameters: Parameters<'_> = &[
            &filter.queue,
            &filter.task,
            &filter.code,
            &filter.family(),
            &filter.failed_after,
            &filter.failed_before,
            &Uuid::nil(),
            &bound,
            &known_at,
            &MATCHED_MOST,
        ];
        let rows = self.people.query(statement, parameters).await?;
        let Some(row) = rows.first() else { return Ok(Count { jobs: 0, estimated: false }) };
        let (matched, looked) = (row.try_get("matched")?, row.try_get::<_, i64>("looked")?);
        let (oldest, newest) = (row.try_get("oldest")?, row.try_get("newest")?);
        let estimated = looked >= MATCHED_MOST;
        let jobs =
            if estimated { beyond(matched, oldest, newest, Some(known_at)) } else { matched };
        Ok(Count { jobs, estimated })
    }

    /// Finds out the families of failures that were written without: by SQL, and by the release
    /// before. Answers how many; a failure that is not found out is one of the next call.
    pub(crate) async fn dead_letters_sort(&self) -> Result<u64> {
        let statement = sql!("dead_letter/unsorted": INT8);
        let rows = self.upkeep.query(statement, &[&SORTED_MOST]).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let (mut ids, mut families) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in &rows {
            let failure = Failure::new(row.try_get("code")?, row.try_get("message")?);
            ids.push(row.try_get::<_, Uuid>("id")?);
            families.push(Family::of(row.try_get("task")?, row.try_get("queue")?, &failure).0);
        }
        let statement = sql!("dead_letter/sort": UUID_ARRAY, INT8_ARRAY);
        let rows = self.upkeep.query(statement, &[&ids, &families]).await?;
        let sorted = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose()?;
        Ok(sorted.map_or(0, i64::cast_unsigned))
    }
}

fn group(row: &Row, kin: Kin) -> Result<Letters> {
    let (jobs, estimated) = (row.try_get("jobs")?, row.try_get("cut")?);
    let spread = (row.try_get("oldest")?, row.try_get("newest")?, row.try_get("last")?);
    let jobs = if estimated { beyond(jobs, spread.0, spread.1, spread.2) } else { jobs };
    Ok(Letters {
        task: kin.task,
        queue: kin.queue,
        family: Family(kin.family),
        count: Count { jobs, estimated },
        first_at: row.try_get("first_at")?,
        last_at: row.try_get("last_at")?,
        example: kin.example,
        error: kin.error,
    })
}

/// An estimate of all jobs by those that were counted, which were submitted from `oldest` to
/// `newest`, while all were submitted until `last`.
fn beyond(
    counted: i64,
    oldest: Option<DateTime<Utc>>,
    newest: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
) -> i64 {
    let (Some(oldest), Some(newest), Some(last)) = (oldest, newest, last) else { return counted };
    let span = |until: DateTime<Utc>| (until - oldest).as_seconds_f64().max(0.001);
    let all = counted as f64 * span(last) / span(newest);
    (all.min(1e15) as i64).max(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_goes_on_as_it_began() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        assert_eq!(beyond(10_000, at(0), at(100), at(400)), 40_000);
        assert_eq!(beyond(10_000, at(0), at(100), at(50)), 10_000);
        assert_eq!(beyond(10_000, at(5), at(5), at(5)), 10_000);
        assert_eq!(beyond(7, None, None, None), 7);
    }
}
