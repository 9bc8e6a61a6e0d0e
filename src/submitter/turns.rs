//! When the next INSERT may fly, and how long it waits for more.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, Notify, mpsc};
use tokio::time::{Instant, Sleep, sleep};

use super::Request;

/// How many gathered jobs are worth an INSERT of their own beside the one in flight.
const MANY: usize = 32;
/// How long a group waits for the INSERT in flight, but for [`SLACK`].
const BESIDE_AFTER: Duration = Duration::from_millis(3);
/// Callers of fewer jobs are not expected to come again.
const AGAIN_LEAST: usize = 8;
/// For how long they are expected after their group ended, and how long the next group waits for
/// them but for [`SLACK`], at most.
const AGAIN_WITHIN: Duration = Duration::from_millis(50);
const AGAIN_WAIT: Duration = Duration::from_millis(10);
/// How much later than asked a [`Timer`] may go off.
const SLACK: Duration = Duration::from_millis(3);

/// Whose turn it is. While an INSERT is in flight the next waits for its end, and grows: two that
/// take half each cost PostgreSQL and this process more. It flies beside the other if [`MANY`] jobs
/// have gathered, each of which costs hardly more than among twice as many. It also does so if the
/// other takes long. Over HTTP the processor is never idle, and the first costs more there than it
/// gives.
///
/// A turn tells the next one how large its group was. After a group of many, the next waits a
/// moment for the callers who are told.
pub(super) struct Turns {
    /// Held by the writer whose INSERT is in flight. An overlapping INSERT does not hold it, so
    /// that the next may overlap in turn.
    alone: Mutex<Group>,
    many: Notify,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { alone: Mutex::new(Group::new(Instant::now())), many: Notify::new() }
    }

    /// A turn, if nobody has it or waits for it, and nobody is expected.
    pub(super) fn at_once(&self) -> Option<Turn<'_>> {
        self.alone.try_lock().ok().filter(|group| group.expected(Instant::now()).is_none())
    }

    /// To be told when a request of the library has come.
    pub(super) fn arrived(&self, requests: &mpsc::Sender<Request>) {
        if requests.max_capacity() - requests.capacity() + 1 >= MANY {
            self.many.notify_one();
        }
    }

    /// The turn, or `None` for an INSERT that flies beside another.
    pub(super) async fn next(
        &self,
        timer: &mut Timer,
        gathered: impl Fn() -> usize,
    ) -> Option<Turn<'_>> {
        let late = Instant::now() + BESIDE_AFTER;
        let many = async {
            self.many.notified().await;
            while gathered() < MANY {
                self.many.notified().await;
            }
        };
        tokio::select! {
            biased;
            alone = self.alone.lock() => Some(alone),
            () = many => None,
            () = timer.wait_until(late) => None,
        }
    }
}

/// The group that was written last, by which the next one knows whom to expect.
///
/// Callers who are told come again one by one. Were the first written alone, all others would wait
/// for that (with eight instances on a small machine every second INSERT had one job).
pub(super) struct Group {
    /// Of the largest group lately: each smaller one takes a quarter from it, and a wait in vain
    /// half.
    jobs: usize,
    took: Duration,
    ended: Instant,
}

pub(super) type Turn<'a> = MutexGuard<'a, Group>;

/// The callers that the next group waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Expected {
    /// How many jobs the group should have.
    pub(super) jobs: usize,
    /// How long it waits for them, but for [`SLACK`].
    pub(super) wait: Duration,
}

impl Group {
    fn new(now: Instant) -> Self {
        Self { jobs: 0, took: Duration::ZERO, ended: now }
    }

    /// A group of so many jobs was written.
    pub(super) fn ended(&mut self, jobs: usize, begun: Instant, now: Instant) {
        *self = Self { jobs: jobs.max(self.jobs * 3 / 4), took: now - begun, ended: now };
    }

    /// It was waited in vain: nobody came. That may be for want of a processor, so it does not end
    /// the waiting at once. If it did, eight instances on a small machine submitted 0.92 times as
    /// many. A lone caller waits three times after a group of 64.
    pub(super) fn nobody_came(&mut self) {
        self.jobs /= 2;
    }

