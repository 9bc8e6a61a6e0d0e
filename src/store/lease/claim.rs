//! Claims: the way of a job from `ready` to `lease`.

use std::collections::HashMap;
use std::time::Instant;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::job::clocks::Left;
use crate::job::fields::Settings;
use crate::job::json::Json;
use crate::job::{JobId, LeaseId, WorkerId};
use crate::queue::{Hold, Holder, Lane, QueueName, TaskName};
use crate::store::row::Row;
use crate::store::session::{Parameters, sql};
use crate::store::value::{Jsonb, Size};
use crate::store::{Error, Result, Store};

/// The most jobs that one lease may hold: a lease row of more would leave its page and be rewritten
/// as a TOAST value at each partial outcome.
pub(super) const LEASE_MOST: i32 = 250;
/// The most jobs of one claim, in several leases: what a statement costs whatever it claims made a
/// job of a claim of 250 a third dearer than one of 1,000.
pub(crate) const CLAIM_MOST: usize = 1000;

/// What a claim asks of one lane.
#[derive(Clone, Debug)]
pub struct LaneClaim {
    pub lane: Lane,
    /// Where to begin, to pass by what earlier claims took; `None`: at the front.
    pub bound: Option<(DateTime<Utc>, Uuid)>,
    /// The most jobs it may give.
    pub most: usize,
}

impl LaneClaim {
    fn begin(&self) -> (DateTime<Utc>, Uuid) {
        self.bound.unwrap_or((DateTime::UNIX_EPOCH, Uuid::nil()))
    }
}

/// How much a claim may bring into memory. It cannot know what payloads weigh before it has read
/// them.
#[derive(Clone, Debug)]
pub struct ClaimRoom {
    /// Jobs whose payloads are kept whatever they weigh: those that run at once.
    pub jobs: usize,
    /// Bytes of the payloads beyond them.
    pub bytes: usize,
    /// The largest payload that was read, also where the claim failed in the end.
    pub largest: usize,
}

impl ClaimRoom {
    /// Whether there is room for another payload, which is taken then.
    fn take(&mut self, bytes: usize) -> bool {
        self.largest = self.largest.max(bytes);
        if let Some(left) = self.jobs.checked_sub(1) {
            self.jobs = left;
            return true;
        }
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.unwrap_or(self.bytes);
        left.is_some()
    }
}

/// A claimed job.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub lease: LeaseId,
    pub id: JobId,
    pub queue: QueueName,
    pub task: TaskName,
    pub priority: i16,
    pub run_at: DateTime<Utc>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How often its worker was lost before.
    pub crashes: u16,
    pub payload: Json,
    /// There was no room for its payload, which is `null` here. The job is to be given back.
    pub beyond_room: bool,
    pub max_attempts: Option<u32>,
    pub timeout_seconds: Option<f64>,
    /// Its rare fields; `None` for most jobs. The claim brings them, since its look at the job has
    /// them for nothing: a job with settings has no payload beside `ready`. A failed attempt would
    /// ask for them in a statement of its own, and so would that of each job without any.
    pub settings: Option<Box<Settings>>,
    /// The rest of its time limits; `None`: it has none of its own.
    pub left: Option<Box<Left>>,
    /// Whether it was submitted with a unique key.
    pub keyed: bool,
    /// The job that took its unique key while a worker held it: it is not to run again.
    pub superseded_by: Option<JobId>,
    /// Where it stands in its lease, from 1.
    pub place: i32,
}

/// What a claim gave.
#[derive(Debug, Default)]
pub struct Claim {
    /// Jobs with the index of their lane, in the order of lanes and within a lane in order.
    pub jobs: Vec<(usize, Claimed)>,
    /// Lanes with jobs to come, and when the first is due.
    pub due: Vec<(usize, DateTime<Utc>)>,
    /// Lanes that may have jobs and give none.
    pub held: Vec<(usize, Hold)>,
    /// Those that could not be read, with the index of their lane.
    pub unreadable: Vec<(usize, Unreadable)>,
}

/// A claimed job that this release cannot read, and so cannot run.
#[derive(Debug)]
pub struct Unreadable {
    pub lease: LeaseId,
    pub id: JobId,
    /// Where it stands in its lease, from 1.
    pub place: i32,
    /// Which attempt this is, from 1, if that can be read.
    pub attempt: Option<u32>,
    pub why: String,
}

