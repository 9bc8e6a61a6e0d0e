//! Content that is put off while more of it comes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Deed, House, SOON};
use crate::harness::look::value;
use crate::harness::{eventually, scaled};

/// A span of time, in seconds.
async fn seconds(house: &House, span: &str, from: &str) -> f64 {
    let query = format!("select extract(epoch from {span})::double precision from {from}");
    value(&house.client, &query).await
}

#[tokio::test(flavor = "multi_thread")]
async fn life_4c6_a_job_that_is_replaced_and_delayed_runs_once_after_the_last_with_its_payload() {
    let house = House::open().await;
    house.let_end(20);
    // Small, the submissions follow each other at once, and a busy machine takes long for them.
    let (delay, apart, most) = scaled((2.0, 0.0, 10.0), (1.0, 0.3, 1.3));
    let later = json!({"delay_seconds": delay});
    let begun = Instant::now();
    let due = async |nth: u32| {
        let at = Duration::from_secs_f64(apart) * nth;
        eventually("the next one is due", SOON, async || begun.elapsed() >= at).await;
    };
    let first = house.submit_with("k", "replace", &Deed::Fail(9), &later).await;
    for nth in 1..9 {
        due(nth).await;
        let next = house.submit_with("k", "replace", &Deed::Fail(9), &later).await;
        assert_eq!((&next["outcome"], &next["job_id"]), (&json!("replaced"), &first["job_id"]));
    }
    due(9).await;
    let before: chrono::DateTime<chrono::Utc> =
        value(&house.client, "select clock_timestamp()").await;
    let tenth = house.submit_with("k", "replace", &Deed::Succeed, &later).await;
    assert_eq!(tenth["job_id"], first["job_id"]);
    let job = house.becomes(&first["job_id"], "completed").await;
    assert_eq!((house.begun(), &job["payload"]), (1, &json!("succeed")));
    let started: chrono::DateTime<chrono::Utc> =
        job["started_at"].as_str().unwrap().parse().unwrap();
    let waited = (started - before).as_seconds_f64();
    assert!((delay..most).contains(&waited), "{waited}");
    house.service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_4c7_with_a_longest_delay_it_runs_then_and_once_more_after_the_last() {
    let house = House::open().await;
    let (longest, most) = scaled((1.0, 5.0), (2.0, 2.3));
    let off = json!({"delay_seconds": 600, "debounce_max_seconds": longest});
    let submit = async || house.submit_with("k", "replace", &Deed::Succeed, &off).await;
    let first = submit().await["job_id"].clone();
    // As if somebody never stopped.
    while house.begun() == 0 {
        submit().await;
    }
    let from = format!(
        "reveille.job j join reveille.lease l on j.id = any (l.ids) where j.id = '{}'",
        first.as_str().unwrap()
    );
    let waited = seconds(&house, "l.claimed_at - reveille.uuid7_time(j.id)", &from).await;
    // The id was made a moment before or after the database took the job.
    assert!((longest - 0.05..most).contains(&waited), "{waited}");
    let last = submit().await["job_id"].clone();
    assert_ne!(last, first);
    house.let_end(9);
    for job in [&first, &last] {
        house.becomes(job, "completed").await;
    }
    let jobs = value::<i64>(&house.client, "select count(*) from reveille.job").await;
    assert_eq!((jobs, house.begun()), (2, 2));
    house.service.shutdown().await;
}

/// When the job may start, in seconds after the moment that its longest delay counts from.
async fn delay(house: &House) -> f64 {
    let from = "reveille.ready r join reveille.unique_key k using (id)";
    seconds(house, "r.run_at - k.first_at", from).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_delay_counts_from_the_first_submission_that_no_attempt_has_seen() {
    let house = House::open().await;
    let first_at = async || -> chrono::DateTime<chrono::Utc> {
        value(&house.client, "select first_at from reveille.unique_key").await
    };
    let off = |delay: u32| json!({"delay_seconds": delay, "debounce_max_seconds": 100});
    let job = house.submit_with("k", "replace", &Deed::Fail(1), &off(600)).await;
    let at = first_at().await;
    assert!((delay(&house).await - 100.0).abs() < 0.001);
    // A replacement that would run sooner does.
    house.submit_with("k", "replace", &Deed::Fail(1), &off(5)).await;
    assert!((4.9..100.0).contains(&delay(&house).await));
    house.submit_with("k", "replace", &Deed::Fail(1), &off(600)).await;
    assert!((delay(&house).await - 100.0).abs() < 0.001 && first_at().await == at);
    // A replacement that says nothing of it is not held to it.
    house.submit_with("k", "replace", &Deed::Fail(1), &json!({"delay_seconds": 600})).await;
    assert!(delay(&house).await > 590.0);

    // Once an attempt has seen the content, what follows is new.
    let now =
        json!({"debounce_max_seconds": 100, "retry": {"strategy": "fixed", "base_seconds": 600}});
    house.submit_with("k", "replace", &Deed::Fail(1), &now).await;
    house.let_end(1);
    let is = house.becomes(&job["job_id"], "scheduled").await;
    assert_eq!(is["attempt_count"], 1, "{is}");
    let replaced = house.submit_with("k", "replace", &Deed::Succeed, &off(600)).await;
    assert_eq!((&replaced["outcome"], &replaced["job_id"]), (&json!("replaced"), &job["job_id"]));
    assert!((delay(&house).await - 100.0).abs() < 0.001 && first_at().await > at);
    house.service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_4c8_replaced_five_times_while_it_runs_a_job_runs_once_more_with_the_last_content() {
    let house = House::open().await;
    let first = house.submit("k", "replace", &Deed::Succeed).await["job_id"].clone();
    house.becomes(&first, "processing").await;
    let later = json!({"delay_seconds": 600});
    let mut answers: Vec<Value> = Vec::new();
    for _ in 0..4 {
        answers.push(house.submit_with("k", "replace", &Deed::Fail(9), &later).await);
    }
    answers.push(house.submit("k", "replace", &Deed::Succeed).await);
    let outcomes: Vec<_> = answers.iter().map(|it| it["outcome"].clone()).collect();
    assert_eq!(outcomes, ["created", "replaced", "replaced", "replaced", "replaced"]);
    assert!(answers.iter().all(|it| it["job_id"] == answers[0]["job_id"]));
    house.let_end(9);
    let second = house.becomes(&answers[0]["job_id"], "completed").await;
    assert_eq!(second["payload"], "succeed");
    house.becomes(&first, "completed").await;
    eventually("both have run", SOON, async || house.begun() == 2).await;
    house.service.shutdown().await;
}
