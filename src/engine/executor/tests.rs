use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::Utc;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::*;
use crate::client::Client;
use crate::job::clocks::Left;
use crate::job::fields::Settings;
use crate::job::json::Json;
use crate::job::{JobId, LeaseId};
use crate::queue::{QueueName, TaskName};
use crate::settling::meter::Meters;
use crate::tasks::{Context, Handler, TaskError};

/// Counts its starts, and goes on when it is let.
struct Counted(Arc<(AtomicUsize, Semaphore)>);

impl Handler for Counted {
    const NAME: &'static str = "counted";
    type Payload = Json;
    type Output = ();

    async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
        self.0.0.fetch_add(1, Ordering::SeqCst);
        let _go_on = self.0.1.acquire().await;
        Ok(())
    }
}

/// A value that is dropped with it panics.
struct Mined;

struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        panic!("it went off");
    }
}

impl Handler for Mined {
    const NAME: &'static str = "mined";
    type Payload = Json;
    type Output = ();

    async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
        let _mine = Mine;
        std::future::pending().await
    }
}

fn executor(registry: Registry, slots: &Arc<Slots>, settle: mpsc::Sender<Delivery>) -> Executor {
    Executor {
        registry,
        running: Running::default(),
        slots: slots.clone(),
        settle,
        room: Room::new(),
        around: Arc::new(Around {
            reports: mpsc::channel(1).0,
            client: Client::recording(Arc::default()),
        }),
        cancelling: CancellationToken::new(),
        default_timeout: Duration::from_secs(60),
        tracker: TaskTracker::new(),
        figures: JobFigures::default(),
        pauses: Pauses::default(),
        defaults: Defaults::default(),
        suspect_running: Arc::default(),
    }
}

