//! Lanes to be looked at again. A gated notification can be skipped while the notifier commits a
//! moment earlier, so a lane that was notified is looked at a few times more.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::agenda::Agenda;
use crate::queue::Lane;

/// When a notified lane is looked at again.
const LOOKS: [Duration; 3] =
    [Duration::from_millis(5), Duration::from_millis(50), Duration::from_millis(250)];

/// Notified lanes.
#[derive(Default)]
pub(super) struct Looks {
    at: Agenda<Instant>,
    /// How often they were looked at.
    looked: HashMap<Lane, usize>,
}

impl Looks {
    /// The lane was notified: its looks begin anew.
    pub(super) fn begin(&mut self, lane: &Lane, now: Instant) {
        self.set(lane, 0, now);
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.at.next()
    }

    /// Takes out the lanes that are to be looked at by now, and puts each down for its next look.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Lane> {
        let due = self.at.take_due(now);
        for lane in &due {
            let nth = self.looked.get(lane).copied().unwrap_or_default();
            self.set(lane, nth + 1, now);
        }
        due
    }

    fn set(&mut self, lane: &Lane, nth: usize, now: Instant) {
        match LOOKS.get(nth) {
            Some(&after) => {
                self.at.set(lane.clone(), now + after);
                self.looked.insert(lane.clone(), nth);
            }
            None => {
                self.looked.remove(lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{QueueName, TaskName};

    #[test]
    fn a_notified_lane_is_looked_at_three_times_and_anew_after_another_notice() {
        let task = TaskName::trusted("t");
        let lane = Lane { queue: QueueName::default(), task, priority: 5 };
        let (mut looks, mut now) = (Looks::default(), Instant::now());
        looks.begin(&lane, now);
        looks.begin(&lane, now);
        for after in LOOKS {
            assert_eq!(looks.next(), Some(now + after));
            assert!(looks.take_due(now).is_empty());
            now += after;
            assert_eq!(looks.take_due(now), std::slice::from_ref(&lane));
        }
        assert_eq!((looks.next(), looks.looked.len()), (None, 0));
    }
}
