//! What is kept of a job: its attempts, and that nothing is after its deletion.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::look::submit;
use crate::harness::{self, Service, TestDatabase, http};

const SOON: Duration = Duration::from_secs(10);
const UNKNOWN: &str = "0199a3c0-b5d2-7c3f-8a51-f0e2d4c6b8a0";

async fn submitted(service: &Service, job: Value) -> String {
    let answer = service.http().post("/jobs", &job).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body["job_id"].as_str().unwrap().to_owned()
}

async fn delete(service: &Service, id: &str) -> http::Answer {
    http::answer(service.http().request("DELETE", &format!("/jobs/{id}"))).await
}

async fn count(client: &tokio_postgres::Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Waits until another session waits for a lock.
async fn somebody_waits(database: &TestDatabase) {
    let client = database.client().await;
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    harness::eventually("a session waits for a lock", SOON, async || {
        count(&client, sql).await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_is_told_the_one_that_runs_too() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_INSTANCE_NAME", "first").start().await;
    let http = service.http();
    let flaky = json!({"task": "flaky", "payload": {"failures": 1}});
    let id = submitted(&service, flaky).await;
    http.get(&format!("/jobs/{id}?wait=20")).await;
    let attempts = http.get(&format!("/jobs/{id}/attempts")).await;
    assert_eq!(attempts.status, 200);
    let attempts = attempts.body["data"].as_array().unwrap();
    assert_eq!(attempts.len(), 2);
    let (first, second) = (&attempts[0], &attempts[1]);
    assert_eq!(
        (&first["attempt"], &first["outcome"], &first["worker"]["name"], &first["error"]["code"]),
        (&json!(1), &json!("failed"), &json!("first"), &json!("handler_error"))
    );
    assert_eq!(
        (&second["attempt"], &second["outcome"], second.get("error")),
        (&json!(2), &json!("completed"), None)
    );
    assert!(first["finished_at"].as_str() <= second["started_at"].as_str(), "{attempts:?}");
    assert_ne!(first["lease"], second["lease"]);
    // The second waited out its back-off.
    assert!(second["wait_seconds"].as_f64() > first["wait_seconds"].as_f64(), "{attempts:?}");

    let told = Command::new(env!("CARGO_BIN_EXE_reveille"))
        .args(["get", &id, "--attempts", "--url", service.url()])
        .output()
        .unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told.lines().count(), 3, "{told}");
    assert!(told.contains("first") && told.contains("handler_error"), "{told}");

    let running = submitted(&service, json!({"task": "sleep", "payload": {"seconds": 60}})).await;
    let path = format!("/jobs/{running}/attempts");
    harness::eventually("the job runs", SOON, async || {
        http.get(&path).await.body["data"] != json!([])
    })
    .await;
    let attempt = &http.get(&path).await.body["data"][0];
    assert_eq!((attempt.get("outcome"), attempt.get("finished_at")), (None, None), "{attempt}");
    assert!(attempt["run_seconds"].as_f64() >= Some(0.0) && attempt["started_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_never_began_has_no_attempts_and_unknown_ones_are_told() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let http = service.http();
    let id = submitted(&service, json!({"payload": 1, "delay_seconds": 600})).await;
    assert_eq!(http.get(&format!("/jobs/{id}/attempts")).await.body, json!({"data": []}));
    http.post(&format!("/jobs/{id}/cancel"), &json!({})).await;
    assert_eq!(http.get(&format!("/jobs/{id}/attempts")).await.body, json!({"data": []}));

    for (method, path) in [("GET", "/attempts"), ("DELETE", "")] {
        for (id, status, code) in [(UNKNOWN, 404, "job_not_found"), ("7", 400, "invalid_job_id")] {
            let answer = http::answer(http.request(method, &format!("/jobs/{id}{path}"))).await;
            assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_deleted_job_nothing_is_left() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let http = service.http();
    let keyed = || json!({"payload": 1, "delay_seconds": 600, "unique_key": "k"});
    let waiting = submitted(&service, keyed()).await;
    let waiter = {
        let (http, path) = (http.clone(), format!("/jobs/{waiting}?wait=60"));
        tokio::spawn(async move { http.get(&path).await })
    };
    assert_eq!(delete(&service, &waiting).await.status, 204);
    assert_eq!(http.get_job(&waiting).await.status, 404);
    let told = harness::within("who waits for it is told", SOON, waiter).await.unwrap();
    assert_eq!(told.status, 404);
    let again = submitted(&service, keyed()).await;
    assert_eq!(delete(&service, &again).await.status, 204);

    let ended = submitted(&service, json!({"task": "flaky", "payload": {"failures": 1}})).await;
    http.get(&format!("/jobs/{ended}?wait=20")).await;
    assert_eq!(delete(&service, &ended).await.status, 204);

    let running = submitted(&service, json!({"task": "sleep", "payload": {"seconds": 60}})).await;
    harness::eventually("the job runs", SOON, async || {
        http.get_job(&running).await.body["status"] == "processing"
    })
    .await;
    let refused = delete(&service, &running).await;
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("job_processing")));
    assert_eq!(refused.body["job_id"], json!(running));
    http.post(&format!("/jobs/{running}/cancel"), &json!({})).await;
    http.get(&format!("/jobs/{running}?wait=10")).await;
    assert_eq!(delete(&service, &running).await.status, 204);

    let client = database.client().await;
    for table in ["job", "ready", "lease", "outcome", "attempt", "unique_key", "progress"] {
        assert_eq!(
            count(&client, &format!("select count(*) from reveille.{table}")).await,
            0,
            "{table}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_being_claimed_is_not_deleted() {
    let database = harness::database().await;
    // It runs no jobs, so that this test is the only one who claims.
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let id = submitted(&service, json!({"payload": 1})).await;
    let mut client = database.client().await;
    let claim = client.transaction().await.unwrap();
    let moved = format!(
        "delete from reveille.ready where id = '{id}';
         insert into reveille.lease (lease, worker, ids, attempts, crashes)
         values (gen_random_uuid(), (select id from reveille.worker), array['{id}'::uuid], array[1], array[0::smallint])"
    );
    claim.batch_execute(&moved).await.unwrap();
    let (deleted, ()) = tokio::join!(delete(&service, &id), async {
        somebody_waits(&database).await;
        claim.commit().await.unwrap();
    });
    assert_eq!((deleted.status, &deleted.body["code"]), (409, &json!("job_processing")));
    assert_eq!(service.http().get_job(&id).await.body["status"], "processing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_waited_for_its_key_says_who_took_it() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    let id = submitted(&service, json!({"payload": 1, "unique_key": "k"})).await;
    http.post(&format!("/jobs/{id}/cancel"), &json!({})).await;
    let mut client = database.client().await;
    let other = client.transaction().await.unwrap();
    let holder = submit(&other, "payload => '1', unique_key => 'k'").await;
    let path = format!("/jobs/{id}/retry");
    let nothing = json!({});
    let (retried, ()) = tokio::join!(http.post(&path, &nothing), async {
        somebody_waits(&database).await;
        other.commit().await.unwrap();
    });
    assert_eq!((retried.status, &retried.body["code"]), (409, &json!("unique_key_conflict")));
    assert_eq!(retried.body["job_id"], json!(holder));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_ended_is_not_called_unfinished_while_its_week_is_removed() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    let id = submitted(&service, json!({"payload": 1})).await;
    http.post(&format!("/jobs/{id}/cancel"), &json!({})).await;
    let client = database.client().await;
    let lock =
        format!("select pg_advisory_lock(79, reveille.week_number(reveille.uuid7_time('{id}')))");
    client.batch_execute(&lock).await.unwrap();
    let retry = async || http.post(&format!("/jobs/{id}/retry"), &json!({})).await;
    let busy = retry().await;
    assert_eq!((busy.status, &busy.body["code"]), (503, &json!("database_busy")));
    client.batch_execute("select pg_advisory_unlock_all()").await.unwrap();
    assert_eq!(retry().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_progress_of_an_earlier_attempt_is_not_that_of_the_present_one() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let (http, client) = (service.http(), database.client().await);
    http.post("/queues/q/pause", &json!({})).await;
    let id = submitted(&service, json!({"payload": 1, "queue": "q"})).await;
    let said = format!(
        "insert into reveille.progress (id, fraction, updated_at) values ('{id}', 0.9, now() - interval '1 minute')"
    );
    client.batch_execute(&said).await.unwrap();
    http.post("/queues/q/resume", &json!({})).await;
    let job = http.get(&format!("/jobs/{id}?wait=10")).await.body;
    assert_eq!((&job["status"], job.get("progress")), (&json!("completed"), None));
}
