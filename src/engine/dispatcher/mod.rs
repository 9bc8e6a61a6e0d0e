//! The dispatcher: one loop that is woken, and claims for all free slots, and a little ahead of
//! them, in one statement. The [`Claimer`] keeps what it knows of lanes. Timers are exact: the loop
//! sleeps until the next job of a lane is due.

mod limits;
mod scans;
mod suspects;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::executor::{Done, Executor};
use super::slots::Slots;
use super::{EngineConfig, Identity};
use crate::claiming::Claimer;
use crate::events::{Events, Pending, Source};
use crate::queue::{Lane, QueueName};
use crate::settling::meter::{Meter, Meters};
use crate::shutdown::Shutdown;
use crate::store::lease::{CLAIM_MOST, Claim, Claimed, LaneClaim};
use crate::store::ready::LANES_PAGE;
use crate::store::{Result, Store};
use crate::tasks::Registry;

/// How long nothing is read after that has failed: longer than the loop pauses, or lanes that are
/// known would have no turn.
const SCANS_REST: Duration = Duration::from_secs(2);

pub(super) struct Dispatcher {
    config: EngineConfig,
    tasks: HashSet<String>,
    store: Store,
    events: Events,
    identity: Identity,
    slots: Arc<Slots>,
    executor: Arc<Executor>,
    claimer: Claimer,
    queues_seen: HashSet<QueueName>,
    /// Since when they are noted.
    seen_since: Instant,
    /// Lanes to be read, in turns.
    to_scan: VecDeque<Scan>,
    /// Reading failed: before this time nothing is read.
    scans_rest: Option<Instant>,
    suspects: bool,
    /// No suspect was found: before this time none is looked for.
    suspects_rest: Option<Instant>,
    meters: Meters,
}

/// A look at which lanes have jobs, page by page, so that lanes that are known are claimed from
/// meanwhile.
struct Scan {
    /// `None`: all of them.
    queue: Option<QueueName>,
    source: Source,
    /// The last lane that was read.
    after: Option<Lane>,
}

impl Dispatcher {
    pub(super) fn new(
        config: EngineConfig,
        registry: &Registry,
        store: Store,
        events: Events,
        identity: Identity,
        slots: Arc<Slots>,
        executor: Arc<Executor>,
    ) -> Self {
        let tasks: HashSet<String> = registry.iter().map(|(name, _)| name.to_string()).collect();
        let sweeps = config.queues.is_empty().then(|| tasks.iter().cloned().collect());
        Self {
            config,
            tasks,
            store,
            events,
            identity,
            slots,
            executor,
            claimer: Claimer::new(sweeps),
            queues_seen: HashSet::new(),
            seen_since: Instant::now(),
            to_scan: VecDeque::new(),
            scans_rest: None,
            suspects: false,
            suspects_rest: None,
            meters: Meters::of_tasks(registry.iter().map(|(name, _)| name)),
        }
    }

    pub(super) async fn run(mut self, shutdown: Shutdown) {
        if self.config.slots == 0 {
            return;
        }
        // Everything is looked at when it begins, and from then on so long after that has ended.
        let mut poll_at = Some(Instant::now());
        let (mut pause, mut said) = (Duration::ZERO, false);
        while !shutdown.draining.is_cancelled() {
            self.take_wakes().await;
            self.executor.give_back(self.slots.overdue()).await;
            let result = self.work(&mut poll_at).await;
            match &result {
                Ok(()) => {
                    pause = Duration::ZERO;
                    said &= self.scans_rest.is_some();
                }
                Err(error) => {
                    if !std::mem::replace(&mut said, true) {
                        tracing::warn!(%error, "jobs cannot be claimed; it goes on trying");
                    }
                    pause = (pause * 2).clamp(Duration::from_millis(100), Duration::from_secs(1));
                }
            }
            self.wait(poll_at, pause, &shutdown).await;
        }
        self.executor.give_back(self.slots.give_up()).await;
    }

    /// Looks at everything when it is time, and claims while there is something to claim and a slot
    /// to run it in.
    async fn work(&mut self, poll_at: &mut Option<Instant>) -> Result<()> {
        if poll_at.is_some_and(|at| at <= Instant::now()) {
            *poll_at = None;
            self.claimer.poll_begins();
            self.see_queues_anew();
            self.to_scan.push_back(Scan { queue: None, source: Source::Poll, after: None });
        }
        self.scans_rest = self.scans_rest.filter(|until| Instant::now() < *until);
        let later = self.claimer.finds_itself() && self.slots.room() > 0;
        if let Some(scan) = self.to_scan.pop_front_if(|_| self.scans_rest.is_none() && !later) {
            let polls = scan.source == Source::Poll;
            match self.read_page(&scan).await {
                Ok(Some(next)) => self.go_on(next),
                Ok(None) if polls => {
                    self.claimer.poll_ends();
                    // Instances that started together must not poll together for ever.
                    let jittered = 0.9 + 0.2 * rand::random::<f64>();
                    *poll_at = Some(Instant::now() + self.config.poll_interval.mul_f64(jittered));
                }
                Ok(None) => {}
                // Meanwhile lanes that are known are claimed from.
                Err(error) => {
                    self.to_scan.push_front(scan);
                    self.scans_rest = Some(Instant::now() + SCANS_REST);
                    return Err(error);
                }
            }
        }
        self.claimer.wake_due(self.store.clock.now(), Instant::now());
        self.suspects_rest = self.suspects_rest.filter(|until| Instant::now() < *until);
        if self.suspects && self.suspects_rest.is_none() {
            self.claim_suspect().await?;
        }
        let room = self.slots.room();
        if self.claimer.has_lanes() && room > 0 {
            self.claim(room.min(CLAIM_MOST)).await?;
        }
        Ok(())
    }

