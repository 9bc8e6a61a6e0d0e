//! Lanes that are held: they may have jobs, and a claim answered that it gives none. Nobody asks
//! for them again until their time has come, or until somebody says that they are free. So a held
//! lane costs no claim, however often it is notified of.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::agenda::Agenda;
use crate::queue::{Hold, Lane, QueueName};

/// Held lanes, by their queues.
#[derive(Default)]
pub(super) struct HeldLanes {
    lanes: HashMap<QueueName, HashSet<Lane>>,
    /// Those that are held until a time, by the database's clock.
    until: Agenda<DateTime<Utc>>,
}

impl HeldLanes {
    /// Holds a lane. A lane that is held already is held as this says.
    pub(super) fn hold(&mut self, lane: Lane, hold: Hold) {
        match hold.until {
            Some(until) => self.until.set(lane.clone(), until),
            None => self.until.remove(&lane),
        }
        self.lanes.entry(lane.queue.clone()).or_default().insert(lane);
    }

    pub(super) fn has(&self, lane: &Lane) -> bool {
        self.lanes.get(&lane.queue).is_some_and(|lanes| lanes.contains(lane))
    }

    /// Takes out the lanes of a queue.
    pub(super) fn release_queue(&mut self, queue: &QueueName) -> HashSet<Lane> {
        let lanes = self.lanes.remove(queue).unwrap_or_default();
        for lane in &lanes {
            self.until.remove(lane);
        }
        lanes
    }

    /// Takes out the lanes whose time has come by `now`.
    pub(super) fn take_due(&mut self, now: DateTime<Utc>) -> Vec<Lane> {
        let due = self.until.take_due(now);
        for lane in &due {
            if let Some(lanes) = self.lanes.get_mut(&lane.queue) {
                lanes.remove(lane);
                if lanes.is_empty() {
                    self.lanes.remove(&lane.queue);
                }
            }
        }
        due
    }

    /// When the first lane comes free by itself.
    pub(super) fn next(&self) -> Option<DateTime<Utc>> {
        self.until.next()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }
}
