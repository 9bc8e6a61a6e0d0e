//! Which lanes a claim names, in which order, and how much each may give. Pure.
//!
//! Queues take turns, and so do the tasks of a queue; within a queue the first priority goes first, but in one claim of ten
//! the last does, so that a low one is served even if the high ones never end. Lanes that got no share stand at the end
//! and fill what the others left.

use std::collections::BTreeMap;

use crate::queue::Lane;

/// The most lanes that one claim names: one index probe each.
const LANES_MOST: usize = 100;
/// So many queues share one claim, and more only if each of them can get as many jobs: an index probe that gives one job costs
/// several times what the job does.
const QUEUES_SHARING: usize = 16;
/// In one of so many claims the last priority of a queue goes first.
const LOW_TURN: u64 = 10;

/// For each named lane its index in `lanes` and the most it may give; `turn` counts claims.
pub(super) fn plan(lanes: &[Lane], free: usize, turn: u64) -> Vec<(usize, usize)> {
    let mut queues: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, lane) in lanes.iter().enumerate() {
        queues.entry(lane.queue.as_str()).or_default().push(index);
    }
    let mut queues: Vec<Vec<usize>> = queues.into_values().collect();
    let sharing = queues.len().min(QUEUES_SHARING.max(free / QUEUES_SHARING));
    // The next ones are those that got nothing in this turn. What a queue does in turns goes by how often it was served, or it
    // would always meet the same turn.
    let (step, count) = (sharing.min(free).max(1), queues.len());
    let some = step < count;
    let served = if some { turn.wrapping_mul(step as u64) } else { turn };
    rotate(&mut queues, served);
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for (nth, mut queue) in queues.into_iter().enumerate() {
        let round = if some { served.wrapping_add(nth as u64) / count as u64 } else { turn };
        let quota =
            if nth < sharing { free / sharing + usize::from(nth < free % sharing) } else { 0 };
        queue.sort_by_key(|&index| (lanes[index].priority, &lanes[index].task));
        if round % LOW_TURN == LOW_TURN - 1 {
            queue.reverse();
        }
        let Some(&top) = queue.first() else { continue };
        let level =
            queue.iter().take_while(|&&index| lanes[index].priority == lanes[top].priority).count();
        let (level, lower) = queue.split_at_mut(level);
        rotate(level, round);
        let share = level.len();
        for (nth, &mut index) in level.iter_mut().enumerate() {
            match quota / share + usize::from(nth < quota % share) {
                0 => rest.push((index, free)),
                most => first.push((index, most)),
            }
        }
        rest.extend(lower.iter().map(|&index| (index, free)));
    }
    first.extend(rest);
    first.truncate(LANES_MOST);
    first
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
    use crate::queue::{QueueName, TaskName};

    fn lane(queue: u8, task: u8, priority: i16) -> Lane {
        Lane {
            queue: QueueName::new(&format!("q{queue}")).expect("a name"),
            task: TaskName::new(&format!("t{task}")).expect("a name"),
            priority,
        }
    }

    #[test]
    fn the_first_priority_gets_everything_nine_times_of_ten() {
        let lanes = [lane(0, 0, 5), lane(0, 0, 0)];
        for turn in 0..10 {
            let planned = plan(&lanes, 8, turn);
            assert_eq!(planned[0], (usize::from(turn != 9), 8), "turn {turn}");
        }
    }

    #[test]
    fn a_single_slot_goes_around() {
        let lanes = [lane(0, 0, 5), lane(1, 0, 5), lane(2, 0, 5)];
        let first: HashSet<usize> = (0..3).map(|turn| plan(&lanes, 1, turn)[0].0).collect();
        assert_eq!(first.len(), 3);
    }

    #[test]
    fn many_queues_take_turns_at_shares_worth_a_probe() {
        let lanes: Vec<Lane> = (0..200).map(|queue| lane(queue, 0, 5)).collect();
        let mut served = HashSet::new();
        for turn in 0..13 {
            let planned = plan(&lanes, 250, turn);
            let shares: Vec<_> = planned.iter().filter(|&&(_, most)| most < 250).collect();
            assert!(shares.iter().all(|&&(_, most)| most >= 15), "{shares:?}");
            served.extend(shares.iter().map(|&&(index, _)| index));
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
                let mut first = HashSet::new();
                for turn in 0..u64::from(queues) * 21 {
                    let planned = plan(&lanes, free, turn);
                    let mut left = free;
                    for (index, most) in planned {
                        first.insert(index);
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

    proptest! {
        #[test]
        fn shares_add_up_and_no_lane_is_named_twice(
            all in proptest::collection::hash_set((0u8..5, 0u8..4, 0i16..10), 1..60), free in 1usize..500, turn in any::<u64>(),
        ) {
            let lanes: Vec<Lane> = all.into_iter().map(|(queue, task, priority)| lane(queue, task, priority)).collect();
            let planned = plan(&lanes, free, turn);
            let named: HashSet<usize> = planned.iter().map(|&(index, _)| index).collect();
            prop_assert_eq!(named.len(), planned.len());
            prop_assert_eq!(planned.len(), lanes.len().min(LANES_MOST));
            prop_assert!(planned.iter().all(|&(_, most)| (1..=free).contains(&most)));
        }
    }
}
