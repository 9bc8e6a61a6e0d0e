//! What was written is not denied because it cannot be looked at afterwards, and nobody waits long for what is only said beside
//! it.

use std::time::Duration;

use serde_json::json;
use tokio_postgres::Client;

use crate::harness::look::value;
use crate::harness::{self, Service, eventually, within};

const SOON: Duration = Duration::from_secs(10);

/// Everybody who reads this table waits until this transaction ends.
async fn lock(client: &Client, table: &str) {
    let statement = format!("begin; lock table reveille.{table}");
    client.batch_execute(&statement).await.unwrap();
}

async fn submitted(service: &Service) -> String {
    let job = service.http().post("/jobs", &json!({"payload": 1})).await.body;
    job["job_id"].as_str().unwrap().to_owned()
}

async fn is_unseen(service: &Service, path: &str) {
    let answer = service.http().post(path, &json!({})).await;
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("outcome_unknown")), "{path}");
    assert!(answer.body["detail"].as_str().unwrap().contains("carried out"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_made_is_not_called_undone() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let (http, client, other) = (service.http(), database.client().await, database.client().await);
    let (cancelled, retried) = (submitted(&service).await, submitted(&service).await);
    http.post(&format!("/jobs/{retried}/cancel"), &json!({})).await;
    let waiter = {
        let (http, path) = (http.clone(), format!("/jobs/{cancelled}?wait=60"));
        tokio::spawn(async move { http.get(&path).await })
    };
    // Whoever waits has looked once.
    let looked = format!(
        "select exists (select from pg_stat_activity where datname = current_database() and state = 'idle' and query = '{}')",
        include_str!("../../sql/job/get.sql").replace('\'', "''")
    );
    eventually("the waiter has looked", SOON, async || value(&other, &looked).await).await;

    lock(&client, "progress").await;
    let job = http.post("/jobs?wait=5", &json!({"payload": 1})).await;
    assert_eq!((job.status, &job.body["status"]), (202, &json!("queued")), "{}", job.body);
    is_unseen(&service, &format!("/jobs/{cancelled}/cancel")).await;
    within("who waits for it is told", SOON, waiter).await.unwrap();
    is_unseen(&service, &format!("/jobs/{retried}/retry")).await;
    client.batch_execute("rollback").await.unwrap();

    let status = async |id: &str| http.get_job(id).await.body["status"].clone();
    assert_eq!(status(&cancelled).await, "cancelled");
    assert_eq!(status(&retried).await, "queued");
    assert_eq!(status(job.body["job_id"].as_str().unwrap()).await, "queued");
    let jobs: i64 = value(&other, "select count(*) from reveille.job").await;
    assert_eq!(jobs, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_was_paused_or_resumed_is_not_called_unchanged() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let client = database.client().await;
    for (verb, paused) in [("pause", true), ("resume", false)] {
        lock(&client, "lease").await;
        is_unseen(&service, &format!("/queues/q/{verb}")).await;
        client.batch_execute("rollback").await.unwrap();
        let queue = service.http().get("/queues/q").await;
        assert_eq!(queue.body["paused"], json!(paused), "{verb}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn submissions_do_not_queue_for_hints_that_cannot_be_read() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let client = database.client().await;
    lock(&client, "worker").await;
    let submissions = (0..60).map(|_| {
        let http = service.http();
        tokio::spawn(async move { http.post("/jobs", &json!({"payload": 1})).await })
    });
    let submissions = futures_util::future::join_all(submissions.collect::<Vec<_>>());
    for answer in within("all are answered", Duration::from_secs(5), submissions).await {
        let answer = answer.unwrap();
        assert_eq!((answer.status, &answer.body["warnings"]), (201, &json!([])));
    }
}
