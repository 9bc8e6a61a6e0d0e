//! Several instances on one database: they start together, and whatever they and their users do at the same time, every
//! job is in exactly one place.

use std::time::{Duration, Instant};

use rand::RngExt as _;
use serde_json::json;

use crate::harness::look::{all_end, assert_one_place, value};
use crate::harness::{self, Service, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_at_once_migrate_once() {
    let database = harness::database().await;
    let client = database.client().await;
    client.batch_execute("drop schema reveille cascade").await.unwrap();
    let start = || Service::on(database.url()).start();
    let services = tokio::join!(start(), start(), start(), start());
    for service in [&services.0, &services.1, &services.2, &services.3] {
        let done = service.http().post("/jobs?wait=10", &json!({"payload": 1})).await;
        assert_eq!(done.body["status"], "completed");
    }
    let twice: i64 = value(
        &client,
        "select count(*) from (select from reveille.migration group by version having count(*) > 1) m",
    )
    .await;
    assert_eq!(twice, 0);
}

/// Submits, cancels, retries, stops and kills for some seconds, at random.
#[tokio::test(flavor = "multi_thread")]
async fn under_stress_every_job_is_in_one_place_and_ends() {
    let database = harness::database().await;
    let client = database.client().await;
    let start = || {
        Service::on(database.url())
            .brisk("1")
            .env("REVEILLE_WORKERS", "16")
            // The victim is killed many times, and an innocent job may be with it each time.
            .env("REVEILLE_CRASH_BUDGET", "100")
            .env("REVEILLE_SHUTDOWN_GRACE_SECONDS", "0")
            .start()
    };
    let steady = start().await;
    let http = steady.http();
    let mut acknowledged: Vec<String> = Vec::new();
    let end = Instant::now() + Duration::from_secs(8);
    let mut victim = start().await;
    for round in 0.. {
        let (seconds, kill) = {
            let mut random = rand::rng();
            (random.random_range(0.0..0.4), random.random_bool(0.5))
        };
        let jobs: Vec<_> = (0..20)
            .map(|nth| match nth % 4 {
                0 => json!({"task": "flaky", "payload": {"failures": 1}}),
                1 => json!({"payload": nth, "unique_key": format!("k{}", round % 3), "on_conflict": "replace", "delay_seconds": 0.2}),
                2 => json!({"task": "sleep", "payload": {"seconds": seconds}}),
                _ => json!({"payload": nth}),
            })
            .collect();
        let answer = http.post("/jobs/batch", &json!(jobs)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let ids = answer.body["jobs"].as_array().unwrap();
        acknowledged.extend(ids.iter().map(|job| job["job_id"].as_str().unwrap().to_owned()));
        for (nth, id) in acknowledged.iter().rev().take(12).enumerate() {
            let verb = if nth % 2 == 0 { "cancel" } else { "retry" };
            let answer = http.post(&format!("/jobs/{id}/{verb}"), &json!({})).await;
            assert!(
                matches!(answer.status, 200 | 202 | 409),
                "{verb}: {} {}",
                answer.status,
                answer.body
            );
        }
        assert_one_place(&client).await;
        if round % 4 == 3 {
            if kill {
                victim.kill9().await;
            } else {
                victim.terminate(Duration::from_secs(5)).await;
            }
            victim = start().await;
        }
        if Instant::now() > end {
            break;
        }
    }
    acknowledged.sort_unstable();
    acknowledged.dedup();
    let count = i64::try_from(acknowledged.len()).unwrap();
    assert!(count > 50, "only {count} jobs: this proves nothing");
    assert_eq!(value::<i64>(&client, "select count(*) from reveille.job").await, count);
    all_end(&client, count, Duration::from_secs(60)).await;
    assert_one_place(&client).await;
    let broken: i64 =
        value(&client, "select count(*) from reveille.outcome where state = 'failed'").await;
    assert_eq!(broken, 0);
    eventually("no key is held by a job that has ended", Duration::from_secs(5), async || {
        value::<i64>(&client, "select count(*) from reveille.unique_key").await == 0
    })
    .await;
}
