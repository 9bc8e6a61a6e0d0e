//! One attempt: look up the handler, run it within its time, and make an outcome of whatever comes of it.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::figures::JobFigures;
use super::room::Room;
use super::running::{Handle, Running, Stop};
use super::slots::{Queued, Slots};
use crate::events::Pauses;
use crate::job::bounds::{ERROR_BYTES_MOST, RESULT_BYTES_MOST, excerpt};
use crate::job::json::Json;
use crate::queue::TaskName;
use crate::queue::meter::Meter;
use crate::store::Failure;
use crate::store::claim::{Claimed, Unreadable};
use crate::store::key::superseded;
use crate::store::lease::{Ending, Settlement};
use crate::store::worker::Progress;
use crate::supervise::words_of;
use crate::tasks::{Context, Registered, Registry, RunError, TaskError};

/// How long a handler that was told to stop may take to do so.
const CANCEL_GRACE: Duration = Duration::from_secs(5);
/// How long after its time an attempt may still succeed.
const LATE_GRACE: Duration = Duration::from_secs(1);
const LEAVE_GRACE: Duration = Duration::from_millis(300);

/// A handler that snoozes for nothing would be run, and written about, hundreds of times a second.
const SNOOZE_LEAST: f64 = 1.0;

const NOT_BEGUN: &str = "the job was cancelled before its attempt began";

/// Called when a job has left this process, however it does.
pub(super) struct Done(Option<Box<dyn FnOnce() + Send>>);

impl Done {
    pub(super) fn new(call: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(call)))
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call();
        }
    }
}

type Ran = Result<Result<Json, RunError>, String>;

/// Runs claimed jobs.
pub(super) struct Executor {
    pub(super) registry: Registry,
    pub(super) running: Running,
    pub(super) slots: Arc<Slots>,
    pub(super) settle: mpsc::Sender<Settlement>,
    pub(super) room: Room,
    pub(super) reports: mpsc::Sender<Progress>,
    /// The grace period is over.
    pub(super) cancelling: CancellationToken,
    pub(super) default_timeout: Duration,
    pub(super) tracker: TaskTracker,
    pub(super) figures: JobFigures,
    pub(super) pauses: Pauses,
    /// Whether a suspect runs here: one at a time, whichever dispatcher claimed it.
    pub(super) suspect_running: Arc<AtomicBool>,
}

impl Executor {
    /// Takes a job that was claimed by a statement sent at `asked_at`: runs it at once if a slot is free, else when one comes free.
    /// `done` is called when it has left this process.
    pub(super) fn take(
        self: &Arc<Self>,
        job: Claimed,
        meter: Arc<Meter>,
        asked_at: Instant,
        waited: Duration,
        done: Option<Done>,
    ) {
        let handle = self.running.begin((job.lease, job.id));
        let claimed_at = Instant::now();
        let queued = Queued { job, handle, meter, asked_at, waited, claimed_at, done };
        let Some(queued) = self.slots.take(queued) else { return };
        let executor = self.clone();
        // A slot goes from job to job as long as any is held.
        self.tracker.spawn(async move {
            let mut next = Some(queued);
            while let Some(queued) = next {
                let key = (queued.job.lease, queued.job.id);
                if let Err(panic) = AssertUnwindSafe(executor.run(queued)).catch_unwind().await {
                    // The heartbeat finds a job that is held and does not run, and gives it back.
                    tracing::error!(job.id = %key.1, "running a job panicked: {}; it is given back", words_of(&*panic));
                    executor.running.end(key);
                }
                next = executor.slots.next();
            }
        });
    }

    /// Gives back claimed jobs that there is no room for here.
    pub(super) async fn decline(&self, jobs: Vec<(Claimed, Arc<Meter>)>) {
        for (job, meter) in jobs {
            self.figures.given_back.increment(1);
            let ending = Ending::Unbegun { run_at: job.run_at };
            self.end(&job, Some(ending), meter, None).await;
        }
    }

