//! How long jobs of a queue are kept, and queues themselves.

use std::time::Duration;

use reveille::Config;
use reveille::internals::store::{Store, Target};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{SOON, put, slow_poll};
use crate::harness::look::value;
use crate::harness::{self, Service, eventually};

/// Jobs of a queue that ended so many seconds ago in this state.
async fn ended(client: &Client, queue: &str, jobs: u32, ago: u32, state: &str) {
    let sql = format!(
        "with made as (
           insert into reveille.job (id, run_at, priority, queue, task, payload)
           select reveille.uuid7(reveille.uuid7_ticks(now()), reveille.uuid7_seed(), n), now(), 5, '{queue}', 'unserved', '1'
           from generate_series(1, {jobs}) n returning id
         ) insert into reveille.outcome (id, ended_at, attempt, state)
           select id, now() - interval '{ago} seconds', 1, '{state}' from made"
    );
    client.batch_execute(&sql).await.unwrap();
}

async fn left(client: &Client, queue: &str, state: &str) -> i64 {
    let sql = format!(
        "select count(*) from reveille.outcome o join reveille.job j using (id)
         where j.queue = '{queue}' and o.state = '{state}'"
    );
    value(client, &sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_keeps_its_jobs_for_a_shorter_time_than_the_others() {
    let database = harness::database().await;
    let client = database.client().await;
    for (queue, jobs) in [("brief", 50), ("failures", 50), ("other", 50), ("later", 50)] {
        ended(&client, queue, jobs, 100, "completed").await;
        ended(&client, queue, jobs, 100, "failed").await;
        ended(&client, queue, jobs, 10, "cancelled").await;
    }
    let service = Service::on(database.url()).env("REVEILLE_KEEP_COMPLETED_SECONDS", "1000");
    let service = service.env("REVEILLE_KEEP_FAILED_SECONDS", "1000").start().await;
    let http = service.http();
    put(&http, "brief", &json!({"keep_completed_seconds": 50, "keep_failed_seconds": 5})).await;
    put(&http, "failures", &json!({"keep_failed_seconds": 50})).await;
    eventually("what is past the time of its queue is gone", 2 * SOON, async || {
        left(&client, "brief", "completed").await == 0
            && left(&client, "brief", "failed").await == 0
            && left(&client, "brief", "cancelled").await == 0
            && left(&client, "failures", "failed").await == 0
    })
    .await;
    assert_eq!(left(&client, "failures", "completed").await, 50);
    assert_eq!(left(&client, "failures", "cancelled").await, 50, "they are younger");
    // A queue whose setting comes later gets the jobs that the walk has passed by.
    put(&http, "later", &json!({"keep_failed_seconds": 50})).await;
    ended(&client, "later", 10, 60, "completed").await;
    eventually("so it is later", 2 * SOON, async || left(&client, "later", "failed").await == 0)
        .await;
    assert_eq!(left(&client, "later", "completed").await, 60);
    for state in ["completed", "failed", "cancelled"] {
        assert_eq!(left(&client, "other", state).await, 50, "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_without_jobs_and_settings_are_forgotten_after_a_day_and_no_others() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = slow_poll(&database).env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    put(&http, "set", &json!({"priority": 1})).await;
    put(&http, "emptied", &json!({"priority": 1})).await;
    put(&http, "emptied", &json!({})).await;
    http.post("/queues/paused/pause", &json!({})).await;
    http.post("/queues/resumed/pause", &json!({})).await;
    http.post("/queues/resumed/resume", &json!({})).await;
    http.post_job(&json!({"payload": 1, "queue": "waiting"})).await;
    let rows = "insert into reveille.queue (name) values ('waiting'), ('young'), ('old'), ('held');
        update reveille.queue set touched_at = now() - interval '25 hours' where name <> 'young'";
    client.batch_execute(rows).await.unwrap();
    let held = "with j as (
          insert into reveille.job (id, run_at, priority, queue, task, payload)
          values (gen_random_uuid(), now(), 5, 'held', 'unserved', '1') returning id
        ) insert into reveille.lease (lease, worker, ids, attempts, crashes)
          select gen_random_uuid(), gen_random_uuid(), array[id], array[1], array[0::smallint] from j";
    let uuid7 = "reveille.uuid7(reveille.uuid7_ticks(now()), reveille.uuid7_seed(), 0), now()";
    let held = held.replacen("gen_random_uuid(), now()", uuid7, 1);
    client.batch_execute(&held).await.unwrap();
    let target = Target::parse(database.url()).unwrap();
    let store = Store::open(&Config::default(), &target).await.unwrap();
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(store.queue_forget(day).await.unwrap(), 3);
    let names = "select string_agg(name, ' ' order by name) from reveille.queue";
    assert_eq!(value::<String>(&client, names).await, "held paused set waiting young");
    let listed = http.get("/queues").await.body;
    let names = listed["data"].as_array().unwrap().iter().map(|queue| queue["name"].clone());
    assert!(!names.collect::<Vec<Value>>().contains(&json!("old")));

    // Jobs keep a queue known, which is noted once an hour.
    let touch = "update reveille.queue set touched_at = now() - interval '2 hours'";
    client.batch_execute(touch).await.unwrap();
    store.queue_register(&["young", "new"]).await.unwrap();
    let touched = "select string_agg(name, ' ' order by name) from reveille.queue where touched_at > now() - interval '1 hour'";
    assert_eq!(value::<String>(&client, touched).await, "new young");
    // A session that has locked its row holds up nobody.
    client.batch_execute(touch).await.unwrap();
    let locker = database.client().await;
    locker.batch_execute("begin; select from reveille.queue for update").await.unwrap();
    let registered = store.queue_register(&["young", "newer"]);
    harness::within("it does not wait", SOON, registered).await.unwrap();
}
