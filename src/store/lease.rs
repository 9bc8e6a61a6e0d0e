//! Claims and outcomes: the way of a job from `ready` to `lease`, and from there to `outcome` or back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::key::superseded;
use super::row::Row;
use super::session::{Parameters, sql};
use super::value::{Failure, Jsonb, unless_all};
use super::{Error, Result, Store};
use crate::job::json::Json;
use crate::job::state::Status;
use crate::job::{JobId, LeaseId, WorkerId};
use crate::queue::meter::Meter;
use crate::queue::{Lane, QueueName, TaskName};

/// The most jobs that one lease may hold: a lease row of more would leave its page and be rewritten as a TOAST value at each
/// partial outcome.
const LEASE_MOST: i32 = 250;
/// The most jobs of one claim, in several leases: what a statement costs whatever it claims made a job of a claim of 250 a third
/// dearer than one of 1,000.
pub const CLAIM_MOST: usize = 1000;

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
    pub max_attempts: Option<u32>,
    pub timeout_seconds: Option<f64>,
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
    /// Why a claimed job could not be read. It does not run; the heartbeat gives it back.
    pub unreadable: Option<Error>,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum Ending {
    Completed(Json),
    /// For good.
    Failed(Failure),
    /// It gave way to a cancellation.
    Cancelled(Failure),
    /// It failed and is tried again after so many seconds.
    Retry {
        seconds: f64,
        failure: Failure,
    },
    /// It asked to come back after so many seconds; the attempt is not spent.
    Snooze {
        seconds: f64,
    },
    /// It was given back; the attempt is not spent.
    Release,
    /// It was claimed and did not begin; it waits again where it stood.
    Unbegun {
        run_at: DateTime<Utc>,
    },
}

impl Ending {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled(_) => "cancelled",
            Self::Retry { .. } => "retry",
            Self::Snooze { .. } => "snooze",
            Self::Release => "release",
            Self::Unbegun { .. } => "unbegun",
        }
    }

    fn seconds(&self) -> f64 {
        match self {
            Self::Retry { seconds, .. } | Self::Snooze { seconds } => *seconds,
            _ => 0.0,
        }
    }

    fn run_at(&self) -> Option<DateTime<Utc>> {
        if let Self::Unbegun { run_at } = self { Some(*run_at) } else { None }
    }

    /// Whether the job is to wait again.
    pub fn waits_again(&self) -> bool {
        match self {
            Self::Completed(_) | Self::Failed(_) | Self::Cancelled(_) => false,
            Self::Retry { .. } | Self::Snooze { .. } | Self::Release | Self::Unbegun { .. } => true,
        }
    }

    /// About how much room its result or error takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Completed(result) => result.as_str().len(),
            Self::Failed(failure) | Self::Cancelled(failure) | Self::Retry { failure, .. } => {
                failure.message.len()
            }
            _ => 0,
        }
    }

    /// `None` also for the result `null`: what most jobs give is not worth writing.
    fn result(&self) -> Option<Jsonb> {
        match self {
            Self::Completed(result) if !result.is_null() => Some(Jsonb(result.clone())),
            _ => None,
        }
    }

    fn error(&self) -> Option<Jsonb> {
        match self {
            Self::Failed(failure) | Self::Cancelled(failure) | Self::Retry { failure, .. } => {
                Json::from_serialize(failure).ok().map(Jsonb)
            }
            _ => None,
        }
    }
}

/// An outcome to be settled.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub lease: LeaseId,
    pub id: JobId,
    /// Where the claim put it in its lease, from 1; 0 if that is not known.
    pub place: i32,
    pub ending: Ending,
    pub keyed: bool,
    /// Where its end is counted; `None` if its task is not known.
    pub meter: Option<Arc<Meter>>,
    /// The room that a large result takes until it is settled.
    pub room: Option<Arc<OwnedSemaphorePermit>>,
}

/// What became of a settlement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settled {
    /// It was accepted; the job has this status now if it has ended, else it waits.
    Applied(Option<Status>),
    /// The lease does not hold the job any more: it was rescued.
    LeaseLost,
    /// The job has ended otherwise.
    AlreadyFinal,
}

impl Store {
    /// Claims up to `most` jobs from `lanes`, taken in their order, into as few leases as hold them.
    pub async fn lease_claim(
        &self,
        worker: WorkerId,
        lanes: &[LaneClaim],
        most: usize,
    ) -> Result<Claim> {
        let rows = match lanes {
            [lane] => self.claim_lane(worker, lane, most).await?,
            lanes => self.claim_lanes(worker, lanes, most).await?,
        };
        claim_of(&rows, lanes)
    }