    /// Ends the attempt of a job that cannot be read. Another release may read it, so it is tried as often as others of its task.
    pub(super) async fn refuse(&self, job: Unreadable, task: &TaskName, meter: Arc<Meter>) {
        let Unreadable { lease, id, place, attempt, why } = job;
        tracing::error!(job.id = %id, task.name = %task, error = why, "a claimed job cannot be read; its attempt has failed");
        let failure =
            Failure::about("unreadable", "this release of the service cannot read the job: ", &why);
        let ending = match (attempt, self.registry.get(task)) {
            (Some(attempt), Some(task)) => retry(attempt, None, task, failure),
            _ => Ending::Failed(failure),
        };
        self.running.begin((lease, id));
        let (meter, keyed) = (Some(meter), true);
        let settlement = Settlement { lease, id, place, ending, keyed, meter, room: None };
        let _ = self.settle.send(settlement).await;
    }

    /// Gives back jobs that were held and did not run.
    pub(super) async fn give_back(&self, held: Vec<Queued>) {
        for Queued { job, handle, meter, done, .. } in held {
            let cancelled = Failure::new("cancelled", NOT_BEGUN);
            let ending = match handle.reason() {
                Some(Stop::Lost | Stop::Cancelled) => told_to_stop(&handle, cancelled).flatten(),
                Some(Stop::Silent | Stop::Leaving) | None => {
                    self.figures.given_back.increment(1);
                    Some(Ending::Unbegun { run_at: job.run_at })
                }
            };
            self.end(&job, ending, meter, done).await;
        }
    }

    /// Whether the queue of a claimed job was paused after its claim was sent.
    pub(super) fn is_paused(&self, queued: &Queued) -> bool {
        self.pauses.forbid(&queued.job.queue, queued.asked_at)
    }

    async fn run(&self, queued: Queued) {
        if queued.handle.reason().is_some() || self.is_paused(&queued) {
            return self.give_back(vec![queued]).await;
        }
        let Queued { job, handle, meter, waited, claimed_at, done, .. } = queued;
        if let Some(replacement) = job.superseded_by {
            let unbegun = Ending::Unbegun { run_at: job.run_at };
            let ending = Ending::Cancelled(superseded(replacement, &unbegun));
            return self.end(&job, Some(ending), meter, done).await;
        }
        self.figures.waited.record((waited + claimed_at.elapsed()).as_secs_f64());
        let begun = Instant::now();
        let ending = self.attempt(&job, &handle).await;
        let took = begun.elapsed();
        meter.ran(took.as_secs_f64());
        if let Some(ending) = &ending {
            tracing::debug!(job.id = %job.id, task.name = %job.task, queue.name = %job.queue, job.attempt = job.attempt,
                outcome = ending.as_str(), duration_ms = took.as_secs_f64() * 1e3, "job ended");
        }
        self.end(&job, ending, meter, done).await;
    }

    /// Hands the outcome on, if there is one.
    async fn end(
        &self,
        job: &Claimed,
        ending: Option<Ending>,
        meter: Arc<Meter>,
        done: Option<Done>,
    ) {
        match ending {
            Some(ending) => {
                // The buffer is bounded: while the database is away a full one keeps slots taken, and so claims away.
                let room = self.room.take(&ending).await;
                let settlement = Settlement {
                    lease: job.lease,
                    id: job.id,
                    place: job.place,
                    ending,
                    keyed: job.keyed,
                    meter: Some(meter),
                    room,
                };
                let _ = self.settle.send(settlement).await;
            }
            None => self.running.end((job.lease, job.id)),
        }
        drop(done);
    }

    /// `None`: the lease is lost, and nothing is to be said.
    async fn attempt(&self, job: &Claimed, handle: &Handle) -> Option<Ending> {
        let Some(task) = self.registry.get(&job.task) else { return Some(Ending::Release) };
        let limit = job
            .timeout_seconds
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .or(task.timeout)
            .unwrap_or(self.default_timeout);
        let handled = AssertUnwindSafe(self.handle(job, handle, task, limit)).catch_unwind().await;
        // A handler that panics is not meant here, but one whose leavings do when they are dropped.
        handled.unwrap_or_else(|panic| {
            let failure = failure_of(&Err(excerpt(words_of(&*panic), ERROR_BYTES_MOST)));
            told_to_stop(handle, failure.clone()).unwrap_or_else(|| Some(again(job, task, failure)))
        })
    }

