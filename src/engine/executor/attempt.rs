//! One attempt: the handler is run within its time, and what comes of it is an ending.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::Executor;
use crate::engine::running::{Handle, Stop};
use crate::job::backoff::Policy;
use crate::job::bounds::{ERROR_BYTES_MOST, RESULT_BYTES_MOST, excerpt};
use crate::job::clocks::Clocks;
use crate::job::ending::Ending;
use crate::job::failure::Failure;
use crate::job::json::Json;
use crate::job::submission::FARTHEST_SECONDS;
use crate::queue::QueueName;
use crate::store::lease::Claimed;
use crate::supervise::words_of;
use crate::tasks::{Context, Registered, RunError, Then};

/// How long a handler that was told to stop may take to do so.
const CANCEL_GRACE: Duration = Duration::from_secs(5);
/// How long after its time an attempt may still succeed.
const LATE_GRACE: Duration = Duration::from_secs(1);
const LEAVE_GRACE: Duration = Duration::from_millis(300);

/// A handler that snoozes for nothing would be run, and written about, hundreds of times a second.
const SNOOZE_LEAST: f64 = 1.0;

type Ran = Result<Result<Json, RunError>, String>;

impl Executor {
    /// `None`: the lease is lost, and nothing is to be said.
    pub(super) async fn attempt(&self, job: &Claimed, handle: &Handle) -> Option<Ending> {
        let Some(task) = self.registry.get(&job.task) else {
            return Some(Ending::NotStarted { run_at: job.run_at });
        };
        let said = job.timeout_seconds.or_else(|| self.defaults.of(&job.queue)?.timeout_seconds);
        let said = said.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let left = job.left.as_deref().copied().unwrap_or_default();
        let clocks = Clocks::in_force(left, said, task.timeout, self.default_timeout);
        let handled =
            AssertUnwindSafe(self.handle(job, handle, task, &clocks)).catch_unwind().await;
        // A handler that panics is not meant here, but one whose leavings do when they are dropped.
        let ending = handled.unwrap_or_else(|panic| {
            let failure = failure_of(&Err(excerpt(words_of(&*panic), ERROR_BYTES_MOST)));
            told_to_stop(handle, failure.clone())
                .unwrap_or_else(|| Some(self.again(job, task, failure)))
        });
        ending.map(|ending| clocks.bound(ending, Instant::now()))
    }

    /// Runs the handler, as long as it may.
    async fn handle(
        &self,
        job: &Claimed,
        handle: &Handle,
        task: &Registered,
        clocks: &Clocks,
    ) -> Option<Ending> {
        let limit = clocks.limit(Instant::now());
        handle.begins(limit);
        let context = Context {
            job_id: job.id,
            queue: job.queue.clone(),
            task: job.task.clone(),
            priority: job.priority,
            attempt: job.attempt,
            max_attempts: self.most(job, task),
            lease: job.lease,
            deadline: Instant::now() + limit,
            job_deadline: clocks.deadline(),
            cancel: handle.token.clone(),
            around: self.around.clone(),
        };
        let work = AssertUnwindSafe(task.handler.clone().run_any(context, job.payload.clone()))
            .catch_unwind();
        let work =
            async { work.await.map_err(|panic| excerpt(words_of(&*panic), ERROR_BYTES_MOST)) };
        tokio::pin!(work);
        // In this order: a handler that ends at once needs no timer.
        let ran = tokio::select! {
            biased;
            ran = &mut work => Some(ran),
            () = tokio::task::unconstrained(tokio::time::sleep(limit)) => {
                handle.token.cancel();
                self.figures.timeouts.increment(1);
                let failure = clocks.timed_out(Instant::now());
                let late = self.last_words(LATE_GRACE, work.as_mut()).await;
                if let (Some(Ok(Ok(result))), true) = (late, handle.reason() != Some(Stop::Lost)) {
                    return Some(Ending::Completed(result));
                }
                return told_to_stop(handle, failure.clone())
                    .unwrap_or_else(|| Some(self.again(job, task, failure)));
            }
            () = handle.token.cancelled() => match handle.reason() {
                Some(Stop::Lost) => None,
                Some(Stop::Silent | Stop::Leaving) => self.last_words(LEAVE_GRACE, work.as_mut()).await,
                _ => self.last_words(CANCEL_GRACE, work.as_mut()).await,
            },
        };
        let failure = match &ran {
            Some(Ok(Ok(result))) if handle.reason() != Some(Stop::Lost) => {
                return Some(Ending::Completed(result.clone()));
            }
            Some(ran) => failure_of(ran),
            None => Failure::new(
                "cancelled",
                "the handler did not stop when it was told to, and was dropped",
            ),
        };
        if let Some(ending) = told_to_stop(handle, failure.clone()) {
            return ending;
        }
        Some(match ran {
            Some(Ok(Err(RunError::Task(error)))) => match error.outlook() {
                Then::Snooze(delay) => Ending::Snooze { seconds: seconds(delay).max(SNOOZE_LEAST) },
                Then::Fail => Ending::Failed(failure),
                Then::Retry(delay) => self.again_after(job, task, failure, delay),
            },
            Some(Ok(Err(
                RunError::InvalidPayload(_) | RunError::InvalidResult(_) | RunError::ResultTooLarge,
            ))) => Ending::Failed(failure),
            _ => self.again(job, task, failure),
        })
    }