    /// Half as many as lately, as long as they can be expected.
    pub(super) fn expected(&self, now: Instant) -> Option<Expected> {
        let gone = now - self.ended > AGAIN_WITHIN.min(4 * self.took);
        (!gone && self.jobs >= AGAIN_LEAST)
            .then(|| Expected { jobs: self.jobs / 2, wait: AGAIN_WAIT.min(self.took / 2) })
    }
}

/// A timer that is used again and again. It stays as it was set before, unless that has passed or
/// is too late. To set it may wake the thread that waits for all timers, and most waits end sooner.
pub(super) struct Timer(Pin<Box<Sleep>>);

impl Timer {
    pub(super) fn new() -> Self {
        Self(Box::pin(sleep(Duration::ZERO)))
    }

    /// Returns at `late`, or at most [`SLACK`] later.
    pub(super) async fn wait_until(&mut self, late: Instant) {
        while Instant::now() < late {
            if self.0.is_elapsed() || self.0.deadline() > late + SLACK {
                self.0.as_mut().reset(late);
            }
            self.0.as_mut().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::timeout;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Groups of so many jobs, each of which took so long, one after the other; and when the last
    /// ended.
    fn after(sizes: &[usize], took: Duration) -> (Group, Instant) {
        let mut now = Instant::now();
        let mut group = Group::new(now);
        for jobs in sizes {
            let begun = now;
            now += took;
            group.ended(*jobs, begun, now);
        }
        (group, now)
    }

    fn jobs(sizes: &[usize]) -> Option<usize> {
        let (group, now) = after(sizes, MS);
        group.expected(now).map(|expected| expected.jobs)
    }

    #[test]
    fn after_a_group_of_many_half_as_many_are_expected_and_less_after_each_that_is_smaller() {
        assert_eq!(jobs(&[]), None);
        assert_eq!(jobs(&[AGAIN_LEAST - 1]), None);
        assert_eq!(jobs(&[AGAIN_LEAST]), Some(AGAIN_LEAST / 2));
        assert_eq!(jobs(&[64]), Some(32));
        assert_eq!(jobs(&[64, 1]), Some(24));
        assert_eq!(jobs(&[64, 100]), Some(50));
        assert_eq!(jobs(&[64, 1, 1, 1, 1, 1, 1, 1, 1]), None);
    }

    #[test]
    fn they_are_waited_for_half_as_long_as_the_last_took_and_expected_four_times_as_long() {
        for (took, wait, within) in
            [(2 * MS, MS, 8 * MS), (12 * MS, 6 * MS, 48 * MS), (100 * MS, AGAIN_WAIT, AGAIN_WITHIN)]
        {
            let (group, now) = after(&[64], took);
            assert_eq!(group.expected(now + within), Some(Expected { jobs: 32, wait }));
            assert_eq!(group.expected(now + within + Duration::from_nanos(1)), None);
        }
    }

    #[test]
    fn each_wait_in_vain_takes_more_than_half_from_what_is_expected() {
        let (mut group, mut now) = after(&[64], MS);
        let mut in_vain = Vec::new();
        while let Some(expected) = group.expected(now) {
            in_vain.push(expected.jobs);
            group.nobody_came();
            group.ended(1, now, now + MS);
            now += MS;
        }
        assert_eq!(in_vain, [32, 12, 4]);
    }

    #[tokio::test]
    async fn a_timer_that_is_used_again_goes_off_when_it_is_needed() {
        let mut timer = Timer::new();
        for given_up in [Duration::from_millis(100), Duration::from_secs(3600)] {
            let late = Instant::now() + given_up;
            assert!(timer.wait_until(late).now_or_never().is_none());
            let late = Instant::now() + 5 * MS;
            let in_time = timeout(Duration::from_secs(10), timer.wait_until(late)).await;
            assert!(in_time.is_ok() && Instant::now() >= late);
        }
    }
}
