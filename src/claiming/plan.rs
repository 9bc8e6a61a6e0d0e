//! The lanes that have jobs: which of them a claim names, in which order, and how much each may
//! give. Pure.
//!
//! Queues take turns, and so do the tasks of a queue; within a queue the first priority goes first,
//! but in one claim of ten the last does, so that a low one is served even if the high ones never
//! end. Lanes that got no share stand at the end and fill what the others left.
//!
//! A plan costs what it names, and not what is known: while each of 100,000 known lanes was looked
//! at for each claim, jobs of as many queues took eighteen times as long as those of one. Claims of
//! so many lanes with a job each name none, where that pays ([`super::sweeps`]).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use crate::events::Source;
use crate::queue::{Lane, QueueName, TaskName};

/// The most lanes that one claim names: one index probe each.
pub(super) const LANES_MOST: usize = 250;
/// Where so many lanes are known, one more is not believed to have jobs because a notice says so.
const NOTICED_MOST: usize = 10_000;
/// So many queues share one claim, and more only if each of them can get as many jobs: an index
/// probe that gives one job costs several times what the job does.
const QUEUES_SHARING: usize = 16;
/// In one of so many claims the last priority of a queue goes first.
const LOW_TURN: u64 = 10;

/// The lanes of a queue in their order, each with how it was heard that it has jobs.
#[derive(Default)]
struct Queue {
    lanes: BTreeMap<(i16, TaskName), Source>,
    /// How often it had a share of a claim.
    served: u64,
}

/// Lanes that have jobs.
#[derive(Default)]
pub(super) struct Lanes {
    queues: BTreeMap<QueueName, Queue>,
    /// How many lanes they have.
    count: usize,
    /// The next claim begins with the queue behind this one.
    last: Option<QueueName>,
}

impl Lanes {
    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Whether a notice may add this lane: any role can notify of as many as it likes, and each
    /// costs a probe of the index.
    pub(super) fn takes_notice_of(&mut self, lane: &Lane) -> bool {
        self.count < NOTICED_MOST || self.source(lane).is_some()
    }

    /// Adds a lane. One that is known stays as it is.
    pub(super) fn know(&mut self, lane: Lane, source: Source) {
        let queue = self.queues.entry(lane.queue).or_default();
        if let Entry::Vacant(place) = queue.lanes.entry((lane.priority, lane.task)) {
            place.insert(source);
            self.count += 1;
        }
    }

    /// How it was heard of a lane, if it is known.
    pub(super) fn source(&mut self, lane: &Lane) -> Option<&mut Source> {
        let queue = self.queues.get_mut(&lane.queue)?;
        queue.lanes.get_mut(&(lane.priority, lane.task.clone()))
    }

    pub(super) fn forget(&mut self, lane: &Lane) {
        let Some(queue) = self.queues.get_mut(&lane.queue) else { return };
        let known = queue.lanes.remove(&(lane.priority, lane.task.clone()));
        self.count -= usize::from(known.is_some());
        if queue.lanes.is_empty() {
            self.queues.remove(&lane.queue);
        }
    }

    /// How many queues have them.
    pub(super) fn queues(&self) -> usize {
        self.queues.len()
    }

    /// The next claim that names lanes begins with this queue.
    pub(super) fn turn_to(&mut self, queue: &QueueName) {
        self.last = self.queues.range(..queue).next_back().map(|(before, _)| before.clone());
    }

    /// Forgets the lanes of the queues from the one named `begin` on to this one, without it, and
    /// answers them.
    pub(super) fn take_queues(
        &mut self,
        begin: &str,
        end: Option<&QueueName>,
    ) -> Vec<(Lane, Source)> {
        let begin = QueueName::trusted(begin);
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        if matches!(end, Bound::Excluded(end) if *end <= begin) {
            return Vec::new();
        }
        let range = (Bound::Included(&begin), end);
        let names = self.queues.range::<QueueName, _>(range).map(|(name, _)| name.clone());
        let names: Vec<QueueName> = names.collect();
        let mut taken = Vec::with_capacity(names.len());
        for name in names {
            let lanes = self.queues.remove(&name).unwrap_or_default().lanes;
            self.count -= lanes.len();
            let lane =
                |((priority, task), source)| (Lane { queue: name.clone(), task, priority }, source);
            taken.extend(lanes.into_iter().map(lane));
        }
        taken
    }

    /// The queue at this share of all, from 0 to 1.
    pub(super) fn queue_at(&self, share: f64) -> Option<&QueueName> {
        self.queues.keys().nth((share * self.queues.len() as f64) as usize)
    }

