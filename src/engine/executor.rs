//! One attempt: look up the handler, run it within its time, and make an outcome of whatever comes of it.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use metrics::{Histogram, counter, histogram};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::running::{Handle, Running, Stop};
use super::slots::{Queued, Slots};
use crate::job::json::Json;
use crate::queue::TaskName;
use crate::store::Failure;
use crate::store::key::superseded;
use crate::store::lease::{Claimed, Ending, Settlement};
use crate::store::worker::Progress;
use crate::tasks::{Context, Registered, Registry, RunError, TaskError};

/// How long a handler that was told to stop may take to do so.
const CANCEL_GRACE: Duration = Duration::from_secs(5);
/// How long after its time an attempt may still succeed.
const LATE_GRACE: Duration = Duration::from_secs(1);
const LEAVE_GRACE: Duration = Duration::from_millis(300);

/// A handler that snoozes for nothing would be run, and written about, hundreds of times a second.
const SNOOZE_LEAST: f64 = 1.0;

const NOT_BEGUN: &str = "the job was cancelled before its attempt began";

type Ran = Result<Result<Json, RunError>, String>;

/// How long jobs wait and run. The handles are kept, since a metric that is looked up by its labels is hashed anew each time.
pub(super) struct Times {
    wait: Histogram,
    run: HashMap<TaskName, Histogram>,
}

impl Times {
    pub(super) fn of(registry: &Registry) -> Self {
        let run = |name: &TaskName| {
            let times = histogram!("reveille_job_run_seconds", "task" => name.to_string());
            (name.clone(), times)
        };
        Self {
            wait: histogram!("reveille_job_wait_seconds"),
            run: registry.iter().map(|(name, _)| run(name)).collect(),
        }
    }
}

/// Runs claimed jobs.
pub(super) struct Executor {
    pub(super) registry: Registry,
    pub(super) running: Running,
    pub(super) slots: Arc<Slots>,
    pub(super) settle: mpsc::Sender<Settlement>,
    pub(super) reports: mpsc::Sender<Progress>,
    pub(super) default_timeout: Duration,
    pub(super) tracker: TaskTracker,
    pub(super) times: Times,
}

impl Executor {
    /// Takes a claimed job: runs it at once if a slot is free, else when one comes free. `done` is called when it has left
    /// this process.
    pub(super) fn take(
        self: &Arc<Self>,
        job: Claimed,
        waited: Duration,
        done: Option<Box<dyn FnOnce() + Send>>,
    ) {
        let handle = self.running.begin((job.lease, job.id));
        let queued = Queued { job, handle, waited, claimed_at: Instant::now(), done };
        let Some(queued) = self.slots.take(queued) else { return };
        let executor = self.clone();
        // A slot goes from job to job as long as any is held.
        self.tracker.spawn(async move {
            let mut next = Some(queued);
            while let Some(queued) = next {
                executor.run(queued).await;
                next = executor.slots.next();
            }
        });
    }

    /// Gives back jobs that were held and did not run.
    pub(super) async fn give_back(&self, held: Vec<Queued>) {
        for Queued { job, handle, done, .. } in held {
            let cancelled = Failure::new("cancelled", NOT_BEGUN);
            let ending = match handle.reason() {
                Some(Stop::Lost | Stop::Cancelled) => told_to_stop(&handle, cancelled).flatten(),
                Some(Stop::Leaving) | None => {
                    counter!("reveille_jobs_given_back_total").increment(1);
                    Some(Ending::Unbegun { run_at: job.run_at })
                }
            };
            self.end(&job, ending, done).await;
        }
    }

    async fn run(&self, queued: Queued) {
        let Queued { job, handle, waited, claimed_at, done } = queued;
        if handle.reason().is_some() {
            let queued = Queued { job, handle, waited, claimed_at, done };
            return self.give_back(vec![queued]).await;
        }
        if let Some(replacement) = job.superseded_by {
            let unbegun = Ending::Unbegun { run_at: job.run_at };
            let ending = Ending::Cancelled(superseded(replacement, &unbegun));
            return self.end(&job, Some(ending), done).await;
        }
        self.times.wait.record((waited + claimed_at.elapsed()).as_secs_f64());
        let begun = Instant::now();
        let ending = self.attempt(&job, &handle).await;
        let took = begun.elapsed();
        if let Some(times) = self.times.run.get(&job.task) {
            times.record(took.as_secs_f64());
        }
        if let Some(ending) = &ending {
            tracing::debug!(job.id = %job.id, task.name = %job.task, queue.name = %job.queue, job.attempt = job.attempt,
                outcome = ending.as_str(), duration_ms = took.as_secs_f64() * 1e3, "job ended");
        }
        self.end(&job, ending, done).await;
    }

