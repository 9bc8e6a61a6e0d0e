//! The third door: submitting from Rust, with the rules of the other two.

use std::sync::{Arc, PoisonError, RwLock};

use tokio_util::task::TaskTracker;

use crate::job::submission::{BATCH_MOST, FieldError, NewJob, Submission};
use crate::job::written::Written;
use crate::store::{Store, Target, migrate};
use crate::submitter::{LIBRARY, SubmitError, Submitter};
use crate::supervise::Supervisor;

/// Connections of a client without a service: two INSERTs fly at most, and gather what comes meanwhile.
const CONNECTIONS: u32 = 2;

/// Submits jobs. Clones share their connections.
#[derive(Clone)]
pub struct Client(Arc<RwLock<Option<Arc<Submitter>>>>);

impl Client {
    pub(crate) fn new(submitter: Submitter) -> Self {
        Self(Arc::new(RwLock::new(Some(Arc::new(submitter.through(LIBRARY))))))
    }

    /// A client without a service in its process, on a database whose schema is up to date. Its role needs what that of a
    /// service needs; one with less submits from SQL.
    ///
    /// # Errors
    /// When the database cannot be reached, or its schema is not for this release.
    pub async fn connect(database_url: &str) -> anyhow::Result<Self> {
        let target = Target::parse(database_url)?;
        migrate::check(&target).await?;
        let store = Store::open_to_submit(&target, CONNECTIONS).await?;
        // The services hear of the jobs from PostgreSQL.
        Ok(Self::new(Submitter::start(store, None, &Supervisor::default(), &TaskTracker::new())))
    }

    /// Submits one job. It exists once this returns: its commit was flushed.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit(&self, job: NewJob) -> Result<Written, SubmitError> {
        let submitter = self.submitter()?;
        let job = job.check(submitter.now()).map_err(SubmitError::Invalid)?;
        submitter.submit(job).await
    }

    /// Submits a list of up to 10,000 jobs in one transaction: all of them or none. The answers are in their order, and so
    /// are the ids; conflicts of unique keys are resolved in order, within the list too.
    ///
    /// # Errors
    /// See [`SubmitError`]. Pointers begin with the number of the job in the list, from 0.
    pub async fn submit_many(
        &self,
        jobs: impl IntoIterator<Item = NewJob>,
    ) -> Result<Vec<Written>, SubmitError> {
        let submitter = self.submitter()?;
        let now = submitter.now();
        let checked = jobs.into_iter().map(|job| job.check(now));
        submitter.submit_many(all(checked).map_err(SubmitError::Invalid)?).await
    }

    /// No more submissions: those to come are answered with [`SubmitError::Unavailable`].
    pub(crate) fn close(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn submitter(&self) -> Result<Arc<Submitter>, SubmitError> {
        let open = self.0.read().unwrap_or_else(PoisonError::into_inner);
        open.clone().ok_or_else(|| SubmitError::Unavailable("the service was shut down".into()))
    }
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
