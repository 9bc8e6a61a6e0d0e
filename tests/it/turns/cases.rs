//! The order of a key, and how keys stand beside each other.

use std::time::{Duration, Instant};

use reveille::{NewJob, Retry};
use serde_json::json;

use super::{House, SOON, Shift, Toil, job, of, shift, turns, yields};
use crate::harness::look::{all_end, assert_one_place, becomes, value};
use crate::harness::{self, Service, eventually, scaled};
use reveille::Handler;

#[tokio::test(flavor = "multi_thread")]
async fn life_7c1_a_key_runs_one_at_a_time_in_the_order_of_submission() {
    let house = House::open(4, 8).await;
    let count = scaled(100, 100);
    // Some one by one, the others together.
    for nth in 0..10 {
        house.submit(job("k", nth, 0.005)).await;
    }
    house.submit_many((10..count).map(|nth| job("k", nth, 0.005)).collect()).await;
    house.all_end(count as i64).await;
    assert_eq!(house.log.starts("k"), (0..count).collect::<Vec<_>>());
    assert_eq!(house.log.most("k"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_7c1_as_many_of_a_key_run_as_its_queue_says() {
    let house = House::with(4, 8, turns(3)).await;
    house.submit_many((0..60).map(|nth| job("k", nth, 0.02)).collect()).await;
    house.all_end(60).await;
    assert_eq!(house.log.most("k"), 3);
    // Those that have a turn at the same time start as slots come free.
    let starts = house.log.starts("k");
    for (place, nth) in starts.iter().enumerate() {
        assert!(place.abs_diff(*nth) < 3, "{starts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn life_7c2_many_keys_run_beside_each_other_each_in_its_order() {
    let house = House::open(2, 8).await;
    let (keys, each) = (scaled(20, 100), 10);
    let name = |nth: usize| format!("k{nth}");
    let jobs = (0..each).flat_map(|nth| (0..keys).map(move |key| job(&name(key), nth, 0.01)));
    house.submit_many(jobs.collect()).await;
    house.all_end((keys * each) as i64).await;
    for key in 0..keys {
        assert_eq!(house.log.starts(&name(key)), (0..each).collect::<Vec<_>>());
        assert_eq!(house.log.most(&name(key)), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn life_7c3_a_key_with_very_many_jobs_hides_no_other() {
    let house = House::open(1, 8).await;
    let many = scaled(10_000, 1_000_000);
    let submit = format!(
        "insert into reveille.job (id, run_at, priority, queue, task, payload, settings)
         select reveille.uuid7(reveille.uuid7_ticks(clock_timestamp()), 0, n), now(), 5, 'default', 'work',
           '{{\"key\": \"many\", \"seconds\": 0.01}}', '{{\"concurrency_key\": \"many\"}}'
         from generate_series(1, {many}) n;
         insert into reveille.keyed (queue, key, run_at, id, task, priority, look, wakes)
         select queue, 'many', run_at, id, task, priority, 1, 0 from reveille.job"
    );
    house.client.batch_execute(&submit).await.unwrap();
    let begun = Instant::now();
    house.submit_many((0..10).map(|nth| job("few", nth, 0.0)).collect()).await;
    eventually("the few have run", SOON, async || house.log.starts("few").len() == 10).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(house.log.most("many"), 1);
    assert_one_place(&house.client).await;
    house.database.holds_rows_without_jobs();
}

#[tokio::test(flavor = "multi_thread")]
async fn life_7c4_very_many_keys_with_a_job_each_leave_nothing_behind() {
    let house = House::open(1, 64).await;
    let keys = scaled(3_000, 100_000);
    for first in (0..keys).step_by(5_000) {
        let some = first..(first + 5_000).min(keys);
        house.submit_many(some.map(|nth| job(&format!("k{nth}"), nth, 0.0)).collect()).await;
    }
    house.all_end(keys as i64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_7c5_a_retry_holds_its_key_and_the_next_one_says_who_has_it() {
    let house = House::open(2, 4).await;
    let broken = Shift { failures: 1, ..shift("k", 0) };
    let broken = of(&broken).retry(Retry::fixed(Duration::from_secs(3)).jitter(0.0));
    let broken = house.submit(broken).await;
    let next = house.submit(job("k", 1, 0.0)).await;
    becomes(&house.client, &broken, "scheduled", SOON).await;
    let path = format!("/jobs/{next}");
    let waits = house.http.get(&path).await.body["waiting_for"].clone();
    let until = house.http.get_job(&broken).await.body["run_at"].clone();
    assert_eq!(
        (&waits[0]["code"], &waits[0]["job_id"]),
        (&json!("key_held"), &json!(broken)),
        "{waits}"
    );
    assert_eq!(waits[0]["until"], until, "{waits}");
    assert!(waits[0]["message"].as_str().unwrap().contains("is tried again at"), "{waits}");
    assert_eq!(house.end(&next).await["status"], "completed");
    assert_eq!(house.log.starts("k"), [0, 0, 1]);
    house.all_end(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_7c5_a_queue_may_let_others_pass_while_a_job_is_tried_again() {
    let house = House::with(2, 4, yields()).await;
    let broken = Shift { failures: 1, ..shift("k", 0) };
    let broken = of(&broken).retry(Retry::fixed(Duration::from_secs(2)).jitter(0.0));
    let snoozed = Shift { snooze: Some(2.0), ..shift("k", 1) };
    house.submit_many(vec![broken, of(&snoozed), job("k", 2, 0.0), job("k", 3, 0.0)]).await;
    house.all_end(4).await;
    let starts = house.log.starts("k");
    assert_eq!(starts[..4], [0, 1, 2, 3]);
    assert_eq!((starts.len(), house.log.most("k")), (6, 1), "{starts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn life_7c5_a_final_failure_gives_the_turn_on() {
    let house = House::open(2, 4).await;
    let broken = of(&Shift { failures: 9, ..shift("k", 0) }).max_attempts(1);
    let ids = house.submit_many(vec![broken, job("k", 1, 0.0)]).await;
    assert_eq!(house.end(&ids[0]).await["status"], "failed");
    assert_eq!(house.end(&ids[1]).await["status"], "completed");
    house.all_end(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_7c6_a_job_whose_time_is_to_come_keeps_nobody() {
    let house = House::open(2, 4).await;
    let begun = Instant::now();
    let later = job("k", 0, 0.0).delay(Duration::from_secs(3));
    house.submit_many(vec![later, job("k", 1, 0.0), job("k", 2, 0.0)]).await;
    eventually("the others have run", SOON, async || house.log.starts("k").len() == 2).await;
    let before = begun.elapsed();
    house.all_end(3).await;
    assert_eq!(house.log.starts("k"), [1, 2, 0]);
    assert!(before < Duration::from_secs(3) && begun.elapsed() >= Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn life_7c7_after_a_kill_the_same_job_runs_first() {
    let database = harness::database().await;
    let client = database.client().await;
    let on = || Service::on(database.url()).brisk("1");
    let mut victim = on().start().await;
    let http = victim.http();
    let nap = |seconds: f64| json!({"task": "sleep", "payload": {"seconds": seconds}, "concurrency_key": "k"});
    let first = http.post_job(&nap(600.0)).await.body["job_id"].as_str().unwrap().to_owned();
    let next = http.post_job(&nap(0.0)).await.body["job_id"].as_str().unwrap().to_owned();
    becomes(&client, &first, "processing", SOON).await;
    let survivor = on().start().await;
    victim.kill9().await;
    let again = "select count(*) from reveille.lease where crashes = '{1}'";
    eventually("it runs again", SOON, async || value::<i64>(&client, again).await == 1).await;
    becomes(&client, &first, "processing", SOON).await;
    assert_eq!(value::<i64>(&client, "select count(*) from reveille.keyed").await, 1);
    let cancelled = survivor.http().post(&format!("/jobs/{first}/cancel"), &json!({})).await;
    assert_eq!(cancelled.status, 202, "{cancelled:?}");
    becomes(&client, &next, "completed", SOON).await;
    all_end(&client, 2, SOON).await;
    let left =
        "select (select count(*) from reveille.gate) + (select count(*) from reveille.keyed)";
    eventually("no turn is left", SOON, async || value::<i64>(&client, left).await == 0).await;
    assert_one_place(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_7c9_a_submission_that_is_not_committed_holds_nobody_up() {
    let house = House::open(1, 4).await;
    let mut submitting = house.database.client().await;
    let open = submitting.transaction().await.unwrap();
    let by_sql = "select reveille.submit(task => 'work', payload => '{\"key\": \"k\", \"nth\": 9}',
        settings => '{\"concurrency_key\": \"k\"}')";
    open.batch_execute(by_sql).await.unwrap();
    // An operator's transaction has locked the gate of a key that is in use.
    let long = house.submit(job("held", 0, 0.5)).await;
    becomes(&house.client, &long, "processing", SOON).await;
    let mut holding = house.database.client().await;
    let held = holding.transaction().await.unwrap();
    held.batch_execute("select from reveille.gate where key = 'held' for update").await.unwrap();
    let others: Vec<String> =
        house.submit_many((0..5).map(|nth| job("k", nth, 0.0)).collect()).await;
    let blocked = "select count(*) from pg_stat_activity
        where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0";
    for id in others.iter().chain([&long]) {
        assert_eq!(value::<i64>(&house.client, blocked).await, 0);
        assert_eq!(house.end(id).await["status"], "completed");
    }
    let plain = house.submit(NewJob::new("work", &shift("plain", 0))).await;
    assert_eq!(house.end(&plain).await["status"], "completed");
    assert_eq!(value::<i64>(&house.client, blocked).await, 0);
    held.rollback().await.unwrap();
    open.commit().await.unwrap();
    house.all_end(8).await;
    assert_eq!(house.log.starts("k"), [0, 1, 2, 3, 4, 9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_7c10_a_key_spans_tasks_and_priorities() {
    let house = House::open(2, 8).await;
    let jobs = (0..40).map(|nth| {
        let shift = Shift { seconds: 0.005, ..shift("k", nth) };
        let task = if nth % 2 == 0 { "work" } else { Toil::NAME };
        NewJob::new(task, &shift).concurrency_key("k").priority(if nth % 3 == 0 { 9 } else { 0 })
    });
    house.submit_many(jobs.collect()).await;
    house.all_end(40).await;
    assert_eq!(house.log.starts("k"), (0..40).collect::<Vec<_>>());
    assert_eq!(house.log.most("k"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_7c11_keys_take_turns_however_many_jobs_each_has() {
    let house = House::with(1, 8, turns(8)).await;
    let (large, small) = (scaled(1_000, 100_000), scaled(20, 100));
    house.submit_many((0..large.min(10_000)).map(|nth| job("large", nth, 0.01)).collect()).await;
    eventually("the large one runs", SOON, async || house.log.starts("large").len() > 8).await;
    house.submit_many((0..small).map(|nth| job("small", nth, 0.01)).collect()).await;
    eventually("the small one has run", SOON, async || house.log.starts("small").len() == small)
        .await;
    let meanwhile = house.log.starts("large").len();
    assert!(meanwhile < large / 2, "{meanwhile} of the large one");
    house.all_end((large.min(10_000) + small) as i64).await;
}
