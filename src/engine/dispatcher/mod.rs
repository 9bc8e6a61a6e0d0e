//! The dispatcher: one loop that is woken, and claims for all free slots, and a little ahead of them, in one statement.
//!
//! It knows which lanes have jobs: from wakes, and from a loose index scan at each poll. A lane stays known while claims from
//! it come back full.
//!
//! Claimed entries stay in the index until vacuum, which comes once a minute, so a claim starts where the last one of its lane
//! ended ([`Fronts`]); without that a loop fell from 43,000 to 20,000 jobs/s within 600,000 jobs.
//!
//! A gated notification can be skipped while the notifier commits a moment earlier, so a lane that was notified is looked at
//! again a few times. Timers are exact: a claim tells when the next job of its lanes is due, and the loop sleeps until then.

mod scans;
mod suspects;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::executor::{Done, Executor};
use super::figures::ClaimFigures;
use super::slots::Slots;
use super::{EngineConfig, Identity};
use crate::claiming::{Agenda, Fronts, Lanes, Reading};
use crate::events::{Events, Pending, Source};
use crate::queue::{Lane, QueueName};
use crate::settling::meter::{Meter, Meters};
use crate::shutdown::Shutdown;
use crate::store::lease::{CLAIM_MOST, Claim, Claimed, LaneClaim};
use crate::store::ready::LANES_PAGE;
use crate::store::{Result, Store};
use crate::tasks::Registry;

/// When a notified lane is looked at again.
const LOOKS: [Duration; 3] =
    [Duration::from_millis(5), Duration::from_millis(50), Duration::from_millis(250)];

/// How long nothing is read after that has failed: longer than the loop pauses, or lanes that are known would have no turn.
const SCANS_REST: Duration = Duration::from_secs(2);

pub(super) struct Dispatcher {
    config: EngineConfig,
    tasks: HashSet<String>,
    store: Store,
    events: Events,
    identity: Identity,
    slots: Arc<Slots>,
    executor: Arc<Executor>,
    /// Lanes that have jobs, and how that was heard.
    known: Lanes,
    fronts: Fronts,
    /// When the next job of a lane is due.
    due: Agenda<DateTime<Utc>>,
    /// The same, as it was before the look at everything that has begun. What that finds goes to `due`.
    due_before: Agenda<DateTime<Utc>>,
    /// Lanes to be looked at again.
    looks: Agenda<Instant>,
    /// How often they were.
    looked: HashMap<Lane, usize>,
    queues_seen: HashSet<QueueName>,
    /// What is to be read, in turns.
    to_scan: VecDeque<Scan>,
    /// Reading failed: before this time nothing is read.
    scans_rest: Option<Instant>,
    suspects: bool,
    /// No suspect was found: before this time none is looked for.
    suspects_rest: Option<Instant>,
    meters: Meters,
    figures: ClaimFigures,
}

