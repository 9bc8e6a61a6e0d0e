//! The database's clock. It decides what is due, so the service reckons with it and not with its own: an instance whose
//! clock is ten minutes off starts no job early.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// An estimate of the database's time, renewed by every heartbeat and every poll.
#[derive(Clone, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// The database's time, as far as it is known here; exact to about a round trip.
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::microseconds(self.0.load(Ordering::Relaxed))
    }

    /// How far the database is ahead of this machine.
    pub fn ahead_seconds(&self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a difference of centuries would still be exact to a second"
        )]
        let micros = self.0.load(Ordering::Relaxed) as f64;
        micros / 1e6
    }

    /// Takes in that the database said `theirs` in answer to a question asked at `asked`.
    pub(crate) fn learn(&self, asked: DateTime<Utc>, theirs: DateTime<Utc>) {
        let middle = asked + (Utc::now() - asked) / 2;
        self.0.store((theirs - middle).num_microseconds().unwrap_or(0), Ordering::Relaxed);
    }

    /// How long until the database's clock shows `at`; zero if it does already.
    pub fn until(&self, at: DateTime<Utc>) -> Duration {
        (at - self.now()).to_std().unwrap_or_default()
    }
}
