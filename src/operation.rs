//! Operations on many jobs, as an operator asks for them: what each is about, its pace, and the
//! stages of its canary. Pure; the leader carries an operation out.
//!
//! A redriven job has the priority that it was submitted with, and no lower share of the claims
//! while its redrive runs. A lower share would be a lane of its own for each lane, which has to end
//! when the redrive does and takes the job's place among equals. The rate bounds what live jobs may
//! lose to a redrive instead, and a redriven job starts behind those that are due already.

mod redrive;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::job::failure::Failure;
use crate::job::family::Family;
use crate::job::names::names;
pub use redrive::{Redrive, RedriveCanary};

/// The jobs of one step, at most.
pub(crate) const STEP_MOST: u32 = 1_000;
/// How far ahead one step works.
pub(crate) const TICK: TimeDelta = TimeDelta::milliseconds(250);
/// The rate of a redrive whose caller names none, in jobs a second.
pub(crate) const RATE: f64 = 500.0;
/// The least and the highest rate.
pub(crate) const RATES: (f64, f64) = (0.01, 10_000.0);
/// The longest time until an operation starts, in seconds.
pub(crate) const DELAY_MOST: f64 = 86_400.0;
/// The time until a purge starts whose caller does not say, in seconds.
pub(crate) const PURGE_DELAY: f64 = 30.0;
/// The share and the limit of a canary whose caller does not say.
pub(crate) const CANARY: (f64, f64) = (0.01, 0.1);
/// The most characters of a code of an error that a filter names.
pub(crate) const CODE_CHARS_MOST: usize = 255;
/// How many days an operation is kept after its end.
pub(crate) const KEPT_DAYS: u32 = 90;
/// How long a stage of a canary waits for jobs that neither end nor fail.
const STAGE_MOST: TimeDelta = TimeDelta::minutes(10);
/// The least number of jobs of the second stage.
const SECOND_LEAST: u64 = 10;

/// The kind of an operation. Kinds are added over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OperationKind {
    /// It sends failed jobs back to wait.
    Redrive,
    /// It cancels the waiting jobs of a queue.
    Purge,
}

names!(OperationKind { Redrive = "redrive", Purge = "purge" });

/// How an operation stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OperationStatus {
    /// It has not started.
    Scheduled,
    /// The leader works on it.
    Running,
    /// Nothing is left to do.
    Completed,
    /// A person stopped it.
    Stopped,
    /// Its canary did: too many jobs failed.
    Halted,
}

names!(OperationStatus {
    Scheduled = "scheduled",
    Running = "running",
    Completed = "completed",
    Stopped = "stopped",
    Halted = "halted",
});

/// Which failed jobs are meant. A member that is `None` does not matter.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, Serialize)]
pub struct DeadLetterFilter {
    /// Jobs of this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Jobs of this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Jobs whose error has this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Jobs of this failure family, as [`DeadLetterGroup::family`](crate::DeadLetterGroup) names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Jobs that failed at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_after: Option<DateTime<Utc>>,
    /// Jobs that failed before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_before: Option<DateTime<Utc>>,
}

impl DeadLetterFilter {
    /// The number of its family.
    pub(crate) fn family(&self) -> Option<i64> {
        self.family.as_deref().and_then(Family::parse).map(|family| family.0)
    }

    /// The jobs in words: `queue mail, code timed_out`.
    pub(crate) fn about(&self) -> String {
        let Self { queue, task, code, family, failed_after, failed_before } = self;
        let time = |time: &Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339());
        let members = [
            ("queue", queue.clone()),
            ("task", task.clone()),
            ("code", code.clone()),
            ("family", family.clone()),
            ("failed_after", time(failed_after)),
            ("failed_before", time(failed_before)),
        ];
        let said = members.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let said: Vec<String> = said.map(|(name, value)| format!("{name} {value}")).collect();
        if said.is_empty() { "all failed jobs".to_owned() } else { said.join(", ") }
    }
}

/// Starts that are spread evenly, at a rate of so many jobs a second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Pace {
    /// `None`: as many as there are.
    pub rate: Option<f64>,
    /// When the next job may start.
    pub next_at: Option<DateTime<Utc>>,
}