    /// The lanes that the next claim names, for so many free slots, each with the most that it may
    /// give.
    pub(super) fn plan(&mut self, free: usize) -> Vec<(Lane, usize)> {
        let count = self.queues.len();
        let sharing = count.min(QUEUES_SHARING.max(free / QUEUES_SHARING));
        // What gets nothing for want of slots is not served.
        let step = sharing.min(free).max(1);
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        let names = self.in_turn();
        for (nth, name) in names.iter().enumerate() {
            if nth >= step && first.len() + rest.len() >= LANES_MOST {
                break;
            }
            let Some(queue) = self.queues.get_mut(name) else { continue };
            let quota =
                if nth < sharing { free / sharing + usize::from(nth < free % sharing) } else { 0 };
            queue.share(name, quota, free, &mut first, &mut rest);
            queue.served += u64::from(nth < step);
        }
        // The next claim begins with those that got nothing; where all have a share, with another
        // one than this.
        let served = if step < count { step } else { 1 };
        self.last = names.into_iter().nth(served - 1);
        first.extend(rest);
        first.truncate(LANES_MOST);
        first
    }

    /// The queues that a claim may reach, in their order.
    fn in_turn(&self) -> Vec<QueueName> {
        let begin = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.queues.range((begin, Bound::Unbounded));
        let last = self.last.as_ref();
        let before = last.map(|last| self.queues.range(..=last)).into_iter().flatten();
        behind.chain(before).map(|(name, _)| name.clone()).take(LANES_MOST).collect()
    }
}

impl Queue {
    /// Adds the lanes: to `first` those that get a share of the quota, to `rest` those that fill
    /// what others left.
    fn share(
        &self,
        name: &QueueName,
        quota: usize,
        free: usize,
        first: &mut Vec<(Lane, usize)>,
        rest: &mut Vec<(Lane, usize)>,
    ) {
        let lane = |(priority, task): &(i16, TaskName)| Lane {
            queue: name.clone(),
            task: task.clone(),
            priority: *priority,
        };
        let mut lanes: Vec<Lane> = self.lanes.keys().map(lane).collect();
        if self.served % LOW_TURN == LOW_TURN - 1 {
            lanes.reverse();
        }
        let Some(top) = lanes.first().map(|lane| lane.priority) else { return };
        let level = lanes.iter().take_while(|lane| lane.priority == top).count();
        rotate(&mut lanes[..level], self.served);
        for (nth, lane) in lanes.into_iter().enumerate() {
            let share =
                if nth < level { quota / level + usize::from(nth < quota % level) } else { 0 };
            if share > 0 {
                first.push((lane, share));
            } else {
                rest.push((lane, free));
            }
        }
    }
}