#[tokio::test]
async fn a_handler_that_panics_when_it_is_dropped_spends_its_attempt() {
    let mut registry = Registry::default();
    registry.add(Mined);
    let (settle, mut settled) = mpsc::channel(1);
    let slots = Arc::new(Slots::new(1));
    let executor = Arc::new(executor(registry, &slots, settle));
    for (attempt, end) in [(1, "retry"), (2, "failed")] {
        let job = Claimed {
            task: TaskName::trusted(Mined::NAME),
            timeout_seconds: Some(0.01),
            max_attempts: Some(2),
            attempt,
            ..claimed()
        };
        let meter = Meters::default().of(&job.queue, &job.task);
        executor.take(job, meter, Instant::now(), Duration::ZERO, None);
        let ended = tokio::time::timeout(Duration::from_secs(10), settled.recv()).await;
        let ending = ended.expect("it ends").expect("the executor is there").settlement.ending;
        assert_eq!(ending.as_str(), end);
        let (Ending::Retry { failure, .. } | Ending::Failed(failure)) = ending else { return };
        assert_eq!(failure.code, "panicked");
        assert!(failure.message.ends_with("it went off"), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_job_that_there_is_no_room_for_is_held_here_until_that_is_settled() {
    let (settle, mut settled) = mpsc::channel(1);
    let executor = executor(Registry::default(), &Arc::new(Slots::new(1)), settle);
    let job = claimed();
    let (key, meter) = ((job.lease, job.id), Meters::default().of(&job.queue, &job.task));
    executor.decline(vec![(job, meter)]).await;
    assert!(executor.running.keys().contains(&key));
    assert_eq!(settled.recv().await.map(|one| one.settlement.ending.as_str()), Some("unbegun"));
}

#[tokio::test]
async fn a_claim_that_did_not_begin_is_known_as_such_however_it_ends() {
    let (settle, mut settled) = mpsc::channel(1);
    let executor = Arc::new(executor(Registry::default(), &Arc::new(Slots::new(1)), settle));
    let superseded = Claimed { superseded_by: Some(JobId(Uuid::now_v7())), ..claimed() };
    // Nobody knows the task of the other one.
    for (job, end) in [(superseded, "cancelled"), (claimed(), "unbegun")] {
        let meter = Meters::default().of(&job.queue, &job.task);
        executor.take(job, meter, Instant::now(), Duration::ZERO, None);
        let settlement = settled.recv().await.expect("it ends").settlement;
        assert_eq!(settlement.ending.as_str(), end);
        assert!(!settlement.begun || settlement.ending.run_at().is_some(), "{settlement:?}");
    }
}

fn claimed() -> Claimed {
    Claimed {
        lease: LeaseId(Uuid::nil()),
        id: JobId(Uuid::now_v7()),
        queue: QueueName::default(),
        task: TaskName::trusted(Counted::NAME),
        priority: 5,
        run_at: Utc::now(),
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

#[tokio::test]
async fn of_two_thousand_jobs_held_ahead_none_starts_after_a_pause_and_later_claims_do() {
    const HELD: usize = 2000;
    let state = Arc::new((AtomicUsize::new(0), Semaphore::new(0)));
    let mut registry = Registry::default();
    registry.add(Counted(state.clone()));
    let (settle, mut settled) = mpsc::channel(HELD + 2);
    let (pauses, slots) = (Pauses::default(), Arc::new(Slots::new(1)));
    let executor = Executor { pauses: pauses.clone(), ..executor(registry, &slots, settle) };
    let executor = Arc::new(executor);
    let take = || {
        let job = claimed();
        let meter = Meters::default().of(&job.queue, &job.task);
        executor.take(job, meter, Instant::now(), Duration::ZERO, None);
    };
    for _ in 0..=HELD {
        take();
    }
    while state.0.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    pauses.pause(QueueName::default());
    // The dispatcher takes out what is held; a slot that comes free may be faster.
    let left = std::cell::Cell::new(HELD / 2);
    let taken = slots.take_out(|queued| {
        left.set(left.get().saturating_sub(1));
        left.get() > 0 && executor.is_paused(queued)
    });
    assert_eq!(taken.len(), HELD / 2 - 1);
    executor.give_back(taken).await;
    state.1.add_permits(2);
    let mut ends = Vec::new();
    while ends.len() <= HELD {
        ends.push(settled.recv().await.map(|one| one.settlement.ending.as_str()));
    }
    assert_eq!(ends.iter().filter(|end| **end == Some("completed")).count(), 1);
    assert_eq!(ends.iter().filter(|end| **end == Some("unbegun")).count(), HELD);
    assert_eq!(state.0.load(Ordering::SeqCst), 1, "only the one that ran before");
    take();
    assert_eq!(settled.recv().await.map(|one| one.settlement.ending.as_str()), Some("completed"));
}

/// Says how much time it has, and names a limit that no clock reaches.
struct Unlimited;

impl Handler for Unlimited {
    const NAME: &'static str = "unlimited";
    type Payload = Json;
    type Output = bool;

    fn timeout(&self) -> Option<Duration> {
        Some(Duration::MAX)
    }

    async fn run(&self, context: Context, _: Json) -> Result<bool, TaskError> {
        Ok(context.time_left() > Duration::from_secs(365 * 86_400))
    }
}

#[tokio::test]
async fn a_task_may_name_a_time_limit_that_no_clock_reaches() {
    let mut registry = Registry::default();
    registry.add(Unlimited);
    let (settle, mut settled) = mpsc::channel(1);
    let executor = Arc::new(executor(registry, &Arc::new(Slots::new(1)), settle));
    let job = Claimed { task: TaskName::trusted(Unlimited::NAME), ..claimed() };
    let meter = Meters::default().of(&job.queue, &job.task);
    executor.take(job, meter, Instant::now(), Duration::ZERO, None);
    let ending = settled.recv().await.expect("it ends").settlement.ending;
    assert!(matches!(&ending, Ending::Completed(long) if long.as_str() == "true"), "{ending:?}");
}

/// A claim in the last millisecond starts nothing, and does not send a dead job back to wait.
#[tokio::test]
async fn a_job_whose_time_ended_after_its_claim_does_not_begin() {
    let state = Arc::new((AtomicUsize::new(0), Semaphore::new(1)));
    let mut registry = Registry::default();
    registry.add(Counted(state.clone()));
    let (settle, mut settled) = mpsc::channel(2);
    let pauses = Pauses::default();
    let slots = Arc::new(Slots::new(1));
    let executor = Executor { pauses: pauses.clone(), ..executor(registry, &slots, settle) };
    let executor = Arc::new(executor);
    for (kept, code, paused) in [
        (r#"{"queue_ttl_seconds":1,"left":{"queue_ttl_seconds":0}}"#, "expired", false),
        (r#"{"deadline_seconds":1,"left":{"deadline_seconds":-0.5}}"#, "deadline_exceeded", true),
    ] {
        if paused {
            pauses.pause(QueueName::default());
        }
        let kept = Json::parse(kept.as_bytes()).expect("it is JSON");
        let left = Left::of(&kept, &Settings::of(Some(&kept)), Instant::now());
        let job = Claimed { left: Some(Box::new(left)), ..claimed() };
        let meter = Meters::default().of(&job.queue, &job.task);
        let asked_at = Instant::now().checked_sub(Duration::from_secs(1)).expect("it has run");
        executor.take(job, meter, asked_at, Duration::ZERO, None);
        let settlement = settled.recv().await.expect("it ends").settlement;
        let Ending::Failed(failure) = settlement.ending else { panic!("{settlement:?}") };
        assert_eq!((&*failure.code, settlement.timed, settlement.begun), (code, true, false));
    }
    assert_eq!(state.0.load(Ordering::SeqCst), 0);
}
