//! The third door: submitting jobs from Rust with the rules of the other two, and reading and
//! steering them, one by one or as an operator ([`operator`]).
//!
//! A [`Client`] speaks SQL, with the role of a service: there is no hop, and no second API to keep
//! up with the first. It has at most two connections for all that it asks, and from its first
//! [`wait`](Client::wait) on one that listens. A role that may only submit does so in SQL, or by
//! [`submit_in`].

mod ears;
mod error;
mod jobs;
mod operator;
mod priorities;
mod recorded;
mod transaction;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::events::{Ends, Gates};
use crate::job::JobId;
use crate::job::fields::NewJob;
use crate::job::submission::{BATCH_MOST, FieldError, Submission};
use crate::job::written::Written;
use crate::store::job::{Cancelled, Job, JobFilter, JobPage, PAGE_MOST, Retried};
use crate::store::{Store, Target, migrate};
use crate::submitter::{LIBRARY, SubmitError, Submitter};
use crate::supervise::Supervisor;
use ears::Ears;
pub use error::ClientError;
pub(crate) use jobs::Jobs;
pub use operator::{DeadLetterGroup, DeadLetters, Operation, OperationPage, OperationSkip};
use priorities::Priorities;
pub(crate) use recorded::Recorded;
pub use transaction::submit_in;

/// Connections of a client without a service: two INSERTs fly at most, and gather what comes
/// meanwhile.
const CONNECTIONS: u32 = 2;
/// The answer of a unit test's client to all but submissions.
const NO_DATABASE: &str = "a unit test has no database; its client only keeps what is submitted";

/// Submits jobs, and reads and steers them. Clones share their connections.
#[derive(Clone)]
pub struct Client(Arc<RwLock<Option<Behind>>>);

/// Where a client leads to.
#[derive(Clone)]
enum Behind {
    Database(Arc<Database>),
    /// A unit test, which only keeps what is submitted.
    Test(Arc<Recorded>),
}

struct Database {
    submitter: Submitter,
    jobs: Jobs,
    store: Store,
    /// Both `None` beside a service, which listens anyway.
    priorities: Option<Priorities>,
    ears: Option<Ears>,
    /// Waits end when the service leaves.
    leaving: CancellationToken,
}

impl Database {
    /// The submitter, once the priorities of queues are known as well as they are to be.
    async fn submitter(&self) -> &Submitter {
        if let Some(priorities) = &self.priorities {
            priorities.look().await;
        }
        &self.submitter
    }
}

impl Client {
    /// The client of a service, which hears of ends.
    pub(crate) fn of_service(
        submitter: Submitter,
        jobs: Jobs,
        store: Store,
        leaving: CancellationToken,
    ) -> Self {
        let submitter = submitter.through(LIBRARY);
        Self::over(Database { submitter, jobs, store, priorities: None, ears: None, leaving })
    }

    /// The client of a unit test.
    pub(crate) fn recording(recorded: Arc<Recorded>) -> Self {
        Self(Arc::new(RwLock::new(Some(Behind::Test(recorded)))))
    }

    fn over(database: Database) -> Self {
        Self(Arc::new(RwLock::new(Some(Behind::Database(Arc::new(database))))))
    }

    /// A client without a service in its process, on a database whose schema is up to date. Its
    /// role needs what that of a service needs; one with less submits from SQL.
    ///
    /// # Errors
    /// When the database cannot be reached, or its schema is not for this release.
    pub async fn connect(database_url: &str) -> anyhow::Result<Self> {
        let target = Target::parse(database_url)?;
        migrate::check(&target).await?;
        let store = Store::open_for_client(&target, CONNECTIONS).await?;
        let ends = Ends::default();
        // The services hear of the jobs from PostgreSQL.
        let supervisor = Supervisor::default();
        let priorities = Priorities::read(store.clone()).await?;
        let defaults = priorities.defaults.clone();
        let (submitter, writers) =
            Submitter::new(store.clone(), None, Gates::default(), defaults, &supervisor);
        for writer in writers {
            tokio::spawn(writer);
        }
        Ok(Self::over(Database {
            submitter: submitter.through(LIBRARY),
            jobs: Jobs::new(store.clone(), ends.clone()),
            store: store.clone(),
            priorities: Some(priorities),
            ears: Some(Ears::new(target, store, ends, supervisor)),
            leaving: CancellationToken::new(),
        }))
    }

