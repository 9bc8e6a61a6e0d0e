//! Slots for running jobs, and the jobs that wait in this process for one.
//!
//! A claim of as many jobs as there are free slots keeps few slots waiting for the database. Ten
//! slots, with jobs that take no time, did a third of the work of a hundred. So a claim takes more
//! than can run at once, as long as that is little work. The measure is the number of jobs that
//! have ended here within the last [`AHEAD_FOR`]. A job that is held longer than [`HELD_MOST`] is
//! released for the others, and so are all when the service leaves. The price: a more urgent job
//! starts up to that time later. A released job is found when its lane is next read from the front.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::executor::Done;
use super::running::Handle;
use crate::settling::meter::Meter;
use crate::store::lease::{CLAIM_MOST, ClaimRoom, Claimed};

/// The work that may be held ahead.
const AHEAD_FOR: Duration = Duration::from_millis(50);
/// The most jobs that are held ahead.
const AHEAD_MOST: usize = 2 * CLAIM_MOST;
/// Payload bytes that are held ahead. A claim is as large as it may be if payloads stay as large as
/// those before. Where they have grown, it keeps so many bytes beyond what runs at once, and gives
/// the other jobs back.
const AHEAD_BYTES: usize = 8 << 20;
/// A job held longer is given back.
const HELD_MOST: Duration = Duration::from_millis(200);

/// A claimed job.
pub(super) struct Queued {
    pub(super) job: Claimed,
    pub(super) handle: Handle,
    pub(super) meter: Arc<Meter>,
    /// When the claim was sent.
    pub(super) asked_at: Instant,
    /// How long it had waited when it was claimed, and when that was.
    pub(super) waited: Duration,
    pub(super) claimed_at: Instant,
    /// Called when it has left this process.
    pub(super) done: Option<Done>,
}

/// How many jobs ended in the last whole [`AHEAD_FOR`].
#[derive(Debug)]
struct Pace {
    since: Instant,
    count: usize,
    before: usize,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { since: now, count: 0, before: 0 }
    }

    fn at(&mut self, now: Instant) -> &mut Self {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= AHEAD_FOR {
            let before = if elapsed < 2 * AHEAD_FOR { self.count } else { 0 };
            *self = Self { since: now, count: 0, before };
        }
        self
    }
}

struct State {
    running: usize,
    held: VecDeque<Queued>,
    pace: Pace,
    /// The largest payload of late, slowly forgotten.
    bytes: usize,
    /// The next free slot is for a job that is not held.
    reserved: bool,
    /// Room is told of when no more jobs than this are held.
    low: usize,
    /// Nothing starts and nothing is claimed: others may run the jobs of this process.
    shut: bool,
}

/// Keeps slots shut.
pub(super) struct Shut(Arc<Slots>);

impl Drop for Shut {
    fn drop(&mut self) {
        self.0.lock().shut = false;
        self.0.room.notify_one();
    }
}

pub(super) struct Slots {
    total: usize,
    state: Mutex<State>,
    room: Notify,
}

