//! Jobs that may have taken their workers down.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::executor::Done;
use super::Dispatcher;
use crate::store::Result;

/// A dispatcher that heard of suspects in vain does not look for them again for so long: any role
/// can notify of them.
const SUSPECTS_REST: Duration = Duration::from_millis(500);

impl Dispatcher {
    /// One suspect at a time, in a lease of its own: a crash while it runs is its own doing.
    pub(super) async fn claim_suspect(&mut self) -> Result<()> {
        if self.executor.suspect_running.load(Ordering::Acquire) || !self.slots.reserve() {
            return Ok(());
        }
        let tasks: Vec<&str> = self.tasks.iter().map(String::as_str).collect();
        let queues = (!self.config.queues.is_empty()).then_some(self.config.queues.as_slice());
        let asked_at = Instant::now();
        match self.store.lease_claim_suspect(self.identity.worker(), queues, &tasks).await? {
            Some((lane, Err(job))) => {
                let meter = self.meters.of(&lane.queue, &lane.task);
                self.executor.refuse(job, &lane, meter).await;
            }
            Some((_, Ok(mut job))) => {
                self.limit([&mut job]).await;
                self.claimer.figures.suspects.increment(1);
                tracing::warn!(job.id = %job.id, task.name = %job.task, crashes = job.crashes,
                    "a job whose workers were lost before runs alone");
                self.executor.suspect_running.store(true, Ordering::Release);
                let (running, wakes) =
                    (self.executor.suspect_running.clone(), self.events.wakes.clone());
                let done = move || {
                    running.store(false, Ordering::Release);
                    wakes.wake(|pending| pending.suspects = true);
                };
                let meter = self.meters.of(&job.queue, &job.task);
                self.take(job, meter, asked_at, Some(Done::new(done)));
            }
            None => {
                self.suspects = false;
                self.suspects_rest = Some(Instant::now() + SUSPECTS_REST);
            }
        }
        Ok(())
    }
}
