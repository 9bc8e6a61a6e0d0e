//! Writing what has gathered, and telling this process's own dispatcher.

use std::sync::Arc;
use std::time::Duration;

use metrics::histogram;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout_at};

use super::announce::{notices, seconds_until, wake};
use super::answers::Answers;
use super::gather::Plain;
use super::turns::Timer;
use super::{Answer, LIBRARY, Request, SubmitError};
use crate::events::{Gates, Wakes};
use crate::job::JobId;
use crate::job::state::Status;
use crate::job::submission::Submission;
use crate::job::written::{Outcome, Written};
use crate::queue::QueueName;
use crate::store::{Error, Result as StoreResult, Store};

const PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone)]
pub(super) struct Writer {
    pub(super) store: Store,
    /// `None`: there is no dispatcher to wake.
    pub(super) wakes: Option<Wakes>,
    pub(super) gates: Gates,
}

impl Writer {
    /// Writes jobs without unique keys, as they come.
    pub(super) async fn run(self, plain: Arc<Plain>) {
        let mut timer = Timer::new();
        while let Some((batch, mut alone)) = plain.gather(&mut timer).await {
            let by_library = alone.is_some() && batch.iter().all(|request| request.door == LIBRARY);
            let (jobs, begun) = (batch.len(), Instant::now());
            let answers = self.write(batch).await;
            if let Some(turn) = &mut alone {
                turn.ended(jobs, begun, Instant::now());
            }
            if by_library {
                answers.tell_together().await;
                // Callers in this process come again before the next INSERT flies, and so share it:
                // 15 of 16 callers instead of 12. A client over HTTP takes longer, which would
                // leave PostgreSQL idle.
                yield_now().await;
            } else {
                drop(answers);
            }
            drop(alone);
        }
    }

    async fn write(&self, batch: Vec<Request>) -> Answers {
        // No caller waits longer than was promised because others came first.
        let deadline =
            batch.iter().map(|request| request.deadline).min().unwrap_or_else(Instant::now);
        let (jobs, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|request| ((request.id, request.job), request.answer)).unzip();
        let result = self.insert(&jobs, deadline).await;
        if let (Err(SubmitError::Refused(_)), true) = (&result, jobs.len() > 1) {
            // One bad row must not fail its neighbours.
            for (job, answer) in jobs.into_iter().zip(answers) {
                let _ = answer.send(self.write_one(&job, deadline).await);
            }
            return Answers::default();
        }
        if result.is_ok() {
            self.announce(&jobs);
        }
        let answer =
            |(id, job): &(JobId, Submission)| result.clone().map(|()| self.created(*id, job));
        Answers::new(answers.into_iter().zip(jobs.iter().map(answer)).collect())
    }

    pub(super) async fn write_one(&self, job: &(JobId, Submission), deadline: Instant) -> Answer {
        self.insert(std::slice::from_ref(job), deadline).await?;
        self.announce(std::slice::from_ref(job));
        Ok(self.created(job.0, &job.1))
    }

    /// Inserts jobs without unique keys, all or none.
    pub(super) async fn insert(
        &self,
        jobs: &[(JobId, Submission)],
        deadline: Instant,
    ) -> Result<(), SubmitError> {
        self.persist(false, false, deadline, |announce, sent| async move {
            let notices = if announce { notices(jobs, &self.store.clock) } else { Vec::new() };
            match self.store.job_submit(jobs, &notices, deadline).await {
                Err(error) if sent && error.is_doubled() => Ok(()),
                result => result,
            }
        })
        .await
    }

    /// Inserts jobs of which some have a unique key, all or none. Waits `key_wait` for a key that
    /// an open transaction holds. `sent` says that an earlier try may have been kept.
    pub(super) async fn insert_keyed(
        &self,
        jobs: &[(JobId, Submission)],
        sent: bool,
        key_wait: Duration,
        deadline: Instant,
    ) -> Result<Vec<Written>, SubmitError> {
        let written = self
            .persist(true, sent, deadline, |announce, sent| async move {
                // Such a job may have ended by now, and its key may be free: only its id tells that
                // it was kept.
                if sent && let Some(kept) = self.store.job_kept(jobs, deadline).await? {
                    return Ok(kept);
                }
                self.store.job_submit_together(jobs, announce, key_wait, deadline).await
            })
            .await?;
        let mut rejected = Vec::new();
        let mut accepted = Vec::with_capacity(written.len());
        for (nth, written) in written.into_iter().enumerate() {
            match written {
                Ok(written) => accepted.push(written),
                Err(holder) => rejected.push((nth, holder)),
            }
        }
        if rejected.is_empty() { Ok(accepted) } else { Err(SubmitError::Conflict(rejected)) }
    }

    /// Tries to write, announced or not, until it is settled or the deadline has come. `write` is
    /// told whether an earlier try may have been kept.
    pub(super) async fn persist<T, F: Future<Output = StoreResult<T>>>(
        &self,
        keyed: bool,
        mut sent: bool,
        deadline: Instant,
        write: impl Fn(bool, bool) -> F,
    ) -> Result<T, SubmitError> {
        let (mut announce, mut partitions) = (true, false);
        loop {
            let error = match write(announce, sent).await {
                Ok(written) => {
                    self.store.disk.found_room();
                    return Ok(written);
                }
                Err(error) => error,
            };
            if error.is_disk_full() {
                self.store.disk.found_full();
            }
            sent |= error.may_be_done();
            if keyed && !sent && error.is_locked() {
                return Err(SubmitError::KeyBusy);
            } else if announce && error.is_limit() {
                // The queue of notifications is full. The jobs matter more than their announcement;
                // the poll finds them.
                announce = false;
            } else if !partitions && error.lacks_partition() {
                partitions = true;
                let _ = timeout_at(deadline, self.store.partition_ensure()).await;
            } else if error.is_passing() && Instant::now() + PAUSE < deadline {
                sleep(PAUSE).await;
            } else {
                return Err(refusal(&error, sent));
            }
        }
    }

    /// Wakes this process's own dispatcher at once, or whoever gives jobs their turns; the others
    /// hear of it from PostgreSQL.
    pub(super) fn announce(&self, jobs: &[(JobId, Submission)]) {
        let mut keyed: Vec<&QueueName> =
            jobs.iter().filter(|(_, job)| job.takes_turns()).map(|(_, job)| &job.queue).collect();
        keyed.dedup();
        keyed.into_iter().for_each(|queue| self.gates.look_at(queue.clone()));
        if let Some(wakes) = &self.wakes {
            wakes.wake(|pending| wake(pending, jobs, &self.store.clock));
        }
        histogram!("reveille_submit_batch_size").record(as_f64(jobs.len()));
    }

    pub(super) fn created(&self, id: JobId, job: &Submission) -> Written {
        let waits = seconds_until(job, &self.store.clock) > 0.0;
        let status = if waits { Status::Scheduled } else { Status::Queued };
        Written { job_id: id, status, outcome: Outcome::Created }
    }
}

fn refusal(error: &Error, sent: bool) -> SubmitError {
    match error {
        _ if sent => SubmitError::Unknown(error.to_string()),
        Error::Unavailable(_) | Error::Busy { .. } => SubmitError::Unavailable(error.to_string()),
        _ => SubmitError::Refused(error.to_string()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of rows")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