impl Slots {
    pub(super) fn new(total: usize) -> Self {
        let state = State {
            running: 0,
            held: VecDeque::new(),
            pace: Pace::new(Instant::now()),
            bytes: 0,
            reserved: false,
            low: 0,
            shut: false,
        };
        Self { total, state: Mutex::new(state), room: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Slots in use, and free ones.
    pub(super) fn usage(&self) -> (usize, usize) {
        let running = self.lock().running;
        (running, self.total.saturating_sub(running))
    }

    /// How many jobs a claim may take now.
    pub(super) fn room(&self) -> usize {
        let mut state = self.lock();
        if state.reserved || state.shut {
            return 0;
        }
        let by_bytes = AHEAD_BYTES / state.bytes.max(1);
        let ahead = state.pace.at(Instant::now()).before.min(AHEAD_MOST).min(by_bytes);
        state.low = ahead / 2;
        // Small claims cost as much as large ones: while the slots are busy, wait until half of it
        // has gone.
        if state.held.len() > state.low {
            return 0;
        }
        (self.total + ahead).saturating_sub(state.running + state.held.len())
    }

    /// How much of a claim that is sent now may be kept.
    pub(super) fn claim_room(&self) -> ClaimRoom {
        ClaimRoom { jobs: self.usage().1, bytes: AHEAD_BYTES, largest: 0 }
    }

    /// A payload of so many bytes was seen: the next claims are as if all were so large, for a
    /// while.
    pub(super) fn saw(&self, bytes: usize) {
        let mut state = self.lock();
        state.bytes = state.bytes.max(bytes);
    }

    /// Whether a slot is free; if not, the next one will be, instead of going to a job that is
    /// held.
    pub(super) fn reserve(&self) -> bool {
        let mut state = self.lock();
        if state.shut {
            return false;
        }
        state.reserved = state.running >= self.total;
        !state.reserved
    }

    /// Nothing is claimed, and no job that is held starts, until the answer is dropped.
    pub(super) fn shut(self: &Arc<Self>) -> Shut {
        self.lock().shut = true;
        Shut(self.clone())
    }

    /// Returns when there may be room.
    pub(super) async fn freed(&self) {
        self.room.notified().await;
    }

    /// Gives the job back with a slot to run it in, or holds it until one is free.
    pub(super) fn take(&self, queued: Queued) -> Option<Queued> {
        let mut state = self.lock();
        state.bytes = queued.job.payload.as_str().len().max(state.bytes - state.bytes / 8);
        if state.running >= self.total || state.shut {
            state.held.push_back(queued);
            return None;
        }
        state.running += 1;
        Some(queued)
    }

    /// The next job for a slot whose job has ended; without one the slot is free.
    pub(super) fn next(&self) -> Option<Queued> {
        let mut state = self.lock();
        state.pace.at(Instant::now()).count += 1;
        let waits = state.reserved || state.shut;
        let next = if waits { None } else { state.held.pop_front() };
        if next.is_none() {
            state.running = state.running.saturating_sub(1);
            state.reserved = false;
        }
        let room = next.is_none() || state.held.len() <= state.low;
        drop(state);
        if room {
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
        state.held.drain(..overdue).collect()
    }

    /// Those jobs that are held for which this is true.
    pub(super) fn take_out(&self, which: impl Fn(&Queued) -> bool) -> Vec<Queued> {
        let mut state = self.lock();
        let (taken, kept) = state.held.drain(..).partition::<Vec<_>, _>(which);
        state.held = kept.into();
        taken
    }

    /// All jobs that are held.
    pub(super) fn give_up(&self) -> Vec<Queued> {
        self.lock().held.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_last_whole_window() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.at(start + AHEAD_FOR / 2).count += 7;
        assert_eq!(pace.at(start + AHEAD_FOR / 2).before, 0);
        assert_eq!(pace.at(start + AHEAD_FOR).before, 7);
        assert_eq!(pace.at(start + 2 * AHEAD_FOR).before, 0, "nothing has ended since");
        pace.count = 9;
        assert_eq!(pace.at(start + 9 * AHEAD_FOR).before, 0, "that was long ago");
    }

    #[test]
    fn work_held_ahead_is_bounded_by_pace_count_and_bytes() {
        let room = |before, bytes| {
            let slots = Slots::new(10);
            let mut state = slots.lock();
            // In a window that does not end while this looks.
            let since = Instant::now() + Duration::from_secs(60);
            state.pace = Pace { since, count: 0, before };
            state.bytes = bytes;
            drop(state);
            slots.room() - 10
        };
        assert_eq!(room(0, 100), 0, "nothing has ended of late");
        assert_eq!(room(70, 100), 70);
        assert_eq!(room(1_000_000, 100), AHEAD_MOST);
        assert_eq!(room(1_000_000, AHEAD_BYTES / 8), 8);
        assert_eq!(room(1_000_000, 2 * AHEAD_BYTES), 0);
    }
}
