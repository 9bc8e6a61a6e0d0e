//! The ends of jobs reach those who wait for them, however many end at a time, and cost those who wait for others nothing.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::look::{submit, value};
use crate::harness::{self, Service, eventually, within};

const SOON: Duration = Duration::from_secs(5);

/// Each look of a waiting caller reads this view.
const LOOK_AT_ONE: &str = "from reveille.jobs v where v.job_id";
/// Some dozens of jobs are looked at by one statement.
const LOOK_AT_ALL: &str = "-- ids uuid[]. Which of these jobs have ended.";

/// Ends a job that waits, without a word about it.
fn end_of(job: &str) -> String {
    format!(
        "with gone as (delete from reveille.ready where id = '{job}' returning id)
         insert into reveille.outcome (id, attempt, state) select id, 0, 'cancelled' from gone"
    )
}

/// Too many jobs ended to name them, again and again: what a drain on another instance looks like.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_other_jobs_does_not_ask_while_a_backlog_is_drained() {
    const CALLERS: usize = 60;
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let service = Service::on(proxy.url()).env("REVEILLE_WORKERS", "0").start().await;
    service.logged("listening for notifications", SOON).await;
    let client = database.client().await;
    let mut calls = tokio::task::JoinSet::new();
    let mut last = String::new();
    for _ in 0..CALLERS {
        let job = submit(&client, "payload => '1', delay_seconds => 3600").await;
        let path = format!("/jobs/{job}?wait=60");
        let http = service.http();
        calls.spawn(async move { http.get(&path).await });
        last = job;
    }
    eventually("everybody has looked once", SOON, async || proxy.sent(LOOK_AT_ONE) >= CALLERS)
        .await;
    let (asked, looked) = (proxy.sent(LOOK_AT_ONE), proxy.sent(LOOK_AT_ALL));
    let notices = "begin; select pg_notify('reveille', 'ended *'); commit;".repeat(200);
    // One job ends with the last notice, so that its caller tells that all of them have come.
    let marker = format!(
        "begin; {};
         select pg_notify('reveille', 'ended ' || rtrim(encode(uuid_send('{last}'), 'base64'), '='));
         commit",
        end_of(&last)
    );
    client.batch_execute(&(notices + &marker)).await.unwrap();
    let answer = within("the last notice has come", SOON, calls.join_next()).await;
    assert_eq!(answer.unwrap().unwrap().body["status"], "cancelled");
    eventually("it was looked for the ends", SOON, async || proxy.sent(LOOK_AT_ALL) > looked).await;
    let looks = proxy.sent(LOOK_AT_ALL) - looked;
    assert!(looks < 100, "{looks} looks for 200 notices");
    assert_eq!(proxy.sent(LOOK_AT_ONE), asked + 1, "nobody else's job has ended");
}

/// The worker that cancels says nothing here, so that only the notice without ids tells.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_answered_though_too_many_ended_to_name_them() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let service = Service::on(proxy.url()).env("REVEILLE_WORKERS", "0").start().await;
    service.logged("listening for notifications", SOON).await;
    let client = database.client().await;
    let job = submit(&client, "payload => '1', queue => 'nobody'").await;
    let other = submit(&client, "payload => '1', queue => 'nobody'").await;
    let call = |job: String| {
        let http = service.http();
        tokio::spawn(async move { http.get(&format!("/jobs/{job}?wait=60")).await })
    };
    let (mut waiting, mut stays) = (call(job.clone()), call(other));
    eventually("both have looked", SOON, async || proxy.sent(LOOK_AT_ONE) >= 2).await;
    client.batch_execute(&end_of(&job)).await.unwrap();
    client.batch_execute("select pg_notify('reveille', 'ended *')").await.unwrap();
    let answer = within("it is answered", SOON, &mut waiting).await.unwrap();
    assert_eq!(answer.body["status"], "cancelled");
    assert!(tokio::time::timeout(Duration::ZERO, &mut stays).await.is_err(), "its job waits");
}

/// Jobs of one instance, all awaited at another, end faster than ids are told.
#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_waits_at_another_instance_is_answered_soon_after_the_end() {
    let database = harness::database().await;
    let api = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let http = api.http();
    let jobs: Vec<_> = (0..1000).map(|_| json!({"payload": 1, "task": "noop"})).collect();
    let batch = http.post("/jobs/batch", &json!(jobs)).await.body;
    let ids: Vec<String> = batch["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .step_by(20)
        .map(|job| job["job_id"].as_str().unwrap().to_owned())
        .collect();
    let waits = ids.iter().map(|id| {
        let path = format!("/jobs/{id}?wait=60");
        let http = http.clone();
        async move { http.get(&path).await }
    });
    let waits = tokio::spawn(join_all(waits.collect::<Vec<_>>()));
    let worker = Service::start(database.url()).await;
    for answer in within("all are answered", Duration::from_secs(20), waits).await.unwrap() {
        assert_eq!(answer.body["status"], "completed");
    }
    let client = database.client().await;
    assert_eq!(value::<i64>(&client, "select count(*) from reveille.outcome").await, 1000);
    drop(worker);
}