    async fn claim_lane(
        &self,
        worker: WorkerId,
        claim: &LaneClaim,
        most: usize,
    ) -> Result<Vec<Row>> {
        let statement =
            sql!("lease/claim_lane": TEXT, TEXT, INT2, TIMESTAMPTZ, UUID, INT8, UUID, INT4);
        let Lane { queue, task, priority } = &claim.lane;
        let (queue, task, (run_at, id)) = (queue.as_str(), task.as_str(), claim.begin());
        let limit = i64::try_from(most.min(claim.most)).unwrap_or(i64::MAX);
        let parameters: Parameters<'_> =
            &[&queue, &task, priority, &run_at, &id, &limit, &worker.0, &LEASE_MOST];
        self.claims.query(statement, parameters).await
    }

    async fn claim_lanes(
        &self,
        worker: WorkerId,
        lanes: &[LaneClaim],
        most: usize,
    ) -> Result<Vec<Row>> {
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
        self.claims.query(statement, parameters).await
    }

    /// Claims the suspect that is due first, alone in its lease.
    pub async fn lease_claim_suspect(
        &self,
        worker: WorkerId,
        queues: Option<&[String]>,
        tasks: &[&str],
    ) -> Result<Option<Claimed>> {
        let statement = sql!("lease/claim_suspect": TEXT_ARRAY, TEXT_ARRAY, UUID);
        let rows = self.claims.query(statement, &[&queues, &tasks, &worker.0]).await?;
        let suspect = |row: &Row| {
            let lane = Lane {
                queue: QueueName::trusted(row.try_get("queue")?),
                task: TaskName::trusted(row.try_get("task")?),
                priority: row.try_get("priority")?,
            };
            claimed(row, &lane, LeaseId(row.try_get("lease")?), 1)
        };
        rows.first().map(suspect).transpose()
    }

    /// Settles outcomes, each lease and job once; jobs that go back to wait are announced, or not. A job that was superseded
    /// ends instead. The answers are in the order of `settlements`. The keys of jobs that end are to be freed afterwards.
    pub async fn lease_settle(
        &self,
        settlements: &[Settlement],
        announce: bool,
    ) -> Result<Vec<Settled>> {
        let wait_again: Vec<JobId> = settlements
            .iter()
            .filter(|one| one.keyed && one.ending.waits_again())
            .map(|one| one.id)
            .collect();
        if wait_again.is_empty() {
            return self.settle(settlements, announce).await;
        }
        let replacements = self.key_superseded(&wait_again).await?;
        let ending = |one: &Settlement| match replacements.get(&one.id) {
            Some(&replacement) if one.ending.waits_again() => {
                Ending::Cancelled(superseded(replacement, &one.ending))
            }
            _ => one.ending.clone(),
        };
        let settlements: Vec<Settlement> = settlements
            .iter()
            .map(|one| Settlement { ending: ending(one), ..one.clone() })
            .collect();
        self.settle(&settlements, announce).await
    }

