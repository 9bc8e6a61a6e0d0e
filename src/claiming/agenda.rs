//! When lanes are to be looked at. Each operation costs the logarithm of how many there are: the
//! dispatcher asks at every turn, and 100,000 lanes may wait for something.

use std::collections::{BTreeSet, HashMap};

use crate::queue::Lane;

/// Lanes, each with a time.
pub(super) struct Agenda<T> {
    at: HashMap<Lane, T>,
    order: BTreeSet<(T, Lane)>,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { at: HashMap::new(), order: BTreeSet::new() }
    }
}

impl<T: Copy + Ord> Agenda<T> {
    /// Puts a lane down for this time, instead of the one that it had.
    pub(super) fn set(&mut self, lane: Lane, at: T) {
        if let Some(before) = self.at.insert(lane.clone(), at) {
            self.order.remove(&(before, lane.clone()));
        }
        self.order.insert((at, lane));
    }

    pub(super) fn remove(&mut self, lane: &Lane) {
        if let Some((lane, at)) = self.at.remove_entry(lane) {
            self.order.remove(&(at, lane));
        }
    }

    /// The first time of all.
    pub(super) fn next(&self) -> Option<T> {
        self.order.first().map(|first| first.0)
    }

    /// Takes out the lanes whose time has come by `now`, the first one first.
    pub(super) fn take_due(&mut self, now: T) -> Vec<Lane> {
        let mut due = Vec::new();
        while self.next().is_some_and(|at| at <= now) {
            let Some((_, lane)) = self.order.pop_first() else { break };
            self.at.remove(&lane);
            due.push(lane);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{QueueName, TaskName};

    fn lane(priority: i16) -> Lane {
        let task = TaskName::new("t").expect("a name");
        Lane { queue: QueueName::default(), task, priority }
    }

    #[test]
    fn lanes_come_at_their_last_time_and_once() {
        let mut agenda = Agenda::default();
        for (priority, at) in [(1, 30), (2, 10), (3, 20), (1, 5), (2, 40), (4, 20)] {
            agenda.set(lane(priority), at);
        }
        agenda.remove(&lane(4));
        agenda.remove(&lane(4));
        assert_eq!(agenda.next(), Some(5));
        assert_eq!(agenda.take_due(4), []);
        assert_eq!(agenda.take_due(20), [lane(1), lane(3)]);
        assert_eq!((agenda.take_due(39), agenda.next()), (Vec::new(), Some(40)));
        assert_eq!(agenda.take_due(40), [lane(2)]);
        assert_eq!((agenda.at.len(), agenda.order.len()), (0, 0));
    }
}