impl Pace {
    /// How many jobs may be moved now. Jobs of the next tick may: they wait for their time.
    pub(crate) fn room(&self, now: DateTime<Utc>) -> u32 {
        let Some(rate) = self.rate else { return STEP_MOST };
        let ahead = (now + TICK - self.first(now)).as_seconds_f64();
        if ahead <= 0.0 {
            return 0;
        }
        // The first one starts at once, and each other after a space.
        let room = (ahead * rate).floor() + 1.0;
        if room >= f64::from(STEP_MOST) { STEP_MOST } else { room as u32 }
    }

    /// When so many jobs start.
    pub(crate) fn starts(&self, now: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        (0..count).map(|nth| self.first(now) + self.space(nth)).collect()
    }

    /// The pace after so many jobs.
    pub(crate) fn after(self, now: DateTime<Utc>, count: usize) -> Self {
        let next = self.rate.map(|_| self.first(now) + self.space(count));
        Self { next_at: if count > 0 { next } else { self.next_at }, ..self }
    }

    /// Time that was lost is not made up: nothing comes in a burst.
    fn first(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.next_at.map_or(now, |next| next.max(now))
    }

    fn space(&self, nth: usize) -> TimeDelta {
        let Some(rate) = self.rate else { return TimeDelta::zero() };
        let micros = (nth as f64 / rate * 1e6).min(1e15);
        TimeDelta::microseconds(micros as i64)
    }
}

/// A redrive that begins with a few jobs: one, then a share of all, then the rest. Where too many
/// of a stage fail again, it halts.
#[derive(Clone, PartialEq, Debug, Deserialize, Serialize)]
pub(crate) struct Canary {
    /// The share of the second stage, beyond its ten jobs.
    pub share: f64,
    /// It halts if a larger share of a stage fails.
    pub halt_at: f64,
    /// 0, 1, and 2 for the rest.
    #[serde(default)]
    pub stage: u8,
    /// Jobs that this stage has moved.
    #[serde(default)]
    pub moved: u64,
    /// Moved jobs that have ended or failed.
    #[serde(default)]
    pub ended: u64,
    #[serde(default)]
    pub failed: u64,
    /// The first one that failed, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_failed: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The time of the last job of this stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_at: Option<DateTime<Utc>>,
}

/// The next move of a canary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// So many jobs may be moved.
    Move(u32),
    /// The jobs of its stage are waited for.
    Wait,
    /// Too many of its stage failed.
    Halt,
}

impl Canary {
    /// How many jobs this stage is to move; `None`: all that are left.
    fn size(&self, matched: u64) -> Option<u64> {
        match self.stage {
            0 => Some(1),
            1 => Some(SECOND_LEAST.max((self.share * matched as f64).ceil() as u64)),
            _ => None,
        }
    }

    /// Its next turn, of an operation about so many jobs. `exhausted`: there are no more. A stage
    /// whose jobs have all ended or failed gives way to the next one.
    pub(crate) fn turn(&mut self, matched: u64, exhausted: bool, now: DateTime<Utc>) -> Turn {
        loop {
            let Some(size) = self.size(matched) else { return Turn::Move(STEP_MOST) };
            let whole = if exhausted { self.moved } else { size.max(self.moved) };
            if self.failed > 0 && self.failed as f64 > self.halt_at * whole as f64 {
                return Turn::Halt;
            }
            let room = size.saturating_sub(self.moved);
            if room > 0 && !exhausted {
                return Turn::Move(u32::try_from(room).unwrap_or(STEP_MOST).min(STEP_MOST));
            }
            let late = self.moved_at.is_some_and(|at| now - at >= STAGE_MOST);
            if self.ended < self.moved && !late {
                return Turn::Wait;
            }
            let Self { share, halt_at, stage, .. } = *self;
            *self = Self { stage: stage + 1, ..Self::new(share, halt_at) };
        }
    }

    pub(crate) fn new(share: f64, halt_at: f64) -> Self {
        Self {
            share,
            halt_at,
            stage: 0,
            moved: 0,
            ended: 0,
            failed: 0,
            first_failed: None,
            error: None,
            moved_at: None,
        }
    }

    /// Whether the ends of its jobs decide about how it goes on.
    pub(crate) fn watches(&self) -> bool {
        self.size(0).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::milliseconds(millis)
    }

