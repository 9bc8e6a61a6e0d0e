//! Claimed jobs: each waits for a slot, is attempted, and hands its outcome on.

mod attempt;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use attempt::{retry, told_to_stop};

use super::figures::JobFigures;
use super::running::{Running, Stop};
use super::slots::{Queued, Slots};
use crate::events::{Defaults, Pauses, Turn};
use crate::job::backoff::Policy;
use crate::job::ending::Ending;
use crate::job::failure::Failure;
use crate::queue::Lane;
use crate::settling::meter::Meter;
use crate::settling::{Delivery, Room};
use crate::store::lease::{Claimed, Settlement, Unreadable};
use crate::supervise::words_of;
use crate::tasks::{Around, Registry};

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

/// Runs claimed jobs.
pub(super) struct Executor {
    pub(super) registry: Registry,
    pub(super) running: Running,
    pub(super) slots: Arc<Slots>,
    pub(super) settle: mpsc::Sender<Delivery>,
    pub(super) room: Room,
    pub(super) around: Arc<Around>,
    /// The grace period is over.
    pub(super) cancelling: CancellationToken,
    pub(super) default_timeout: Duration,
    pub(super) tracker: TaskTracker,
    pub(super) figures: JobFigures,
    pub(super) pauses: Pauses,
    /// The settings of queues.
    pub(super) defaults: Defaults,
    /// Whether a suspect runs here: one at a time, whichever dispatcher claimed it.
    pub(super) suspect_running: Arc<AtomicBool>,
}

impl Executor {
    /// Takes a job that was claimed by a statement sent at `asked_at`. Runs it at once if a slot is
    /// free, else when one comes free. `done` is called when it has left this process.
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
            // Until that is settled it is held here: the heartbeat would give it back once more.
            self.running.begin((job.lease, job.id));
            let ending = Ending::NotStarted { run_at: job.run_at };
            self.end(&job, Some(ending), false, meter, None).await;
        }
    }

    /// Ends the attempt of a job that cannot be read. Another release may read it, so it is tried
    /// as often as others of its task.
    pub(super) async fn refuse(&self, job: Unreadable, lane: &Lane, meter: Arc<Meter>) {
        let (queue, task) = (&lane.queue, &lane.task);
        let Unreadable { lease, id, place, attempt, why } = job;
        tracing::error!(job.id = %id, task.name = %task, error = why, "a claimed job cannot be read; its attempt has failed");
        let failure =
            Failure::about("unreadable", "this release of the service cannot read the job: ", &why);
        let ending = match (attempt, self.registry.get(task)) {
            (Some(attempt), Some(task)) => {
                let settings = self.defaults.of(queue);
                let retried = settings.as_ref().and_then(|queue| queue.retry.as_ref());
                let policy = Policy::in_force(retried, task.backoff);
                retry(attempt, self.most_of(queue, task), policy, failure, None)
            }
            _ => Ending::Failed(failure),
        };
        self.running.begin((lease, id));
        let settlement = Settlement {
            lease,
            id,
            place,
            attempt: attempt.unwrap_or_default(),
            ending,
            begun: true,
            keyed: true,
            timed: true,
        };
        // What could not be read has its key too: the leader finds its turn.
        let outcome = Delivery { settlement, meter: Some(meter), turn: None, room: None };
        let _ = self.settle.send(outcome).await;
    }

    /// Gives back jobs that were held and did not run.
    pub(super) async fn give_back(&self, held: Vec<Queued>) {
        for Queued { job, handle, meter, done, .. } in held {
            let cancelled = Failure::new("cancelled", NOT_BEGUN);
            let ending = match handle.reason() {
                Some(Stop::Lost | Stop::Cancelled) => told_to_stop(&handle, cancelled).flatten(),
                Some(Stop::Silent | Stop::Leaving) | None => {
                    self.figures.given_back.increment(1);
                    let not_started = Ending::NotStarted { run_at: job.run_at };
                    Some(over(&job).map_or(not_started, Ending::Failed))
                }
            };
            self.end(&job, ending, false, meter, done).await;
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
            let not_started = Ending::NotStarted { run_at: job.run_at };
            let ending = Ending::Cancelled(Failure::superseded(replacement, &not_started));
            return self.end(&job, Some(ending), false, meter, done).await;
        }
        if let Some(failure) = over(&job) {
            return self.end(&job, Some(Ending::Failed(failure)), false, meter, done).await;
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
        self.end(&job, ending, true, meter, done).await;
    }

    /// Hands the outcome on, if there is one; whether the attempt has `begun`.
    async fn end(
        &self,
        job: &Claimed,
        ending: Option<Ending>,
        begun: bool,
        meter: Arc<Meter>,
        done: Option<Done>,
    ) {
        match ending {
            Some(ending) => {
                // The buffer is bounded: while the database is away a full one keeps slots taken,
                // and so claims away.
                let room = self.room.take(&ending).await;
                let Claimed { lease, id, place, attempt, keyed, .. } = *job;
                let timed = job.left.is_some();
                let settlement =
                    Settlement { lease, id, place, attempt, ending, begun, keyed, timed };
                let turn = self.turn(job);
                let outcome = Delivery { settlement, meter: Some(meter), turn, room };
                let _ = self.settle.send(outcome).await;
            }
            None => self.running.end((job.lease, job.id)),
        }
        drop(done);
    }
}

impl Executor {
    /// The turn that a job has among those of its key, if it has one.
    fn turn(&self, job: &Claimed) -> Option<Box<Turn>> {
        let key = job.settings.as_ref()?.concurrency_key.clone()?;
        let yields = self.defaults.of(&job.queue).is_some_and(|queue| queue.yields());
        Some(Box::new(Turn { queue: job.queue.clone(), key, yields }))
    }
}

/// Why a job that has not begun ends instead; `None`: it has time left.
fn over(job: &Claimed) -> Option<Failure> {
    job.left.as_ref()?.over(Instant::now())
}

#[cfg(test)]
mod tests;
