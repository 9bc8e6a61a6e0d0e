use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::claimer::Claimer;
use super::fronts::Reading;
use crate::events::Source;
use crate::job::json::Json;
use crate::job::{JobId, LeaseId};
use crate::queue::{Hold, Holder, Lane, QueueName, TaskName};
use crate::store::lease::{Claim, Claimed, LaneClaim, Swept};

pub(super) fn lane(nth: usize) -> Lane {
    let queue = QueueName::trusted(&format!("q{nth}"));
    Lane { queue, task: TaskName::trusted("t"), priority: 5 }
}

pub(super) fn time(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_000_000 + second, 0).expect("a time")
}

/// A job of this lane that was due at this second.
pub(super) fn claimed(lane: &Lane, second: i64) -> Claimed {
    Claimed {
        lease: LeaseId(Uuid::nil()),
        id: JobId(Uuid::now_v7()),
        queue: lane.queue.clone(),
        task: lane.task.clone(),
        priority: lane.priority,
        run_at: time(second),
        attempt: 1,
        crashes: 0,
        payload: Json::null(),
        beyond_room: false,
        max_attempts: None,
        timeout_seconds: None,
        settings: None,
        left: None,
        keyed: false,
        superseded_by: None,
        place: 1,
    }
}

/// A claimer, with the time of both clocks.
struct Bench {
    claimer: Claimer,
    now: Instant,
    second: i64,
}

impl Bench {
    fn new() -> Self {
        Self { claimer: Claimer::new(None), now: Instant::now(), second: 0 }
    }

    fn pass(&mut self, seconds: u32) {
        self.second += i64::from(seconds);
        self.now += Duration::from_secs(seconds.into());
    }

    fn notify(&mut self, nth: usize) {
        assert!(self.claimer.hear(lane(nth), Source::Notify, self.now));
    }

    /// The lanes that are asked now.
    fn asked(&mut self) -> Vec<LaneClaim> {
        self.claimer.wake_due(time(self.second), self.now);
        self.claimer.plan(10, self.now)
    }

    fn names(&mut self) -> Vec<Lane> {
        self.asked().into_iter().map(|asked| asked.lane).collect()
    }

    /// Asks for the lanes that are to be asked, and takes this for the answer.
    fn claim(&mut self, answer: impl Fn(&[LaneClaim]) -> Claim) -> usize {
        let asked = self.asked();
        let reading =
            Reading { begun: self.now, clock: time(self.second), took: Duration::from_millis(1) };
        self.claimer.learn(&asked, &answer(&asked), 10, &reading);
        asked.len()
    }
}

fn held(until: Option<DateTime<Utc>>) -> impl Fn(&[LaneClaim]) -> Claim {
    move |asked: &[LaneClaim]| {
        let hold = Hold { by: Holder::Pause, until };
        Claim { held: (0..asked.len()).map(|nth| (nth, hold)).collect(), ..Claim::default() }
    }
}

fn empty(_: &[LaneClaim]) -> Claim {
    Claim::default()
}

#[test]
fn a_lane_that_is_held_is_not_asked_again_however_often_it_is_notified_of() {
    let mut bench = Bench::new();
    bench.notify(1);
    assert_eq!(bench.claim(held(None)), 1);
    for _ in 0..5 {
        bench.notify(1);
        bench.claimer.find(lane(1), time(0), Source::Notify, time(bench.second));
        bench.pass(1);
        assert_eq!(bench.names(), []);
    }
    assert_eq!(bench.claimer.next_due(), None);
    bench.notify(2);
    assert_eq!(bench.names(), [lane(2)], "another queue is not held");
}

#[test]
fn a_held_lane_is_asked_again_when_its_queue_is_released() {
    let mut bench = Bench::new();
    bench.notify(1);
    bench.notify(2);
    assert_eq!(bench.claim(held(None)), 2);
    bench.claimer.release(&lane(1).queue);
    assert_eq!(bench.names(), [lane(1)]);
    assert_eq!(bench.claim(empty), 1);
    bench.notify(1);
    assert_eq!(bench.names(), [lane(1)], "it is not held any more");
}

#[test]
fn a_held_lane_is_asked_again_by_the_next_poll() {
    let mut bench = Bench::new();
    bench.notify(1);
    bench.claim(held(None));
    bench.claimer.poll_begins();
    bench.claimer.find(lane(1), time(0), Source::Poll, time(bench.second));
    bench.claimer.poll_ends();
    assert_eq!(bench.names(), [lane(1)]);
}