    /// Runs the handler, as long as it may.
    async fn handle(
        &self,
        job: &Claimed,
        handle: &Handle,
        task: &Registered,
        limit: Duration,
    ) -> Option<Ending> {
        handle.begins(limit);
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
                let late = self.last_words(LATE_GRACE, work.as_mut()).await;
                if let (Some(Ok(Ok(result))), true) = (late, handle.reason() != Some(Stop::Lost)) {
                    return Some(Ending::Completed(result));
                }
                let message = format!("the attempt took longer than its {} s", limit.as_secs_f64());
                let failure = Failure::new("timed_out", &message);
                return told_to_stop(handle, failure.clone())
                    .unwrap_or_else(|| Some(again(job, task, failure)));
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
            Some(Ok(Err(RunError::Task(TaskError::Snooze(wait))))) => {
                Ending::Snooze { seconds: wait.as_secs_f64().clamp(SNOOZE_LEAST, 3.15e8) }
            }
            Some(Ok(Err(
                RunError::Task(TaskError::Permanent(_))
                | RunError::InvalidPayload(_)
                | RunError::InvalidResult(_)
                | RunError::ResultTooLarge,
            ))) => Ending::Failed(failure),
            _ => again(job, task, failure),
        })
    }

    /// Waits so long for a handler that was told to stop, and no longer than that takes when the service leaves.
    async fn last_words(
        &self,
        most: Duration,
        mut work: Pin<&mut impl Future<Output = Ran>>,
    ) -> Option<Ran> {
        tokio::select! {
            biased;
            ran = &mut work => Some(ran),
            () = tokio::time::sleep(most) => None,
            () = self.cancelling.cancelled() => tokio::time::timeout(LEAVE_GRACE, work).await.ok(),
        }
    }
}

/// The ending of a handler that did not succeed after it was told to stop; `None` if it was not told.
fn told_to_stop(handle: &Handle, failure: Failure) -> Option<Option<Ending>> {
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
        Ok(Err(RunError::Task(TaskError::Retry(why)))) => Failure::new("handler_error", why),
        Ok(Err(RunError::Task(TaskError::Permanent(why)))) => Failure::new("permanent", why),
        Ok(Err(RunError::Task(TaskError::Snooze(_)))) => {
            Failure::new("snoozed", "the handler asked to come back later")
        }
        Err(panic) => Failure::about("panicked", "the handler panicked: ", panic),
    }
}

/// Another attempt of the job, or the end if they are used up.
fn again(job: &Claimed, task: &Registered, failure: Failure) -> Ending {
    retry(job.attempt, job.max_attempts, task, failure)
}