    /// Hands the outcome on, if there is one.
    async fn end(
        &self,
        job: &Claimed,
        ending: Option<Ending>,
        done: Option<Box<dyn FnOnce() + Send>>,
    ) {
        match ending {
            Some(ending) => {
                // The buffer is bounded: while the database is away a full one keeps slots taken, and so claims away.
                let settlement = Settlement {
                    lease: job.lease,
                    id: job.id,
                    place: job.place,
                    ending,
                    keyed: job.keyed,
                };
                let _ = self.settle.send(settlement).await;
            }
            None => self.running.end((job.lease, job.id)),
        }
        if let Some(done) = done {
            done();
        }
    }

    /// `None`: the lease is lost, and nothing is to be said.
    async fn attempt(&self, job: &Claimed, handle: &Handle) -> Option<Ending> {
        let Some(task) = self.registry.get(&job.task) else { return Some(Ending::Release) };
        let limit = job
            .timeout_seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .or(task.timeout)
            .unwrap_or(self.default_timeout);
        let context = Context {
            job_id: job.id,
            attempt: job.attempt,
            lease: job.lease,
            deadline: Instant::now() + limit,
            cancel: handle.token.clone(),
            reports: self.reports.clone(),
        };
        let work = AssertUnwindSafe(task.handler.clone().run_any(context, job.payload.clone()))
            .catch_unwind();
        let work = async { work.await.map_err(|panic| words_of(&*panic)) };
        tokio::pin!(work);
        // In this order: a handler that ends at once needs no timer.
        let ran = tokio::select! {
            biased;
            ran = &mut work => Some(ran),
            () = tokio::task::unconstrained(tokio::time::sleep(limit)) => {
                handle.token.cancel();
                counter!("reveille_job_timeouts_total").increment(1);
                let late = tokio::time::timeout(LATE_GRACE, &mut work).await;
                if let (Ok(Ok(Ok(result))), true) = (late, handle.reason() != Some(Stop::Lost)) {
                    return Some(Ending::Completed(result));
                }
                let message = format!("the attempt took longer than its {} s", limit.as_secs_f64());
                return told_to_stop(handle, Failure::new("timed_out", &message))
                    .unwrap_or_else(|| Some(retry(job, task, Failure::new("timed_out", message))));
            }
            () = handle.token.cancelled() => match handle.reason() {
                Some(Stop::Lost) => None,
                Some(Stop::Leaving) => tokio::time::timeout(LEAVE_GRACE, &mut work).await.ok(),
                _ => tokio::time::timeout(CANCEL_GRACE, &mut work).await.ok(),
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
            Some(Ok(Err(RunError::Task(TaskError::Snooze(wait))))) => {
                Ending::Snooze { seconds: wait.as_secs_f64().clamp(SNOOZE_LEAST, 3.15e8) }
            }
            Some(Ok(Err(
                RunError::Task(TaskError::Permanent(_))
                | RunError::InvalidPayload(_)
                | RunError::InvalidResult(_),
            ))) => Ending::Failed(failure),
            _ => retry(job, task, failure),
        })
    }
}

/// The ending of a handler that did not succeed after it was told to stop; `None` if it was not told.
fn told_to_stop(handle: &Handle, failure: Failure) -> Option<Option<Ending>> {
    match handle.reason()? {
        Stop::Lost => Some(None),
        Stop::Cancelled => Some(Some(Ending::Cancelled(failure))),
        Stop::Leaving => Some(Some(Ending::Release)),
    }
}

fn failure_of(ran: &Ran) -> Failure {
    match ran {
        Ok(Ok(_)) => Failure::new("lost", "the lease was lost"),
        Ok(Err(RunError::InvalidPayload(why))) => Failure::new(
            "invalid_payload",
            format!("the payload is not what the task takes: {why}"),
        ),
        Ok(Err(RunError::InvalidResult(why))) => {
            Failure::new("invalid_result", format!("the result cannot be kept: {why}"))
        }
        Ok(Err(RunError::Task(TaskError::Retry(why)))) => Failure::new("handler_error", why),
        Ok(Err(RunError::Task(TaskError::Permanent(why)))) => Failure::new("permanent", why),
        Ok(Err(RunError::Task(TaskError::Snooze(_)))) => {
            Failure::new("snoozed", "the handler asked to come back later")
        }
        Err(panic) => Failure::new("panicked", panic),
    }
}

/// Another attempt, or the end if they are used up.
fn retry(job: &Claimed, task: &Registered, failure: Failure) -> Ending {
    if job.attempt >= job.max_attempts.unwrap_or(task.max_attempts) {
        return Ending::Failed(failure);
    }
    Ending::Retry {
        seconds: task.backoff.delay(job.attempt, rand::random()).as_secs_f64(),
        failure,
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!("the handler panicked: {}", words.unwrap_or_else(|| "without a word".into()))
}
