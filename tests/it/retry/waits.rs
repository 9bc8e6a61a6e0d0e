//! How long a job waits between two attempts.

use std::time::Duration;

use reveille::{NewJob, Retry};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Fail, Failing, House, SOON, assert_waits, failures, millis};
use crate::harness::look::{submit, value};
use crate::harness::{self, eventually, scaled};

#[tokio::test(flavor = "multi_thread")]
async fn life_1c1_waits_grow_up_to_their_cap_until_the_attempts_are_spent() {
    let house = House::open().await;
    let retry = Retry::exponential(millis(100), 2.0).max(millis(400)).jitter(0.0);
    let job = house.ended(failures(9), retry, 5).await;
    assert_eq!((&job["status"], &job["attempt_count"]), (&json!("failed"), &json!(5)), "{job}");
    assert_waits(&house.waits(&job).await, &[0.1, 0.2, 0.4, 0.4]);
    let shown = json!({"strategy": "exponential", "base_seconds": 0.1, "factor": 2,
        "max_seconds": 0.4, "jitter": 0});
    assert_eq!(job["retry"], shown);
    assert_eq!(house.http.get("/jobs?task=fail").await.body["data"][0]["retry"], shown);
    // It is not told of a job that says nothing, and the payload of such a one lies beside `ready`.
    let later = |job: NewJob| job.delay(Duration::from_secs(3600));
    let retry = Retry::fixed(millis(1));
    let set = house.service.submit(later(NewJob::of::<Fail>(failures(1)).retry(retry)));
    let (set, plain) = (set.await.unwrap(), later(NewJob::of::<Fail>(failures(1))));
    let plain = house.service.submit(plain).await.unwrap();
    let shown = house.http.get_job(&plain.job_id.to_string()).await.body;
    assert_eq!(shown.get("retry"), None, "{shown}");
    for (id, beside) in [(set.job_id, false), (plain.job_id, true)] {
        let kept = format!("select payload is not null from reveille.ready where id = '{id}'");
        assert_eq!(value::<bool>(&house.database.client().await, &kept).await, beside);
    }
}

