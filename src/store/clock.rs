//! The database's clock. It decides what is due, so the service reckons with it and not with its
//! own. An instance whose clock is ten minutes off starts no job early.
//!
//! Between two answers of the database the time is counted on by the monotonic clock, which nobody
//! sets. So a jump of this machine's clock changes nothing here. The monotonic clock stands still
//! while the machine sleeps. Then the two of this machine drift apart and the estimate is in doubt.
//! A caller that needs it exactly asks the database again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::time::Instant as Deadline;

use super::session::sql;
use super::{Error, Result, Store};

/// How far the clocks of this machine may drift apart, in microseconds, before the estimate is in
/// doubt.
const DRIFT_MOST: i64 = 1_000_000;

/// An estimate of the database's time, renewed by every heartbeat.
#[derive(Clone)]
pub struct Clock(Arc<Estimate>);

/// All in microseconds.
struct Estimate {
    origin: Instant,
    /// The database's time at `origin`, since 1970.
    base: AtomicI64,
    /// This machine's time at `origin`, since 1970, as it would be by what its clock showed at the
    /// last answer.
    wall: AtomicI64,
}

impl Default for Clock {
    fn default() -> Self {
        let now = Utc::now().timestamp_micros();
        let (base, wall) = (AtomicI64::new(now), AtomicI64::new(now));
        Self(Arc::new(Estimate { origin: Instant::now(), base, wall }))
    }
}

impl Clock {
    /// The database's time, as far as it is known here; exact to about a round trip.
    pub fn now(&self) -> DateTime<Utc> {
        let micros = self.0.base.load(Ordering::Relaxed).saturating_add(self.elapsed());
        DateTime::from_timestamp_micros(micros).unwrap_or_default()
    }

    /// How far the database is ahead of this machine.
    pub fn ahead_seconds(&self) -> f64 {
        (self.now() - Utc::now()).as_seconds_f64()
    }

    /// How long until the database's clock shows `at`; zero if it does already.
    pub fn until(&self, at: DateTime<Utc>) -> Duration {
        (at - self.now()).to_std().unwrap_or_default()
    }

    /// Takes in that the database said `theirs` in answer to a question asked at `asked`.
    pub(crate) fn learn(&self, asked: Instant, theirs: DateTime<Utc>) {
        let half = micros(asked.elapsed() / 2);
        self.0.base.store(theirs.timestamp_micros() + half - self.elapsed(), Ordering::Relaxed);
        self.0.wall.store(Utc::now().timestamp_micros() - self.elapsed(), Ordering::Relaxed);
    }

    /// Whether the clocks of this machine disagree about the time since the last answer: one was
    /// set, or the machine slept.
    fn is_in_doubt(&self) -> bool {
        self.is_in_doubt_at(Utc::now())
    }

    fn is_in_doubt_at(&self, wall: DateTime<Utc>) -> bool {
        let shown = wall.timestamp_micros() - self.elapsed();
        (shown - self.0.wall.load(Ordering::Relaxed)).abs() > DRIFT_MOST
    }

    fn elapsed(&self) -> i64 {
        micros(self.0.origin.elapsed())
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Store {
    /// Asks the database for its time. Answers by `deadline`.
    pub async fn clock_read(&self, deadline: Deadline) -> Result<()> {
        let mut session = self.submissions.take_by(deadline).await?;
        // To wait for a connection is no part of the way.
        let asked = Instant::now();
        let rows = self.submissions.ask(&mut session, deadline, sql!("doctor/clock"), &[]).await?;
        let row = rows.first().ok_or_else(|| Error::Unexpected("no time".into()))?;
        self.clock.learn(asked, row.try_get(0)?);
        Ok(())
    }

    /// Asks the database for its time if there is doubt about it. Answers by `deadline`.
    pub async fn clock_be_sure(&self, deadline: Deadline) -> Result<()> {
        if self.clock.is_in_doubt() { self.clock_read(deadline).await } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_time_of_the_database_is_counted_on_whatever_this_machine_shows() {
        let (clock, theirs) = (Clock::default(), Utc::now() + TimeDelta::days(40));
        clock.learn(Instant::now(), theirs);
        assert!((clock.now() - theirs).abs() < TimeDelta::seconds(10));
        assert!(clock.ahead_seconds() > 86_400.0 * 39.0);
        assert!(clock.until(theirs + TimeDelta::hours(1)) > Duration::from_secs(3500));
        assert_eq!(clock.until(theirs - TimeDelta::hours(1)), Duration::ZERO);
    }

    #[test]
    fn a_jump_of_more_than_a_second_casts_doubt() {
        let clock = Clock::default();
        clock.learn(Instant::now(), Utc::now() - TimeDelta::days(3));
        assert!(!clock.is_in_doubt_at(Utc::now()));
        for jump in [TimeDelta::seconds(2), TimeDelta::days(40)] {
            assert!(clock.is_in_doubt_at(Utc::now() + jump));
            assert!(clock.is_in_doubt_at(Utc::now() - jump));
        }
    }
}
