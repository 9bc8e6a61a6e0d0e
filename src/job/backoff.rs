//! How long a failed job waits for its next attempt: back-off with jitter, so that jobs that failed
//! together do not come back together.
//!
//! The jitter comes after the cap. Before it, all jobs past the cap would wait equally long, and
//! come back as one.

use std::time::Duration;

use super::fields::{FIXED, LINEAR, Retry};

/// A task's retry policy. The `n`-th retry (from 1) waits `base × factor^(n-1)`, at most `max`, and
/// up to `jitter` of that more or less.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Backoff {
    /// The wait before the first retry.
    pub base: Duration,
    /// How much longer each wait is than the one before.
    pub factor: f64,
    /// The longest wait, without its jitter.
    pub max: Duration,
    /// A share, 0 to 1.
    pub jitter: f64,
}

impl Default for Backoff {
    /// 5 s × 3, at most 6 h, ± 20 %.
    fn default() -> Self {
        Self {
            base: Duration::from_secs(5),
            factor: 3.0,
            max: Duration::from_secs(6 * 3600),
            jitter: 0.2,
        }
    }
}

impl Backoff {
    /// The wait after the `attempt`-th attempt (from 1) failed. `luck` is a random number from 0 to
    /// 1.
    pub fn delay(&self, attempt: u32, luck: f64) -> Duration {
        Policy::from(*self).delay(attempt, luck)
    }
}

/// How the waits grow.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Growth {
    Exponential { factor: f64 },
    Linear,
    None,
}

/// A retry policy in force: every member has its value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Policy {
    growth: Growth,
    /// In seconds, as the cap.
    base: f64,
    most: f64,
    jitter: f64,
}

impl From<Backoff> for Policy {
    fn from(backoff: Backoff) -> Self {
        Self {
            growth: Growth::Exponential { factor: backoff.factor },
            base: backoff.base.as_secs_f64(),
            most: backoff.max.as_secs_f64(),
            jitter: backoff.jitter,
        }
    }
}

/// Members that are left out have built-in values, clipped by those that are not.
impl From<&Retry> for Policy {
    fn from(retry: &Retry) -> Self {
        let built_in = Self::from(Backoff::default());
        let factor = retry.factor.unwrap_or(Backoff::default().factor);
        let (base, most) = match (retry.base_seconds, retry.max_seconds) {
            (Some(base), Some(most)) => (base, most),
            (Some(base), None) => (base, built_in.most.max(base)),
            (None, Some(most)) => (built_in.base.min(most), most),
            (None, None) => (built_in.base, built_in.most),
        };
        Self {
            growth: match retry.strategy.as_deref() {
                Some(LINEAR) => Growth::Linear,
                Some(FIXED) => Growth::None,
                _ => Growth::Exponential { factor },
            },
            base,
            most,
            jitter: retry.jitter.unwrap_or(built_in.jitter),
        }
    }
}

impl Policy {
    /// The policy of a job that fails now: the nearest one counts, as a whole. `said` is that of the
    /// job, or else of its queue.
    pub(crate) fn in_force(said: Option<&Retry>, task: Backoff) -> Self {
        said.map_or_else(|| task.into(), Self::from)
    }

