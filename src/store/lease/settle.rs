//! Outcomes: the way of a job from `lease` to `outcome`, or back to `ready`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use crate::job::json::Json;
use crate::job::state::Status;
use crate::job::{JobId, LeaseId};
use crate::queue::meter::Meter;
use crate::store::key::superseded;
use crate::store::row::Row;
use crate::store::session::{Parameters, sql};
use crate::store::value::{Failure, Jsonb, unless_all};
use crate::store::{Result, Store};

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
    NotStarted {
        run_at: DateTime<Utc>,
    },
}

impl Ending {
    /// Its name in the statement and in metrics, whose labels stay as they were.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled(_) => "cancelled",
            Self::Retry { .. } => "retry",
            Self::Snooze { .. } => "snooze",
            Self::Release => "release",
            Self::NotStarted { .. } => "unbegun",
        }
    }

    fn seconds(&self) -> f64 {
        match self {
            Self::Retry { seconds, .. } | Self::Snooze { seconds } => *seconds,
            _ => 0.0,
        }
    }

    fn run_at(&self) -> Option<DateTime<Utc>> {
        if let Self::NotStarted { run_at } = self { Some(*run_at) } else { None }
    }

    /// Whether the job is to wait again.
    pub fn waits_again(&self) -> bool {
        match self {
            Self::Completed(_) | Self::Failed(_) | Self::Cancelled(_) => false,
            Self::Retry { .. } | Self::Snooze { .. } | Self::Release | Self::NotStarted { .. } => {
                true
            }
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
