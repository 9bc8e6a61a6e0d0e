//! The time limits of a job beside each other and beside its start. Only what was said can clash, since
//! a default is clipped. Only values that are sound by themselves are compared.

use chrono::{DateTime, Utc};

use super::{DELAY, FARTHEST_SECONDS, Faults, Kind, NewJob, SPAN, TIMEOUT};

/// The value, if it is one of this kind.
fn sound(value: Option<f64>, kind: &Kind) -> Option<f64> {
    let Kind::Seconds { least, most } = kind else { return None };
    value.filter(|value| (*least..=*most).contains(value))
}

/// Notes a deadline that is shorter than an attempt, if both are said.
pub(super) fn check_deadline(deadline: Option<f64>, timeout: Option<f64>, faults: &mut Faults) {
    let both = sound(deadline, &SPAN).zip(sound(timeout, &TIMEOUT));
    if both.is_some_and(|(deadline, timeout)| deadline < timeout) {
        let message =
            "deadline_seconds must not be less than timeout_seconds; raise it, or lower the other";
        faults.add("/deadline_seconds", "out_of_range", message);
    }
}

impl NewJob {
    /// Notes what does not fit.
    pub(in crate::job) fn check_clocks(&self, now: DateTime<Utc>, faults: &mut Faults) {
        let deadline = sound(self.settings.deadline_seconds, &SPAN);
        check_deadline(deadline, self.timeout_seconds, faults);
        let ttl = sound(self.settings.queue_ttl_seconds, &SPAN);
        let limits = [("queue_ttl_seconds", ttl), ("deadline_seconds", deadline)];
        let limits = limits.into_iter().filter_map(|(name, limit)| Some((name, limit?)));
        let shortest = limits.min_by(|one, other| one.1.total_cmp(&other.1));
        let Some(((limit, most), (name, wait))) = shortest.zip(self.wait(now)) else { return };
        if wait > most {
            let message = format!(
                "{name} lies beyond {limit}, so the job would end before it starts; raise that, or let the job start earlier"
            );
            faults.add(format!("/{name}"), "out_of_range", message);
        }
    }

    /// The seconds that the job waits at least, by which field; `None`: it is not said, or not sound.
    fn wait(&self, now: DateTime<Utc>) -> Option<(&'static str, f64)> {
        let Some(at) = self.run_at else {
            return Some(("delay_seconds", sound(self.delay_seconds, &DELAY)?));
        };
        let wait = (at - now).as_seconds_f64();
        (wait <= FARTHEST_SECONDS).then_some(("run_at", wait))
    }
}
