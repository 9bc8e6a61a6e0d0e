//! Few file descriptors: callers get only those that the database does not need.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::look::{becomes, submit};
use crate::harness::service::ServiceBuilder;
use crate::harness::{self, Service, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(20);

fn limited(database: &TestDatabase, ulimit: &str) -> ServiceBuilder {
    let script = format!("{ulimit} && exec {} serve", env!("CARGO_BIN_EXE_reveille"));
    Service::of(Path::new("sh"), database.url()).arg("-c").arg(&script)
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_leave_descriptors_for_the_database() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = limited(&database, "ulimit -n 64").start().await;
    service.logged("fewer connections are served than max_connections", SOON).await;
    let http = service.http();
    let later = json!({"payload": 1, "delay_seconds": 600});
    let id = http.post_job(&later).await.body["job_id"].as_str().unwrap().to_owned();
    let address = service.url().trim_start_matches("http://").to_owned();
    let mut polls = Vec::new();
    for _ in 0..80 {
        let mut poll = TcpStream::connect(&address).await.unwrap();
        let request = format!("GET /jobs/{id}?wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n");
        // One that found no place is refused.
        let _ = poll.write_all(request.as_bytes()).await;
        polls.push(poll);
    }
    service.logged("all connections are in use", SOON).await;
    let others = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()";
    client.query_one(others, &[]).await.unwrap();
    // The listener, the dispatcher and the completer need connections of their own again.
    let job = submit(&client, "payload => '1'").await;
    becomes(&client, &job, "completed", SOON).await;
    let alive = http.get("/livez").await;
    assert_eq!(alive.status, 200, "{alive:?}");
    assert!(!service.stderr().contains("Too many open files"), "{}", service.stderr());
    drop(polls);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_soft_limit_is_raised_to_the_hard_one() {
    let database = harness::database().await;
    let service = limited(&database, "ulimit -S -n 64 && ulimit -H -n 5000").start().await;
    service.logged("raised the limit of open files", SOON).await;
    assert!(!service.stderr().contains("fewer connections"), "{}", service.stderr());
    let limits = format!("/proc/{}/limits", service.process_id());
    eventually("the limit is raised", SOON, async || {
        let limits = std::fs::read_to_string(&limits).unwrap_or_default();
        let open = limits.lines().find(|line| line.starts_with("Max open files"));
        open.is_some_and(|line| line.split_whitespace().nth(3) == Some("5000"))
    })
    .await;
}
