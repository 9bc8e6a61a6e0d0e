//! `retry`: when a job that failed runs again, in its own words. What they come to is a
//! [`Policy`](super::super::backoff::Policy).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::declare::{fields, members, object};
use super::value::{self, Faults, Source, Value};
use super::{Field, Kind};

/// The waits grow by a factor.
pub(crate) const EXPONENTIAL: &str = "exponential";
/// The waits grow by the base.
pub(crate) const LINEAR: &str = "linear";
/// All waits are the base.
pub(crate) const FIXED: &str = "fixed";

const BASE_MOST: f64 = 604_800.0;
const MAX_MOST: f64 = 2_592_000.0;
const FACTOR_LEAST: f64 = 1.0;
const FACTOR_MOST: f64 = 100.0;

members! {
    /// When a job runs again whose attempt failed. A member that is left out has its built-in
    /// value, whatever the task says.
    ///
    /// ```
    /// # use reveille::{NewJob, Retry};
    /// # use std::time::Duration;
    /// let job = NewJob::new("sync", &7).retry(Retry::fixed(Duration::from_secs(30)).jitter(0.0));
    /// ```
    pub struct Retry, MEMBERS, NAMES {
        /// How the waits grow.
        /// Without it `exponential`.
        strategy: String = Kind::Choice {
            of: &[EXPONENTIAL, LINEAR, FIXED],
            schema: "RetryStrategy",
            about: "How the waits between attempts grow. `exponential`: each is `factor` times the \
                one before. `linear`: each is `base_seconds` longer than the one before. `fixed`: \
                all are `base_seconds` long.",
        };

        /// The wait before the first retry, in seconds.
        /// Without it 5, or `max_seconds` if that is less.
        base_seconds: f64 = Kind::Seconds { least: 0.0, most: BASE_MOST };

        /// How much longer each wait is than the one before.
        /// Only with `exponential`. Without it 3.
        factor: f64 = Kind::Number { least: FACTOR_LEAST, most: FACTOR_MOST };

        /// The longest wait, in seconds, before its jitter. It is not less than `base_seconds`.
        /// Without it 21600 (6 hours), or `base_seconds` if that is more.
        max_seconds: f64 = Kind::Seconds { least: 0.0, most: MAX_MOST };

        /// The share of a wait by which it is longer or shorter at random.
        /// Without it 0.2.
        jitter: f64 = Kind::Number { least: 0.0, most: 1.0 };
    }
}

impl Retry {
    /// The schema of the object, in the specification.
    pub(super) const KIND: Kind = Kind::Object {
        members: MEMBERS,
        schema: "RetryPolicy",
        about: "When a job runs again whose attempt failed. The object is taken as a whole: a member \
            that is left out has its built-in value, not that of the task. A delay that the handler \
            asks for replaces the policy.",
    };

    /// Each wait is a multiple of the one before.
    pub fn exponential(base: Duration, factor: f64) -> Self {
        Self { factor: Some(factor), ..Self::of(EXPONENTIAL, base) }
    }

    /// Each wait is as much longer than the one before as the first one is long.
    pub fn linear(base: Duration) -> Self {
        Self::of(LINEAR, base)
    }

    /// All waits are of this length.
    pub fn fixed(wait: Duration) -> Self {
        Self::of(FIXED, wait)
    }

    /// Sets the longest wait, before its jitter.
    #[must_use]
    pub fn max(self, most: Duration) -> Self {
        Self { max_seconds: Some(most.as_secs_f64()), ..self }
    }

    /// Sets the share of a wait by which it is longer or shorter at random, from 0 to 1.
    #[must_use]
    pub fn jitter(self, share: f64) -> Self {
        Self { jitter: Some(share), ..self }
    }

    fn of(strategy: &str, base: Duration) -> Self {
        let base_seconds = Some(base.as_secs_f64());
        Self { strategy: Some(strategy.to_owned()), base_seconds, ..Self::default() }
    }

    /// Only values that are sound by themselves are compared.
    fn check_together(&self, name: &str, faults: &mut Faults) {
        if let (Some(base), Some(most)) = (self.base_seconds, self.max_seconds)
            && (0.0..=BASE_MOST).contains(&base)
            && (0.0..=MAX_MOST).contains(&most)
            && most < base
        {
            let message = format!("{name}.max_seconds must not be less than {name}.base_seconds");
            faults.add(format!("/{name}/max_seconds"), "out_of_range", message);
        }
        if let (Some(LINEAR | FIXED), Some(factor)) = (self.strategy.as_deref(), self.factor)
            && (FACTOR_LEAST..=FACTOR_MOST).contains(&factor)
        {
            let message = format!("{name}.factor goes with the strategy {EXPONENTIAL} only");
            faults.add(format!("/{name}/factor"), "conflicting_fields", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(retry: &Retry) -> Vec<(String, &'static str)> {
        let mut faults = Faults::default();
        retry.check("retry", &Retry::KIND, &mut faults);
        faults.0.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
    }

    #[test]
    fn life_1c8_only_what_was_said_can_clash() {
        let second = Duration::from_secs(1);
        let half = Retry { max_seconds: Some(0.5), ..Retry::default() };
        let day = Retry::fixed(86_400 * second);
        let sound = [Retry::default(), half.clone(), day, Retry::linear(second).max(second)];
        for retry in sound {
            assert_eq!(told(&retry), [], "{retry:?}");
        }
        let clash = Retry { base_seconds: Some(1.0), ..half };
        assert_eq!(told(&clash), [("/retry/max_seconds".to_owned(), "out_of_range")]);
        let clash = Retry { factor: Some(2.0), ..Retry::linear(second) };
        assert_eq!(told(&clash), [("/retry/factor".to_owned(), "conflicting_fields")]);
        let nan = Retry::exponential(second, f64::NAN).max(second / 2).jitter(f64::INFINITY);
        let nowhere = ["factor", "jitter", "max_seconds"].map(|it| format!("/retry/{it}"));
        let mut pointers: Vec<String> = told(&nan).into_iter().map(|fault| fault.0).collect();
        pointers.sort();
        assert_eq!(pointers, nowhere);
    }

    #[test]
    fn numbers_are_kept_with_six_decimals_and_whole_ones_without() {
        let retry = Retry::exponential(Duration::from_nanos(1_234_567_891), 2.0).jitter(1e-9);
        let kept = r#"{"strategy":"exponential","base_seconds":1.234568,"factor":2,"jitter":0}"#;
        assert_eq!(serde_json::to_string(&retry).expect("it is JSON"), kept);
        assert_eq!(serde_json::to_string(&Retry::default()).expect("it is JSON"), "{}");
    }
}
