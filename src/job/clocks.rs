//! The clocks of a job. They say how long an attempt may take, how long the job may wait for its
//! first one, and how long it has in all.
//!
//! Seconds travel, and moments do not. The database says with a claim how many seconds are left, and
//! the worker counts them on by its monotonic clock. So a machine whose clock is ten minutes off
//! keeps every limit. A job that waits ends by itself (`sql/functions/expire.sql`). A job
//! that a worker holds is ended by that worker.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::ending::Ending;
use super::failure::Failure;
use super::fields::{QueueSettings, Settings};
use super::json::Json;
use super::submission::TIME_LIMIT_MOST;

/// The codes of jobs whose time was over.
pub(crate) const DEADLINE_EXCEEDED: &str = "deadline_exceeded";
pub(crate) const EXPIRED: &str = "expired";

/// A limit of a job's life. The SQL that ends waiting jobs is made from these (`store/fields.rs`).
pub(crate) struct Limit {
    /// The field that says it.
    pub field: &'static str,
    /// The code of a job that it was over for.
    pub code: &'static str,
    /// The event that did not come in time.
    pub missed: &'static str,
}

const DEADLINE: Limit =
    Limit { field: "deadline_seconds", code: DEADLINE_EXCEEDED, missed: "the job did not end" };
const QUEUE_TTL: Limit =
    Limit { field: "queue_ttl_seconds", code: EXPIRED, missed: "no attempt began" };
/// The limits. Of two that are over the first one is named.
#[cfg(test)]
pub(crate) const LIMITS: [Limit; 2] = [DEADLINE, QUEUE_TTL];

impl Limit {
    /// Why a job fails that it is over for, as `sql/functions/limit_error.sql` says it.
    fn failure(&self, Budget { seconds, of_queue, .. }: &Budget) -> Failure {
        let Self { field, code, missed } = self;
        let whose = if *of_queue { "its queue's" } else { "its" };
        Failure::new(code, &format!("{missed} within {whose} {field} of {seconds}"))
    }
}

/// A limit of a job, and when it is over.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Budget {
    /// As it was said.
    seconds: f64,
    /// Whether the queue said it, and not the job.
    of_queue: bool,
    /// By this process's monotonic clock.
    over_at: Instant,
}

impl Budget {
    /// Of so many seconds, of which so many are left at `now`; less than none: it was over before.
    fn of(seconds: Option<f64>, left: Option<f64>, now: Instant) -> Option<Self> {
        let left = Duration::try_from_secs_f64(left?.max(0.0)).unwrap_or(TIME_LIMIT_MOST);
        Some(Self { seconds: seconds?, of_queue: false, over_at: now.checked_add(left)? })
    }

    fn left(&self, now: Instant) -> Duration {
        self.over_at.saturating_duration_since(now)
    }
}

/// The time that is left of the limits of a claimed job.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Left {
    deadline: Option<Budget>,
    /// `None` also for a job of which an attempt has begun.
    queue_ttl: Option<Budget>,
}

/// The settings of a job, as a claim brings them.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Kept {
    left: Seconds,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Seconds {
    deadline_seconds: Option<f64>,
    queue_ttl_seconds: Option<f64>,
}

impl Left {
    /// Reads it from the settings that a claim brought at `now`.
    pub(crate) fn of(kept: &Json, settings: &Settings, now: Instant) -> Self {
        let Kept { left } = kept.to().unwrap_or_default();
        Self {
            deadline: Budget::of(settings.deadline_seconds, left.deadline_seconds, now),
            queue_ttl: Budget::of(settings.queue_ttl_seconds, left.queue_ttl_seconds, now),
        }
    }

    /// The same with the limits that the queue gives where the job says nothing. `age` is that of the
    /// job at `now`, in seconds. Whether an attempt has `begun` before: then the time to wait for the
    /// first one is over.
    pub(crate) fn or_of_queue(
        self,
        queue: &QueueSettings,
        own: Option<&Settings>,
        age: f64,
        begun: bool,
        now: Instant,
    ) -> Self {
        let of_queue = |seconds: Option<f64>| {
            let budget = Budget::of(seconds, seconds.map(|seconds| seconds - age), now)?;
            Some(Budget { of_queue: true, ..budget })
        };
        let says = |of: fn(&Settings) -> Option<f64>| own.and_then(of).is_some();
        let deadline = if says(|own| own.deadline_seconds) {
            self.deadline
        } else {
            of_queue(queue.deadline_seconds)
        };
        let queue_ttl = if says(|own| own.queue_ttl_seconds) {
            self.queue_ttl
        } else {
            of_queue(queue.queue_ttl_seconds).filter(|_| !begun)
        };
        Self { deadline, queue_ttl }
    }