#[test]
fn a_lane_that_is_held_until_a_time_is_asked_again_then_and_not_before() {
    let mut bench = Bench::new();
    bench.notify(1);
    let until = time(10);
    bench.claim(held(Some(until)));
    assert_eq!(bench.claimer.next_due(), Some(until));
    bench.pass(9);
    bench.notify(1);
    assert_eq!(bench.names(), []);
    bench.pass(1);
    assert_eq!(bench.names(), [lane(1)]);
    assert_eq!(bench.claimer.next_due(), None);
}

#[test]
fn a_new_hold_of_a_lane_takes_the_place_of_the_one_before() {
    let mut bench = Bench::new();
    bench.notify(1);
    bench.claim(held(Some(time(5))));
    bench.pass(5);
    assert_eq!(bench.claim(held(None)), 1);
    assert_eq!(bench.claimer.next_due(), None);
    bench.pass(60);
    assert_eq!(bench.names(), []);
}

#[test]
fn a_lane_with_more_is_asked_at_once_and_an_empty_one_when_its_next_job_is_due() {
    let mut bench = Bench::new();
    bench.notify(1);
    bench.pass(1);
    bench.claim(|asked| {
        let jobs = (0..asked[0].most as i64).map(|nth| (0, claimed(&asked[0].lane, nth)));
        Claim { jobs: jobs.collect(), ..Claim::default() }
    });
    assert_eq!(bench.names(), [lane(1)]);
    bench.claim(|_| Claim { due: vec![(0, time(30))], ..Claim::default() });
    assert_eq!((bench.claimer.next_due(), bench.claimer.has_lanes()), (Some(time(30)), false));
    bench.pass(60);
    assert_eq!(bench.names(), [lane(1)]);
}

#[test]
fn lanes_of_swept_queues_are_empty_unless_the_sweep_says_otherwise() {
    let mut bench = Bench::new();
    for nth in 0..6 {
        bench.claimer.find(lane(nth), time(0), Source::Poll, time(0));
    }
    let asked = |nth| LaneClaim { lane: lane(nth), bound: None, most: usize::MAX };
    let hold = Hold { by: Holder::Pause, until: None };
    let swept = Swept {
        lanes: vec![asked(1), asked(2), asked(3), asked(9)],
        claim: Claim {
            jobs: vec![(0, claimed(&lane(1), 0))],
            due: vec![(1, time(30))],
            held: vec![(2, hold), (3, hold)],
            ..Claim::default()
        },
        stopped: Some(lane(4).queue),
    };
    bench.claimer.learn_swept("q1", &swept, 9, Duration::ZERO);
    assert_eq!(bench.claimer.next_due(), Some(time(30)));
    let known: BTreeSet<Lane> = bench.names().into_iter().collect();
    assert_eq!(known, [0, 4, 5].map(lane).into());
    bench.notify(9);
    bench.notify(1);
    let known: BTreeSet<Lane> = bench.names().into_iter().collect();
    assert_eq!(known, [0, 1, 4, 5].map(lane).into());
}

/// Jobs that wait, by the number of their lanes.
struct Waiting(BTreeMap<Lane, usize>);

impl Waiting {
    /// What a claim of so many jobs gets of these lanes.
    fn claim(&mut self, asked: &[LaneClaim], limit: usize) -> Claim {
        let (mut claim, mut left) = (Claim::default(), limit);
        for (nth, asked) in asked.iter().enumerate() {
            let waiting = self.0.get_mut(&asked.lane).expect("it had jobs");
            let got = asked.most.min(*waiting).min(left);
            (*waiting, left) = (*waiting - got, left - got);
            claim.jobs.extend((0..got).map(|_| (nth, claimed(&asked.lane, 0))));
        }
        claim
    }

    /// What a sweep of so many rows gets.
    fn sweep(&mut self, begin: &str, rows: usize) -> Swept {
        let (mut swept, mut left) = (Swept::default(), rows);
        for (lane, waiting) in self.0.range_mut(first_lane(begin)..).filter(|it| *it.1 > 0) {
            if *waiting >= left {
                swept.stopped = Some(lane.queue.clone());
                break;
            }
            left -= *waiting;
            let nth = swept.lanes.len();
            let jobs = (0..std::mem::take(waiting)).map(|_| (nth, claimed(lane, 0)));
            swept.claim.jobs.extend(jobs);
            swept.lanes.push(LaneClaim { lane: lane.clone(), bound: None, most: usize::MAX });
        }
        swept
    }
}

fn first_lane(queue: &str) -> Lane {
    Lane { queue: QueueName::trusted(queue), task: TaskName::trusted(""), priority: 0 }
}

