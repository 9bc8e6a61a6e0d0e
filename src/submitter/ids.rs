//! Ids of jobs: UUIDv7 of the database's time, which decides in which week their rows lie.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

use crate::job::JobId;
use crate::store::Clock;

/// The clock may come back by so much, and ids ascend all the same. By more, it was wrong before,
/// and ids follow it.
const COMES_BACK_MOST: TimeDelta = TimeDelta::seconds(1);

/// Makes ids that ascend, by the database's clock.
#[derive(Clone)]
pub(super) struct Ids {
    clock: Clock,
    last: Arc<Mutex<(DateTime<Utc>, ContextV7)>>,
}

impl Ids {
    pub(super) fn new(clock: Clock) -> Self {
        let last = Arc::new(Mutex::new((DateTime::UNIX_EPOCH, ContextV7::new())));
        Self { clock, last }
    }

    pub(super) fn next(&self) -> JobId {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if now + COMES_BACK_MOST < last.0 {
            // The context never goes back.
            *last = (now, ContextV7::new());
        }
        // The latest time: else many small steps back would never be noticed.
        last.0 = last.0.max(now);
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        JobId(Uuid::new_v7(Timestamp::from_unix(&last.1, seconds, now.timestamp_subsec_nanos())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn time_of(id: JobId) -> DateTime<Utc> {
        let (seconds, nanos) = id.0.get_timestamp().expect("a UUIDv7").to_unix();
        let seconds = i64::try_from(seconds).expect("a time of our days");
        DateTime::from_timestamp(seconds, nanos).expect("a time of our days")
    }

    #[test]
    fn ids_ascend_and_come_back_with_the_clock_also_in_small_steps() {
        let (clock, near) = (Clock::default(), TimeDelta::seconds(10));
        let ids = Ids::new(clock.clone());
        let mut before = ids.next();
        for nth in 0..1000 {
            // As two heartbeats estimate it.
            clock.learn(Instant::now(), Utc::now() - TimeDelta::milliseconds(nth % 2 * 300));
            let next = ids.next();
            assert!(next.0 > before.0, "{next} after {before}");
            before = next;
        }
        let start = Utc::now();
        for step in 1..10 {
            clock.learn(Instant::now(), start - TimeDelta::milliseconds(900 * step));
            let ahead = time_of(ids.next()) - clock.now();
            assert!(ahead < COMES_BACK_MOST * 2, "{ahead} ahead after {step} steps back");
        }
        let wrong = Utc::now() + TimeDelta::days(40);
        clock.learn(Instant::now(), wrong);
        assert!((time_of(ids.next()) - wrong).abs() < near);
        let right = Utc::now();
        clock.learn(Instant::now(), right);
        assert!((time_of(ids.next()) - right).abs() < near);
    }
}
