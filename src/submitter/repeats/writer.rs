//! Writing requests that may be repeated.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::super::SubmitError;
use super::super::gather::gather;
use super::super::keyed::{KEY_WAIT, Keyed, ROUND_WAIT, in_doubt};
use super::{Answer, RepeatError, Repeated, Request};
use crate::job::JobId;
use crate::job::idempotency::Repeatable;
use crate::job::submission::Submission;
use crate::store::Store;
use crate::store::job::{Once, Round};
use crate::supervise::{Inbox, Supervisor};

/// Writes requests that may be repeated.
#[derive(Clone)]
pub(super) struct RepeatWriter {
    pub(super) keyed: Keyed,
    pub(super) store: Store,
    /// How long answers are kept.
    pub(super) keep: Duration,
    pub(super) supervisor: Supervisor,
}

impl RepeatWriter {
    pub(super) async fn run(self, requests: Inbox<mpsc::Receiver<Request>>) {
        let mut requests = requests.lock().await;
        while let Some(round) = gather(&mut requests).await {
            self.write(round).await;
        }
    }

    /// Writes a round. An obstacle may be in the way of one request only. Then each goes on alone,
    /// and keeps nobody waiting.
    async fn write(&self, round: Vec<Request>) {
        let deadline = round.iter().map(|it| it.deadline).min().unwrap_or_else(Instant::now);
        let jobs: Vec<_> = round.iter().map(|it| it.job.clone()).collect();
        let requests = round.iter().map(|it| (&it.request, it.admitted, 1)).collect();
        let all = Round { requests, jobs: &jobs, keep: self.keep };
        let written = match self.keyed.place(deadline).await {
            Ok(_place) => Ok(self.store.job_submit_once(&all, true, ROUND_WAIT, deadline).await),
            Err(error) => Err(error),
        };
        match written {
            Ok(Ok(answers)) => {
                self.store.disk.found_room();
                self.keyed.writer.announce(&jobs);
                for (answer, request) in answers.into_iter().zip(round) {
                    let _ = request.answer.send(told(answer, false));
                }
            }
            Ok(Err(error)) => {
                let sent = error.may_be_done();
                round.into_iter().for_each(|it| self.go_alone(Request { sent, ..it }));
            }
            Err(error) => {
                for request in round {
                    let _ = request.answer.send(Err(error.clone().into()));
                }
            }
        }
    }

    fn go_alone(&self, request: Request) {
        let writer = self.clone();
        tokio::spawn(async move {
            let Request { request, admitted, job, deadline, sent, flight, answer } = request;
            let trying = writer.try_alone(&request, admitted, &job, sent, deadline);
            let given = writer.supervisor.once("repeats-alone", trying).await;
            let panicked = || {
                let why = "the service failed while it wrote the submission; its log says why";
                Err(SubmitError::Unknown(why.into()).into())
            };
            let _ = answer.send(given.unwrap_or_else(panicked));
            drop(flight);
        });
    }

    async fn try_alone(
        &self,
        request: &Repeatable,
        admitted: bool,
        job: &(JobId, Submission),
        sent: bool,
        deadline: Instant,
    ) -> Answer {
        let jobs = std::slice::from_ref(job);
        // A try that the deadline cuts off would leave its caller in doubt.
        let last = deadline - 2 * KEY_WAIT;
        let answer = self.take_turns(request, admitted, jobs, sent, last, deadline).await;
        match answer {
            Err(RepeatError::Submission(error)) if sent => Err(in_doubt(error).into()),
            answer => answer,
        }
    }

    /// Tries until the unique keys of the jobs are free, or for the last time then.
    pub(super) async fn take_turns(
        &self,
        request: &Repeatable,
        admitted: bool,
        jobs: &[(JobId, Submission)],
        sent: bool,
        last: Instant,
        deadline: Instant,
    ) -> Answer {
        let attempt = async |key_wait: Duration| -> Answer {
            let _place = self.keyed.place(deadline).await?;
            let (keyed, keep) = (&self.keyed, self.keep);
            let requests = vec![(request, admitted, jobs.len())];
            let round = &Round { requests, jobs, keep };
            let tried = keyed.writer.persist(true, sent, deadline, |announce, sent| async move {
                let all = self.store.job_submit_once(round, announce, key_wait, deadline).await?;
                Ok((all, sent))
            });
            let (mut all, sent) = tried.await?;
            let none = || SubmitError::Refused("the database gave no answer".into());
            told(all.pop().ok_or_else(none)?, sent)
        };
        let mut answer = attempt(ROUND_WAIT).await;
        while matches!(answer, Err(RepeatError::Submission(SubmitError::KeyBusy)))
            && Instant::now() < last
            && let Ok(_turn) = timeout_at(last, self.keyed.turn.acquire()).await
        {
            answer = attempt(self.keyed.turn_length()).await;
        }
        if answer.as_ref().is_ok_and(|answer| !answer.replayed) {
            self.keyed.writer.announce(jobs);
        }
        answer
    }
}

/// An answer as its caller is told it. `sent`: an earlier try may have been kept, and if so is the
/// first.
fn told(answer: Once, sent: bool) -> Answer {
    match answer {
        Once::Answered { jobs, replayed } => {
            let (mut written, mut held) = (Vec::with_capacity(jobs.len()), Vec::new());
            for (nth, job) in jobs.into_iter().enumerate() {
                match job {
                    Ok(job) => written.push(job),
                    Err(holder) => held.push((nth, holder)),
                }
            }
            if !held.is_empty() {
                return Err(SubmitError::Conflict(held).into());
            }
            Ok(Repeated { written, replayed: replayed && !sent })
        }
        Once::Reused => Err(RepeatError::Reused),
        Once::Busy => Err(RepeatError::Busy),
        Once::Full => Err(RepeatError::Full),
    }
}
