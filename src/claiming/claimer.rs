//! What is known of lanes, and the claims that follow from it: a state machine, driven by wakes,
//! times and answers.
//!
//! A lane is *known* to have jobs from a wake, or from a scan at each poll, and stays known while
//! claims from it come back full. One that is read to its end is forgotten, but for the time at
//! which its next job is due. One that is *held* is not asked again until its hold ends or the next
//! poll begins, whoever notifies of it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::agenda::Agenda;
use super::answer::{Answer, LaneAnswer, answers};
use super::figures::ClaimFigures;
use super::fronts::{Fronts, Reading};
use super::held::HeldLanes;
use super::looks::Looks;
use super::plan::Lanes;
use super::sweeps::{Next, Sweeps};
use crate::events::Source;
use crate::job::WorkerId;
use crate::queue::{Hold, Lane, QueueName};
use crate::store::lease::{Claim, ClaimRoom, LaneClaim, Swept};
use crate::store::{Result, Store};

/// Decides which lanes are asked, and remembers what they answered.
pub(crate) struct Claimer {
    /// Lanes that have jobs, and how that was heard.
    known: Lanes,
    held: HeldLanes,
    fronts: Fronts,
    /// When the next job of a lane is due.
    due: Agenda<DateTime<Utc>>,
    /// The same, as it was before the poll that has begun. What the poll finds goes to `due`.
    due_before: Agenda<DateTime<Utc>>,
    looks: Looks,
    sweeps: Sweeps,
    pub figures: ClaimFigures,
}

impl Claimer {
    /// A claimer. It sweeps if every queue is served, and these are the tasks then.
    pub(crate) fn new(tasks: Option<Vec<String>>) -> Self {
        Self {
            known: Lanes::default(),
            held: HeldLanes::default(),
            fronts: Fronts::default(),
            due: Agenda::default(),
            due_before: Agenda::default(),
            looks: Looks::default(),
            sweeps: Sweeps::of(tasks),
            figures: ClaimFigures::new(),
        }
    }

    /// A wake says that a lane has jobs. `false`: so many lanes are known that a notice of one more
    /// is not believed, and all of them are to be looked at.
    pub(crate) fn hear(&mut self, lane: Lane, source: Source, now: Instant) -> bool {
        if source == Source::Notify {
            if !self.known.takes_notice_of(&lane) {
                return false;
            }
            self.looks.begin(&lane, now);
        }
        self.know(lane, source);
        true
    }

    /// A scan found a lane whose first job is due at `at`.
    pub(crate) fn find(
        &mut self,
        lane: Lane,
        at: DateTime<Utc>,
        source: Source,
        clock: DateTime<Utc>,
    ) {
        if at <= clock {
            self.know(lane, source);
        } else if !self.held.has(&lane) {
            self.due.set(lane, at);
        }
    }

    /// The lanes of this queue are free: somebody resumed it, or says that each is to be looked at.
    pub(crate) fn release(&mut self, queue: &QueueName) {
        for lane in self.held.release_queue(queue) {
            self.know(lane, Source::Notify);
        }
    }

    /// A scan of all lanes begins, and finds each that has jobs: what is held is asked again.
    pub(crate) fn forget_holds(&mut self) {
        self.held = HeldLanes::default();
    }

    /// Each lane is to be read from its front.
    pub(crate) fn forget_fronts(&mut self) {
        self.fronts = Fronts::default();
    }

    /// A poll begins.
    pub(crate) fn poll_begins(&mut self) {
        self.due_before = std::mem::take(&mut self.due);
        self.forget_holds();
    }

    /// It has read every lane.
    pub(crate) fn poll_ends(&mut self) {
        self.due_before = Agenda::default();
    }

    /// Makes known what is due by now: by a timer, by a look, because a hold has ended, or because
    /// only its end was read.
    pub(crate) fn wake_due(&mut self, clock: DateTime<Utc>, now: Instant) {
        let due =
            [self.due.take_due(clock), self.due_before.take_due(clock), self.held.take_due(clock)];
        for lane in due.into_iter().flatten() {
            self.know(lane, Source::Timer);
        }
        for lane in self.looks.take_due(now) {
            self.know(lane, Source::Notify);
        }
        for lane in self.fronts.take_due(now) {
            self.know(lane, Source::Drain);
        }
    }

    /// When [`Self::wake_due`] has something to do by the database's clock.
    pub(crate) fn next_due(&self) -> Option<DateTime<Utc>> {
        [self.due.next(), self.due_before.next(), self.held.next()].into_iter().flatten().min()
    }

