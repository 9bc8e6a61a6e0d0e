//! Jobs that are claimed ahead of a free slot wait in the process only as long as that is short.

use std::time::Duration;

use serde_json::json;

use crate::harness::look::{all_end, assert_one_place, becomes, metric, value};
use crate::harness::{self, Service, eventually};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_behind_a_slow_job_is_given_back_and_runs_elsewhere() {
    let database = harness::database().await;
    let client = database.client().await;
    let one = Service::on(database.url()).env("REVEILLE_WORKERS", "1").start().await;
    let http = one.http();
    let sleep = |seconds: f64| json!({"task": "sleep", "payload": {"seconds": seconds}});
    // It learns from the first that the task is quick. One that is not stands before the others.
    let mut jobs = vec![sleep(0.0); 1020];
    jobs[1000] = sleep(60.0);
    let batch = http.post("/jobs/batch", &json!(jobs)).await;
    let slow = batch.body["jobs"][1000]["job_id"].as_str().unwrap();
    becomes(&client, slow, "processing", SOON).await;
    let _other = Service::start(database.url()).await;
    eventually("the others have run", SOON, async || {
        value::<i64>(&client, "select count(*) from reveille.outcome where state = 'completed'")
            .await
            == 1019
    })
    .await;
    becomes(&client, slow, "processing", Duration::ZERO).await;
    let most: i32 = value(&client, "select max(attempt) from reveille.outcome").await;
    assert_eq!(most, 1, "waiting for a slot spent an attempt");
    assert!(metric(&one, "reveille_jobs_given_back_total").await > 0.0, "nothing was held");
    let tried: i64 = value(&client, "select count(*) from reveille.attempt").await;
    assert_eq!(tried, 0, "what did not begin was an attempt");
    assert_one_place(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_long_jobs_little_is_held() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "8").start().await;
    let http = service.http();
    let sleep = |seconds: f64| json!({"task": "sleep", "payload": {"seconds": seconds}});
    let long = http.post("/jobs/batch", &json!(vec![sleep(60.0); 7])).await;
    for job in long.body["jobs"].as_array().unwrap() {
        becomes(&client, job["job_id"].as_str().unwrap(), "processing", SOON).await;
    }
    http.post("/jobs/batch", &json!(vec![sleep(0.01); 300])).await;
    eventually("one slot runs the quick ones", SOON * 3, async || {
        value::<i64>(&client, "select count(*) from reveille.outcome").await == 300
    })
    .await;
    let given_back = metric(&service, "reveille_jobs_given_back_total").await;
    assert!(given_back < 100.0, "{given_back} jobs were claimed in vain");
    assert_one_place(&client).await;
}

/// Many small jobs, and after them in the same lane many of 900 kB: the claims are large when they come to these.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_large_payloads_after_many_small_ones_keeps_a_few_megabytes_of_them() {
    const SMALL: i64 = 2000;
    const LARGE: i64 = 150;
    let database = harness::database().await;
    let client = database.client().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "2").start().await;
    let before = service.most_memory();
    let submit = format!(
        "begin;
         select count(*) from generate_series(1, {SMALL}) n
         cross join lateral reveille.submit(task => 'noop', payload => to_jsonb(n));
         select count(*) from generate_series(1, {LARGE}) n
         cross join lateral reveille.submit(task => 'noop', payload => to_jsonb(repeat(md5(n::text), 28125)));
         commit"
    );
    // A claim is as large as jobs end quickly, which is not so on a machine that is busy elsewhere.
    for round in 1..=5 {
        client.batch_execute(&submit).await.unwrap();
        all_end(&client, round * (SMALL + LARGE), SOON * 3).await;
        let grown = service.most_memory().saturating_sub(before);
        assert!(grown < 100 << 20, "the service grew by {grown} bytes");
        let given_back = metric(&service, "reveille_jobs_given_back_total").await;
        if given_back > 50.0 {
            break;
        }
        assert!(round < 5, "{given_back} jobs were too many: no claim was large");
    }
    let tried: i64 = value(&client, "select count(*) from reveille.attempt").await;
    let most: i32 = value(&client, "select max(attempt) from reveille.outcome").await;
    assert_eq!((tried, most), (0, 1), "what was given back spent an attempt");
    assert_one_place(&client).await;
}
