//! How long a failed job waits for its next attempt: exponential back-off with jitter, so that jobs
//! that failed together do not come back together.

use std::time::Duration;

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
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let most = self.max.as_secs_f64();
        let exact = (self.base.as_secs_f64() * self.factor.powi(exponent)).min(most);
        let jittered =
            exact * (1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * luck.clamp(0.0, 1.0) - 1.0));
        // A cap of centuries, and a factor that grows past all bounds, are no reason to panic.
        Duration::try_from_secs_f64(jittered.clamp(0.0, most * 2.0)).unwrap_or(self.max)
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