fn rotate<T>(items: &mut [T], turn: u64) {
    if !items.is_empty() {
        let by = usize::try_from(turn % items.len() as u64).unwrap_or_default();
        items.rotate_left(by);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn lane(queue: u8, task: u8, priority: i16) -> Lane {
        Lane {
            queue: QueueName::new(&format!("q{queue}")).expect("a name"),
            task: TaskName::new(&format!("t{task}")).expect("a name"),
            priority,
        }
    }

    fn known(lanes: &[Lane]) -> Lanes {
        let mut known = Lanes::default();
        for lane in lanes {
            known.know(lane.clone(), Source::Poll);
        }
        known
    }

    #[test]
    fn the_first_priority_gets_everything_nine_times_of_ten() {
        let lanes = [lane(0, 0, 5), lane(0, 0, 0)];
        let mut known = known(&lanes);
        for turn in 0..10 {
            let planned = known.plan(8);
            assert_eq!(planned[0], (lanes[usize::from(turn != 9)].clone(), 8), "turn {turn}");
        }
    }

    #[test]
    fn a_single_slot_goes_around() {
        let mut known = known(&[lane(0, 0, 5), lane(1, 0, 5), lane(2, 0, 5)]);
        let first: HashSet<Lane> = (0..3).map(|_| known.plan(1)[0].0.clone()).collect();
        assert_eq!(first.len(), 3);
    }

    #[test]
    fn many_queues_take_turns_at_shares_worth_a_probe() {
        let lanes: Vec<Lane> = (0..200).map(|queue| lane(queue, 0, 5)).collect();
        let (mut known, mut served) = (known(&lanes), HashSet::new());
        for _ in 0..13 {
            let planned = known.plan(250);
            let shares: Vec<_> = planned.into_iter().filter(|&(_, most)| most < 250).collect();
            assert!(shares.iter().all(|&(_, most)| most >= 15), "{shares:?}");
            served.extend(shares.into_iter().map(|(lane, _)| lane));
        }
        assert_eq!(served.len(), 200);
    }

    #[test]
    fn every_lane_of_many_queues_has_its_turn() {
        for queues in [3_u8, 20, 32, 100, 200] {
            let each = |queue| {
                [(0, 0), (1, 0), (0, 9)].map(|(task, priority)| lane(queue, task, priority))
            };
            let lanes: Vec<Lane> = (0..queues).flat_map(each).collect();
            for free in [1, 16, 250] {
                let (mut known, mut first) = (known(&lanes), HashSet::new());
                for _ in 0..u64::from(queues) * 21 {
                    let mut left = free;
                    for (lane, most) in known.plan(free) {
                        first.insert(lane);
                        left = left.saturating_sub(most);
                        if left == 0 {
                            break;
                        }
                    }
                }
                assert_eq!(first.len(), lanes.len(), "{queues} queues, {free} slots");
            }
        }
    }

    #[test]
    fn a_notice_adds_no_lane_where_many_are_known() {
        let nth = |nth: usize| lane(0, 0, i16::try_from(nth).expect("a priority"));
        let mut known = Lanes::default();
        for n in 0..NOTICED_MOST {
            assert!(known.takes_notice_of(&nth(n)));
            known.know(nth(n), Source::Notify);
            known.know(nth(0), Source::Notify);
        }
        assert!(known.takes_notice_of(&nth(0)) && !known.takes_notice_of(&nth(NOTICED_MOST)));
        known.forget(&nth(0));
        known.forget(&nth(0));
        assert!(known.takes_notice_of(&nth(NOTICED_MOST)));
    }

    #[test]
    fn whole_queues_are_taken_and_the_next_claim_begins_with_the_one_that_is_said() {
        let lanes: Vec<Lane> =
            (0..9).flat_map(|queue| [lane(queue, 0, 5), lane(queue, 1, 5)]).collect();
        let (mut known, queue) = (known(&lanes), |nth: usize| &lanes[2 * nth].queue);
        assert!(known.take_queues("q5", Some(queue(5))).is_empty());
        assert!(known.take_queues("q5!", Some(queue(5))).is_empty());
        let taken: Vec<Lane> =
            known.take_queues("q2!", Some(queue(5))).into_iter().map(|it| it.0).collect();
        assert_eq!(taken, lanes[6..10]);
        assert_eq!((known.queues(), known.count), (7, 14));
        for first in [5, 0, 2] {
            known.turn_to(queue(first));
            assert_eq!(&known.plan(1)[0].0.queue, queue(first));
        }
        assert_eq!(known.queue_at(0.5), Some(queue(5)));
        assert_eq!(known.take_queues("", None).len(), 14);
        assert!(known.is_empty() && known.count == 0 && known.queue_at(0.5).is_none());
    }

    #[test]
    fn queues_that_come_and_go_keep_nobody_waiting() {
        let lanes: Vec<Lane> = (0..40).map(|queue| lane(queue, 0, 5)).collect();
        let mut known = known(&lanes);
        let mut served = HashSet::new();
        while let Some((first, _)) = known.plan(1).first().cloned() {
            assert!(served.insert(first.clone()), "{first:?} comes twice before another comes");
            known.forget(&first);
        }
        assert_eq!(served.len(), 40);
        assert!(known.is_empty() && known.source(&lanes[0]).is_none());
    }

    proptest! {
        #[test]
        fn shares_add_up_and_no_lane_is_named_twice(
            all in proptest::collection::hash_set((0u8..5, 0u8..4, 0i16..10), 1..60), free in 1usize..500, turns in 0u8..30,
        ) {
            let lanes: Vec<Lane> = all.into_iter().map(|(queue, task, priority)| lane(queue, task, priority)).collect();
            let mut known = known(&lanes);
            for _ in 0..turns {
                known.plan(free);
            }
            let planned = known.plan(free);
            let named: HashSet<&Lane> = planned.iter().map(|(lane, _)| lane).collect();
            prop_assert_eq!(named.len(), planned.len());
            prop_assert_eq!(planned.len(), lanes.len().min(LANES_MOST));
            prop_assert!(planned.iter().all(|&(_, most)| (1..=free).contains(&most)));
        }
    }
}