    async fn wait(&self, poll_at: Option<Instant>, pause: Duration, shutdown: &Shutdown) {
        let now = Instant::now();
        let timer = self.claimer.next_due().map(|at| now + self.store.clock.until(at));
        let suspects = self.suspects_rest.filter(|_| self.suspects);
        let scan = (!self.to_scan.is_empty()).then(|| self.scans_rest.unwrap_or(now));
        let times = [poll_at, timer, self.claimer.next_look(), suspects, scan];
        let mut next = times.into_iter().flatten().min().unwrap_or(now);
        if let Some(at) = self.slots.give_back_at() {
            next = next.min(at);
        }
        let claimable = self.claimer.has_lanes() && self.slots.room() > 0;
        if pause.is_zero() && (claimable || next <= now) {
            return;
        }
        // After a failure only time helps, and what comes meanwhile is looked at then.
        let (wait, awake) = if pause.is_zero() {
            (next.saturating_duration_since(now), true)
        } else {
            (pause, false)
        };
        tokio::select! {
            () = shutdown.draining.cancelled() => {}
            () = self.events.wakes.wait(), if awake => {}
            () = self.slots.freed(), if awake && (self.claimer.has_lanes() || self.suspects) => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    fn serves(&self, lane: &Lane) -> bool {
        self.tasks.contains(lane.task.as_str()) && self.serves_queue(&lane.queue)
    }

    fn serves_queue(&self, queue: &QueueName) -> bool {
        self.config.queues.is_empty()
            || self.config.queues.iter().any(|name| name == queue.as_str())
    }

    async fn take_wakes(&mut self) {
        let Pending { lanes, queues, all_queues, suspects, everything, paused } =
            self.events.wakes.take();
        if paused {
            let held = self.slots.take_out(|queued| self.executor.is_paused(queued));
            self.executor.give_back(held).await;
        }
        let now = Instant::now();
        for (lane, source) in lanes {
            if self.serves(&lane) && !self.claimer.hear(lane, source, now) {
                self.scan(None);
            }
        }
        self.suspects |= suspects;
        if everything {
            self.claimer.forget_fronts();
            self.scans_rest = None;
        }
        for queue in queues {
            self.claimer.release(&queue);
            self.scan(Some(queue));
        }
        if everything || all_queues {
            self.claimer.forget_holds();
            self.scan(None);
        }
    }

    /// Reads which lanes have jobs, as far as a page goes. Answers where the next one begins, if
    /// there is one.
    async fn read_page(&mut self, scan: &Scan) -> Result<Option<Scan>> {
        let lanes = self.store.ready_lanes(scan.queue.as_ref(), scan.after.as_ref()).await?;
        let now = self.store.clock.now();
        let unseen = self.unseen(lanes.iter().map(|(lane, _)| &lane.queue));
        let last = lanes.last().map(|(lane, _)| lane.clone()).filter(|_| lanes.len() == LANES_PAGE);
        for (lane, at) in lanes {
            if self.serves(&lane) {
                self.claimer.find(lane, at, scan.source, now);
            }
        }
        self.register(unseen).await?;
        Ok(last.map(|last| Scan {
            queue: scan.queue.clone(),
            source: scan.source,
            after: Some(last),
        }))
    }

    async fn claim(&mut self, limit: usize) -> Result<()> {
        let asked_at = Instant::now();
        let mut room = self.slots.claim_room();
        let worker = self.identity.worker();
        let claimed = self.claimer.claim(&self.store, worker, limit, &mut room).await;
        self.slots.saw(room.largest);
        let (asked, mut claim) = claimed?;
        self.limit(claim.jobs.iter_mut().map(|(_, job)| job)).await;
        let found = self.hand_out(&asked, claim, asked_at).await;
        let unseen = self.unseen(found.into_iter().map(|nth| &asked[nth].lane.queue));
        self.register(unseen).await
    }

    /// Hands the jobs of a claim to the executor. Answers the lanes that have jobs. A queue without
    /// any is not made known, since it may be a name that a stranger notified of.
    async fn hand_out(
        &mut self,
        asked: &[LaneClaim],
        claim: Claim,
        asked_at: Instant,
    ) -> Vec<usize> {
        let mut found: Vec<usize> = claim.due.iter().map(|(nth, _)| *nth).collect();
        // The jobs of a lane come together.
        let mut lane: Option<(usize, Arc<Meter>)> = None;
        let mut beyond_room = Vec::new();
        for (nth, job) in claim.jobs {
            let meter = match &lane {
                Some((of, meter)) if *of == nth => meter.clone(),
                _ => {
                    found.push(nth);
                    self.meters.of(&job.queue, &job.task)
                }
            };
            lane = Some((nth, meter.clone()));
            if job.beyond_room {
                beyond_room.push((job, meter));
            } else {
                self.take(job, meter, asked_at, None);
            }
        }
        self.executor.decline(beyond_room).await;
        for (nth, job) in claim.unreadable {
            let lane = &asked[nth].lane;
            self.executor.refuse(job, lane, self.meters.of(&lane.queue, &lane.task)).await;
        }
        found
    }

    fn take(&self, job: Claimed, meter: Arc<Meter>, asked_at: Instant, done: Option<Done>) {
        let waited = (self.store.clock.now() - job.run_at).to_std().unwrap_or_default();
        self.executor.take(job, meter, asked_at, waited, done);
    }
}