    async fn settle(&self, settlements: &[Settlement], announce: bool) -> Result<Vec<Settled>> {
        let mut by_lease: Vec<&Settlement> = settlements.iter().collect();
        by_lease.sort_by_key(|settlement| settlement.lease.0);
        let (mut leases, mut firsts, mut lasts) = (Vec::new(), Vec::new(), Vec::<i32>::new());
        for group in by_lease.chunk_by(|one, next| one.lease == next.lease) {
            let before = lasts.last().copied().unwrap_or_default();
            leases.push(group[0].lease.0);
            firsts.push(before + 1);
            lasts.push(before + i32::try_from(group.len()).unwrap_or(i32::MAX));
        }
        let each = || by_lease.iter();
        let ids: Vec<Uuid> = each().map(|one| one.id.0).collect();
        let places: Vec<i32> = each().map(|one| one.place).collect();
        let endings =
            unless_all(each().map(|one| one.ending.as_str()), |ending| *ending == "completed");
        let delays = unless_all(each().map(|one| one.ending.seconds()), |delay| *delay == 0.0);
        let run_ats = unless_all(each().map(|one| one.ending.run_at()), Option::is_none);
        let results = unless_all(each().map(|one| one.ending.result()), Option::is_none);
        let errors = unless_all(each().map(|one| one.ending.error()), Option::is_none);
        let statement = sql!("lease/settle": UUID_ARRAY, INT4_ARRAY, INT4_ARRAY, UUID_ARRAY, INT4_ARRAY, TEXT_ARRAY, FLOAT8_ARRAY, TIMESTAMPTZ_ARRAY,
            JSONB_ARRAY, JSONB_ARRAY, TEXT);
        let notify = if announce { "on" } else { "off" };
        let parameters: Parameters<'_> = &[
            &leases, &firsts, &lasts, &ids, &places, &endings, &delays, &run_ats, &results,
            &errors, &notify,
        ];
        let rows = self.outcomes.query(statement, parameters).await?;
        let each = || settlements.iter();
        let first = rows.first().map(|row| row.try_get::<_, Option<Uuid>>(0)).transpose()?;
        if first == Some(None) {
            let whole = |one: &Settlement| Settled::Applied(Status::parse(one.ending.as_str()));
            return Ok(each().map(whole).collect());
        }
        let accepted =
            |row: &Row| Ok(((row.try_get(0)?, row.try_get(1)?), Status::parse(row.try_get(2)?)));
        let accepted: HashMap<(Uuid, Uuid), Option<Status>> =
            rows.iter().map(accepted).collect::<Result<_>>()?;
        let stale: Vec<Uuid> = each()
            .filter(|settlement| !accepted.contains_key(&(settlement.lease.0, settlement.id.0)))
            .map(|settlement| settlement.id.0)
            .collect();
        let ended: HashSet<Uuid> =
            if stale.is_empty() { HashSet::new() } else { self.outcomes_among(&stale).await? };
        Ok(each()
            .map(|settlement| match accepted.get(&(settlement.lease.0, settlement.id.0)) {
                Some(status) => Settled::Applied(*status),
                None if ended.contains(&settlement.id.0) => Settled::AlreadyFinal,
                None => Settled::LeaseLost,
            })
            .collect())
    }

    async fn outcomes_among(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
        let rows = self.outcomes.query(sql!("job/ended": UUID_ARRAY), &[&ids]).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }
}

/// Reads what a claim answers: jobs, the leases that hold them, and when lanes have more.
fn claim_of(rows: &[Row], lanes: &[LaneClaim]) -> Result<Claim> {
    let mut places: HashMap<Uuid, (LeaseId, i32)> = HashMap::new();
    for row in rows {
        let Some(lease) = row.try_get::<_, Option<Uuid>>(10)? else { continue };
        let ids: Vec<Uuid> = row.try_get(11)?;
        places.extend(ids.into_iter().zip((1..).map(|place| (LeaseId(lease), place))));
    }
    let mut claim = Claim::default();
    for row in rows {
        let Some(nth) = row.try_get::<_, Option<i64>>(0)? else { continue };
        let nth = usize::try_from(nth - 1).unwrap_or_default();
        match (row.try_get::<_, Option<Uuid>>(2)?, lanes.get(nth)) {
            (Some(id), Some(asked)) => {
                let Some(&(lease, place)) = places.get(&id) else { continue };
                match claimed(row, &asked.lane, lease, place) {
                    Ok(job) => claim.jobs.push((nth, job)),
                    Err(error) => claim.unreadable = Some(error),
                }
            }
            _ => claim.due.push((nth, row.try_get(1)?)),
        }
    }
    claim.jobs.sort_by(|(left_lane, left), (right_lane, right)| {
        (left_lane, left.run_at, left.id).cmp(&(right_lane, right.run_at, right.id))
    });
    Ok(claim)
}

fn claimed(row: &Row, lane: &Lane, lease: LeaseId, place: i32) -> Result<Claimed> {
    let max_attempts: Option<i32> = row.try_get(6)?;
    Ok(Claimed {
        lease,
        run_at: row.try_get(1)?,
        id: JobId(row.try_get(2)?),
        attempt: u32::try_from(row.try_get::<_, i32>(3)?).unwrap_or_default(),
        crashes: u16::try_from(row.try_get::<_, i16>(4)?).unwrap_or_default(),
        queue: lane.queue.clone(),
        task: lane.task.clone(),
        priority: lane.priority,
        payload: row.try_get::<_, Jsonb>(5)?.0,
        max_attempts: max_attempts.and_then(|count| u32::try_from(count).ok()),
        timeout_seconds: row.try_get(7)?,
        keyed: row.try_get(8)?,
        superseded_by: row.try_get::<_, Option<Uuid>>(9)?.map(JobId),
        place,
    })
}