    /// The same, by this process's clock.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        [self.looks.next(), self.fronts.next()].into_iter().flatten().min()
    }

    /// Whether there is a lane to be asked.
    pub(crate) fn has_lanes(&self) -> bool {
        !self.known.is_empty() || self.sweeps.go_on()
    }

    /// Whether the next claim needs no look at which lanes have jobs.
    pub(crate) fn finds_itself(&self) -> bool {
        self.sweeps.come_first()
    }

    /// Claims at most `limit` jobs, as far as there is `room`. Answers the lanes that the claim is
    /// about, and the claim.
    pub(crate) async fn claim(
        &mut self,
        store: &Store,
        worker: WorkerId,
        limit: usize,
        room: &mut ClaimRoom,
    ) -> Result<(Vec<LaneClaim>, Claim)> {
        let (begun, clock) = (Instant::now(), store.clock.now());
        if let Some((begin, tasks)) = self.sweep_from(limit) {
            let begin = begin.to_owned();
            let swept = store.lease_sweep(worker, &begin, tasks, limit, room).await?;
            let took = begun.elapsed();
            self.record(&swept.claim, took);
            self.learn_swept(&begin, &swept, limit, took);
            return Ok((swept.lanes, swept.claim));
        }
        let asked = self.plan(limit, begun);
        let claim = store.lease_claim(worker, &asked, limit, room).await?;
        let reading = Reading { begun, clock, took: begun.elapsed() };
        self.record(&claim, reading.took);
        self.learn(&asked, &claim, limit, &reading);
        Ok((asked, claim))
    }

    /// The queue that the next claim begins with, and the tasks, if it is a sweep.
    pub(super) fn sweep_from(&self, limit: usize) -> Option<(&str, &[String])> {
        self.sweeps.next(self.known.queues(), limit)
    }

    fn record(&self, claim: &Claim, took: Duration) {
        self.figures.took.record(took.as_secs_f64());
        if !claim.jobs.is_empty() {
            self.figures.size.record(u32::try_from(claim.jobs.len()).unwrap_or(u32::MAX));
        }
    }

    /// What the next claim asks, for so many free slots.
    pub(super) fn plan(&mut self, limit: usize, now: Instant) -> Vec<LaneClaim> {
        let planned = self.known.plan(limit).into_iter();
        let ask = |(lane, most)| LaneClaim { bound: self.fronts.bound(&lane, now), lane, most };
        planned.map(ask).collect()
    }

    /// Takes in what a claim says of its lanes.
    pub(super) fn learn(
        &mut self,
        asked: &[LaneClaim],
        claim: &Claim,
        limit: usize,
        reading: &Reading,
    ) {
        let answers = answers(asked, claim, limit);
        self.sweeps.named(answers.len(), claim.jobs.len() + claim.unreadable.len());
        for LaneAnswer { nth, got, last, answer } in answers {
            let lane = &asked[nth].lane;
            if let Some(source) = self.known.source(lane) {
                if got > 0 {
                    self.figures.claimed(*source, got);
                }
                *source = Source::Drain;
            }
            match answer {
                Answer::More => self.fronts.read(&asked[nth], last, false, reading),
                Answer::Empty { due } => {
                    self.fronts.read(&asked[nth], last, true, reading);
                    self.forget(lane);
                    if let Some(at) = due {
                        self.due.set(lane.clone(), at);
                    }
                }
                Answer::Held(hold) => self.hold(lane, hold),
            }
        }
    }

    /// Takes in what a sweep of so many `rows` says: of the queues that it got through, each lane
    /// that it does not name is empty.
    pub(super) fn learn_swept(&mut self, begin: &str, swept: &Swept, rows: usize, took: Duration) {
        let known = self.known.take_queues(begin, swept.stopped.as_ref());
        for (lane, _) in &known {
            self.due.remove(lane);
            self.due_before.remove(lane);
        }
        let known: HashMap<Lane, Source> = known.into_iter().collect();
        for jobs in swept.claim.jobs.chunk_by(|one, next| one.0 == next.0) {
            let source = known.get(&swept.lanes[jobs[0].0].lane);
            self.figures.claimed(source.copied().unwrap_or(Source::Drain), jobs.len());
        }
        for (nth, at) in &swept.claim.due {
            self.due.set(swept.lanes[*nth].lane.clone(), *at);
        }
        for (nth, hold) in &swept.claim.held {
            self.hold(&swept.lanes[*nth].lane, *hold);
        }
        match self.sweeps.swept(rows, swept, took) {
            Next::On => {}
            Next::Name(queue) => self.known.turn_to(&queue),
            Next::Elsewhere => {
                if let Some(queue) = self.known.queue_at(rand::random()) {
                    self.sweeps.begin_with(queue);
                }
            }
        }
    }

    fn hold(&mut self, lane: &Lane, hold: Hold) {
        self.forget(lane);
        tracing::debug!(queue.name = %lane.queue, task.name = %lane.task, held.by = hold.by.as_str(),
            held.until = ?hold.until, "a lane is held");
        self.held.hold(lane.clone(), hold);
    }

    /// A lane has jobs. One that is held is not asked for them.
    fn know(&mut self, lane: Lane, source: Source) {
        if self.held.is_empty() || !self.held.has(&lane) {
            self.known.know(lane, source);
        }
    }

    fn forget(&mut self, lane: &Lane) {
        self.known.forget(lane);
        self.due.remove(lane);
        self.due_before.remove(lane);
    }
}
