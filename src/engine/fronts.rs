//! Where the claims of a lane begin.
//!
//! A claim passes by what the claims before it took: entries that stay in the index until vacuum. Reading all of them took 30 ms
//! where 14,000 jobs came and went each second, so a job waited 5 ms after a vacuum and 30 ms before the next.
//!
//! The place where a claim may begin is a guess: what is committed late, taken back from a lost worker, retried or moved to
//! another priority lies before it. So it is only remembered here, lies a little before the claim that it comes from, and is
//! not used for long: then the lane is read from its front again, and if only its end was read meanwhile, that is done without
//! being asked. A front that is read in no time is read each time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::queue::Lane;
use crate::store::lease::LaneClaim;

/// Commits overtake each other; those that do by more than this are found with the front.
const SLACK: TimeDelta = TimeDelta::milliseconds(250);
/// A lane that is read to its end within this needs no place to begin at.
const NO_TIME: Duration = Duration::from_millis(2);
/// A front is read again after so many times as long as that took the last time: a twentieth of the time goes there at most.
const TIMES: u32 = 20;
const LEAST: Duration = Duration::from_millis(250);
/// Behind an old snapshot nothing is vacuumed, and reading the front takes ever longer.
const MOST: Duration = Duration::from_secs(2);

type Place = (DateTime<Utc>, Uuid);

/// How a claim went.
pub(super) struct Reading {
    pub(super) begun: Instant,
    /// The database's time then.
    pub(super) clock: DateTime<Utc>,
    pub(super) took: Duration,
}

struct Front {
    /// Nothing that is known of lies before it.
    place: Option<Place>,
    good_until: Instant,
    /// Whether a claim that passed the front by found the end.
    passed_by: bool,
}

/// The fronts of lanes that were claimed from a moment ago.
#[derive(Default)]
pub(super) struct Fronts(HashMap<Lane, Front>);

impl Fronts {
    /// Where a claim may begin; `None`: at the front.
    pub(super) fn bound(&self, lane: &Lane, now: Instant) -> Option<Place> {
        self.0.get(lane).filter(|front| now < front.good_until)?.place
    }

    /// A claim came back with less of the lane than it might have.
    pub(super) fn read_to_the_end(
        &mut self,
        asked: &LaneClaim,
        last: Option<Place>,
        reading: &Reading,
    ) {
        if asked.bound.is_none() && reading.took < NO_TIME {
            self.0.remove(&asked.lane);
        } else {
            self.read(asked, last, reading).passed_by = asked.bound.is_some();
        }
    }

    /// A claim came back with as much of the lane as it might have.
    pub(super) fn read_in_part(
        &mut self,
        asked: &LaneClaim,
        last: Option<Place>,
        reading: &Reading,
    ) {
        self.read(asked, last, reading);
    }

    fn read(&mut self, asked: &LaneClaim, last: Option<Place>, reading: &Reading) -> &mut Front {
        let front = self.0.entry(asked.lane.clone()).or_insert(Front {
            place: None,
            good_until: reading.begun,
            passed_by: false,
        });
        if asked.bound.is_none() {
            front.good_until = reading.begun + (reading.took * TIMES).clamp(LEAST, MOST);
        }
        let recent = (reading.clock - SLACK, Uuid::nil());
        front.place = last.map(|last| last.min(recent)).or(front.place);
        front
    }

    /// When a front is to be read that only was passed by.
    pub(super) fn next(&self) -> Option<Instant> {
        let passed_by = self.0.values().filter(|front| front.passed_by);
        passed_by.map(|front| front.good_until).min()
    }

    /// Lanes whose fronts are to be read by now. Forgets what may not be used any more.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Lane> {
        let old = self.0.extract_if(|_, front| front.good_until <= now);
        old.filter(|(_, front)| front.passed_by).map(|(lane, _)| lane).collect()
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

    fn reading(begun: Instant, took: Duration) -> Reading {
        Reading { begun, clock: DateTime::UNIX_EPOCH + TimeDelta::hours(1), took }
    }

    fn place(fronts: &Fronts, now: Instant) -> Option<Place> {
        fronts.bound(&lane(), now)
    }

    fn claim(bound: Option<Place>) -> LaneClaim {
        LaneClaim { lane: lane(), bound, most: 10 }
    }

    #[test]
    fn a_claim_begins_where_the_last_one_ended_or_a_little_before_now() {
        let (now, mut fronts) = (Instant::now(), Fronts::default());
        let reading = reading(now, SLOW);
        let old = (DateTime::UNIX_EPOCH, Uuid::max());
        fronts.read_in_part(&claim(None), Some(old), &reading);
        assert_eq!(place(&fronts, now), Some(old));
        let new = (reading.clock, Uuid::max());
        fronts.read_to_the_end(&claim(Some(old)), Some(new), &reading);
        assert_eq!(place(&fronts, now), Some((reading.clock - SLACK, Uuid::nil())));
    }

    #[test]
    fn a_front_that_is_read_in_no_time_is_read_each_time() {
        let (now, mut fronts) = (Instant::now(), Fronts::default());
        let last = Some((DateTime::UNIX_EPOCH, Uuid::nil()));
        fronts.read_to_the_end(&claim(None), last, &reading(now, NO_TIME / 2));
        assert_eq!(place(&fronts, now), None);
    }

    #[test]
    fn a_front_that_was_passed_by_is_read_unasked_when_its_time_has_come() {
        let (now, mut fronts) = (Instant::now(), Fronts::default());
        let last = Some((DateTime::UNIX_EPOCH, Uuid::nil()));
        fronts.read_to_the_end(&claim(None), last, &reading(now, SLOW));
        assert_eq!(fronts.next(), None);
        fronts.read_to_the_end(&claim(last), None, &reading(now + LEAST, SLOW));
        let due = now + SLOW * TIMES;
        assert_eq!(fronts.next(), Some(due));
        assert!(fronts.take_due(due - Duration::from_millis(1)).is_empty());
        assert_eq!(fronts.take_due(due), [lane()]);
        assert_eq!((place(&fronts, now), fronts.next()), (None, None));
    }
}