    /// Why the job does not begin any more; `None`: it may.
    pub(crate) fn over(&self, now: Instant) -> Option<Failure> {
        let is_over = |budget: &&Budget| budget.left(now).is_zero();
        if let Some(deadline) = self.deadline.as_ref().filter(is_over) {
            return Some(DEADLINE.failure(deadline));
        }
        self.queue_ttl.as_ref().filter(is_over).map(|ttl| QUEUE_TTL.failure(ttl))
    }
}

/// The clocks in force for one attempt.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Clocks {
    /// How long the attempt may take, whatever is left of the deadline.
    timeout: Duration,
    deadline: Option<Budget>,
}

impl Clocks {
    /// The nearest one that says something counts: the job, its task, the service. `left` is what the
    /// claim said of the job's own limits.
    pub(crate) fn in_force(
        left: Left,
        job: Option<Duration>,
        task: Option<Duration>,
        service: Duration,
    ) -> Self {
        let timeout = job.or(task).unwrap_or(service).min(TIME_LIMIT_MOST);
        Self { timeout, deadline: left.deadline }
    }

    /// How long an attempt that begins now may take.
    pub(crate) fn limit(&self, now: Instant) -> Duration {
        self.deadline.map_or(self.timeout, |deadline| deadline.left(now).min(self.timeout))
    }

