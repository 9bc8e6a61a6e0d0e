//! Who is told of submissions: this process's own dispatcher at once, and the other instances by
//! notices that the INSERT sends.

use std::collections::HashSet;

use crate::events::{Notice, Pending, Source};
use crate::job::JobId;
use crate::job::submission::{Start, Submission};
use crate::queue::{Lane, QueueName};
use crate::store::Clock;

/// How long before its time a job is announced: a poll interval is at most a minute, and the poll
/// after next finds later ones.
const ANNOUNCED_WITHIN_SECONDS: f64 = 120.0;
/// In how many lanes a statement announces jobs one by one. Beyond, it announces their queues.
const LANES_MOST: usize = 16;

/// How long until a job may start, in seconds; negative if it might have started already. Most jobs
/// start now, and need no look at the clock.
pub(super) fn seconds_until(job: &Submission, clock: &Clock) -> f64 {
    match job.start {
        Start::Now => 0.0,
        Start::After(seconds) => seconds,
        Start::At(at) => (at - clock.now()).as_seconds_f64(),
    }
}

/// The notices of these jobs: each lane with a job that is due soon, or their queues if there are
/// many lanes.
pub(super) fn notices(jobs: &[(JobId, Submission)], clock: &Clock) -> Vec<String> {
    let soon = || jobs.iter().map(|(_, job)| job).filter(|job| is_due_soon(job, clock));
    // One job of each lane.
    let mut found: Vec<&Submission> = Vec::new();
    for job in soon() {
        if found.iter().any(|known| share_a_lane(known, job)) {
            continue;
        }
        if found.len() == LANES_MOST {
            let queues: HashSet<&QueueName> = soon().map(|job| &job.queue).collect();
            return queues.into_iter().map(|it| Notice::Queue(it.clone()).to_string()).collect();
        }
        found.push(job);
    }
    found.into_iter().map(|job| Notice::Lane(lane_of(job)).to_string()).collect()
}

/// Wakes this process's own dispatcher for these jobs. Those that wait for their turn are not for it.
pub(super) fn wake(pending: &mut Pending, jobs: &[(JobId, Submission)], clock: &Clock) {
    let mut last = None;
    for (_, job) in jobs {
        let lane = lane_of(job);
        if last.as_ref() == Some(&lane) || !is_due_soon(job, clock) || job.takes_turns() {
            continue;
        }
        pending.lane(lane.clone(), Source::Local);
        last = Some(lane);
    }
}

fn is_due_soon(job: &Submission, clock: &Clock) -> bool {
    seconds_until(job, clock) < ANNOUNCED_WITHIN_SECONDS
}

fn share_a_lane(left: &Submission, right: &Submission) -> bool {
    (&left.queue, &left.task, left.priority()) == (&right.queue, &right.task, right.priority())
}

fn lane_of(job: &Submission) -> Lane {
    Lane { queue: job.queue.clone(), task: job.task.clone(), priority: job.priority() }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::job::fields::NewJob;

    fn job(queue: usize, priority: i16, start: Start) -> (JobId, Submission) {
        let asked = NewJob::new("noop", &()).queue(format!("q{queue}"));
        let priority = Some(priority);
        let job = asked.check(chrono::Utc::now()).map(|job| Submission { priority, start, ..job });
        (JobId(Uuid::now_v7()), job.unwrap())
    }

    #[test]
    fn each_lane_is_announced_once_and_later_jobs_are_not() {
        let clock = Clock::default();
        let later = Start::After(ANNOUNCED_WITHIN_SECONDS);
        let jobs = [
            job(1, 5, Start::Now),
            job(1, 5, Start::After(1.0)),
            job(1, 0, Start::Now),
            job(2, 5, later),
        ];
        assert_eq!(notices(&jobs, &clock), ["lane q1 noop 5", "lane q1 noop 0"]);
        let mut pending = Pending::default();
        wake(&mut pending, &jobs, &clock);
        assert_eq!(pending.lanes.len(), 2);
    }

    #[test]
    fn of_many_lanes_the_queues_are_announced() {
        let clock = Clock::default();
        let lanes = |count: usize| (0..count).map(|nth| job(nth % 3, (nth / 3) as i16, Start::Now));
        let few: Vec<_> = lanes(LANES_MOST).collect();
        assert_eq!(notices(&few, &clock).len(), LANES_MOST);
        let mut of_queues = notices(&lanes(LANES_MOST + 1).collect::<Vec<_>>(), &clock);
        of_queues.sort();
        assert_eq!(of_queues, ["queue q0", "queue q1", "queue q2"]);
    }
}
