//! Whatever becomes of standard error, the work goes on: lines are dropped and counted, and nothing waits for them.

use std::fs::OpenOptions;
use std::time::Duration;

use serde_json::json;
use tokio_postgres::Client;

use crate::harness::look::{all_end, metric, value};
use crate::harness::service::ServiceBuilder;
use crate::harness::{self, Service, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(10);

fn on(database: &TestDatabase) -> ServiceBuilder {
    Service::on(database.url())
        .env("REVEILLE_SHUTDOWN_GRACE_SECONDS", "5")
        .env("REVEILLE_HEARTBEAT_SECONDS", "0.5")
        .env("REVEILLE_LOST_AFTER_SECONDS", "5")
}

async fn submitted(client: &Client, count: i64) {
    let query = format!(
        "select count(*) from generate_series(1, {count}) nth
         cross join lateral reveille.submit(task => 'noop', payload => to_jsonb(nth))"
    );
    assert_eq!(value::<i64>(client, &query).await, count);
}

/// Every connection of the service is lost, so that each of its loops has something to say; then jobs run, and it leaves.
async fn works_on_and_leaves(service: &mut Service, client: &Client) {
    let ended: i64 = value(client, "select count(*) from reveille.outcome").await;
    let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                where datname = current_database() and application_name = 'reveille'";
    assert!(value::<i64>(client, kill).await > 2);
    submitted(client, 20).await;
    all_end(client, ended + 20, SOON).await;
    eventually("the heartbeat goes on", SOON, async || {
        value(client, "select now() - heartbeat_at < interval '2 s' from reveille.worker").await
    })
    .await;
    assert_eq!(service.http().get("/livez").await.status, 200);
    let job = service.http().post("/jobs?wait=10", &json!({"payload": 1})).await;
    assert_eq!(job.body["status"], "completed");
    assert_eq!(service.terminate(SOON).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_standard_error_that_is_gone_stops_nothing() {
    let database = harness::database().await;
    let client = database.client().await;
    let mut service = on(&database).unread().start().await;
    service.stop_reading();
    works_on_and_leaves(&mut service, &client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_below_standard_error_stops_nothing() {
    let database = harness::database().await;
    let client = database.client().await;
    let full = OpenOptions::new().write(true).open("/dev/full").expect("it is there on Linux");
    let mut service = on(&database).stderr(full).start().await;
    eventually("lines are dropped", SOON, async || {
        metric(&service, "reveille_log_lines_dropped_total").await >= 1.0
    })
    .await;
    works_on_and_leaves(&mut service, &client).await;
}

/// More lines than its pipe and its queue hold, and nobody reads them.
async fn stalled(database: &TestDatabase, client: &Client) -> Service {
    let service = on(database).env("REVEILLE_LOG", "debug").unread().start().await;
    for jobs in (1..=12).map(|round| round * 1_000) {
        submitted(client, 1_000).await;
        all_end(client, jobs, Duration::from_secs(30)).await;
        if metric(&service, "reveille_log_lines_dropped_total").await >= 1.0 {
            return service;
        }
    }
    panic!("no line was dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_standard_error_that_stalls_stops_nothing() {
    let database = harness::database().await;
    let client = database.client().await;
    let mut service = stalled(&database, &client).await;
    works_on_and_leaves(&mut service, &client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_many_lines_were_dropped_is_said_once_they_can_be_written_again() {
    let database = harness::database().await;
    let client = database.client().await;
    let mut service = stalled(&database, &client).await;
    service.read();
    service.logged("log lines were dropped", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_line_that_cannot_be_written_is_logged_and_the_service_is_ready() {
    let database = harness::database().await;
    let client = database.client().await;
    let full = OpenOptions::new().write(true).open("/dev/full").expect("it is there on Linux");
    let mut service = on(&database).stdout(full).spawn().await;
    service.logged("could not be written to standard output", SOON).await;
    submitted(&client, 1).await;
    all_end(&client, 1, SOON).await;
    assert_eq!(service.terminate(SOON).await.code(), Some(0));
}
