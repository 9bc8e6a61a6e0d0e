//! Where the claims of a lane begin.
//!
//! A claim passes by what the claims before it took: entries that stay in the index until vacuum.
//! Reading all of them took 30 ms where 14,000 jobs came and went each second, so a job waited 5 ms
//! after a vacuum and 30 ms before the next.
//!
//! The place where a claim may begin is a guess: what is committed late, taken back from a lost
//! worker, retried or moved to another priority lies before it. So it is only remembered here, lies
//! a little before the claim that it comes from, and is not used for long: then the lane is read
//! from its front again, and if only its end was read meanwhile, that is done without being asked.
//! A front that is read in no time is read each time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::agenda::Agenda;
use crate::queue::Lane;
use crate::store::lease::LaneClaim;

/// Commits overtake each other; those that do by more than this are found with the front.
const SLACK: TimeDelta = TimeDelta::milliseconds(250);
/// A lane that is read to its end within this needs no place to begin at.
const NO_TIME: Duration = Duration::from_millis(2);
/// A front is read again after so many times as long as that took the last time, which is a
/// twentieth of the time,
const TIMES: u32 = 20;
const LEAST: Duration = Duration::from_millis(100);
/// or more than that: behind an old snapshot nothing is vacuumed, and reading the front takes ever
/// longer.
const MOST: Duration = Duration::from_secs(2);
/// So long after it may be used a place still counts: a reading of the front that finds only what
/// is older leaves it.
const KEPT: Duration = Duration::from_secs(10);

type Place = (DateTime<Utc>, Uuid);

/// How a claim went.
pub(super) struct Reading {
    pub(super) begun: Instant,
    /// The database's time then.
    pub(super) clock: DateTime<Utc>,
    /// All of it, also of other lanes and of what was claimed.
    pub(super) took: Duration,
}

struct Front {
    /// Where the next claim may begin.
    place: Option<Place>,
    good_until: Instant,
    /// Whether a claim that passed the front by found the end.
    passed_by: bool,
}

/// The fronts of lanes that were claimed from a moment ago.
#[derive(Default)]
pub(super) struct Fronts {
    fronts: HashMap<Lane, Front>,
    /// When those are to be read that only were passed by.
    to_read: Agenda<Instant>,
    /// When they are forgotten.
    to_forget: Agenda<Instant>,
}

impl Fronts {
    /// Where a claim may begin; `None`: at the front.
    pub(super) fn bound(&self, lane: &Lane, now: Instant) -> Option<Place> {
        self.fronts.get(lane).filter(|front| now < front.good_until)?.place
    }

    /// A claim came back with jobs of the lane up to `last`, after which there are none if it was
    /// read `to_the_end`.
    pub(super) fn read(
        &mut self,
        asked: &LaneClaim,
        last: Option<Place>,
        to_the_end: bool,
        reading: &Reading,
    ) {
        let whole = asked.bound.is_none();
        if whole && to_the_end && reading.took < NO_TIME {
            self.forget(&asked.lane);
            return;
        }
        let end = reading.begun + reading.took;
        let new = || Front { place: None, good_until: end, passed_by: false };
        let front = self.fronts.entry(asked.lane.clone()).or_insert_with(new);
        // What lay before the old place was read, too, unless the claim stopped on its way there.
        let before = if whole && !to_the_end { None } else { front.place };
        let recent = (reading.clock - SLACK, Uuid::nil());
        front.place = last.max(before).map(|place| place.min(recent));
        if whole {
            front.good_until = end + (reading.took * TIMES).clamp(LEAST, MOST);
        }
        front.passed_by = !whole && (to_the_end || front.passed_by);
        let (passed_by, good_until) = (front.passed_by, front.good_until);
        self.to_forget.set(asked.lane.clone(), good_until + KEPT);
        if passed_by {
            self.to_read.set(asked.lane.clone(), good_until);
        } else {
            self.to_read.remove(&asked.lane);
        }
    }

    fn forget(&mut self, lane: &Lane) {
        self.fronts.remove(lane);
        self.to_read.remove(lane);
        self.to_forget.remove(lane);
    }

    /// When a front is to be read that only was passed by.
    pub(super) fn next(&self) -> Option<Instant> {
        self.to_read.next()
    }

