//! Outcomes: the way of a job from `lease` to `outcome`, or back to `ready`.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::job::bounds::SNOOZES_MOST;
use crate::job::ending::Ending;
use crate::job::failure::Failure;
use crate::job::json::Json;
use crate::job::state::Status;
use crate::job::{JobId, LeaseId};
use crate::store::row::Row;
use crate::store::session::{Parameters, sql};
use crate::store::value::{Jsonb, unless_all};
use crate::store::{Result, Store};

/// An outcome to be settled.
#[derive(Clone, Debug)]
pub struct Settlement {
    pub lease: LeaseId,
    pub id: JobId,
    /// Where the claim put it in its lease, from 1; 0 if that is not known.
    pub place: i32,
    /// Which attempt ended, from 1; 0 if that is not known.
    pub attempt: u32,
    pub ending: Ending,
    /// Whether its attempt began. A claim that did not begin counts no attempt.
    pub begun: bool,
    pub keyed: bool,
    /// Whether it has time limits of its own, which are to be forgotten once it has ended.
    pub timed: bool,
}

impl Settlement {
    /// Its name in the statement.
    fn name(&self) -> &'static str {
        match self.ending {
            Ending::Release if !self.begun => "unbegun",
            _ => self.ending.as_str(),
        }
    }

    /// Where its job stood, if that did not begin: any time, if it does not wait again.
    fn stood_at(&self) -> Option<DateTime<Utc>> {
        let ends = !self.begun && !self.ending.waits_again();
        self.ending.run_at().or(ends.then_some(DateTime::UNIX_EPOCH))
    }
}

/// An outcome, with what its bearer knows of the job.
pub trait Settles {
    /// The outcome itself.
    fn settlement(&self) -> &Settlement;

    /// The failure family of a job that ends so, if it fails for good and its task is known.
    /// Without it the leader finds it out later.
    fn family(&self, _: &Ending) -> Option<i64> {
        None
    }
}

impl Settles for Settlement {
    fn settlement(&self) -> &Self {
        self
    }
}

/// `None` also for the result `null`: what most jobs give is not worth writing.
fn result(ending: &Ending) -> Option<Jsonb> {
    match ending {
        Ending::Completed(result) if !result.is_null() => Some(Jsonb(result.clone())),
        _ => None,
    }
}

