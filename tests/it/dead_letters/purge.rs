//! Purges: what waits in a queue is cancelled, and nothing else.

use serde_json::{Value, json};
use tokio::process::Command;

use super::{House, SOON, text};
use crate::harness::eventually;
use crate::harness::http::{Answer, answer};
use crate::harness::look::{assert_one_place, becomes, metric, value};

async fn purge(house: &House, queue: &str, query: &str) -> Answer {
    answer(house.http.request("POST", &format!("/queues/{queue}/purge{query}"))).await
}

/// So many jobs that wait in the queue: every third for a long time, every fifth with a key.
async fn wait(house: &House, queue: &str, count: usize) {
    let job = |nth: usize| {
        let mut job = json!({"payload": nth, "queue": queue, "priority": nth % 10});
        if nth.is_multiple_of(3) {
            job["delay_seconds"] = json!(3600);
        }
        if nth.is_multiple_of(5) {
            job["unique_key"] = json!(format!("{queue}-{nth}"));
        }
        job
    };
    let jobs: Vec<Value> = (0..count).map(job).collect();
    assert_eq!(house.http.post("/jobs/batch", &json!(jobs)).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_cancels_all_that_waits_and_frees_its_keys() {
    const JOBS: i64 = 2_300;
    let house = House::open().await;
    let running = json!({"task": "sleep", "payload": {"seconds": 3}, "queue": "mail"});
    let running = text(&house.http.post_job(&running).await.body, "job_id").to_owned();
    becomes(&house.client, &running, "processing", SOON).await;
    for queue in ["mail", "other"] {
        let paused = house.http.post(&format!("/queues/{queue}/pause"), &json!({})).await;
        assert_eq!(paused.status, 200, "{paused:?}");
    }
    wait(&house, "mail", JOBS as usize).await;
    wait(&house, "other", 7).await;
    let dry = purge(&house, "mail", "?dry_run").await;
    assert_eq!((dry.status, &dry.body["matched"]), (200, &json!(JOBS)), "{dry:?}");
    let id =
        "select job_id::text from reveille.jobs where queue = 'mail' and status = 'queued' limit 1";
    let awaited: String = value(&house.client, id).await;
    let waiting = {
        let (http, path) = (house.http.clone(), format!("/jobs/{awaited}?wait=30"));
        tokio::spawn(async move { http.get(&path).await })
    };
    let asked = purge(&house, "mail", "?delay_seconds=2").await;
    assert_eq!((asked.status, &asked.body["matched"]), (202, &json!(JOBS)), "{asked:?}");
    let id = text(&asked.body["operation"], "id").to_owned();
    // A job that comes later is not part of it, even before it starts.
    let later = format!(
        "select clock_timestamp() > created_at + interval '0.2 seconds' from reveille.operation
         where id = '{id}'"
    );
    eventually("it is later", SOON, async || value::<bool>(&house.client, &later).await).await;
    let late = json!({"payload": 1, "queue": "mail", "priority": 0});
    let late = text(&house.http.post_job(&late).await.body, "job_id").to_owned();
    let done = house.over(&id).await;
    assert_eq!((text(&done, "status"), &done["moved"]), ("completed", &json!(JOBS)), "{done}");
    let told = waiting.await.unwrap().body;
    assert_eq!((text(&told, "status"), text(&told["error"], "code")), ("cancelled", "purged"));
    let left = "select string_agg(id::text, ' ') from reveille.ready where queue = 'mail'";
    assert_eq!(value::<String>(&house.client, left).await, late);
    let kept = "select count(*) from reveille.ready where queue = 'other'";
    assert_eq!(value::<i64>(&house.client, kept).await, 7);
    let keys = "select count(*) from reveille.unique_key where queue = 'mail'";
    assert_eq!(value::<i64>(&house.client, keys).await, 0);
    becomes(&house.client, &running, "completed", SOON).await;
    assert_eq!(metric(&house.service, "reveille_purged_jobs_total").await, JOBS as f64);
    let audit = "select target from reveille.audit where action = 'purge_queue'";
    assert_eq!(value::<String>(&house.client, audit).await, "queue mail");
    assert_one_place(&house.client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_can_be_undone_before_it_starts() {
    let house = House::open().await;
    assert_eq!(house.http.post("/queues/mail/pause", &json!({})).await.status, 200);
    wait(&house, "mail", 10).await;
    let asked = purge(&house, "mail", "").await;
    let operation = &asked.body["operation"];
    assert_eq!(text(operation, "status"), "scheduled", "{asked:?}");
    let ahead = format!(
        "select extract(epoch from '{}'::timestamptz - '{}'::timestamptz)::float8",
        text(operation, "starts_at"),
        text(operation, "created_at")
    );
    let ahead: f64 = value(&house.client, &ahead).await;
    assert!((30.0..31.0).contains(&ahead), "{ahead}");
    let stopped = house.stop(text(operation, "id")).await;
    assert_eq!((&stopped.body["moved"], text(&stopped.body, "status")), (&json!(0), "stopped"));
    assert!(text(&stopped.body, "reason").starts_with("stopped by anonymous"), "{stopped:?}");
    let waiting = "select count(*) from reveille.ready";
    assert_eq!(value::<i64>(&house.client, waiting).await, 10);
}

/// Nobody waits for a key that an open transaction has locked; the purge comes back to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_passes_a_locked_key_by_and_comes_back() {
    let house = House::open().await;
    assert_eq!(house.http.post("/queues/mail/pause", &json!({})).await.status, 200);
    wait(&house, "mail", 11).await;
    let mut locker = house.database.client().await;
    let open = locker.transaction().await.unwrap();
    let lock = "select from reveille.unique_key where key = 'mail-5' for update";
    open.query(lock, &[]).await.unwrap();
    let asked = purge(&house, "mail", "?delay_seconds=0").await;
    let id = text(&asked.body["operation"], "id").to_owned();
    eventually("all others are cancelled", SOON, async || house.ended("cancelled").await == 10)
        .await;
    assert_eq!(text(&house.operation(&id).await, "status"), "running");
    open.rollback().await.unwrap();
    let done = house.over(&id).await;
    assert_eq!((text(&done, "status"), &done["moved"]), ("completed", &json!(11)), "{done}");
    assert_one_place(&house.client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_tells_of_an_operation_that_stands_still() {
    let mut house = House::open().await;
    house.failed(1).await;
    let id = house.redriving(json!({"all": true, "delay_seconds": 3600})).await;
    let doctor = async || {
        let mut line = Command::new(env!("CARGO_BIN_EXE_reveille"));
        let line = line.args(["doctor"]).env_clear().env("DATABASE_URL", house.database.url());
        String::from_utf8(line.output().await.unwrap().stdout).unwrap()
    };
    let calm = doctor().await;
    assert!(calm.contains("0 under way"), "{calm}");
    // Nobody leads any more.
    house.service.kill9().await;
    let due = "update reveille.operation set starts_at = now() - interval '120 seconds'";
    house.client.execute(due, &[]).await.unwrap();
    let said = doctor().await;
    let stands = format!("1 of 1 stand still: operation {id} has made no progress for 12");
    assert!(said.contains(&stands) && said.contains("operations stop"), "{said}");
}