    /// Lanes whose fronts were passed by, and are to be read by now.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Lane> {
        let due = self.to_read.take_due(now);
        for lane in &due {
            if let Some(front) = self.fronts.get_mut(lane) {
                front.passed_by = false;
            }
        }
        for lane in self.to_forget.take_due(now) {
            self.fronts.remove(&lane);
        }
        due
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::queue::{QueueName, TaskName};

    const SLOW: Duration = Duration::from_millis(30);

    fn lane() -> Lane {
        Lane { queue: QueueName::default(), task: TaskName::new("t").unwrap(), priority: 5 }
    }

    /// A claim that took so long.
    fn reading(begun: Instant, took: Duration) -> Reading {
        Reading { begun, clock: at(60), took }
    }

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn claim(bound: Option<Place>) -> LaneClaim {
        LaneClaim { lane: lane(), bound, most: 10 }
    }

    #[test]
    fn a_claim_begins_where_the_last_one_ended_or_a_little_before_now() {
        let (now, mut fronts) = (Instant::now(), Fronts::default());
        let old = Some((at(1), Uuid::max()));
        fronts.read(&claim(None), old, false, &reading(now, SLOW));
        assert_eq!(fronts.bound(&lane(), now), old);
        fronts.read(&claim(old), Some((at(60), Uuid::max())), true, &reading(now, SLOW));
        assert_eq!(fronts.bound(&lane(), now), Some((at(60) - SLACK, Uuid::nil())));
    }

    #[test]
    fn a_front_that_is_read_in_no_time_is_read_each_time() {
        let (now, mut fronts) = (Instant::now(), Fronts::default());
        fronts.read(&claim(None), Some((at(1), Uuid::nil())), true, &reading(now, NO_TIME / 2));
        assert_eq!(fronts.bound(&lane(), now), None);
    }

    #[test]
    fn a_front_that_was_passed_by_is_read_unasked_when_its_time_has_come() {
        let (now, mut fronts) = (Instant::now(), Fronts::default());
        let last = Some((at(1), Uuid::nil()));
        fronts.read(&claim(None), last, true, &reading(now, SLOW));
        assert_eq!(fronts.next(), None);
        fronts.read(&claim(last), None, true, &reading(now + LEAST, SLOW));
        let due = now + SLOW + SLOW * TIMES;
        assert_eq!(fronts.next(), Some(due));
        assert!(fronts.take_due(due - Duration::from_millis(1)).is_empty());
        assert_eq!(fronts.take_due(due), [lane()]);
        assert_eq!((fronts.bound(&lane(), due), fronts.next()), (None, None));
    }

    #[test]
    fn a_front_is_read_again_after_a_tenth_of_a_second_to_two() {
        for (took, after) in [(NO_TIME, LEAST), (SLOW, SLOW * TIMES), (MOST * 2, MOST)] {
            let (now, mut fronts) = (Instant::now(), Fronts::default());
            let last = Some((at(1), Uuid::nil()));
            fronts.read(&claim(None), last, true, &reading(now, took));
            let until = now + took + after;
            assert_eq!(fronts.bound(&lane(), until - Duration::from_nanos(1)), last, "{took:?}");
            assert_eq!(fronts.bound(&lane(), until), None, "{took:?}");
        }
    }

    #[test]
    fn a_place_is_kept_where_the_front_has_nothing_or_only_what_is_older() {
        let (now, last) = (Instant::now(), Some((at(50), Uuid::nil())));
        for found in [None, Some((at(1), Uuid::nil()))] {
            let mut fronts = Fronts::default();
            fronts.read(&claim(None), last, true, &reading(now, SLOW));
            let later = now + KEPT;
            fronts.take_due(later);
            fronts.read(&claim(None), found, true, &reading(later, SLOW));
            assert_eq!(fronts.bound(&lane(), later), last);
            fronts.read(&claim(None), found, false, &reading(later, SLOW));
            assert_eq!(fronts.bound(&lane(), later), found);
        }
    }

    #[test]
    fn what_may_not_be_used_any_more_is_forgotten() {
        let (now, mut fronts) = (Instant::now(), Fronts::default());
        fronts.read(&claim(None), Some((at(1), Uuid::nil())), true, &reading(now, SLOW));
        fronts.take_due(now + MOST + KEPT);
        assert!(fronts.fronts.is_empty());
    }
}
