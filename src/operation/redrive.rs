//! What a redrive is asked for with, through every door.

use super::{CANARY, CODE_CHARS_MOST, Canary, DELAY_MOST, DeadLetterFilter, RATE, RATES};
use crate::job::family::Family;
use crate::job::fields::Faults;
use crate::job::submission::FieldError;
use crate::queue::{QueueName, TaskName};

/// A redrive: which failed jobs are sent back to wait, how fast, and how carefully.
#[derive(Clone, PartialEq, Debug)]
pub struct Redrive {
    /// The jobs that it is about: one member at least. `None`: all that failed.
    pub filter: Option<DeadLetterFilter>,
    /// The most jobs that it moves each second, from 0.01 to 10,000.
    pub rate_per_second: f64,
    /// The seconds until it starts, up to a day.
    pub delay_seconds: f64,
    /// How it begins with a few jobs; `None`: it does not.
    pub canary: Option<RedriveCanary>,
}

/// How a redrive begins with a few jobs: one, then ten or a share of all, then the rest.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RedriveCanary {
    /// The share of the second stage, from 0 to 1: ten jobs at least.
    pub share: f64,
    /// It halts if a larger share of a stage fails, from 0 to 1.
    pub halt_at: f64,
}

impl Default for RedriveCanary {
    /// A hundredth of all jobs, and a tenth that may fail.
    fn default() -> Self {
        Self { share: CANARY.0, halt_at: CANARY.1 }
    }
}

impl RedriveCanary {
    /// As it begins.
    pub(crate) fn begin(self) -> Canary {
        Canary::new(self.share, self.halt_at)
    }
}

impl Redrive {
    /// Of the failed jobs that this filter means, 500 a second, at once and without a canary.
    pub fn of(filter: DeadLetterFilter) -> Self {
        Self { filter: Some(filter), ..Self::all() }
    }

    /// Of all failed jobs, 500 a second, at once and without a canary.
    pub fn all() -> Self {
        Self { filter: None, rate_per_second: RATE, delay_seconds: 0.0, canary: None }
    }

    /// Everything that is wrong with it, by the names that its members have over HTTP.
    pub(crate) fn check(&self) -> Vec<FieldError> {
        let mut faults = Faults::default();
        if let Some(filter) = &self.filter {
            filter.check(&mut faults);
        }
        within(&mut faults, "rate_per_second", self.rate_per_second, RATES);
        within(&mut faults, "delay_seconds", self.delay_seconds, (0.0, DELAY_MOST));
        if let Some(RedriveCanary { share, halt_at }) = self.canary {
            within(&mut faults, "canary/share", share, (0.0, 1.0));
            within(&mut faults, "canary/halt_at", halt_at, (0.0, 1.0));
        }
        faults.0
    }
}

impl DeadLetterFilter {
    /// The names of its members.
    pub(crate) const NAMES: [&'static str; 6] =
        ["queue", "task", "code", "family", "failed_after", "failed_before"];

    /// Notes what is wrong with the filter of a redrive.
    fn check(&self, faults: &mut Faults) {
        if *self == Self::default() {
            let message = format!(
                "`filter` names one of {} at least. Send `\"all\": true` for all failed jobs.",
                Self::NAMES.join(", ")
            );
            faults.add("/filter", "missing_field", message);
        }
        self.check_members("/filter", faults);
    }

    /// Notes what is wrong with each member, under this pointer.
    pub(crate) fn check_members(&self, at: &str, faults: &mut Faults) {
        for (name, given, fits, rule) in [
            ("queue", &self.queue, QueueName::fits as fn(&str) -> bool, QueueName::RULE),
            ("task", &self.task, TaskName::fits, TaskName::RULE),
        ] {
            if given.as_deref().is_some_and(|text| !fits(text)) {
                let message = format!("`{name}` must be {rule}.");
                faults.add(format!("{at}/{name}"), "invalid_name", message);
            }
        }
        let length = self.code.as_ref().map(|code| code.chars().count());
        if length.is_some_and(|length| !(1..=CODE_CHARS_MOST).contains(&length)) {
            let message = format!("`code` must have 1 to {CODE_CHARS_MOST} characters.");
            faults.add(format!("{at}/code"), "invalid_length", message);
        }
        if self.family.as_deref().is_some_and(|text| Family::parse(text).is_none()) {
            let message = format!("`family` must be {}.", Family::RULE);
            faults.add(format!("{at}/family"), "invalid_value", message);
        }
    }
}

/// Notes a number that is not between two others.
fn within(faults: &mut Faults, name: &str, number: f64, (low, high): (f64, f64)) {
    if !(low..=high).contains(&number) {
        let last = name.rsplit('/').next().unwrap_or(name);
        let message = format!("`{last}` must be from {low} to {high}.");
        faults.add(format!("/{name}"), "out_of_range", message);
    }
}