    /// Submits one job. It exists once this returns: its commit was flushed.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit(&self, job: NewJob) -> Result<Written, SubmitError> {
        match self.behind().ok_or_else(closed)? {
            Behind::Database(database) => {
                let submitter = database.submitter().await;
                let job = job.check(submitter.now()).map_err(SubmitError::Invalid)?;
                submitter.submit(job).await
            }
            Behind::Test(recorded) => recorded.submit(job),
        }
    }

    /// Submits a list of up to 10,000 jobs in one transaction: all of them or none. The answers are
    /// in their order, and so are the ids; conflicts of unique keys are resolved in order, within
    /// the list too.
    ///
    /// # Errors
    /// See [`SubmitError`]. Pointers begin with the number of the job in the list, from 0.
    pub async fn submit_many(
        &self,
        jobs: impl IntoIterator<Item = NewJob>,
    ) -> Result<Vec<Written>, SubmitError> {
        match self.behind().ok_or_else(closed)? {
            Behind::Database(database) => {
                let submitter = database.submitter().await;
                let now = submitter.now();
                let checked = jobs.into_iter().map(|job| job.check(now));
                submitter.submit_many(all(checked).map_err(SubmitError::Invalid)?).await
            }
            Behind::Test(recorded) => recorded.submit_many(jobs),
        }
    }

    /// Submits one job within a transaction of the caller: the job exists if that commits. See
    /// [`submit_in`], which does the same without a client.
    ///
    /// # Errors
    /// See [`SubmitError`]. The transaction is aborted then, as by any statement that fails, but by
    /// [`SubmitError::Invalid`]: that is found before anything is sent.
    pub async fn submit_in(
        &self,
        transaction: &tokio_postgres::Transaction<'_>,
        job: NewJob,
    ) -> Result<Written, SubmitError> {
        match self.behind().ok_or_else(closed)? {
            Behind::Database(_) => submit_in(transaction, job).await,
            Behind::Test(recorded) => recorded.submit(job),
        }
    }

    /// Reads a job; `None`: there is no such job, or it is
    /// gone.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get(&self, id: JobId) -> Result<Option<Job>, ClientError> {
        self.database()?.jobs.get(id).await.map_err(ClientError::of)
    }

    /// Waits until a job has ended, for no longer than this, and reads it as it stands then. The
    /// service pushes the news; nothing is polled. It returns early, with a job that has not ended,
    /// where the service leaves. `None`: there is no such job, or it is
    /// gone.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn wait(&self, id: JobId, within: Duration) -> Result<Option<Job>, ClientError> {
        let database = self.database()?;
        if let Some(ears) = &database.ears {
            ears.listen();
        }
        database.jobs.wait(id, within, &database.leaving).await.map_err(ClientError::of)
    }

    /// Cancels a job. A job that waits has ended at once. The handler of one that is processed is
    /// told to stop: the job is `completed` if it succeeds all the same, else `cancelled`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn cancel(&self, id: JobId) -> Result<Cancelled, ClientError> {
        self.database()?.jobs.cancel(id).await.map_err(ClientError::of)
    }

    /// Has a job that has ended run once more, with fresh attempts.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn retry(&self, id: JobId) -> Result<Retried, ClientError> {
        self.database()?.jobs.retry(id).await.map_err(ClientError::of)
    }

    /// Lists jobs, the newest first, at most 200 of them. A page may have fewer than its `limit`,
    /// even none, although more follow. Go on with its `next` as `below` as long as it has one.
    ///
    /// ```no_run
    /// # use reveille::{Client, JobFilter, Status};
    /// # async fn example(client: Client) -> anyhow::Result<()> {
    /// let mut filter = JobFilter { statuses: vec![Status::Failed], ..JobFilter::default() };
    /// loop {
    ///     let page = client.list(&filter).await?;
    ///     for job in page.jobs {
    ///         println!("{} failed: {:?}", job.job_id, job.error);
    ///     }
    ///     filter.below = page.next;
    ///     if filter.below.is_none() {
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list(&self, filter: &JobFilter) -> Result<JobPage, ClientError> {
        let filter = JobFilter { limit: filter.limit.clamp(1, PAGE_MOST), ..filter.clone() };
        self.database()?.jobs.list(&filter).await.map_err(ClientError::of)
    }

    /// The tags of a job.
    pub(crate) async fn tags(&self, id: JobId) -> Result<Vec<String>, ClientError> {
        match self.behind().ok_or_else(ClientError::closed)? {
            Behind::Database(database) => database.jobs.tags(id).await.map_err(ClientError::of),
            Behind::Test(recorded) => Ok(recorded.tags()),
        }
    }

    /// Nothing is done any more: calls to come are answered as if the database were away.
    pub(crate) fn close(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn behind(&self) -> Option<Behind> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn database(&self) -> Result<Arc<Database>, ClientError> {
        match self.behind() {
            Some(Behind::Database(database)) => Ok(database),
            Some(Behind::Test(_)) => Err(ClientError::Unavailable(NO_DATABASE.into())),
            None => Err(ClientError::closed()),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Client").finish_non_exhaustive()
    }
}

fn closed() -> SubmitError {
    SubmitError::Unavailable(error::SHUT_DOWN.into())
}

/// All of them, or everything that is wrong with any.
fn all(
    checked: impl Iterator<Item = Result<Submission, Vec<FieldError>>>,
) -> Result<Vec<Submission>, Vec<FieldError>> {
    let (mut jobs, mut faults, mut count) = (Vec::new(), Vec::new(), 0_usize);
    for checked in checked {
        match checked {
            Ok(job) => jobs.push(job),
            Err(found) => faults.extend(found.into_iter().map(|fault| FieldError {
                pointer: format!("/{count}{}", fault.pointer),
                ..fault
            })),
        }
        count += 1;
    }
    if !(1..=BATCH_MOST).contains(&count) {
        let message =
            format!("a list has 1 to {BATCH_MOST} jobs, this one {count}; split a longer one");
        return Err(vec![FieldError::new("", "batch_size", message)]);
    }
    if faults.is_empty() { Ok(jobs) } else { Err(faults) }
}
