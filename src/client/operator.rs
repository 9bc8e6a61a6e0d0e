//! What an operator does to many jobs, and looks at: dead letters, operations and the audit. The
//! HTTP API has the same (`docs/dead-letters.md`).

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Client, ClientError};
use crate::caller::Caller;
use crate::job::JobId;
use crate::job::failure::Failure;
use crate::job::fields::Faults;
use crate::operation::{DeadLetterFilter, OperationKind, OperationStatus, Redrive, RedriveCanary};
use crate::store::audit::{AuditFilter, AuditPage};
use crate::store::dead_letter::Letters;
use crate::store::job::PAGE_MOST;
use crate::store::operation::{OperationRow, Skip};
use crate::store::queue::Count;

/// Jobs of one task and queue that failed for good in the same way.
#[derive(Clone, Debug)]
pub struct DeadLetterGroup {
    /// Their task.
    pub task: String,
    /// Their queue.
    pub queue: String,
    /// The failure family: a hash of task, queue, code and message without numbers.
    pub family: String,
    /// The number of the jobs. The times are those of the counted ones.
    pub count: Count,
    /// The time of the first failure.
    pub first_failed_at: DateTime<Utc>,
    /// The time of the last one.
    pub last_failed_at: DateTime<Utc>,
    /// The newest of the jobs.
    pub example: JobId,
    /// The error of that job.
    pub error: Option<Failure>,
}

impl DeadLetterGroup {
    fn of(letters: Letters) -> Self {
        Self {
            task: letters.task,
            queue: letters.queue,
            family: letters.family.to_string(),
            count: letters.count,
            first_failed_at: letters.first_at,
            last_failed_at: letters.last_at,
            example: letters.example,
            error: letters.error,
        }
    }
}

/// The jobs that failed for good.
#[derive(Debug)]
pub struct DeadLetters {
    /// The groups, the last failure first: 1,000 at most.
    pub groups: Vec<DeadLetterGroup>,
    /// The failed jobs that are in no group, whatever the filter.
    pub others: Count,
}

/// A job that an operation could not move.
#[derive(Clone, PartialEq, Debug)]
pub struct OperationSkip {
    /// The job.
    pub job_id: JobId,
    /// Why it was passed by. Codes are added over time.
    pub code: String,
    /// The job that holds its unique key, if that is why.
    pub holder: Option<JobId>,
}

impl OperationSkip {
    fn of(skip: Skip) -> Self {
        let holder = skip.holder_id.map(JobId);
        Self { job_id: JobId(skip.job_id), code: skip.code, holder }
    }
}

/// Work on many jobs that somebody asked for. The leader of the services does it in steps.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its id; later ones are higher.
    pub id: Uuid,
    /// Its kind.
    pub kind: OperationKind,
    /// How it stands.
    pub status: OperationStatus,
    /// The jobs that it is about. Of a purge: those of its queue that wait.
    pub filter: DeadLetterFilter,
    /// The most jobs that it moves each second; `None`: as many as it can.
    pub rate_per_second: Option<f64>,
    /// The canary that it was asked for with.
    pub canary: Option<RedriveCanary>,
    /// How many jobs it was about when it was asked for.
    pub matched: Count,
    /// The jobs that it has moved.
    pub moved: u64,
    /// The jobs that it could not move.
    pub skipped: u64,
    /// The first of those, and why.
    pub skipped_jobs: Vec<OperationSkip>,
    /// The time at which it was asked for. Jobs that failed later are not touched.
    pub created_at: DateTime<Utc>,
    /// It moves nothing before this time. Until then a stop undoes it.
    pub starts_at: DateTime<Utc>,
    /// The time of its last progress.
    pub worked_at: Option<DateTime<Utc>>,
    /// The time of its end.
    pub stopped_at: Option<DateTime<Utc>>,
    /// The job whose failure halted it.
    pub halted_by: Option<JobId>,
    /// Why it halted or was stopped.
    pub reason: Option<String>,
    /// Who asked for it, as in [`AuditEntry::principal`](crate::AuditEntry).
    pub principal: String,
}

impl Operation {
    fn of(row: OperationRow) -> Self {
        let status = row.status();
        Self {
            id: row.id,
            kind: row.kind,
            status,
            filter: row.filter,
            rate_per_second: row.pace.rate,
            canary: row.canary.map(|it| RedriveCanary { share: it.share, halt_at: it.halt_at }),
            matched: row.matched,
            moved: u64::try_from(row.moved).unwrap_or_default(),
            skipped: u64::try_from(row.skipped).unwrap_or_default(),
            skipped_jobs: row.skips.into_iter().map(OperationSkip::of).collect(),
            created_at: row.created_at,
            starts_at: row.starts_at,
            worked_at: row.worked_at,
            stopped_at: row.stopped_at,
            halted_by: row.halted_by.map(JobId),
            reason: row.reason,
            principal: row.principal,
        }
    }
}