/// A look at which lanes have jobs, page by page, so that lanes that are known are claimed from meanwhile.
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
        let tasks = registry.iter().map(|(name, _)| name.to_string()).collect();
        Self {
            config,
            tasks,
            store,
            events,
            identity,
            slots,
            executor,
            known: Lanes::default(),
            fronts: Fronts::default(),
            due: Agenda::default(),
            due_before: Agenda::default(),
            looks: Agenda::default(),
            looked: HashMap::new(),
            queues_seen: HashSet::new(),
            to_scan: VecDeque::new(),
            scans_rest: None,
            suspects: false,
            suspects_rest: None,
            meters: Meters::of_tasks(registry.iter().map(|(name, _)| name)),
            figures: ClaimFigures::new(),
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

    /// Looks at everything when it is time, and claims while there is something to claim and a slot to run it in.
    async fn work(&mut self, poll_at: &mut Option<Instant>) -> Result<()> {
        if poll_at.is_some_and(|at| at <= Instant::now()) {
            *poll_at = None;
            self.due_before = std::mem::take(&mut self.due);
            self.to_scan.push_back(Scan { queue: None, source: Source::Poll, after: None });
        }
        self.scans_rest = self.scans_rest.filter(|until| Instant::now() < *until);
        if let Some(scan) = self.to_scan.pop_front_if(|_| self.scans_rest.is_none()) {
            let polls = scan.source == Source::Poll;
            match self.read_page(&scan).await {
                Ok(Some(next)) => self.to_scan.push_back(next),
                Ok(None) if polls => {
                    self.due_before = Agenda::default();
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
        self.wake_due();
        self.suspects_rest = self.suspects_rest.filter(|until| Instant::now() < *until);
        if self.suspects && self.suspects_rest.is_none() {
            self.claim_suspect().await?;
        }
        let room = self.slots.room();
        if !self.known.is_empty() && room > 0 {
            self.claim(room.min(CLAIM_MOST)).await?;
        }
        Ok(())
    }

    async fn wait(&self, poll_at: Option<Instant>, pause: Duration, shutdown: &Shutdown) {
        let now = Instant::now();
        let due = [self.due.next(), self.due_before.next()].into_iter().flatten().min();
        let timer = due.map(|at| now + self.store.clock.until(at));
        let suspects = self.suspects_rest.filter(|_| self.suspects);
        let scan = (!self.to_scan.is_empty()).then(|| self.scans_rest.unwrap_or(now));
        let times = [poll_at, timer, self.looks.next(), self.fronts.next(), suspects, scan];
        let mut next = times.into_iter().flatten().min().unwrap_or(now);
        if let Some(at) = self.slots.give_back_at() {
            next = next.min(at);
        }
        let claimable = !self.known.is_empty() && self.slots.room() > 0;
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
            () = self.slots.freed(), if awake && (!self.known.is_empty() || self.suspects) => {}
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
        for (lane, source) in lanes {
            if !self.serves(&lane) {
                continue;
            }
            if source == Source::Notify {
                if !self.known.takes_notice_of(&lane) {
                    self.scan(None);
                    continue;
                }
                self.look_again(&lane, 0);
            }
            self.known.know(lane, source);
        }
        self.suspects |= suspects;
        if everything {
            (self.fronts, self.scans_rest) = (Fronts::default(), None);
        }
        for queue in queues {
            self.scan(Some(queue));
        }
        if everything || all_queues {
            self.scan(None);
        }
    }

    fn look_again(&mut self, lane: &Lane, nth: usize) {
        match LOOKS.get(nth) {
            Some(&after) => {
                self.looks.set(lane.clone(), Instant::now() + after);
                self.looked.insert(lane.clone(), nth);
            }
            None => {
                self.looked.remove(lane);
            }
        }
    }

    /// Makes known what is due by now, by a timer, by a look, or because only its end was read.
    fn wake_due(&mut self) {
        let (now, here) = (self.store.clock.now(), Instant::now());
        let due = self.due.take_due(now).into_iter().chain(self.due_before.take_due(now));
        for lane in due {
            self.known.know(lane, Source::Timer);
        }
        for lane in self.looks.take_due(here) {
            let nth = self.looked.get(&lane).copied().unwrap_or_default();
            self.look_again(&lane, nth + 1);
            self.known.know(lane, Source::Notify);
        }
        for lane in self.fronts.take_due(here) {
            self.known.know(lane, Source::Drain);
        }
    }

    /// Reads which lanes have jobs, as far as a page goes. Answers where the next one begins, if there is one.
    async fn read_page(&mut self, scan: &Scan) -> Result<Option<Scan>> {
        let lanes = self.store.ready_lanes(scan.queue.as_ref(), scan.after.as_ref()).await?;
        let now = self.store.clock.now();
        let unseen = self.unseen(lanes.iter().map(|(lane, _)| &lane.queue));
        let last = lanes.last().map(|(lane, _)| lane.clone()).filter(|_| lanes.len() == LANES_PAGE);
        for (lane, at) in lanes {
            if !self.serves(&lane) {
                continue;
            }
            if at <= now {
                self.known.know(lane, scan.source);
            } else {
                self.due.set(lane, at);
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
        let (begun, clock) = (Instant::now(), self.store.clock.now());
        let planned = self.known.plan(limit).into_iter();
        let asked: Vec<LaneClaim> = planned
            .map(|(lane, most)| LaneClaim { bound: self.fronts.bound(&lane, begun), lane, most })
            .collect();
        let mut room = self.slots.claim_room();
        let worker = self.identity.worker();
        let claim = self.store.lease_claim(worker, &asked, limit, &mut room).await;
        self.slots.saw(room.largest);
        let claim = claim?;
        self.figures.took.record(begun.elapsed().as_secs_f64());
        self.learn(&asked, &claim, limit, &Reading { begun, clock, took: begun.elapsed() });
        if !claim.jobs.is_empty() {
            self.figures.size.record(u32::try_from(claim.jobs.len()).unwrap_or(u32::MAX));
        }
        // A queue of which nothing was found is not made known: it may be a name that a stranger notified of.
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
                self.take(job, meter, begun, None);
            }
        }
        self.executor.decline(beyond_room).await;
        for (nth, job) in claim.unreadable {
            let Lane { queue, task, .. } = &asked[nth].lane;
            self.executor.refuse(job, task, self.meters.of(queue, task)).await;
        }
        let queues = found.into_iter().filter_map(|nth| asked.get(nth));
        let unseen = self.unseen(queues.map(|claim| &claim.lane.queue));
        self.register(unseen).await
    }

    /// What a claim says of its lanes: which are empty, where the next claim begins, and when more is due.
    fn learn(&mut self, asked: &[LaneClaim], claim: &Claim, limit: usize, reading: &Reading) {
        let mut got = vec![(0_usize, None); asked.len()];
        for (nth, job) in &claim.jobs {
            got[*nth] = (got[*nth].0 + 1, Some((job.run_at, job.id.0)));
        }
        for (nth, _) in &claim.unreadable {
            got[*nth].0 += 1;
        }
        let full = claim.jobs.len() + claim.unreadable.len() >= limit;
        // A full claim stopped reading in its last lane; those behind it were not read at all.
        let last = got.iter().rposition(|(got, _)| *got > 0).unwrap_or_default();
        let read = if full { last } else { asked.len() };
        for (nth, (lane_claim, (got, last))) in asked.iter().zip(got).enumerate().take(read + 1) {
            let lane = &lane_claim.lane;
            let Some(source) = self.known.source(lane) else { continue };
            if got > 0 {
                self.figures.claimed(*source, got);
            }
            let to_the_end = nth < read && got < lane_claim.most;
            self.fronts.read(lane_claim, last, to_the_end, reading);
            if to_the_end {
                self.known.forget(lane);
                self.due.remove(lane);
                self.due_before.remove(lane);
            } else {
                *source = Source::Drain;
            }
        }
        for (nth, at) in &claim.due {
            if let Some(lane_claim) = asked.get(*nth) {
                self.due.set(lane_claim.lane.clone(), *at);
            }
        }
    }

    fn take(&self, job: Claimed, meter: Arc<Meter>, asked_at: Instant, done: Option<Done>) {
        let waited = (self.store.clock.now() - job.run_at).to_std().unwrap_or_default();
        self.executor.take(job, meter, asked_at, waited, done);
    }
}
