//! The service from outside: the way of a job, end to end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::http::{Http, answer};
use crate::harness::look::submit;
use crate::harness::{self, Service, eventually};

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
    let id = submit(&client, "task => 'echo', payload => '{\"a\": 1}'").await;
    let job = ended(&service, &Value::String(id)).await;
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
    let fast = || Service::on(database.url()).brisk("1");
    let mut first = fast().start().await;
    let job =
        first.http().post("/jobs", &json!({"task": "sleep", "payload": {"seconds": 2}})).await.body;
    let client = database.client().await;
    eventually("the job runs", SOON, async || {
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

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_cancelled_while_they_wait_and_while_they_run_and_run_once_more() {
    let database = harness::database().await;
    let service = Service::on(database.url()).start().await;
    let http = service.http();
    let submit = async |job: Value| {
        let submitted = http.post("/jobs", &job).await.body;
        submitted["job_id"].as_str().unwrap().to_owned()
    };
    let waiting = submit(json!({"payload": 1, "delay_seconds": 600, "unique_key": "k"})).await;
    let cancelled = http.post(&format!("/jobs/{waiting}/cancel"), &json!({})).await;
    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &json!("cancelled")));
    let again = http.post(&format!("/jobs/{waiting}/cancel"), &json!({})).await;
    assert_eq!((again.status, &again.body["code"]), (409, &json!("job_already_final")));

    let running = submit(json!({"task": "sleep", "payload": {"seconds": 60}})).await;
    let client = database.client().await;
    eventually("the job runs", SOON, async || {
        client.query_one("select count(*) from reveille.lease", &[]).await.unwrap().get::<_, i64>(0)
            == 1
    })
    .await;
    assert_eq!(http.post(&format!("/jobs/{running}/cancel"), &json!({})).await.status, 202);
    assert_eq!(ended(&service, &json!(running)).await["status"], "cancelled");

    let retried = http.post(&format!("/jobs/{waiting}/retry"), &json!({})).await;
    assert_eq!(retried.status, 200);
    let job = ended(&service, &json!(waiting)).await;
    assert_eq!((&job["status"], &job["result"]), (&json!("completed"), &json!(1)));
    assert_eq!(client.query_one(MISPLACED, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_read_page_by_page_and_filtered_by_status() {
    let database = harness::database().await;
    let service = Service::on(database.url()).start().await;
    let http = service.http();
    let jobs: Vec<Value> = (0..5)
        .map(|nth| json!({"payload": {"nth": nth}, "delay_seconds": 600, "tags": ["t"]}))
        .collect();
    let submitted = http.post("/jobs/batch", &json!(jobs)).await;
    assert_eq!(submitted.status, 201);
    let done = http.post("/jobs?wait=10", &json!({"payload": 1})).await.body;

    let ids = |page: &Value| -> Vec<Value> {
        page["data"].as_array().unwrap().iter().map(|job| job["job_id"].clone()).collect()
    };
    let mut expected: Vec<Value> = submitted.body["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| job["job_id"].clone())
        .collect();
    expected.reverse();
    let first = http.get("/jobs?status=scheduled&tag=t&limit=3").await.body;
    let second = http
        .get(&format!(
            "/jobs?status=scheduled&tag=t&limit=3&cursor={}",
            first["next_cursor"].as_str().unwrap()
        ))
        .await
        .body;
    assert_eq!([ids(&first), ids(&second)].concat(), expected);
    assert_eq!(second.get("next_cursor"), None);
    assert_eq!(ids(&http.get("/jobs?status=completed").await.body), [done["job_id"].clone()]);
    assert_eq!(ids(&http.get("/jobs").await.body).len(), 6);
    let found = http.get("/jobs?payload_contains=%7B%22nth%22%3A2%7D&include=payload").await.body;
    assert_eq!(found["data"][0]["payload"], json!({"nth": 2}));
    assert_eq!(http.get("/jobs?cursor=x").await.body["code"], "invalid_cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_serves_waits_and_says_why_and_a_large_payload_is_refused() {
    let database = harness::database().await;
    let service = Service::on(database.url()).start().await;
    let http = service.http();
    let submitted = http.post("/jobs", &json!({"task": "helo_world", "payload": 1})).await.body;
    let job = http.get(&format!("/jobs/{}", submitted["job_id"].as_str().unwrap())).await.body;
    assert_eq!(job["status"], "queued");
    let warning = job["warnings"][0].as_str().unwrap();
    assert!(warning.contains("hello_world"), "{warning}");

    let large = http.post("/jobs/batch", &json!([{"payload": "x".repeat(1024 * 1024)}])).await;
    assert_eq!((large.status, &large.body["errors"][0]["code"]), (422, &json!("too_large")));
}

#[test]
fn the_committed_specification_is_the_one_that_the_binary_emits() {
    let committed = |name: &str| {
        std::fs::read_to_string(format!("{}/openapi/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let spec = reveille::internals::api::spec();
    for (name, emitted) in [("openapi.json", spec.json()), ("openapi.yaml", spec.yaml())] {
        assert!(committed(name) == emitted, "openapi/{name} is old: run `make openapi`");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_of_long_polls_it_still_answers_probes() {
    let database = harness::database().await;
    let service = Service::on(database.url()).arg("--max-connections").arg("8").start().await;
    let http = service.http();
    let later = json!({"payload": 1, "delay_seconds": 600});
    let id = http.post_job(&later).await.body["job_id"].as_str().unwrap().to_owned();
    let path = format!("/jobs/{id}?wait=60");
    let polls: Vec<_> = (0..16)
        .map(|_| {
            let request = Http::new(service.url()).request("GET", &path);
            tokio::spawn(async move { answer(request).await.status })
        })
        .collect();
    service.logged("all connections are in use", SOON).await;
    eventually("they are answered or wait", SOON, async || {
        polls.iter().filter(|poll| poll.is_finished()).count() >= 8
    })
    .await;
    for _ in 0..40 {
        for path in ["/livez", "/readyz", "/health"] {
            assert_eq!(Http::new(service.url()).get(path).await.status, 200, "{path}");
        }
    }
    let refused = Http::new(service.url()).post_job(&json!({"payload": 1})).await;
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("too_many_connections")));
    let waiting = polls.iter().filter(|poll| !poll.is_finished()).count();
    // The connection of the first call may have held a place.
    assert!((7..=8).contains(&waiting), "{waiting} long polls wait");
}
