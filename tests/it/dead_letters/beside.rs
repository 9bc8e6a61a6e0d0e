//! A redrive beside live jobs: nothing is lost or done twice, and the live ones hardly notice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::{House, long, on, text};
use crate::harness::http::Http;
use crate::harness::look::value;
use crate::harness::{self, eventually, scaled};

/// Callers of live jobs, and how many jobs each submits a second.
const CALLERS: usize = 4;
const A_SECOND: u32 = 20;

/// Submits live jobs at an even pace, each awaited, until it is told to stop. Answers how long each
/// took, in seconds.
async fn caller(http: Http, stop: &AtomicBool) -> Vec<f64> {
    let mut ticks = interval(Duration::from_secs(1) / A_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut took = Vec::new();
    while !stop.load(Ordering::Acquire) {
        ticks.tick().await;
        let begun = Instant::now();
        let job = json!({"task": "echo", "payload": took.len()});
        let done = http.post("/jobs?wait=30", &job).await.body;
        assert_eq!(text(&done, "status"), "completed", "{done}");
        took.push(begun.elapsed().as_secs_f64());
    }
    took
}

/// Live jobs at each instance while this goes on: how long each took, in order.
async fn live<T>(https: &[Http], work: impl Future<Output = T>) -> (Vec<f64>, T) {
    let stop = AtomicBool::new(false);
    let callers = (0..CALLERS).map(|nth| caller(https[nth % https.len()].clone(), &stop));
    let work = async {
        let done = work.await;
        stop.store(true, Ordering::Release);
        done
    };
    let (took, done) = tokio::join!(join_all(callers), work);
    let mut took = took.concat();
    took.sort_by(f64::total_cmp);
    (took, done)
}

fn p99(took: &[f64]) -> f64 {
    took[took.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn life_3c9_redriven_jobs_beside_live_ones_none_lost_none_doubled() {
    let (dead, rate, calm) = scaled((1_000, 2_000, 0), (100_000, 500, 60));
    let house = House::open().await;
    let other = on(&house.database).start().await;
    let https = [house.http.clone(), other.http()];
    let ids = house.failed(dead).await;
    house.heal(&ids).await;
    let begun = Instant::now();
    let calm = async || begun.elapsed() >= Duration::from_secs(calm);
    let (before, ()) =
        live(&https, eventually("there is what to compare with", long(), calm)).await;
    let body = json!({"filter": {"task": "flaky"}, "rate_per_second": rate});
    let (beside, done) =
        live(&https, async { house.over(&house.redriving(body).await).await }).await;
    assert_eq!((&done["moved"], &done["skipped"]), (&json!(dead), &json!(0)), "{done}");
    house.idle().await;
    let all = (dead + before.len() + beside.len()) as i64;
    assert_eq!(house.ended("completed").await, all);
    let again = "select count(*) from reveille.attempt where redriven_at is null";
    assert_eq!(value::<i64>(&house.client, again).await, 0, "a job ran more than once");
    house.assert_all_redriven_once(&ids).await;
    if harness::full_figures() {
        let (calm, busy) = (p99(&before), p99(&beside));
        let told = format!(
            "live p99 {:.1} ms before ({} jobs), {:.1} ms beside ({} jobs): {:.2}",
            calm * 1e3,
            before.len(),
            busy * 1e3,
            beside.len(),
            busy / calm
        );
        harness::figure("life_3c9", &told);
        assert!(busy <= 2.0 * calm, "{told}");
    }
}