/// Nobody waits for ten hours: each time the job waits, its time is brought forward.
#[tokio::test(flavor = "multi_thread")]
async fn life_1c1_the_waits_of_the_case_add_up_to_38_000_seconds() {
    const WAITS: [f64; 9] = [5.0, 15.0, 45.0, 135.0, 405.0, 1_215.0, 3_645.0, 10_935.0, 21_600.0];
    let house = House::open().await;
    let client = house.database.client().await;
    let retry = Retry::exponential(Duration::from_secs(5), 3.0);
    let retry = retry.max(Duration::from_secs(21_600)).jitter(0.0);
    let job = NewJob::of::<Fail>(failures(10)).retry(retry).max_attempts(10);
    let id = house.service.submit(job).await.unwrap().job_id;
    for (nth, expected) in (1..).zip(WAITS) {
        let wait = format!(
            "select (select extract(epoch from r.run_at - a.ended_at)::float8
               from reveille.ready r join reveille.attempt a using (id)
               where a.id = '{id}' and a.attempt = {nth})"
        );
        let wait = async || value::<Option<f64>>(&client, &wait).await;
        eventually("it waits", SOON, async || wait().await.is_some()).await;
        let is = wait().await.unwrap();
        assert!((is - expected).abs() < 0.01, "attempt {nth}: {is} instead of {expected}");
        let forward = "with r as (delete from reveille.ready returning *)
            insert into reveille.ready (queue, task, priority, run_at, id, attempt, crashes, wakes)
            select queue, task, priority, now(), id, attempt, crashes, 1 from r";
        client.batch_execute(forward).await.unwrap();
    }
    let job = house.http.get(&format!("/jobs/{id}?wait=30")).await.body;
    assert_eq!((&job["status"], &job["attempt_count"]), (&json!("failed"), &json!(10)), "{job}");
    let attempts = house.http.get(&format!("/jobs/{id}/attempts")).await.body;
    assert_eq!(attempts["data"].as_array().map(Vec::len), Some(10));
    assert_eq!(WAITS.iter().sum::<f64>(), 38_000.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_1c2_waits_grow_evenly_or_not_at_all() {
    let house = House::open().await;
    let linear =
        Retry::linear(millis(scaled(100, 2_000))).max(millis(scaled(250, 5_000))).jitter(0.0);
    let linear = house.ended(failures(4), linear, 9).await;
    let waits = scaled([0.1, 0.2, 0.25, 0.25], [2.0, 4.0, 5.0, 5.0]);
    assert_waits(&house.waits(&linear).await, &waits);
    assert_eq!((&linear["status"], &linear["result"]), (&json!("completed"), &json!(5)));

    // Through the other doors.
    let base = scaled(0.15, 3.0);
    let retry = json!({"strategy": "fixed", "base_seconds": base, "jitter": 0});
    let url = format!("http://{}", house.service.address().unwrap());
    let mut line = Command::new(env!("CARGO_BIN_EXE_reveille"));
    line.args(["submit", "fail", "--payload", r#"{"failures": 3}"#, "--wait=30s", "--json"]);
    let output = line.arg("--retry").arg(retry.to_string()).env("REVEILLE_URL", &url).output();
    let output = output.await.unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let by_line: Value = serde_json::from_str(told.trim()).unwrap_or_else(|_| panic!("{told}"));
    let client = house.database.client().await;
    let arguments = format!(
        "task => 'fail', payload => '{{\"failures\": 3}}', settings => '{{\"retry\": {retry}}}'"
    );
    let by_sql = submit(&client, &arguments).await;
    let job = json!({"task": "fail", "payload": {"failures": 3}, "retry": retry});
    let by_http = house.http.post_job(&job).await.body;
    let id = |job: &Value| job["job_id"].as_str().unwrap().to_owned();
    for id in [id(&by_line), by_sql, id(&by_http)] {
        let job = house.http.get(&format!("/jobs/{id}?wait=30")).await.body;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["retry"]["base_seconds"].as_f64(), Some(base), "{job}");
        assert_waits(&house.waits(&job).await, &[base; 3]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn life_1c3_jobs_past_the_cap_that_fail_together_come_back_apart() {
    let many = scaled(100, 10_000);
    let house = House::open().await;
    let ten = Duration::from_secs(10);
    let retry = Retry::exponential(ten, 3.0).max(ten).jitter(0.2);
    let job = NewJob::of::<Fail>(failures(1)).retry(retry);
    let client = house.database.client().await;
    // The first may run again before the last has failed.
    let note = "create table public.again (id uuid, run_at timestamptz);
        create function public.note() returns trigger language plpgsql as $$
          begin insert into public.again values (new.id, new.run_at); return null; end $$;
        create trigger note after insert on reveille.ready
          for each row when (new.attempt > 0) execute function public.note()";
    client.batch_execute(note).await.unwrap();
    house.service.submit_many(vec![job; many]).await.unwrap();
    let failed = "select count(*) from public.again";
    eventually("all have failed once", SOON * 3, async || {
        value::<i64>(&client, failed).await == many as i64
    })
    .await;
    let waits = "select array_agg(extract(epoch from r.run_at - a.ended_at)::float8)
        from reveille.attempt a join public.again r on r.id = a.id";
    let waits: Vec<f64> = value(&client, waits).await;
    assert_eq!(waits.len(), many);
    assert!(waits.iter().all(|wait| (8.0..=12.0).contains(wait)), "{waits:?}");
    let distinct = |by: f64| {
        let of: std::collections::HashMap<i64, usize> =
            waits.iter().fold(Default::default(), |mut all, wait| {
                *all.entry((wait * by) as i64).or_default() += 1;
                all
            });
        of
    };
    assert!(distinct(1e6).len() >= many * 9 / 10, "{waits:?}");
    let peak = distinct(1.0).into_values().max().unwrap_or_default();
    harness::figure(
        "life_1c3",
        &format!("of {many} distinct {}, peak second {peak}", distinct(1e6).len()),
    );
    assert!(peak <= 3 * many / 4, "{peak} of them come within a second: {waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn life_1c5_a_delay_that_the_handler_asks_for_replaces_the_policy_and_its_cap() {
    let house = House::open().await;
    let (base, asked) = (millis(scaled(50, 1_000)), scaled(1.5, 30.0));
    let retry = Retry::fixed(base).max(base).jitter(0.0);
    let delayed = Failing { retry_after: Some(asked), ..failures(1) };
    let job = house.ended(delayed, retry, 9).await;
    assert_eq!((&job["status"], &job["attempt_count"]), (&json!("completed"), &json!(2)), "{job}");
    assert_waits(&house.waits(&job).await, &[asked]);
}
