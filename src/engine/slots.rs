//! Slots for running jobs, and the jobs that wait in this process for one.
//!
//! A claim of as many jobs as there are free slots keeps few slots waiting for the database: ten of them, with jobs that take
//! no time, did a third of what a hundred did. So a claim takes more than can run at once, as long as that is little work: no
//! more than the slots do in [`AHEAD_FOR`], going by the slowest recent attempt of each task that is asked for, and nothing
//! of a task that has not run here yet. What a wrong guess holds longer than [`HELD_MOST`] is given back for the others, and
//! so is everything when the service leaves. The price: a job that is more urgent than these comes up to that time later.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::running::Handle;
use crate::queue::TaskName;
use crate::store::lease::Claimed;
use crate::tasks::Registry;

/// The work that may be held ahead.
const AHEAD_FOR: Duration = Duration::from_millis(50);
/// The most jobs and payload bytes that are held ahead.
const AHEAD_MOST: usize = 250;
const AHEAD_BYTES: u64 = 8 << 20;
/// A job held longer is given back.
const HELD_MOST: Duration = Duration::from_millis(200);

/// A claimed job.
pub(super) struct Queued {
    pub(super) job: Claimed,
    pub(super) handle: Handle,
    /// How long it had waited when it was claimed, and when that was.
    pub(super) waited: Duration,
    pub(super) claimed_at: Instant,
    /// Called when it has left this process.
    pub(super) done: Option<Box<dyn FnOnce() + Send>>,
}

/// What the attempts of a task were like of late: the worst, slowly forgotten.
struct Pace {
    nanos: AtomicU64,
    bytes: AtomicU64,
}

impl Pace {
    const UNKNOWN: u64 = u64::MAX;

    fn note(known: &AtomicU64, seen: u64) {
        let before = known.load(Ordering::Relaxed);
        let now = if before == Self::UNKNOWN { seen } else { seen.max(before - before / 8) };
        known.store(now.min(Self::UNKNOWN - 1), Ordering::Relaxed);
    }

    /// How many jobs like these may be held for so many slots.
    fn ahead(&self, slots: usize) -> usize {
        let nanos = self.nanos.load(Ordering::Relaxed);
        if nanos == Self::UNKNOWN {
            return 0;
        }
        let bytes = self.bytes.load(Ordering::Relaxed).max(1);
        let by_time = AHEAD_FOR.as_nanos() as u64 * slots as u64 / nanos.max(1);
        usize::try_from(by_time.min(AHEAD_BYTES / bytes)).unwrap_or(AHEAD_MOST).min(AHEAD_MOST)
    }
}

#[derive(Default)]
struct State {
    running: usize,
    held: VecDeque<Queued>,
    /// Something was held too long, and no slot has come free since: nothing more is held.
    stalled: bool,
}

pub(super) struct Slots {
    total: usize,
    state: Mutex<State>,
    paces: HashMap<TaskName, Pace>,
    /// Room is told of when no more jobs than this are held.
    low: AtomicUsize,
    room: Notify,
}

impl Slots {
    pub(super) fn new(total: usize, registry: &Registry) -> Self {
        let unknown = || Pace { nanos: Pace::UNKNOWN.into(), bytes: 0.into() };
        Self {
            total,
            state: Mutex::default(),
            paces: registry.iter().map(|(name, _)| (name.clone(), unknown())).collect(),
            low: 0.into(),
            room: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Slots in use, and free ones.
    pub(super) fn usage(&self) -> (usize, usize) {
        let running = self.lock().running;
        (running, self.total.saturating_sub(running))
    }

    /// How many jobs of these tasks a claim may take now.
    pub(super) fn room<'a>(&self, tasks: impl Iterator<Item = &'a TaskName>) -> usize {
        let ahead = tasks
            .map(|task| self.paces.get(task).map_or(0, |pace| pace.ahead(self.total)))
            .min()
            .unwrap_or(0);
        let state = self.lock();
        let ahead = if state.stalled { 0 } else { ahead };
        self.low.store(ahead / 2, Ordering::Relaxed);
        // Small claims cost as much as large ones: while the slots are busy, wait until half of it has gone.
        if state.held.len() > ahead / 2 {
            return 0;
        }
        (self.total + ahead).saturating_sub(state.running + state.held.len())
    }

    /// Returns when there may be room.
    pub(super) async fn freed(&self) {
        self.room.notified().await;
    }

    /// Gives the job back with a slot to run it in, or holds it until one is free.
    pub(super) fn take(&self, queued: Queued) -> Option<Queued> {
        let mut state = self.lock();
        if state.running >= self.total {
            state.held.push_back(queued);
            return None;
        }
        state.running += 1;
        Some(queued)
    }

    /// The next job for a slot whose job has ended; without one the slot is free.
    pub(super) fn next(&self) -> Option<Queued> {
        let mut state = self.lock();
        state.stalled = false;
        let next = state.held.pop_front();
        if next.is_none() {
            state.running = state.running.saturating_sub(1);
        }
        let low = state.held.len() <= self.low.load(Ordering::Relaxed);
        drop(state);
        if low {
            self.room.notify_one();
        }
        next
    }

    /// When the job that is held longest is to be given back.
    pub(super) fn give_back_at(&self) -> Option<Instant> {
        self.lock().held.front().map(|queued| queued.claimed_at + HELD_MOST)
    }

    /// Jobs that are held too long.
    pub(super) fn overdue(&self) -> Vec<Queued> {
        let mut state = self.lock();
        let overdue =
            state.held.iter().take_while(|queued| queued.claimed_at.elapsed() >= HELD_MOST).count();
        state.stalled |= overdue > 0;
        state.held.drain(..overdue).collect()
    }

    /// All jobs that are held.
    pub(super) fn give_up(&self) -> Vec<Queued> {
        self.lock().held.drain(..).collect()
    }

    /// Learns how long an attempt took.
    pub(super) fn note(&self, job: &Claimed, took: Duration) {
        if let Some(pace) = self.paces.get(&job.task) {
            Pace::note(&pace.nanos, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            Pace::note(&pace.bytes, job.payload.as_str().len() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(nanos: u64, bytes: u64) -> Pace {
        Pace { nanos: nanos.into(), bytes: bytes.into() }
    }

    #[test]
    fn what_is_held_is_little_work_of_known_tasks() {
        assert_eq!(pace(Pace::UNKNOWN, 0).ahead(64), 0);
        assert_eq!(pace(1_000_000_000, 10).ahead(10), 0);
        assert_eq!(pace(10_000_000, 10).ahead(10), 50);
        assert_eq!(pace(1_000, 10).ahead(10), AHEAD_MOST);
        assert_eq!(pace(1_000, 1 << 20).ahead(10), 8);
    }

    #[test]
    fn one_slow_attempt_counts_at_once_and_is_forgotten_slowly() {
        let known = AtomicU64::new(Pace::UNKNOWN);
        for (seen, now) in [(800, 800), (80_000, 80_000), (800, 70_000)] {
            Pace::note(&known, seen);
            assert_eq!(known.load(Ordering::Relaxed), now);
        }
    }
}
