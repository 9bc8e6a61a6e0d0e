//! When the next claim is a sweep: one that takes whole queues in their order, instead of naming
//! lanes.
//!
//! A sweep reads the rows of the index as they come. That is cheap where most lanes have a job or
//! two, and unfair where one has thousands: it would take all of the claim. So nobody sweeps unless
//! the claim before showed that it pays: it got a job or two of each lane that it named, or swept
//! with success. A deep lane ends a sweep, gives nothing to it, and is named by the next claim.

use std::time::Duration;

use super::plan::LANES_MOST;
use crate::queue::QueueName;
use crate::store::lease::Swept;

/// A claim comes to so many lanes before it says something of all of them,
const LANES_LEAST: usize = 16;
/// and so many jobs of each are few.
const FEW: usize = 2;
/// Lanes are looked for after so many sweeps that pay, one after the other: those find what is due
/// themselves.
const SWEEPS_FOR_A_LOOK: usize = 10;
/// A sweep that takes longer passes by too much that nobody can claim.
const LONG: Duration = Duration::from_millis(100);

/// Where sweeps stand.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    /// The tasks to be claimed; `None`: nobody sweeps here.
    tasks: Option<Vec<String>>,
    /// The next one begins with the first queue whose name is not less.
    begin: String,
    /// Whether the claim before says that it pays.
    pays: bool,
    /// How many were made in a row that all paid, and stopped before the last queue.
    row: usize,
}

/// What a sweep is followed by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// It goes on where this one stopped.
    On,
    /// It stopped in the very first queue, which has many jobs: that is named first.
    Name(QueueName),
    /// It found little: the next one begins elsewhere. Somebody else may sweep here.
    Elsewhere,
}

impl Sweeps {
    pub(super) fn of(tasks: Option<Vec<String>>) -> Self {
        Self { tasks, ..Self::default() }
    }

    /// Whether they go on, whatever is known of lanes.
    pub(super) fn go_on(&self) -> bool {
        self.row > 0
    }

    /// Whether looking for lanes may wait: what the next sweep takes need not be found before.
    pub(super) fn come_first(&self) -> bool {
        !self.row.is_multiple_of(SWEEPS_FOR_A_LOOK)
    }

    /// The queue that a claim of at most `limit` jobs begins with, and the tasks, if it is to be a
    /// sweep while so many queues are known. At first named lanes would do where one claim names
    /// all of them, or gets as many jobs as there is room for.
    pub(super) fn next(&self, queues: usize, limit: usize) -> Option<(&str, &[String])> {
        let tasks = self.tasks.as_deref().filter(|_| self.pays)?;
        (self.go_on() || queues.min(limit) > LANES_MOST).then_some((&self.begin, tasks))
    }

    /// A claim came to so many lanes that it named, and got so many jobs.
    pub(super) fn named(&mut self, lanes: usize, jobs: usize) {
        self.row = 0;
        if lanes >= LANES_LEAST {
            self.pays = jobs <= FEW * lanes;
        }
    }

    /// A sweep of so many `rows` gave this.
    pub(super) fn swept(&mut self, rows: usize, swept: &Swept, took: Duration) -> Next {
        let claim = &swept.claim;
        let jobs = claim.jobs.len() + claim.unreadable.len();
        let Some(stopped) = &swept.stopped else {
            self.begin.clear();
            self.row = 0;
            return Next::On;
        };
        self.begin_with(stopped);
        let lanes = claim.jobs.chunk_by(|one, next| one.0 == next.0).count();
        self.pays = 2 * jobs >= rows && jobs <= FEW * FEW * lanes && took < LONG;
        self.row = if self.pays { self.row + 1 } else { 0 };
        if swept.lanes.is_empty() {
            // No name has this character, and none is between these two.
            self.begin.push('!');
            Next::Name(stopped.clone())
        } else if self.pays {
            Next::On
        } else {
            Next::Elsewhere
        }
    }

