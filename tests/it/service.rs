//! The service from outside: the way of a job, end to end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{self, Service};

const SOON: Duration = Duration::from_secs(10);

/// Jobs that are not in exactly one of the three places.
const MISPLACED: &str = "with place as (select id from reveille.ready union all select unnest(ids) from reveille.lease
    union all select id from reveille.outcome)
  select count(*) from (select j.id from reveille.job j left join place p on p.id = j.id group by j.id having count(p.id) <> 1) m";

async fn ended(service: &Service, id: &Value) -> Value {
    let path = format!("/jobs/{}?wait=10", id.as_str().unwrap());
    service.http().get(&path).await.body
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_calls_of_the_origin() {
    let database = harness::database().await;
    let service = Service::on(database.url()).start().await;
    let submitted = service
        .http()
        .post("/jobs", &json!({"payload": {"task": "hello_world", "data": "test message"}}))
        .await;
    assert_eq!(submitted.status, 201);
    assert_eq!(submitted.body["status"], "queued");
    let job = ended(&service, &submitted.body["job_id"]).await;
    assert_eq!(job["status"], "completed");
    assert_eq!(job["attempt_count"], 1);
    assert_eq!(job["payload"], json!({"task": "hello_world", "data": "test message"}));
    let health = service.http().get("/health").await;
    assert_eq!((health.status, health.body), (200, json!({"status": "healthy"})));
    let client = database.client().await;
    assert_eq!(client.query_one(MISPLACED, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_sql_wakes_a_worker() {
    let database = harness::database().await;
    let service =
        Service::on(database.url()).env("REVEILLE_POLL_INTERVAL_SECONDS", "60").start().await;
    let client = database.client().await;
    let row = client
        .query_one(
            "select job_id::text from reveille.submit(task => 'echo', payload => '{\"a\": 1}')",
            &[],
        )
        .await
        .unwrap();
    let job = ended(&service, &Value::String(row.get(0))).await;
    assert_eq!((&job["status"], &job["result"]), (&json!("completed"), &json!({"a": 1})));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_tried_again_and_a_batch_is_all_or_nothing() {
    let database = harness::database().await;
    let service = Service::on(database.url()).start().await;
    let flaky =
        service.http().post("/jobs", &json!({"task": "flaky", "payload": {"failures": 1}})).await;
    let job = ended(&service, &flaky.body["job_id"]).await;
    assert_eq!(
        (&job["status"], &job["attempt_count"], &job["result"]),
        (&json!("completed"), &json!(2), &json!(2))
    );

    let bad = service
        .http()
        .post("/jobs/batch", &json!([{"payload": 1}, {"payload": 2, "priority": 10}]))
        .await;
    assert_eq!(bad.status, 422);
    assert_eq!(bad.body["errors"][0]["pointer"], "/1/priority");
    let client = database.client().await;
    assert_eq!(
        client.query_one("select count(*) from reveille.job", &[]).await.unwrap().get::<_, i64>(0),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_killed_process_run_again() {
    let database = harness::database().await;
    let fast = || {
        Service::on(database.url())
            .env("REVEILLE_HEARTBEAT_SECONDS", "0.2")
            .env("REVEILLE_LOST_AFTER_SECONDS", "1")
    };
    let mut first = fast().start().await;
    let job =
        first.http().post("/jobs", &json!({"task": "sleep", "payload": {"seconds": 2}})).await.body;
    let client = database.client().await;
    harness::eventually("the job runs", SOON, async || {
        client.query_one("select count(*) from reveille.lease", &[]).await.unwrap().get::<_, i64>(0)
            == 1
    })
    .await;
    first.kill9().await;
    let second = fast().start().await;
    let job = ended(&second, &job["job_id"]).await;
    assert_eq!(
        (&job["status"], &job["attempt_count"], &job["crash_count"]),
        (&json!("completed"), &json!(1), &json!(0))
    );
    assert_eq!(client.query_one(MISPLACED, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[test]
fn the_committed_specification_is_the_one_that_the_binary_emits() {
    let committed = |name: &str| {
        std::fs::read_to_string(format!("{}/openapi/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    for (name, emitted) in
        [("openapi.json", reveille::api::spec_json()), ("openapi.yaml", reveille::api::spec_yaml())]
    {
        assert!(committed(name) == emitted, "openapi/{name} is old: run `make openapi`");
    }
}
