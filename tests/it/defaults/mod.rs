//! The settings of queues: who changes them, where they come from, and what they do to jobs.

mod file;
mod jobs;
mod kept;
mod limits;
mod pauses;
mod steering;

use std::time::Duration;

use serde_json::Value;

use crate::harness::http::Http;
use crate::harness::service::ServiceBuilder;
use crate::harness::{Service, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(10);
/// How long another instance may take to obey a change.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A service whose poll finds nothing while a test lasts.
fn slow_poll(database: &TestDatabase) -> ServiceBuilder {
    Service::on(database.url()).env("REVEILLE_POLL_INTERVAL_SECONDS", "60")
}

/// Two instances that hear of each other.
async fn two(database: &TestDatabase) -> [Service; 2] {
    let both = [slow_poll(database).start().await, slow_poll(database).start().await];
    for service in &both {
        service.logged("listening for notifications", SOON).await;
    }
    both
}

/// An answer with its entity tag.
struct Tagged {
    status: u16,
    tag: String,
    body: Value,
}

/// Calls `/queues/{queue}`.
async fn call(
    http: &Http,
    method: &str,
    queue: &str,
    body: Option<&Value>,
    if_match: Option<&str>,
) -> Tagged {
    let mut request = http.request(method, &format!("/queues/{queue}"));
    if let Some(body) = body {
        request = request.json(body);
    }
    if let Some(tag) = if_match {
        request = request.header("If-Match", tag);
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let tag = answer.headers().get("ETag").map(|tag| tag.to_str().unwrap().to_owned());
    let text = answer.text().await.expect("a body");
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Tagged { status, tag: tag.unwrap_or_default(), body }
}

/// Sets the settings of a queue.
async fn put(http: &Http, queue: &str, settings: &Value) -> Tagged {
    let answer = call(http, "PUT", queue, Some(settings), None).await;
    assert!([200, 201].contains(&answer.status), "{}", answer.body);
    answer
}

/// Waits until this instance gives jobs of the queue this priority.
async fn gives_priority(http: &Http, queue: &str, priority: i64, within: Duration) {
    let what = format!("jobs of {queue} have the priority {priority}");
    eventually(&what, within, async || {
        let job = serde_json::json!({"payload": 1, "task": "unserved", "queue": queue});
        let job = http.post_job(&job).await;
        let id = job.body["job_id"].as_str().unwrap().to_owned();
        http.get_job(&id).await.body["priority"] == priority
    })
    .await;
}