/// As [`again`], of a job of which only this is known.
fn retry(attempt: u32, most: Option<u32>, task: &Registered, failure: Failure) -> Ending {
    if attempt >= most.unwrap_or(task.max_attempts) {
        return Ending::Failed(failure);
    }
    Ending::Retry { seconds: task.backoff.delay(attempt, rand::random()).as_secs_f64(), failure }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use chrono::Utc;
    use tokio::sync::Semaphore;
    use uuid::Uuid;

    use super::*;
    use crate::job::{JobId, LeaseId};
    use crate::queue::meter::Meters;
    use crate::queue::{QueueName, TaskName};
    use crate::tasks::Handler;

    /// Counts its starts, and goes on when it is let.
    struct Counted(Arc<(AtomicUsize, Semaphore)>);

    impl Handler for Counted {
        const NAME: &'static str = "counted";
        type Payload = Json;
        type Output = ();

        async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
            self.0.0.fetch_add(1, Ordering::SeqCst);
            let _go_on = self.0.1.acquire().await;
            Ok(())
        }
    }

    /// What is dropped with it panics.
    struct Mined;

    struct Mine;

    impl Drop for Mine {
        fn drop(&mut self) {
            panic!("it went off");
        }
    }

    impl Handler for Mined {
        const NAME: &'static str = "mined";
        type Payload = Json;
        type Output = ();

        async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
            let _mine = Mine;
            std::future::pending().await
        }
    }

    fn executor(
        registry: Registry,
        slots: &Arc<Slots>,
        settle: mpsc::Sender<Settlement>,
    ) -> Executor {
        Executor {
            registry,
            running: Running::default(),
            slots: slots.clone(),
            settle,
            room: Room::new(),
            reports: mpsc::channel(1).0,
            cancelling: CancellationToken::new(),
            default_timeout: Duration::from_secs(60),
            tracker: TaskTracker::new(),
            figures: JobFigures::default(),
            pauses: Pauses::default(),
            suspect_running: Arc::default(),
        }
    }

    #[tokio::test]
    async fn a_handler_that_panics_when_it_is_dropped_spends_its_attempt() {
        let mut registry = Registry::default();
        registry.add(Mined);
        let (settle, mut settled) = mpsc::channel(1);
        let slots = Arc::new(Slots::new(1));
        let executor = Arc::new(executor(registry, &slots, settle));
        for (attempt, end) in [(1, "retry"), (2, "failed")] {
            let job = Claimed {
                task: TaskName::trusted(Mined::NAME),
                timeout_seconds: Some(0.01),
                max_attempts: Some(2),
                attempt,
                ..claimed()
            };
            let meter = Meters::default().of(&job.queue, &job.task);
            executor.take(job, meter, Instant::now(), Duration::ZERO, None);
            let ended = tokio::time::timeout(Duration::from_secs(10), settled.recv()).await;
            let ending = ended.expect("it ends").expect("the executor is there").ending;
            assert_eq!(ending.as_str(), end);
            let (Ending::Retry { failure, .. } | Ending::Failed(failure)) = ending else { return };
            assert_eq!(failure.code, "panicked");
            assert!(failure.message.ends_with("it went off"), "{}", failure.message);
        }
    }

    fn claimed() -> Claimed {
        Claimed {
            lease: LeaseId(Uuid::nil()),
            id: JobId(Uuid::now_v7()),
            queue: QueueName::default(),
            task: TaskName::trusted(Counted::NAME),
            priority: 5,
            run_at: Utc::now(),
            attempt: 1,
            crashes: 0,
            payload: Json::null(),
            beyond_room: false,
            max_attempts: None,
            timeout_seconds: None,
            keyed: false,
            superseded_by: None,
            place: 1,
        }
    }

    #[tokio::test]
    async fn of_two_thousand_jobs_held_ahead_none_starts_after_a_pause_and_later_claims_do() {
        const HELD: usize = 2000;
        let state = Arc::new((AtomicUsize::new(0), Semaphore::new(0)));
        let mut registry = Registry::default();
        registry.add(Counted(state.clone()));
        let (settle, mut settled) = mpsc::channel(HELD + 2);
        let (pauses, slots) = (Pauses::default(), Arc::new(Slots::new(1)));
        let executor = Executor { pauses: pauses.clone(), ..executor(registry, &slots, settle) };
        let executor = Arc::new(executor);
        let take = || {
            let job = claimed();
            let meter = Meters::default().of(&job.queue, &job.task);
            executor.take(job, meter, Instant::now(), Duration::ZERO, None);
        };
        for _ in 0..=HELD {
            take();
        }
        while state.0.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        pauses.pause(QueueName::default());
        // The dispatcher takes out what is held; a slot that comes free may be faster.
        let left = std::cell::Cell::new(HELD / 2);
        let taken = slots.take_out(|queued| {
            left.set(left.get().saturating_sub(1));
            left.get() > 0 && executor.is_paused(queued)
        });
        assert_eq!(taken.len(), HELD / 2 - 1);
        executor.give_back(taken).await;
        state.1.add_permits(2);
        let mut ends = Vec::new();
        while ends.len() <= HELD {
            ends.push(settled.recv().await.map(|one| one.ending.as_str()));
        }
        assert_eq!(ends.iter().filter(|end| **end == Some("completed")).count(), 1);
        assert_eq!(ends.iter().filter(|end| **end == Some("unbegun")).count(), HELD);
        assert_eq!(state.0.load(Ordering::SeqCst), 1, "only the one that ran before");
        take();
        assert_eq!(settled.recv().await.map(|one| one.ending.as_str()), Some("completed"));
    }
}