/// Some of the operations, the newest first.
#[derive(Debug)]
pub struct OperationPage {
    /// At most as many as were asked for.
    pub operations: Vec<Operation>,
    /// Below which operation to go on; nothing where there are no more.
    pub next: Option<Uuid>,
}

impl Client {
    /// Lists the jobs that failed for good, grouped by task, queue and the way they failed.
    ///
    /// ```no_run
    /// # use reveille::{Client, DeadLetterFilter, Redrive, RedriveCanary};
    /// # async fn example(client: Client) -> anyhow::Result<()> {
    /// let mail = DeadLetterFilter { queue: Some("mail".into()), ..DeadLetterFilter::default() };
    /// for group in client.dead_letters(&mail).await?.groups {
    ///     println!("{} of {} failed: {:?}", group.count.jobs, group.task, group.error);
    /// }
    /// // One job first, then ten, then the rest at fifty a second.
    /// let redrive = Redrive {
    ///     rate_per_second: 50.0,
    ///     canary: Some(RedriveCanary::default()),
    ///     ..Redrive::of(mail)
    /// };
    /// let operation = client.redrive(redrive).await?;
    /// println!("operation {} sends {} jobs back", operation.id, operation.matched.jobs);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
    ) -> Result<DeadLetters, ClientError> {
        let mut faults = Faults::default();
        filter.check_members("", &mut faults);
        if !faults.0.is_empty() {
            return Err(ClientError::Invalid(faults.0));
        }
        let letters = self.database()?.store.dead_letters(&filter.into()).await;
        let (groups, others) = letters.map_err(ClientError::of)?;
        Ok(DeadLetters { groups: groups.into_iter().map(DeadLetterGroup::of).collect(), others })
    }

    /// Tells how many jobs a redrive is about, and changes nothing.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn redrive_matches(&self, redrive: &Redrive) -> Result<Count, ClientError> {
        check(redrive)?;
        let matched = self.database()?.store.redrive_matched(redrive).await;
        matched.map(|matched| matched.count).map_err(ClientError::of)
    }

    /// Sends jobs that failed for good back to wait: the same ids, with fresh attempts. It is about
    /// those that failed before this call, the oldest first. A job whose unique key another one
    /// holds is passed by. [`operation`](Self::operation) tells how it goes on.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn redrive(&self, redrive: Redrive) -> Result<Operation, ClientError> {
        check(&redrive)?;
        let store = &self.database()?.store;
        let matched = store.redrive_matched(&redrive).await.map_err(ClientError::of)?;
        let made = store.redrive_create(redrive, matched, &Caller::of_library()).await;
        let id = made.map_err(ClientError::of)?;
        let lost = || ClientError::Unknown(format!("operation {id} was made and is gone"));
        self.operation(id).await?.ok_or_else(lost)
    }

    /// Lists operations on many jobs, the newest first, at most 200 of them. Go on with `next` of a
    /// page as `below` as long as it has one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn operations(
        &self,
        below: Option<Uuid>,
        limit: u32,
    ) -> Result<OperationPage, ClientError> {
        let limit = limit.clamp(1, PAGE_MOST);
        let listed = self.database()?.store.operation_list(below, limit).await;
        let (rows, next) = listed.map_err(ClientError::of)?;
        Ok(OperationPage { operations: rows.into_iter().map(Operation::of).collect(), next })
    }

    /// Reads an operation; `None`: there is none, or it ended more than 90 days ago.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn operation(&self, id: Uuid) -> Result<Option<Operation>, ClientError> {
        let row = self.database()?.store.operation_get(id).await.map_err(ClientError::of)?;
        Ok(row.map(Operation::of))
    }

    /// Stops an operation: nothing more is moved once this returns. Answers whether it went on
    /// until now. Before its `starts_at` this undoes it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stop_operation(&self, id: Uuid) -> Result<bool, ClientError> {
        let stopped = self.database()?.store.operation_stop(id, &Caller::of_library()).await;
        stopped.map_err(ClientError::of)
    }

    /// Lists who changed what by hand, the newest change first, at most 200 of them. A page may
    /// have fewer than its `limit`, even none, although more follow. Go on with its `next` as
    /// `below` as long as it has one.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn audit(&self, filter: &AuditFilter) -> Result<AuditPage, ClientError> {
        let filter = AuditFilter { limit: filter.limit.clamp(1, PAGE_MOST), ..filter.clone() };
        self.database()?.store.audit_list(&filter).await.map_err(ClientError::of)
    }
}

fn check(redrive: &Redrive) -> Result<(), ClientError> {
    let faults = redrive.check();
    if faults.is_empty() { Ok(()) } else { Err(ClientError::Invalid(faults)) }
}