/// Of a thousand queues some are deep, and the others have a job each.
#[test]
fn deep_queues_have_their_turn_beside_very_many_others_and_all_jobs_are_claimed() {
    const LIMIT: usize = 500;
    // Where some deep ones fill each claim, nobody sweeps.
    for (deep, sweeping) in [(0, true), (1, true), (10, false), (1000, false)] {
        let mut claimer = Claimer::new(Some(vec!["t".to_owned()]));
        let is_deep = |nth| deep > 0 && nth % (1000 / deep) == 0;
        let depth = |nth| if is_deep(nth) { LIMIT + 100 } else { 1 };
        let mut waiting = Waiting((0..1000).map(|nth| (lane(nth), depth(nth))).collect());
        for lane in waiting.0.keys() {
            claimer.find(lane.clone(), time(0), Source::Poll, time(0));
        }
        let all: usize = waiting.0.values().sum();
        let (mut claims, mut sweeps) = (0, 0);
        while claimer.has_lanes() {
            claims += 1;
            assert!(
                claims < 20 + 3 * all / LIMIT,
                "{deep} deep ones: {waiting:?}",
                waiting = waiting.0
            );
            let swept = claimer.sweep_from(LIMIT).map(|(begin, _)| waiting.sweep(begin, LIMIT));
            let now = Instant::now();
            match swept {
                Some(swept) => {
                    sweeps += 1;
                    let begin = claimer.sweep_from(LIMIT).map(|it| it.0.to_owned());
                    claimer.learn_swept(&begin.expect("it is one"), &swept, LIMIT, Duration::ZERO);
                }
                None => {
                    let asked = claimer.plan(LIMIT, now);
                    let claim = waiting.claim(&asked, LIMIT);
                    let reading = Reading { begun: now, clock: time(0), took: Duration::ZERO };
                    claimer.learn(&asked, &claim, LIMIT, &reading);
                }
            }
        }
        assert_eq!(waiting.0.values().sum::<usize>(), 0, "{deep} deep ones");
        assert_eq!(sweeps > 0, sweeping, "{deep} deep ones: {sweeps} sweeps");
    }
}

/// What may happen to lanes, one after the other.
#[derive(Clone, Copy, Debug)]
enum Event {
    Notify(usize),
    Release(usize),
    Pause(usize),
    Claim,
    Poll,
    Pass(u32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..4_usize).prop_map(Event::Notify),
        (0..4_usize).prop_map(Event::Release),
        (0..4_usize).prop_map(Event::Pause),
        Just(Event::Claim),
        Just(Event::Poll),
        (1..4_u32).prop_map(Event::Pass),
    ]
}

proptest! {
    /// Each of four lanes always has a job. A paused one is asked at most once between what frees
    /// it; any other one that was heard of is asked by the next claim.
    #[test]
    fn no_lane_is_forgotten_and_none_is_spun_on(events in proptest::collection::vec(event(), 1..60)) {
        let mut bench = Bench::new();
        let (mut paused, mut heard) = (BTreeSet::new(), BTreeSet::new());
        let mut answered_held = BTreeSet::new();
        for event in events {
            match event {
                Event::Notify(nth) => {
                    bench.notify(nth);
                    heard.insert(nth);
                }
                Event::Pause(nth) => {
                    paused.insert(nth);
                }
                Event::Release(nth) => {
                    paused.remove(&nth);
                    answered_held.remove(&nth);
                    bench.claimer.release(&lane(nth).queue);
                }
                Event::Poll => {
                    bench.claimer.poll_begins();
                    for nth in 0..4 {
                        bench.claimer.find(lane(nth), time(0), Source::Poll, time(bench.second));
                        heard.insert(nth);
                    }
                    bench.claimer.poll_ends();
                    answered_held.clear();
                }
                Event::Pass(seconds) => bench.pass(seconds),
                Event::Claim => {
                    let asked: BTreeSet<Lane> = bench.names().into_iter().collect();
                    for nth in 0..4 {
                        let (named, free) = (asked.contains(&lane(nth)), !answered_held.contains(&nth));
                        prop_assert!(!named || free, "{nth} is held and was asked");
                        prop_assert!(named || !free || !heard.contains(&nth), "{nth} is forgotten");
                    }
                    let is_paused = paused.clone();
                    bench.claim(|asked| answer(asked, &is_paused));
                    for nth in paused.iter().filter(|nth| asked.contains(&lane(**nth))) {
                        answered_held.insert(*nth);
                    }
                }
            }
        }
    }
}

/// Paused lanes are held, and each other one gives all that it is asked for.
fn answer(asked: &[LaneClaim], paused: &BTreeSet<usize>) -> Claim {
    let mut claim = Claim::default();
    for (nth, asked) in asked.iter().enumerate() {
        if paused.iter().any(|it| lane(*it) == asked.lane) {
            claim.held.push((nth, Hold { by: Holder::Pause, until: None }));
        } else {
            claim.jobs.extend((0..asked.most).map(|_| (nth, claimed(&asked.lane, 0))));
        }
    }
    claim
}
