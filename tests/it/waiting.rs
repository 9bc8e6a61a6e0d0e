//! The waits of a job: `waiting_for` says all of them, and `warnings` those that need somebody.

use std::cell::Cell;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::look::value;
use crate::harness::{self, Service, eventually, within};

const SOON: Duration = Duration::from_secs(10);

async fn submitted(service: &Service, job: Value) -> String {
    let answer = service.http().post_job(&job).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body["job_id"].as_str().unwrap().to_owned()
}

/// The job, once it waits for exactly this.
async fn waits_for(service: &Service, id: &str, codes: &[&str]) -> Value {
    let job = Cell::new(Value::Null);
    eventually(&format!("it waits for {codes:?}"), SOON, async || {
        let now = service.http().get_job(id).await.body;
        let waits = now["waiting_for"].as_array().unwrap().iter();
        let found: Vec<_> = waits.map(|wait| wait["code"].as_str().unwrap()).collect();
        let found = found == codes;
        job.set(now);
        found
    })
    .await;
    job.take()
}

fn message(job: &Value, nth: usize) -> &str {
    job["waiting_for"][nth]["message"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_says_its_time_its_pause_and_its_next_attempt() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    assert_eq!(service.http().post("/queues/mail/pause", &json!({})).await.status, 200);
    let later = json!({"payload": 1, "queue": "mail", "delay_seconds": 600});
    let job = submitted(&service, later).await;
    let job = waits_for(&service, &job, &["scheduled", "queue_paused"]).await;
    assert_eq!(job["waiting_for"][0]["until"], job["run_at"]);
    assert!(message(&job, 0).contains("does not start before"), "{job}");
    assert!(job["waiting_for"][1].get("until").is_none(), "{job}");
    // Only what somebody has to see to is a warning, in the same words.
    assert_eq!(job["warnings"], json!([message(&job, 1)]));

    let retry = json!({"strategy": "fixed", "base_seconds": 600, "jitter": 0});
    let fails = json!({"task": "flaky", "payload": {"failures": 9}, "retry": retry});
    let job = submitted(&service, fails).await;
    let job = waits_for(&service, &job, &["retry"]).await;
    assert_eq!(job["waiting_for"][0]["until"], job["run_at"]);
    assert!(message(&job, 0).contains("next attempt, 2 of 10"), "{job}");
    assert_eq!(job["warnings"], json!([]));

    // Neither a list nor a job that has ended has any.
    let ended = service.http().post("/jobs?wait=10", &json!({"payload": 1})).await.body;
    waits_for(&service, ended["job_id"].as_str().unwrap(), &[]).await;
    for job in service.http().get("/jobs").await.body["data"].as_array().unwrap() {
        assert!(job.get("waiting_for").is_none(), "{job}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_says_that_nobody_serves_it_and_where_somebody_would() {
    let database = harness::database().await;
    let mut idle = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let job = submitted(&idle, json!({"task": "hello_wrld", "payload": 1})).await;
    let said = waits_for(&idle, &job, &["no_worker"]).await;
    assert!(message(&said, 0).contains("Start a service with workers"), "{said}");
    let serves = Service::on(database.url()).env("REVEILLE_QUEUES", "mail").start().await;
    let said = waits_for(&idle, &job, &["task_unserved"]).await;
    assert!(message(&said, 0).contains("Did you mean `hello_world`?"), "{said}");
    let other = submitted(&serves, json!({"task": "hello_world", "payload": 1})).await;
    let said = waits_for(&idle, &other, &["queue_unserved"]).await;
    assert!(message(&said, 0).contains("in the queue default"), "{said}");
    assert!(idle.terminate(SOON).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_says_that_it_waits_for_a_slot_or_for_another_that_runs_alone() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "1").start().await;
    let long = json!({"task": "sleep", "payload": {"seconds": 600}});
    let first = submitted(&service, long.clone()).await;
    eventually("it runs", SOON, async || {
        service.http().get_job(&first).await.body["status"] == "processing"
    })
    .await;
    let second = submitted(&service, long.clone()).await;
    let job = waits_for(&service, &second, &["slot"]).await;
    assert!(message(&job, 0).contains("in 1 slots"), "{job}");
    assert_eq!(job["warnings"], json!([]));
    // Both have lost their workers twice; of these an instance runs one at a time.
    let suspects = Service::on(database.url()).env("REVEILLE_QUEUES", "mail").start().await;
    assert_eq!(service.http().post("/queues/mail/pause", &json!({})).await.status, 200);
    let mut alone = Vec::new();
    for _ in 0..2 {
        let mut long = long.clone();
        long["queue"] = json!("mail");
        alone.push(submitted(&service, long).await);
    }
    let crashed =
        "with them as (update reveille.ready set crashes = 2 where queue = 'mail' returning 1)
      select count(*) from them";
    assert_eq!(value::<i64>(&client, crashed).await, 2);
    // The service of all queues has no slot free.
    assert_eq!(suspects.http().post("/queues/mail/resume", &json!({})).await.status, 200);
    eventually("the first of them runs", SOON, async || {
        service.http().get_job(&alone[0]).await.body["status"] == "processing"
    })
    .await;
    let job = waits_for(&service, &alone[1], &["suspect"]).await;
    assert_eq!(job["waiting_for"][0]["job_id"], json!(alone[0]));
    assert_eq!(job["warnings"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_each_in_a_line() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    assert_eq!(service.http().post("/queues/mail/pause", &json!({})).await.status, 200);
    let later = json!({"payload": 1, "queue": "mail", "delay_seconds": 600});
    let id = submitted(&service, later).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
    command.args(["get", &id, "--url", service.url()]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = within("the job", SOON, output).await.unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = shown.lines().filter(|line| line.starts_with("waiting_for")).collect();
    assert_eq!(lines.len(), 2, "{shown}");
    assert!(lines[0].contains("  scheduled: It does not start"), "{shown}");
    assert!(lines[1].contains("  queue_paused: The queue mail is paused"), "{shown}");
}
