//! The settings of a queue. Most are defaults for its jobs. A field that a job leaves out has the
//! value that its queue gives it, else that of its task, else that of the service.
//!
//! `priority` is filled in when a job is submitted, since a claim orders by it. The others are
//! looked up when they are needed and are never written to a job: a change holds for jobs that wait
//! already.
//!
//! | what follows from the table | where |
//! |---|---|
//! | [`QueueSettings`], how it is read and checked | here, by the macros in `declare.rs` |
//! | bodies of `PUT` and `PATCH /queues/{queue}`, the specification | `api/queues/settings.rs`, `api/schema.rs` |
//! | `[queue.NAME]` of the file, its place in the reference | `config/queues.rs`, `config/reference.rs` |
//! | the flags of `reveille queues set` | `cli/flags.rs` |
//! | the list in docs/queues.md | a block, written and compared by `made.rs` beside this file |
//! | where a default counts | `engine/executor/attempt.rs`, `submitter/mod.rs`, `maintenance/pruner.rs` |
//!
//! The database keeps them in one nullable jsonb, `queue.settings`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::clocks::check_deadline;
use super::declare::{fields, object, settings};
use super::value::{self, Faults, Source, Value};
use super::{
    FARTHEST_SECONDS, Field, Kind, MAX_ATTEMPTS, PRIORITY, Retry, SPAN, TIMEOUT, Together,
};
use crate::job::json::Json;
use crate::queue::QueueName;

/// A job that waits for another attempt keeps its turn.
const HOLD: &str = "hold";
/// It lets the others of its key pass.
const YIELD: &str = "yield";

/// How long a job may be kept after its end.
const KEPT: Kind = Kind::Seconds { least: 1.0, most: 3_153_600_000.0 };

settings! {
    /// The settings of a queue: defaults for its jobs, and how long they are kept.
    pub struct QueueSettings, QUEUE_FIELDS, QUEUE_NAMES {
        /// The priority of jobs that are submitted without one.
        /// Jobs of a lower number start first. It is part of the job from then on.
        priority: i64 = PRIORITY;

        /// How many attempts a job may spend that does not say.
        /// Without it the task's own default, else 10.
        max_attempts: i64 = MAX_ATTEMPTS;

        /// How long one attempt may take, in seconds, of a job that does not say.
        /// Without it the task's own default, else `default_timeout_seconds` of the service.
        timeout_seconds: f64 = TIMEOUT;

        /// How long a job that does not say may wait for its first attempt, in seconds. Then it
        /// fails with the code `expired`. It counts from the submission, or from the time before
        /// which the job does not start.
        queue_ttl_seconds: f64 = SPAN;

        /// How long a job that does not say has in all, in seconds. Then it fails with the code
        /// `deadline_exceeded`. It counts as `queue_ttl_seconds` does, and begins anew when an
        /// operator retries the job.
        deadline_seconds: f64 = SPAN;

        /// When a job that does not say runs again after an attempt that failed. Without it the
        /// task's own back-off.
        retry: Retry = Retry::KIND;

        /// How many jobs of the same `concurrency_key` run at a time, over all instances.
        /// Without it 1. Jobs without such a key are not limited by it.
        per_key_concurrency: i64 = Kind::Integer { least: 1, most: 100 };

        /// What becomes of the turn of a job with a `concurrency_key` while it waits for another
        /// attempt, after a failure or a snooze. Without it `hold`.
        on_retry: String = Kind::Choice {
            of: &[HOLD, YIELD],
            schema: "OnRetry",
            about: "What becomes of the turn of a job with a `concurrency_key` while it waits for \
                another attempt. `hold`: it keeps its turn, and the jobs behind it wait. `yield`: they \
                go on, and it waits among them again.",
        };

        /// How long completed jobs can be looked up, in seconds.
        /// Not longer than `keep_completed_seconds` of the service, which counts without it.
        keep_completed_seconds: f64 = KEPT;

        /// How long failed and cancelled jobs can be looked up and retried, in seconds.
        /// Not longer than `keep_failed_seconds` of the service, which counts without it.
        keep_failed_seconds: f64 = KEPT;
    }
}

/// The settings that a queue got.
#[derive(Clone, PartialEq, Debug)]
pub struct QueueChange {
    pub queue: QueueName,
    /// `None`: it has none any more.
    pub settings: Option<QueueSettings>,
    /// By the database's clock, later than the change before.
    pub at: DateTime<Utc>,
}