    #[test]
    fn a_pace_gives_no_more_than_its_rate_and_makes_up_for_nothing() {
        let mut pace = Pace { rate: Some(50.0), next_at: None };
        let mut starts = Vec::new();
        // Ticks come late, and once not at all for a long time.
        for now in [0, 100, 260, 500, 750, 9_000, 9_010, 9_300] {
            let room = pace.room(at(now)) as usize;
            starts.extend(pace.starts(at(now), room));
            pace = pace.after(at(now), room);
        }
        assert!(starts.windows(2).all(|two| two[1] - two[0] >= TimeDelta::milliseconds(20)));
        assert!(starts.iter().filter(|start| **start < at(1_000)).count() >= 49);
        assert!(starts.iter().all(|start| *start < at(1_020) || *start >= at(9_000)));
        assert_eq!(Pace { rate: None, next_at: None }.room(at(0)), STEP_MOST);
        let slow = Pace { rate: Some(0.5), next_at: None };
        assert_eq!(slow.room(at(0)), 1);
        assert_eq!(slow.after(at(0), 1).room(at(1_700)), 0);
        assert_eq!(slow.after(at(0), 1).room(at(1_800)), 1);
        let fast = Pace { rate: Some(1e9), next_at: None };
        assert_eq!(fast.room(at(0)), STEP_MOST);
    }

    #[test]
    fn the_jobs_of_a_filter_are_told_in_words() {
        assert_eq!(DeadLetterFilter::default().about(), "all failed jobs");
        let (queue, code) = (Some("mail".to_owned()), Some("timed_out".to_owned()));
        let filter = DeadLetterFilter {
            queue,
            code,
            failed_before: Some(at(0)),
            ..DeadLetterFilter::default()
        };
        let words = "queue mail, code timed_out, failed_before 1970-01-01T00:00:00+00:00";
        assert_eq!(filter.about(), words);
    }

    /// Moves what it is told to, and lets all of it end, so many of it badly.
    fn stage(canary: &mut Canary, matched: u64, failed: u64) -> Turn {
        let Turn::Move(count) = canary.turn(matched, false, at(0)) else { panic!("{canary:?}") };
        canary.moved += u64::from(count);
        canary.moved_at = Some(at(0));
        assert_eq!(canary.turn(matched, false, at(1)), Turn::Wait);
        canary.ended = canary.moved;
        canary.failed = failed;
        canary.turn(matched, false, at(2))
    }

    #[test]
    fn a_canary_heals_by_three_stages() {
        for (matched, second) in [(5, 10), (100, 10), (5_000, 50), (90_000, 900)] {
            let mut canary = Canary::new(0.01, 0.1);
            assert_eq!(stage(&mut canary, matched, 0), Turn::Move(second));
            assert_eq!(stage(&mut canary, matched, u64::from(second) / 10), Turn::Move(STEP_MOST));
            assert!(!canary.watches());
            canary.failed = 10_000;
            assert_eq!(canary.turn(matched, false, at(3)), Turn::Move(STEP_MOST));
        }
    }

    #[test]
    fn a_canary_halts_at_the_stage_that_fails() {
        let mut canary = Canary::new(0.01, 0.1);
        assert_eq!(stage(&mut canary, 100, 1), Turn::Halt);
        assert_eq!(canary.stage, 0);
        let mut canary = Canary::new(0.01, 0.1);
        stage(&mut canary, 100, 0);
        assert_eq!(stage(&mut canary, 100, 2), Turn::Halt);
        assert_eq!(canary.stage, 1);
        // It does not wait for the others once there are too many.
        let mut canary = Canary { stage: 1, moved: 10, failed: 2, ..Canary::new(0.01, 0.1) };
        canary.ended = 2;
        assert_eq!(canary.turn(100, false, at(0)), Turn::Halt);
        // Of a stage that found fewer jobs than it wanted, the share is of those.
        let mut canary =
            Canary { stage: 1, moved: 5, ended: 5, failed: 1, ..Canary::new(0.01, 0.1) };
        assert_eq!(canary.turn(6, true, at(0)), Turn::Halt);
    }

    #[test]
    fn a_stage_does_not_wait_for_ever_and_one_without_jobs_not_at_all() {
        let mut canary = Canary::new(0.01, 0.1);
        canary.moved = 1;
        canary.moved_at = Some(at(0));
        assert_eq!(canary.turn(100, false, at(599_000)), Turn::Wait);
        assert_eq!(canary.turn(100, false, at(600_000)), Turn::Move(10));
        let mut none = Canary::new(0.01, 0.1);
        assert_eq!(none.turn(0, true, at(0)), Turn::Move(STEP_MOST));
    }
}
