//! Lists of jobs. A filter that no index serves has to walk past all the others, which takes
//! seconds where there are millions. So one call looks at so many at most, and the next goes on
//! where it stopped. Only a tag can cost more: its index has no order.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Job, job_row};
use crate::job::JobId;
use crate::job::json::Json;
use crate::job::state::Status;
use crate::store::row::Row;
use crate::store::session::sql;
use crate::store::value::Jsonb;
use crate::store::{Result, Store};

/// Which jobs a list is to have; what is `None` or empty does not matter.
#[derive(Clone, Debug)]
pub struct JobFilter {
    /// Any of these.
    pub statuses: Vec<Status>,
    /// Any of these.
    pub queues: Vec<String>,
    /// Any of these.
    pub tasks: Vec<String>,
    /// All of these.
    pub tags: Vec<String>,
    /// Those with this key.
    pub unique_key: Option<String>,
    /// Those submitted at this time or later.
    pub created_after: Option<DateTime<Utc>>,
    /// Those submitted before this time.
    pub created_before: Option<DateTime<Utc>>,
    /// JSON that the payload contains.
    pub payload_contains: Option<Json>,
    /// Only jobs before this one: where the call before stopped.
    pub below: Option<JobId>,
    /// Whether to read payloads.
    pub payloads: bool,
    /// Whether to read results.
    pub results: bool,
    /// How many jobs a page has at most.
    pub limit: u32,
}

impl Default for JobFilter {
    /// The newest 50 jobs, whatever they are, without payloads and results.
    fn default() -> Self {
        Self {
            statuses: Vec::new(),
            queues: Vec::new(),
            tasks: Vec::new(),
            tags: Vec::new(),
            unique_key: None,
            created_after: None,
            created_before: None,
            payload_contains: None,
            below: None,
            payloads: false,
            results: false,
            limit: 50,
        }
    }
}

/// Some of the jobs of a list.
#[derive(Debug)]
pub struct JobPage {
    /// At most as many as were asked for. Fewer, even none, where one call would have had to look
    /// at too many others, or where they are large.
    pub jobs: Vec<Job>,
    /// Below which job to go on; nothing where there are no more.
    pub next: Option<JobId>,
}

/// The most items of a page, through every door.
pub(crate) const PAGE_MOST: u32 = 200;
/// How many jobs one call looks at, so that it takes some milliseconds whatever the filter and
/// however many there are. They lie in the table that holds those of a status, which it walks in
/// order.
const LOOKED_AT: i64 = 5_000;
/// Where each of them needs a look into another table or into its payload, too.
const LOOKED_AT_TWICE: i64 = 500;
/// Where the index of tags or keys leads to jobs scattered over the table.
const LOOKED_UP: i64 = 250;

/// A page ends after the job with which its payloads, results and errors have so many bytes. A page
/// of 200 large jobs would have hundreds of MiB, and several readers of it more than the process
/// may take.
const PAGE_BYTES: i64 = 8 * 1024 * 1024;

/// The table that is walked for the jobs of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Each,
    Waiting,
    Completed,
    FailedOrCancelled,
    Processing,
}

impl Way {
    /// As the statement spells it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Each => "each",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::FailedOrCancelled => "failed_or_cancelled",
            Self::Processing => "processing",
        }
    }

    fn of(status: Status) -> Self {
        match status {
            Status::Scheduled | Status::Queued => Self::Waiting,
            Status::Processing => Self::Processing,
            Status::Completed => Self::Completed,
            Status::Failed | Status::Cancelled => Self::FailedOrCancelled,
        }
    }
}

impl JobFilter {
    fn way(&self) -> Way {
        let Some(way) = self.statuses.first().map(|status| Way::of(*status)) else {
            return Way::Each;
        };
        let alike = self.statuses.iter().all(|status| Way::of(*status) == way);
        // An index leads to the few jobs that have a tag or a key; those that run are fewer still.
        let led = !self.tags.is_empty() || self.unique_key.is_some();
        if alike && (!led || way == Way::Processing) { way } else { Way::Each }
    }

    fn looks(&self) -> i64 {
        let narrowed = !self.queues.is_empty() || !self.tasks.is_empty();
        let twice = match self.way() {
            Way::Each => !self.statuses.is_empty(),
            Way::Completed | Way::FailedOrCancelled => narrowed,
            Way::Waiting | Way::Processing => false,
        };
        if !self.tags.is_empty() || self.unique_key.is_some() {
            LOOKED_UP
        } else if twice || self.payload_contains.is_some() {
            LOOKED_AT_TWICE
        } else {
            LOOKED_AT
        }
    }
}

/// `None`, which any job passes, for an empty list.
fn some<T>(list: &[T]) -> Option<&[T]> {
    (!list.is_empty()).then_some(list)
}

impl Store {
    /// Jobs, the newest first.
    pub async fn job_list(&self, filter: &JobFilter) -> Result<JobPage> {
        let before = filter.created_before.map_or(Uuid::max(), first_id);
        let below = filter.below.map_or(before, |id| id.0.min(before));
        let least = filter.created_after.map_or(Uuid::nil(), first_id);
        let statuses: Vec<&str> = filter.statuses.iter().copied().map(Status::as_str).collect();
        let payload = filter.payload_contains.clone().map(Jsonb);
        // One more tells whether there is a next page.
        let (limit, looks) = (i64::from(filter.limit) + 1, filter.looks());
        let statement = sql!("job/list": TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT, UUID, UUID, JSONB, BOOL, BOOL, INT8, INT8,
            TEXT, INT8);
        let rows = self
            .people
            .query(
                statement,
                &[
                    &some(&statuses),
                    &some(&filter.queues),
                    &some(&filter.tasks),
                    &some(&filter.tags),
                    &filter.unique_key,
                    &below,
                    &least,
                    &payload,
                    &filter.payloads,
                    &filter.results,
                    &limit,
                    &looks,
                    &filter.way().as_str(),
                    &PAGE_BYTES,
                ],
            )
            .await?;
        page(&rows, filter.limit as usize)
    }
}

/// The page that the rows of a list give: jobs, and how far it was looked. An outcome can be
/// without its job for a moment, while an old week is given up.
fn page(rows: &[Row], limit: usize) -> Result<JobPage> {
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        if row.try_get("fits")? && row.try_get::<_, Option<Uuid>>("job_id")?.is_some() {
            found.push(row);
        }
    }
    let stopped_at = match rows.last() {
        _ if found.len() > limit => found.get(limit - 1).copied(),
        Some(last) if rows.len() > limit || last.try_get("cut")? => Some(last),
        _ => None,
    };
    let next = stopped_at.map(|row| row.try_get("id")).transpose()?.map(JobId);
    let jobs = found.into_iter().take(limit).map(job_row).collect::<Result<_>>()?;
    Ok(JobPage { jobs, next })
}

/// The least id of a moment.
pub(in crate::store) fn first_id(at: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(at.timestamp_millis()).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}