    /// How many attempts the job may spend.
    fn most(&self, job: &Claimed, task: &Registered) -> u32 {
        job.max_attempts.unwrap_or_else(|| self.most_of(&job.queue, task))
    }

    /// As [`Self::most`], of a job that does not say.
    pub(super) fn most_of(&self, queue: &QueueName, task: &Registered) -> u32 {
        let of_queue = || self.defaults.of(queue)?.max_attempts?.try_into().ok();
        of_queue().unwrap_or(task.max_attempts)
    }

    /// Another attempt of the job, or the end if they are used up.
    fn again(&self, job: &Claimed, task: &Registered, failure: Failure) -> Ending {
        self.again_after(job, task, failure, None)
    }

    /// As [`Self::again`], after this delay, or else after that of the policy in force now. The
    /// policy of the queue may have changed since the job was submitted.
    fn again_after(
        &self,
        job: &Claimed,
        task: &Registered,
        failure: Failure,
        delay: Option<Duration>,
    ) -> Ending {
        let own = job.settings.as_ref().and_then(|settings| settings.retry.as_ref());
        let queue = self.defaults.of(&job.queue);
        let of_queue = queue.as_ref().and_then(|queue| queue.retry.as_ref());
        let policy = Policy::in_force(own.or(of_queue), task.backoff);
        retry(job.attempt, self.most(job, task), policy, failure, delay)
    }

    /// Waits so long for a handler that was told to stop, and no longer than that takes when the
    /// service leaves.
    async fn last_words(
        &self,
        most: Duration,
        mut work: Pin<&mut impl Future<Output = Ran>>,
    ) -> Option<Ran> {
        tokio::select! {
            biased;
            ran = &mut work => Some(ran),
            // A handler that is always busy has used up what this task may do until it yields.
            () = tokio::task::unconstrained(tokio::time::sleep(most)) => None,
            () = self.cancelling.cancelled() => tokio::time::timeout(LEAVE_GRACE, work).await.ok(),
        }
    }
}

/// The ending of a handler that did not succeed after it was told to stop; `None` if it was not
/// told.
pub(super) fn told_to_stop(handle: &Handle, failure: Failure) -> Option<Option<Ending>> {
    match handle.reason()? {
        Stop::Lost => Some(None),
        Stop::Cancelled => Some(Some(Ending::Cancelled(failure))),
        Stop::Silent | Stop::Leaving => Some(Some(Ending::Release)),
    }
}

fn failure_of(ran: &Ran) -> Failure {
    match ran {
        Ok(Ok(_)) => Failure::new("lost", "the lease was lost"),
        Ok(Err(RunError::InvalidPayload(why))) => {
            Failure::about("invalid_payload", "the payload is not what the task takes: ", why)
        }
        Ok(Err(RunError::InvalidResult(why))) => {
            Failure::about("invalid_result", "the result cannot be kept: ", why)
        }
        Ok(Err(RunError::ResultTooLarge)) => {
            let message = format!(
                "the result has more than {} MiB when it is written as JSON; keep it elsewhere, and return where it is",
                RESULT_BYTES_MOST >> 20
            );
            Failure::new("result_too_large", &message)
        }
        Ok(Err(RunError::Task(error))) => error.failure(),
        Err(panic) => Failure::about("panicked", "the handler panicked: ", panic),
    }
}

/// Another attempt of a job of which only this is known, or the end if they are used up.
pub(super) fn retry(
    attempt: u32,
    most: u32,
    policy: Policy,
    failure: Failure,
    delay: Option<Duration>,
) -> Ending {
    if attempt >= most {
        return Ending::Failed(failure);
    }
    let delay = delay.unwrap_or_else(|| policy.delay(attempt, rand::random()));
    Ending::Retry { seconds: seconds(delay), failure }
}

/// A delay in seconds, at most as far ahead as a job may be scheduled.
fn seconds(delay: Duration) -> f64 {
    delay.as_secs_f64().min(FARTHEST_SECONDS)
}