    /// The wait after the `attempt`-th attempt (from 1) failed. `luck` is a random number from 0 to
    /// 1.
    pub(crate) fn delay(&self, attempt: u32, luck: f64) -> Duration {
        let exact = self.grown(f64::from(attempt.max(1))).min(self.most);
        let jittered =
            exact * (1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * luck.clamp(0.0, 1.0) - 1.0));
        // A cap of centuries, and a factor that grows past all bounds, are no reason to panic.
        let most = Duration::try_from_secs_f64(self.most).unwrap_or(Duration::MAX);
        Duration::try_from_secs_f64(jittered.clamp(0.0, self.most * 2.0)).unwrap_or(most)
    }

    /// The wait before cap and jitter. The exponent ends where the cap is reached: the power beyond
    /// may be infinite, which is no wait, and not a number if the base is 0.
    fn grown(&self, attempt: f64) -> f64 {
        match self.growth {
            Growth::None => self.base,
            Growth::Linear => self.base * attempt,
            Growth::Exponential { factor } => {
                let enough = ((self.most / self.base).ln() / factor.ln()).ceil();
                let exponent = if enough.is_finite() && enough >= 0.0 {
                    enough.min(attempt - 1.0)
                } else {
                    attempt - 1.0
                };
                if self.base > 0.0 { self.base * factor.powf(exponent) } else { 0.0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn grows_from_its_base_to_its_cap() {
        let backoff = Backoff { jitter: 0.0, ..Backoff::default() };
        let seconds: Vec<u64> =
            (1..=9).map(|attempt| backoff.delay(attempt, 0.5).as_secs()).collect();
        assert_eq!(seconds, [5, 15, 45, 135, 405, 1215, 3645, 10935, 21600]);
    }

    /// The waits without jitter, in seconds.
    fn waits(retry: &Retry, attempts: u32) -> Vec<f64> {
        let policy = Policy { jitter: 0.0, ..Policy::from(retry) };
        (1..=attempts).map(|attempt| policy.delay(attempt, 0.9).as_secs_f64()).collect()
    }

    #[test]
    fn life_1c1_an_empty_policy_is_the_built_in_one() {
        let exact = [5.0, 15.0, 45.0, 135.0, 405.0, 1215.0, 3645.0, 10935.0, 21600.0];
        assert_eq!(waits(&Retry::default(), 9), exact);
        assert_eq!(exact.iter().sum::<f64>(), 38_000.0);
        assert_eq!(Policy::from(&Retry::default()), Policy::from(Backoff::default()));
    }

    #[test]
    fn life_1c2_linear_waits_grow_by_their_base_and_fixed_ones_do_not_grow() {
        let seconds = Duration::from_secs;
        assert_eq!(waits(&Retry::linear(seconds(2)).max(seconds(5)), 4), [2.0, 4.0, 5.0, 5.0]);
        assert_eq!(waits(&Retry::fixed(seconds(3)), 3), [3.0; 3]);
    }

    #[test]
    fn life_1c4_a_late_attempt_waits_as_long_as_the_cap_says_and_no_wait_stays_none() {
        let minute = Retry::exponential(Duration::from_secs(5), 10.0).max(Duration::from_secs(60));
        assert_eq!(waits(&minute, 1000)[3..], [60.0; 997]);
        for luck in [0.0, 0.5, 1.0] {
            let wait = Policy::from(&minute).delay(400, luck).as_secs_f64();
            assert!((48.0..=72.0).contains(&wait), "{wait}");
        }
        let none = Retry::exponential(Duration::ZERO, 10.0).max(Duration::from_secs(60));
        assert_eq!(waits(&none, 1000), [0.0; 1000]);
    }

    #[test]
    fn the_nearest_policy_counts_as_a_whole_and_clips_what_it_leaves_out() {
        let task = Backoff { base: Duration::from_secs(7), jitter: 0.0, ..Backoff::default() };
        let wait = |job: Option<&Retry>| {
            Policy { jitter: 0.0, ..Policy::in_force(job, task) }.delay(1, 0.9).as_secs_f64()
        };
        assert_eq!(wait(None), 7.0);
        assert_eq!(wait(Some(&Retry::default())), 5.0);
        assert_eq!(wait(Some(&Retry { max_seconds: Some(1.0), ..Retry::default() })), 1.0);
        assert_eq!(wait(Some(&Retry::fixed(Duration::from_secs(86_400)))), 86_400.0);
    }

    proptest! {
        #[test]
        fn stays_within_its_jitter(attempt in 0u32..=u32::MAX, luck in 0.0f64..=1.0) {
            let backoff = Backoff::default();
            let exact = Backoff { jitter: 0.0, ..backoff }.delay(attempt, luck).as_secs_f64();
            let delay = backoff.delay(attempt, luck).as_secs_f64();
            prop_assert!((exact * 0.8 - 1e-6..=exact * 1.2 + 1e-6).contains(&delay));
        }

        /// Any policy has an answer, which respects the cap and the jitter.
        #[test]
        fn any_policy_has_a_delay(
            attempt in any::<u32>(),
            luck in any::<f64>(),
            (base, max) in any::<(Duration, Duration)>(),
            (factor, jitter) in any::<(f64, f64)>(),
        ) {
            let delay = Backoff { base, factor, max, jitter }.delay(attempt, luck);
            prop_assert!(delay.as_secs_f64() <= max.as_secs_f64() * 2.0 + 1e-6);
        }
    }
}