    /// The next one begins with this queue.
    pub(super) fn begin_with(&mut self, queue: &QueueName) {
        self.begin = queue.as_str().to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claiming::tests::{claimed, lane, time};
    use crate::store::lease::{Claim, LaneClaim};

    const ROWS: usize = 300;

    fn sweeps() -> Sweeps {
        let mut sweeps = Sweeps::of(Some(vec!["t".to_owned()]));
        sweeps.named(LANES_LEAST, LANES_LEAST);
        sweeps
    }

    fn begin(sweeps: &Sweeps) -> Option<&str> {
        sweeps.next(LANES_MOST + 1, LANES_MOST + 1).map(|(begin, _)| begin)
    }

    /// A sweep of so many lanes with so many jobs each, which stopped in this queue.
    fn swept(lanes: usize, jobs: usize, stopped: usize) -> Swept {
        let asked = |nth| LaneClaim { lane: lane(nth), bound: None, most: usize::MAX };
        let each = |nth| (0..jobs).map(move |second| (nth, claimed(&lane(nth), second as i64)));
        Swept {
            lanes: (0..lanes).map(asked).collect(),
            claim: Claim { jobs: (0..lanes).flat_map(each).collect(), ..Claim::default() },
            stopped: Some(lane(stopped).queue),
        }
    }

    #[test]
    fn nobody_sweeps_unless_many_lanes_gave_few_jobs_each_and_many_queues_and_slots_are_left() {
        let mut sweeps = Sweeps::of(Some(vec!["t".to_owned()]));
        assert_eq!(begin(&sweeps), None);
        sweeps.named(LANES_LEAST - 1, 1);
        assert_eq!(begin(&sweeps), None, "that says little");
        sweeps.named(LANES_LEAST, FEW * LANES_LEAST);
        assert_eq!(begin(&sweeps), Some(""));
        assert!(sweeps.next(LANES_MOST, 1000).is_none() && sweeps.next(1000, LANES_MOST).is_none());
        sweeps.named(LANES_LEAST, FEW * LANES_LEAST + 1);
        assert_eq!(begin(&sweeps), None);
        let mut only_some_queues = Sweeps::of(None);
        only_some_queues.named(100, 100);
        assert_eq!(begin(&only_some_queues), None);
    }

    #[test]
    fn a_sweep_goes_on_where_the_last_one_stopped_and_at_last_from_the_beginning() {
        let mut sweeps = sweeps();
        let next = sweeps.swept(ROWS, &swept(ROWS - 1, 1, 7), Duration::ZERO);
        assert_eq!((next, begin(&sweeps)), (Next::On, Some("q7")));
        assert_eq!(sweeps.next(0, 1).map(|it| it.0), Some("q7"), "whatever is known");
        let last = Swept { stopped: None, ..swept(3, 1, 0) };
        assert_eq!(sweeps.swept(ROWS, &last, Duration::ZERO), Next::On);
        assert_eq!(begin(&sweeps), Some(""));
        assert!(!sweeps.go_on() && sweeps.next(0, 1).is_none());
    }

    #[test]
    fn lanes_are_looked_for_after_every_tenth_of_the_sweeps_that_pay() {
        let mut sweeps = sweeps();
        assert!(!sweeps.come_first());
        for nth in 1..=3 * SWEEPS_FOR_A_LOOK {
            sweeps.swept(ROWS, &swept(ROWS - 1, 1, 7), Duration::ZERO);
            assert_eq!(sweeps.come_first(), nth % SWEEPS_FOR_A_LOOK != 0, "{nth}");
        }
        sweeps.named(1, 0);
        assert!(!sweeps.come_first());
    }

    #[test]
    fn a_queue_that_fills_a_sweep_is_named_and_passed_by() {
        let mut sweeps = sweeps();
        let next = sweeps.swept(ROWS, &swept(0, 0, 7), Duration::ZERO);
        assert_eq!((next, begin(&sweeps)), (Next::Name(lane(7).queue), None));
        sweeps.named(LANES_LEAST, 0);
        assert_eq!(begin(&sweeps), Some("q7!"));
        assert!("q7" < "q7!" && "q7!" < "q7-" && "q7!" < "q70");
    }

    #[test]
    fn a_sweep_that_takes_long_or_finds_little_or_much_in_each_lane_is_not_repeated_at_once() {
        for (lanes, jobs, took) in
            [(ROWS / 2 - 1, 1, Duration::ZERO), (ROWS / 5, 5, Duration::ZERO), (ROWS - 1, 1, LONG)]
        {
            let mut sweeps = sweeps();
            let next = sweeps.swept(ROWS, &swept(lanes, jobs, 7), took);
            assert_eq!((next, begin(&sweeps)), (Next::Elsewhere, None), "{lanes} {jobs} {took:?}");
        }
        let held = Swept {
            claim: Claim { due: vec![(0, time(1))], ..Claim::default() },
            ..swept(ROWS - 1, 0, 7)
        };
        assert_eq!(sweeps().swept(ROWS, &held, Duration::ZERO), Next::Elsewhere);
    }
}