impl Store {
    /// Claims up to `most` jobs from `lanes`, taken in their order, into as few leases as hold
    /// them, as far as there is `room`.
    pub async fn lease_claim(
        &self,
        worker: WorkerId,
        lanes: &[LaneClaim],
        most: usize,
        room: &mut ClaimRoom,
    ) -> Result<Claim> {
        let (mut reading, mut failed) = (Reading::new(room), None);
        let take = |row: Row| {
            if let Err(error) = reading.row(&row, lanes) {
                failed.get_or_insert(error);
            }
        };
        match lanes {
            [lane] => self.claim_lane(worker, lane, most, take).await?,
            lanes => self.claim_lanes(worker, lanes, most, take).await?,
        }
        failed.map_or_else(|| Ok(reading.end()), Err)
    }

    async fn claim_lane(
        &self,
        worker: WorkerId,
        claim: &LaneClaim,
        most: usize,
        take: impl FnMut(Row),
    ) -> Result<()> {
        let statement =
            sql!("lease/claim_lane": TEXT, TEXT, INT2, TIMESTAMPTZ, UUID, INT8, UUID, INT4);
        let Lane { queue, task, priority } = &claim.lane;
        let (queue, task, (run_at, id)) = (queue.as_str(), task.as_str(), claim.begin());
        let limit = i64::try_from(most.min(claim.most)).unwrap_or(i64::MAX);
        let parameters: Parameters<'_> =
            &[&queue, &task, priority, &run_at, &id, &limit, &worker.0, &LEASE_MOST];
        self.claims.each(statement, parameters, take).await
    }

    async fn claim_lanes(
        &self,
        worker: WorkerId,
        lanes: &[LaneClaim],
        most: usize,
        take: impl FnMut(Row),
    ) -> Result<()> {
        let statement = sql!("lease/claim": TEXT_ARRAY, TEXT_ARRAY, INT2_ARRAY, TIMESTAMPTZ_ARRAY, UUID_ARRAY, INT4_ARRAY, UUID, INT8, INT4);
        let each = || lanes.iter();
        let queues: Vec<&str> = each().map(|claim| claim.lane.queue.as_str()).collect();
        let tasks: Vec<&str> = each().map(|claim| claim.lane.task.as_str()).collect();
        let priorities: Vec<i16> = each().map(|claim| claim.lane.priority).collect();
        let (run_ats, ids): (Vec<DateTime<Utc>>, Vec<Uuid>) = each().map(LaneClaim::begin).unzip();
        let mosts: Vec<i32> =
            each().map(|claim| i32::try_from(claim.most).unwrap_or(i32::MAX)).collect();
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let parameters: Parameters<'_> =
            &[&queues, &tasks, &priorities, &run_ats, &ids, &mosts, &worker.0, &limit, &LEASE_MOST];
        self.claims.each(statement, parameters, take).await
    }

    /// The suspect that runs; of several, the one that has run longest.
    pub async fn lease_suspect(&self) -> Result<Option<JobId>> {
        let rows = self.people.query(sql!("lease/suspect"), &[]).await?;
        rows.first().map(|row| Ok(JobId(row.try_get("id")?))).transpose()
    }

    /// Claims the suspect that is due first, alone in its lease.
    pub async fn lease_claim_suspect(
        &self,
        worker: WorkerId,
        queues: Option<&[String]>,
        tasks: &[&str],
    ) -> Result<Option<(Lane, std::result::Result<Claimed, Unreadable>)>> {
        let statement = sql!("lease/claim_suspect": TEXT_ARRAY, TEXT_ARRAY, UUID);
        let rows = self.claims.query(statement, &[&queues, &tasks, &worker.0]).await?;
        let suspect = |row: &Row| {
            let lane = Lane {
                queue: QueueName::trusted(row.try_get("queue")?),
                task: TaskName::trusted(row.try_get("task")?),
                priority: row.try_get("priority")?,
            };
            let (id, lease) = (row.try_get("id")?, LeaseId(row.try_get("lease")?));
            let payload = row.try_get::<_, Jsonb>(5).map(|payload| Some(payload.0));
            let job = payload.and_then(|payload| claimed(row, &lane, payload));
            let job = job.map(|job| Claimed { lease, place: 1, ..job });
            let job =
                job.map_err(|why| Unreadable { lease, place: 1, ..unreadable(row, id, &why) });
            Ok((lane, job))
        };
        rows.first().map(suspect).transpose()
    }
}

/// Reads what a claim answers, row by row: jobs, the leases that hold them, when lanes have more,
/// and which are held.
pub(super) struct Reading<'a> {
    room: &'a mut ClaimRoom,
    /// The lease of each job, and its place there.
    places: HashMap<Uuid, (LeaseId, i32)>,
    claim: Claim,
}

impl<'a> Reading<'a> {
    pub(super) fn new(room: &'a mut ClaimRoom) -> Self {
        Self { room, places: HashMap::new(), claim: Claim::default() }
    }