fn error(ending: &Ending) -> Option<Jsonb> {
    match ending {
        Ending::Failed(failure) | Ending::Cancelled(failure) | Ending::Retry { failure, .. } => {
            Json::from_serialize(failure).ok().map(Jsonb)
        }
        _ => None,
    }
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
    /// Settles outcomes, each lease and job once; jobs that go back to wait are announced, or not.
    /// A job that was superseded, or has snoozed as often as it may, ends instead. The answers are in the order of `settlements`. The
    /// keys of jobs that end are to be freed afterwards.
    pub async fn lease_settle<S: Settles>(
        &self,
        outcomes: &[S],
        announce: bool,
    ) -> Result<Vec<Settled>> {
        let settlements: Vec<&Settlement> = outcomes.iter().map(Settles::settlement).collect();
        let others = self.other_endings(&settlements).await?;
        let family = |one: &S| {
            let settlement = one.settlement();
            one.family(others.get(&settlement.id).unwrap_or(&settlement.ending))
        };
        let families: Vec<Option<i64>> = outcomes.iter().map(family).collect();
        if others.is_empty() {
            return self.settle(&settlements, &families, announce).await;
        }
        let ending = |one: &Settlement| others.get(&one.id).unwrap_or(&one.ending).clone();
        let ended = |one: &&Settlement| Settlement { ending: ending(one), ..(*one).clone() };
        let settlements: Vec<Settlement> = settlements.iter().map(ended).collect();
        self.settle(&settlements.iter().collect::<Vec<_>>(), &families, announce).await
    }

    /// The endings of jobs that are not to wait again, although their outcome says so. They were
    /// superseded, or have snoozed as often as they may.
    async fn other_endings(&self, settlements: &[&Settlement]) -> Result<HashMap<JobId, Ending>> {
        let ids = |of: fn(&Settlement) -> bool| -> Vec<JobId> {
            settlements.iter().filter(|one| of(one)).map(|one| one.id).collect()
        };
        let snoozing = ids(|one| matches!(one.ending, Ending::Snooze { .. }));
        let keyed = ids(|one| one.keyed && one.ending.waits_again());
        let mut others = HashMap::new();
        if !snoozing.is_empty() {
            let spent = self.attempt_snoozed(&snoozing, SNOOZES_MOST).await?;
            others
                .extend(spent.into_iter().map(|id| (id, Ending::Failed(Failure::snooze_limit()))));
        }
        if !keyed.is_empty() {
            let replacements = self.key_superseded(&keyed).await?;
            for one in settlements.iter().filter(|one| one.keyed && one.ending.waits_again()) {
                let superseded =
                    replacements.get(&one.id).map(|&by| Failure::superseded(by, &one.ending));
                others.extend(superseded.map(|failure| (one.id, Ending::Cancelled(failure))));
            }
        }
        Ok(others)
    }

    /// Those leases that another transaction has locked.
    pub async fn lease_held(&self, leases: &[LeaseId]) -> Result<HashSet<LeaseId>> {
        let leases: Vec<Uuid> = leases.iter().map(|lease| lease.0).collect();
        let rows = self.outcomes.query(sql!("lease/held": UUID_ARRAY), &[&leases]).await?;
        rows.iter().map(|row| Ok(LeaseId(row.try_get(0)?))).collect()
    }

    async fn settle(
        &self,
        settlements: &[&Settlement],
        families: &[Option<i64>],
        announce: bool,
    ) -> Result<Vec<Settled>> {
        let mut by_lease: Vec<_> =
            settlements.iter().copied().zip(families.iter().copied()).collect();
        by_lease.sort_by_key(|(settlement, _)| settlement.lease.0);
        let (mut leases, mut firsts, mut lasts) = (Vec::new(), Vec::new(), Vec::<i32>::new());
        for group in by_lease.chunk_by(|one, next| one.0.lease == next.0.lease) {
            let before = lasts.last().copied().unwrap_or_default();
            leases.push(group[0].0.lease.0);
            firsts.push(before + 1);
            lasts.push(before + i32::try_from(group.len()).unwrap_or(i32::MAX));
        }
        let families = unless_all(by_lease.iter().map(|(_, family)| *family), Option::is_none);
        let each = || by_lease.iter().map(|(settlement, _)| *settlement);
        let ids: Vec<Uuid> = each().map(|one| one.id.0).collect();
        let places: Vec<i32> = each().map(|one| one.place).collect();
        let endings = unless_all(each().map(Settlement::name), |ending| *ending == "completed");
        let delays = unless_all(each().map(|one| one.ending.seconds()), |delay| *delay == 0.0);
        let run_ats = unless_all(each().map(Settlement::stood_at), Option::is_none);
        let results = unless_all(each().map(|one| result(&one.ending)), Option::is_none);
        let errors = unless_all(each().map(|one| error(&one.ending)), Option::is_none);
        let statement = sql!("lease/settle": UUID_ARRAY, INT4_ARRAY, INT4_ARRAY, UUID_ARRAY, INT4_ARRAY, TEXT_ARRAY, FLOAT8_ARRAY, TIMESTAMPTZ_ARRAY,
            JSONB_ARRAY, JSONB_ARRAY, TEXT, INT8_ARRAY);
        let notify = if announce { "on" } else { "off" };
        let parameters: Parameters<'_> = &[
            &leases, &firsts, &lasts, &ids, &places, &endings, &delays, &run_ats, &results,
            &errors, &notify, &families,
        ];
        let rows = self.outcomes.query(statement, parameters).await?;
        self.settled(settlements, &rows).await
    }

    /// What the answer says of each: one row of nulls, if all were accepted and became what was
    /// asked for, else a row for each that was accepted.
    async fn settled(&self, settlements: &[&Settlement], rows: &[Row]) -> Result<Vec<Settled>> {
        let first = rows.first().map(|row| row.try_get::<_, Option<Uuid>>(0)).transpose()?;
        if first == Some(None) {
            let whole = |one: &&Settlement| Settled::Applied(Status::parse(one.ending.as_str()));
            return Ok(settlements.iter().map(whole).collect());
        }
        let accepted =
            |row: &Row| Ok(((row.try_get(0)?, row.try_get(1)?), Status::parse(row.try_get(2)?)));
        let accepted: HashMap<(Uuid, Uuid), Option<Status>> =
            rows.iter().map(accepted).collect::<Result<_>>()?;
        let status = |one: &Settlement| accepted.get(&(one.lease.0, one.id.0)).copied();
        let stale = settlements.iter().filter(|one| status(one).is_none());
        let stale: Vec<Uuid> = stale.map(|one| one.id.0).collect();
        let ended: HashSet<Uuid> =
            if stale.is_empty() { HashSet::new() } else { self.outcomes_among(&stale).await? };
        let settled = |one: &&Settlement| match status(one) {
            Some(status) => Settled::Applied(status),
            None if ended.contains(&one.id.0) => Settled::AlreadyFinal,
            None => Settled::LeaseLost,
        };
        Ok(settlements.iter().map(settled).collect())
    }

    async fn outcomes_among(&self, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
        let rows = self.outcomes.query(sql!("job/ended": UUID_ARRAY), &[&ids]).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }
}