    /// When the job must have ended; `None`: it has no deadline.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.map(|deadline| deadline.over_at)
    }

    /// Why an attempt is stopped whose limit was over at `now`: the name of the budget that ran out.
    pub(crate) fn timed_out(&self, now: Instant) -> Failure {
        match &self.deadline {
            Some(deadline) if deadline.left(now).is_zero() => DEADLINE.failure(deadline),
            _ => {
                let seconds = self.timeout.as_secs_f64();
                Failure::new("timed_out", &format!("the attempt took longer than its {seconds} s"))
            }
        }
    }

    /// The ending of an attempt. A job that would wait beyond its deadline fails at once.
    pub(crate) fn bound(&self, ending: Ending, now: Instant) -> Ending {
        let Some(deadline) = &self.deadline else { return ending };
        let (what, why) = match &ending {
            Ending::Retry { failure, .. }
                if failure.code == DEADLINE_EXCEEDED && deadline.left(now).is_zero() =>
            {
                return Ending::Failed(failure.clone());
            }
            Ending::Retry { failure, .. } => (
                "the next attempt would start",
                format!("; the last one failed ({}: {})", failure.code, failure.message),
            ),
            Ending::Snooze { .. } => ("the handler asked to come back", String::new()),
            _ => return ending,
        };
        let left = deadline.left(now).as_secs_f64();
        if ending.seconds() < left {
            return ending;
        }
        let message = format!(
            "{what} in {:.1} s, and the deadline_seconds of {} leave {left:.1} s",
            ending.seconds(),
            deadline.seconds
        );
        Ending::Failed(Failure::about(DEADLINE_EXCEEDED, &message, &why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn left(settings: &str, now: Instant) -> Left {
        let kept = Json::parse(settings.as_bytes()).expect("it is JSON");
        Left::of(&kept, &Settings::of(Some(&kept)), now)
    }

    fn code(failure: Option<Failure>) -> Option<String> {
        failure.map(|failure| failure.code)
    }

    #[test]
    fn the_nearest_timeout_counts_and_a_deadline_clips_it() {
        let now = Instant::now();
        let limit = |job: Option<u32>, task: Option<u32>, left: Left| {
            let seconds = |it: Option<u32>| it.map(|it| SECOND * it);
            Clocks::in_force(left, seconds(job), seconds(task), SECOND * 900).limit(now)
        };
        assert_eq!(limit(Some(2), Some(3), Left::default()), SECOND * 2);
        assert_eq!(limit(None, Some(3), Left::default()), SECOND * 3);
        assert_eq!(limit(None, None, Left::default()), SECOND * 900);
        let minute = left(r#"{"deadline_seconds":60,"left":{"deadline_seconds":60}}"#, now);
        assert_eq!(limit(None, None, minute), SECOND * 60);
        assert_eq!(limit(Some(2), None, minute), SECOND * 2);
        let centuries = Clocks::in_force(Left::default(), None, Some(Duration::MAX), SECOND);
        assert_eq!(centuries.limit(now), TIME_LIMIT_MOST);
    }

    #[test]
    fn the_limits_of_a_queue_count_where_the_job_says_nothing() {
        let now = Instant::now();
        let queue = QueueSettings {
            deadline_seconds: Some(10.0),
            queue_ttl_seconds: Some(3.0),
            ..QueueSettings::default()
        };
        let over = |own: Option<&Settings>, left: Left, age, begun, after: u32| {
            code(left.or_of_queue(&queue, own, age, begun, now).over(now + SECOND * after))
        };
        assert_eq!(over(None, Left::default(), 1.0, false, 1), None);
        assert_eq!(over(None, Left::default(), 1.0, false, 2), Some(EXPIRED.into()));
        assert_eq!(over(None, Left::default(), 1.0, true, 8), None, "an attempt has begun");
        assert_eq!(over(None, Left::default(), 11.0, true, 0), Some(DEADLINE_EXCEEDED.into()));
        let message = left("{}", now).or_of_queue(&queue, None, 11.0, true, now).over(now);
        assert_eq!(
            message.map(|it| it.message).as_deref(),
            Some("the job did not end within its queue's deadline_seconds of 10")
        );
        let text = r#"{"deadline_seconds":60,"left":{"deadline_seconds":59}}"#;
        let own = Settings::of(Json::parse(text.as_bytes()).ok().as_ref());
        assert_eq!(over(Some(&own), left(text, now), 1.0, true, 58), None);
        assert_eq!(over(Some(&own), left(text, now), 1.0, false, 2), Some(EXPIRED.into()));
    }

    #[test]
    fn the_budget_that_ran_out_is_named() {
        let now = Instant::now();
        let text = r#"{"deadline_seconds":3,"queue_ttl_seconds":2,
            "left":{"deadline_seconds":2.5,"queue_ttl_seconds":1.5}}"#;
        let both = left(text, now);
        assert_eq!(code(both.over(now)), None);
        assert_eq!(code(both.over(now + SECOND * 2)), Some(EXPIRED.into()));
        assert_eq!(code(both.over(now + SECOND * 3)), Some(DEADLINE_EXCEEDED.into()));
        let clocks = Clocks::in_force(both, Some(SECOND), None, SECOND);
        assert_eq!(clocks.timed_out(now + SECOND).code, "timed_out");
        assert_eq!(clocks.timed_out(now + SECOND * 3).code, DEADLINE_EXCEEDED);
        // An attempt has begun before, or an earlier release sent the job back.
        let begun = left(r#"{"queue_ttl_seconds":2,"left":{}}"#, now);
        assert_eq!(code(begun.over(now + SECOND * 99)), None);
        assert_eq!(left(r#"{"deadline_seconds":2}"#, now), Left::default());
        let late = left(r#"{"deadline_seconds":2,"left":{"deadline_seconds":-7}}"#, now);
        assert_eq!(code(late.over(now)), Some(DEADLINE_EXCEEDED.into()));
    }

    #[test]
    fn a_wait_that_ends_beyond_the_deadline_fails_at_once() {
        let now = Instant::now();
        let five = left(r#"{"deadline_seconds":5,"left":{"deadline_seconds":4}}"#, now);
        let clocks = Clocks::in_force(five, None, None, SECOND);
        let failed = |ending: Ending| match clocks.bound(ending, now) {
            Ending::Failed(failure) => Some((failure.code, failure.message)),
            _ => None,
        };
        let retry = |seconds| Ending::Retry { seconds, failure: Failure::new("boom", "it broke") };
        assert_eq!(failed(retry(3.9)), None);
        assert_eq!(failed(Ending::Snooze { seconds: 3.9 }), None);
        assert_eq!(failed(Ending::Release), None);
        let (code, message) = failed(retry(10.0)).expect("it fails");
        assert_eq!(code, DEADLINE_EXCEEDED);
        assert_eq!(
            message,
            "the next attempt would start in 10.0 s, and the deadline_seconds of 5 leave 4.0 s; \
             the last one failed (boom: it broke)"
        );
        assert!(failed(Ending::Snooze { seconds: 60.0 }).is_some_and(|it| it.0 == code));
        let late = now + SECOND * 4;
        let over = Ending::Retry { seconds: 0.0, failure: clocks.timed_out(late) };
        let Ending::Failed(over) = clocks.bound(over, late) else { panic!("it fails") };
        assert_eq!(over.message, "the job did not end within its deadline_seconds of 5");
        let free = Clocks::in_force(Left::default(), None, None, SECOND);
        assert!(free.bound(retry(1e9), now).waits_again());
    }
}
