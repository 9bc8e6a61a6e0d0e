//! Pauses with a reason and an end.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{SOON, slow_poll};
use crate::harness::look::value;
use crate::harness::{self, Service, TestDatabase, eventually, within};

async fn queue(service: &Service, name: &str) -> Value {
    service.http().get(&format!("/queues/{name}")).await.body
}

async fn pause(service: &Service, body: Value) -> Value {
    let answer = service.http().post("/queues/mail/pause", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

fn seconds_to(time: &Value) -> f64 {
    let time = time.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    (time - Utc::now()).as_seconds_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_says_who_why_and_until_when() {
    let database = harness::database().await;
    let service = slow_poll(&database).start().await;
    let http = service.http();
    let bare = http.request("POST", "/queues/mail/pause").send().await.unwrap();
    assert_eq!(bare.status().as_u16(), 200, "a body may be left out");
    let first = queue(&service, "mail").await;
    assert_eq!((&first["paused"], &first["paused_until"]), (&json!(true), &Value::Null));
    let by = first["paused_by"].as_str().unwrap();
    assert!(by.starts_with("anonymous 127.0.0.1"), "{by}");

    let said = pause(&service, json!({"reason": "the server moves", "seconds": 3600})).await;
    assert_eq!(said["paused_at"], first["paused_at"], "it was paused before");
    assert_eq!(said["pause_reason"], "the server moves");
    let left = seconds_to(&said["paused_until"]);
    assert!((3590.0..=3601.0).contains(&left), "{left}");
    // Without a body nothing changes, and with another one all of it does.
    assert_eq!(pause(&service, json!({})).await, said);
    let job = json!({"payload": 1, "queue": "mail"});
    let job = http.post_job(&job).await.body;
    let warning = job["warnings"][0].as_str().unwrap();
    assert!(warning.contains("(the server moves)") && warning.contains("until 20"), "{warning}");
    let until = (Utc::now() + Duration::from_secs(60)).to_rfc3339();
    let again = pause(&service, json!({"until": until})).await;
    assert_eq!(again["pause_reason"], Value::Null);
    assert!((50.0..61.0).contains(&seconds_to(&again["paused_until"])));
    let listed = http.get("/queues").await.body["data"][0].clone();
    assert_eq!(listed["paused_until"], again["paused_until"]);

    let resumed = http.post("/queues/mail/resume", &json!({})).await.body;
    for name in ["paused_at", "paused_until", "paused_by", "pause_reason"] {
        assert_eq!(resumed[name], Value::Null, "{name}");
    }
    let client = database.client().await;
    let audit =
        "select string_agg(concat_ws(' ', action, reason), ', ' order by id) from reveille.audit";
    let noted = "pause_queue, pause_queue the server moves, pause_queue, resume_queue";
    assert_eq!(value::<String>(&client, audit).await, noted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_pause_is_refused_with_its_places() {
    let database = harness::database().await;
    let service = slow_poll(&database).env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    let before = (Utc::now() - Duration::from_secs(5)).to_rfc3339();
    let after = (Utc::now() + Duration::from_secs(60)).to_rfc3339();
    for (body, pointer, code) in [
        (json!({"seconds": 0}), "/seconds", "out_of_range"),
        (json!({"seconds": 5, "until": after}), "/seconds", "conflicting_fields"),
        (json!({"until": before}), "/until", "out_of_range"),
        (json!({"until": "tomorrow"}), "/until", "invalid_timestamp"),
        (json!({"reason": ""}), "/reason", "invalid_length"),
        (json!({"reason": "x".repeat(501)}), "/reason", "invalid_length"),
        (json!({"why": "x"}), "/why", "unknown_field"),
        (json!([]), "", "wrong_type"),
    ] {
        let refused = http.post("/queues/mail/pause", &body).await;
        let error = &refused.body["errors"][0];
        let told = (refused.status, &error["pointer"], &error["code"]);
        assert_eq!(told, (422, &json!(pointer), &json!(code)), "{body}");
    }
    let text = http.request("POST", "/queues/mail/pause").header("Content-Type", "text/plain");
    assert_eq!(text.body("now").send().await.unwrap().status().as_u16(), 415);
    assert_eq!(http.get("/queues/mail").await.status, 404, "none of it paused it");
}

/// Submits a job to the paused queue and waits for its end; answers when that was.
async fn runs(service: &Service) -> Instant {
    let job = json!({"payload": 1, "queue": "mail"});
    let job = service.http().post_job(&job).await.body;
    let path = format!("/jobs/{}?wait=30", job["job_id"].as_str().unwrap());
    let ended = service.http().get(&path).await.body;
    assert_eq!(ended["status"], "completed", "{ended}");
    Instant::now()
}

/// Nothing is polled while it lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_by_itself_to_the_moment_and_not_before() {
    let database = harness::database().await;
    let works = slow_poll(&database).start().await;
    works.logged("listening for notifications", SOON).await;
    let steers = slow_poll(&database).env("REVEILLE_WORKERS", "0").start().await;
    steers.logged("listening for notifications", SOON).await;
    for asked in [&works, &steers] {
        let begun = Instant::now();
        pause(asked, json!({"seconds": 1.5})).await;
        let took = runs(&works).await - begun;
        assert!((1.5..7.5).contains(&took.as_secs_f64()), "{took:?}");
        assert_eq!(queue(&steers, "mail").await["paused"], false);
    }
    // A later end replaces an earlier one.
    pause(&steers, json!({"seconds": 1})).await;
    let begun = Instant::now();
    pause(&works, json!({"seconds": 2.5})).await;
    let took = runs(&works).await - begun;
    assert!((2.5..12.5).contains(&took.as_secs_f64()), "{took:?}");
}

fn brisk(database: &TestDatabase, name: &str) -> harness::service::ServiceBuilder {
    slow_poll(database).brisk("1").env("REVEILLE_INSTANCE_NAME", name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_although_the_leader_was_killed() {
    let database = harness::database().await;
    let client = database.client().await;
    let leader = "select count(*) from reveille.leader where until > now()";
    let mut leads = brisk(&database, "first").start().await;
    eventually("it leads", SOON, async || value::<i64>(&client, leader).await == 1).await;
    let other = brisk(&database, "second").start().await;
    other.logged("listening for notifications", SOON).await;
    pause(&leads, json!({"seconds": 2})).await;
    leads.kill9().await;
    let begun = Instant::now();
    runs(&other).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    other.logged("the pause of a queue is over", SOON).await;
}

/// An instance of the release before ends a pause without its end, and begins another, which is
/// still to come then.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_of_a_pause_before_does_not_count_for_the_next_one() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = slow_poll(&database).start().await;
    let body = json!({"seconds": 2, "reason": "the server moves"});
    pause(&service, body.clone()).await;
    let before = "update reveille.queue set paused_at = null where name = 'mail';
        insert into reveille.queue as q (name, paused_at) values ('mail', now())
          on conflict (name) do update set paused_at = excluded.paused_at where q.paused_at is null";
    client.batch_execute(before).await.unwrap();
    let bare = queue(&service, "mail").await;
    for name in ["paused_until", "paused_by", "pause_reason"] {
        assert_eq!(bare[name], Value::Null, "{name}");
    }
    let job = service.http().post_job(&json!({"payload": 1, "queue": "mail"})).await.body;
    assert!(!job["warnings"][0].as_str().unwrap().contains("the server moves"), "{job}");
    // It ends after the end that does not count.
    service.http().post("/queues/due/pause", &body).await;
    eventually("the other pause ends", SOON, async || {
        queue(&service, "due").await["paused"] == false
    })
    .await;
    assert_eq!(queue(&service, "mail").await["paused"], true);
    // Its own end counts again.
    pause(&service, json!({"seconds": 0.5})).await;
    eventually("it ends", SOON, async || queue(&service, "mail").await["paused"] == false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_pauses_with_a_reason_and_an_end() {
    let database = harness::database().await;
    let service = slow_poll(&database).env("REVEILLE_WORKERS", "0").start().await;
    let reveille = async |line: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
        command.args(line).args(["--url", service.url()]).kill_on_drop(true);
        let output = within("the command", SOON, command.output()).await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let line = ["queues", "pause", "mail", "post", "--reason", "we move", "--for", "1h"];
    assert_eq!(reveille(&line).await.0, Some(0));
    for name in ["mail", "post"] {
        let paused = queue(&service, name).await;
        assert_eq!(paused["pause_reason"], "we move");
        assert!(seconds_to(&paused["paused_until"]) > 3500.0);
    }
    let line = ["queues", "pause", "mail", "--until", "in 2h"];
    assert_eq!(reveille(&line).await.0, Some(0));
    assert!(seconds_to(&queue(&service, "mail").await["paused_until"]) > 7100.0);
    let (_, table) = reveille(&["queues"]).await;
    assert!(table.contains("PAUSED UNTIL") && table.contains("we move"), "{table}");
    let both = ["queues", "pause", "mail", "--until", "in 2h", "--for", "1h"];
    assert_eq!(reveille(&both).await.0, Some(2));
}