    fn row(&mut self, row: &Row, lanes: &[LaneClaim]) -> Result<()> {
        if self.is_lease(row)? {
            return Ok(());
        }
        let Some(nth) = row.try_get::<_, Option<i64>>(0)? else { return Ok(()) };
        let nth = usize::try_from(nth - 1).unwrap_or_default();
        lanes.get(nth).map_or(Ok(()), |asked| self.of_lane(row, nth, &asked.lane))
    }

    /// Takes in a row that tells of a lease, if it is one.
    pub(super) fn is_lease(&mut self, row: &Row) -> Result<bool> {
        let Some(lease) = row.try_get::<_, Option<Uuid>>(10)? else { return Ok(false) };
        let ids: Vec<Uuid> = row.try_get(11)?;
        self.places.extend(ids.into_iter().zip((1..).map(|place| (LeaseId(lease), place))));
        Ok(true)
    }

    /// Takes in any other row, which is about this lane.
    pub(super) fn of_lane(&mut self, row: &Row, nth: usize, lane: &Lane) -> Result<()> {
        match row.try_get::<_, Option<Uuid>>(2)? {
            Some(id) => match self.job(row, lane) {
                Ok(job) => self.claim.jobs.push((nth, job)),
                Err(why) => self.claim.unreadable.push((nth, unreadable(row, id, &why))),
            },
            None => match row.try_get::<_, Option<&str>>(12)? {
                Some(by) => self.claim.held.push((nth, hold(by, row.try_get(1)?)?)),
                None => self.claim.due.push((nth, row.try_get(1)?)),
            },
        }
        Ok(())
    }

    fn job(&mut self, row: &Row, lane: &Lane) -> Result<Claimed> {
        let Size(bytes) = row.try_get(5)?;
        let payload = self.room.take(bytes).then(|| row.try_get::<_, Jsonb>(5)).transpose()?;
        claimed(row, lane, payload.map(|payload| payload.0))
    }

    /// The claim, with its jobs in order.
    pub(super) fn end(self) -> Claim {
        let Self { places, mut claim, .. } = self;
        claim.jobs.retain_mut(|(_, job)| {
            let place = places.get(&job.id.0);
            place.inspect(|&&at| (job.lease, job.place) = at).is_some()
        });
        claim.unreadable.retain_mut(|(_, job)| {
            let place = places.get(&job.id.0);
            place.inspect(|&&at| (job.lease, job.place) = at).is_some()
        });
        claim.jobs.sort_by(|(left_lane, left), (right_lane, right)| {
            (left_lane, left.run_at, left.id).cmp(&(right_lane, right.run_at, right.id))
        });
        claim
    }
}

fn hold(by: &str, until: Option<DateTime<Utc>>) -> Result<Hold> {
    let unknown = || Error::Unexpected(format!("a lane that is held by {by}"));
    Ok(Hold { by: Holder::parse(by).ok_or_else(unknown)?, until })
}

/// A job whose row cannot be read, in no lease yet.
fn unreadable(row: &Row, id: Uuid, why: &Error) -> Unreadable {
    let attempt = row.try_get::<_, i32>(3).ok().and_then(|nth| u32::try_from(nth).ok());
    Unreadable {
        lease: LeaseId(Uuid::nil()),
        id: JobId(id),
        place: 0,
        attempt,
        why: why.to_string(),
    }
}

/// A job as its row says, in no lease yet. Without a payload there was no room for it.
fn claimed(row: &Row, lane: &Lane, payload: Option<Json>) -> Result<Claimed> {
    let max_attempts: Option<i32> = row.try_get(6)?;
    let kept = row.try_get::<_, Option<Jsonb>>(13)?.map(|kept| kept.0);
    let settings = kept.as_ref().map(|kept| Box::new(Settings::of(Some(kept))));
    let timed = kept.zip(settings.as_ref()).filter(|(_, settings)| settings.are_timed());
    let left = timed.map(|(kept, settings)| Box::new(Left::of(&kept, settings, Instant::now())));
    Ok(Claimed {
        lease: LeaseId(Uuid::nil()),
        run_at: row.try_get(1)?,
        id: JobId(row.try_get(2)?),
        attempt: u32::try_from(row.try_get::<_, i32>(3)?).unwrap_or_default(),
        crashes: u16::try_from(row.try_get::<_, i16>(4)?).unwrap_or_default(),
        queue: lane.queue.clone(),
        task: lane.task.clone(),
        priority: lane.priority,
        beyond_room: payload.is_none(),
        payload: payload.unwrap_or_else(Json::null),
        max_attempts: max_attempts.and_then(|count| u32::try_from(count).ok()),
        timeout_seconds: row.try_get(7)?,
        settings,
        left,
        keyed: row.try_get(8)?,
        superseded_by: row.try_get::<_, Option<Uuid>>(9)?.map(JobId),
        place: 0,
    })
}