/// How long a service keeps jobs, in seconds: a queue keeps none for longer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Retention {
    pub completed: f64,
    /// Failed and cancelled ones.
    pub failed: f64,
}

impl QueueSettings {
    /// The settings that a queue keeps. A setting that this release cannot read is as if it were
    /// not there.
    pub(crate) fn of(kept: Option<&Json>) -> Self {
        kept.and_then(|kept| kept.to().ok()).unwrap_or_default()
    }

    /// Whether nothing is set.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Notes what is wrong with each member, and with members beside others.
    pub(crate) fn check(&self, faults: &mut Faults) {
        self.check_members("", faults);
        check_deadline(self.deadline_seconds, self.timeout_seconds, faults);
    }

    /// Whether a job that waits for another attempt lets the others of its key pass.
    pub(crate) fn yields(&self) -> bool {
        self.on_retry.as_deref() == Some(YIELD)
    }

    /// Whether it gives jobs a time limit beside that of an attempt.
    pub(crate) fn is_limited(&self) -> bool {
        self.queue_ttl_seconds.is_some() || self.deadline_seconds.is_some()
    }

    /// Notes what would be kept for longer than by this service.
    pub(crate) fn check_retention(&self, service: Retention, faults: &mut Faults) {
        for (name, own, most) in [
            ("keep_completed_seconds", self.keep_completed_seconds, service.completed),
            ("keep_failed_seconds", self.keep_failed_seconds, service.failed),
        ] {
            if own.is_some_and(|own| own > most) {
                let message = format!(
                    "{name} must not be more than that of the service, which is {most}; a queue \
                     keeps its jobs for a shorter time only"
                );
                faults.add(format!("/{name}"), "out_of_range", message);
            }
        }
    }
}

object! {
    /// A pause, as a caller asks for it.
    pub struct PauseRequest, PAUSE_FIELDS, PAUSE_NAMES {
        /// Why the queue is paused, for people.
        reason: String = Kind::Text { least: 1, most: 500 };

        /// The pause ends by itself at this time, at most ten years ahead.
        /// Not together with `seconds`.
        until: DateTime<Utc> = Kind::Time;

        /// The pause ends by itself after so many seconds.
        /// Not together with `until`.
        seconds: f64 = Kind::Seconds { least: 0.001, most: FARTHEST_SECONDS };
    }
}

impl PauseRequest {
    /// Notes what is wrong with it at the time `now`.
    pub(crate) fn check(&self, now: DateTime<Utc>, faults: &mut Faults) {
        self.check_members("", faults);
        let Some(until) = self.until else { return };
        if self.seconds.is_some() {
            let (code, message) = Together::NotWith("until").fault("seconds");
            faults.add("/seconds", code, message);
        }
        let ahead = (until - now).as_seconds_f64();
        if !(0.0..=FARTHEST_SECONDS).contains(&ahead) {
            let message = "until must lie between now and ten years from now";
            faults.add("/until", "out_of_range", message);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn members_are_merged_and_reset_by_their_names() {
        let mut mail = QueueSettings { priority: Some(1), ..QueueSettings::default() };
        let slow = Retry::fixed(Duration::from_secs(60));
        mail.merge(QueueSettings { retry: Some(slow.clone()), ..QueueSettings::default() });
        assert_eq!(mail.given(), ["priority", "retry"]);
        mail.merge(QueueSettings { priority: Some(2), ..QueueSettings::default() });
        assert_eq!((mail.priority, &mail.retry), (Some(2), &Some(slow)));
        for name in QUEUE_NAMES {
            mail.reset(name);
        }
        assert!(mail.is_empty());
    }

    #[test]
    fn a_queue_keeps_no_job_for_longer_than_its_service() {
        let service = Retention { completed: 100.0, failed: 200.0 };
        let told = |completed, failed| {
            let mut faults = Faults::default();
            let settings = QueueSettings {
                keep_completed_seconds: completed,
                keep_failed_seconds: failed,
                ..QueueSettings::default()
            };
            settings.check_retention(service, &mut faults);
            faults.0.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
        };
        assert_eq!(told(Some(100.0), Some(200.0)), Vec::<String>::new());
        assert_eq!(told(None, Some(201.0)), ["/keep_failed_seconds"]);
        assert_eq!(told(Some(101.0), None), ["/keep_completed_seconds"]);
    }
}
