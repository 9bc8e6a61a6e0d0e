//! The submissions to a unit test's client.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::Utc;
use uuid::Uuid;

use super::all;
use crate::job::JobId;
use crate::job::fields::NewJob;
use crate::job::state::Status;
use crate::job::submission::{Start, Submission};
use crate::job::written::{Outcome, Written};
use crate::submitter::SubmitError;

/// Jobs that were submitted in a unit test, and the tags of its own job.
#[derive(Debug, Default)]
pub(crate) struct Recorded(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    submitted: Vec<NewJob>,
    tags: Vec<String>,
}

impl Recorded {
    /// Keeps a job that keeps the rules.
    pub(super) fn submit(&self, job: NewJob) -> Result<Written, SubmitError> {
        let checked = job.clone().check(Utc::now()).map_err(SubmitError::Invalid)?;
        self.kept().submitted.push(job);
        Ok(written(&checked))
    }

    /// Keeps jobs that keep the rules, all or none.
    pub(super) fn submit_many(
        &self,
        jobs: impl IntoIterator<Item = NewJob>,
    ) -> Result<Vec<Written>, SubmitError> {
        let jobs: Vec<NewJob> = jobs.into_iter().collect();
        let now = Utc::now();
        let checked = all(jobs.iter().map(|job| job.clone().check(now)));
        let answers = checked.map_err(SubmitError::Invalid)?.iter().map(written).collect();
        self.kept().submitted.extend(jobs);
        Ok(answers)
    }

    pub(crate) fn submitted(&self) -> Vec<NewJob> {
        self.kept().submitted.clone()
    }

    pub(crate) fn tag(&self, tag: String) {
        self.kept().tags.push(tag);
    }

    pub(super) fn tags(&self) -> Vec<String> {
        self.kept().tags.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn written(job: &Submission) -> Written {
    let status = if job.start == Start::Now { Status::Queued } else { Status::Scheduled };
    Written { job_id: JobId(Uuid::now_v7()), status, outcome: Outcome::Created }
}
