//! Time limits that a queue gives its jobs.

use serde_json::{Value, json};

use super::{SOON, put, slow_poll};
use crate::harness::look::{becomes, submit, value};
use crate::harness::{self, Service, eventually};

async fn submitted(service: &Service, job: Value) -> String {
    let answer = service.http().post_job(&job).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body["job_id"].as_str().unwrap().to_owned()
}

async fn ended(service: &Service, id: &str) -> Value {
    service.http().get(&format!("/jobs/{id}?wait=20")).await.body
}

fn lived(job: &Value) -> f64 {
    let time =
        |name: &str| job[name].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    // An id has the milliseconds of the service's idea of the database's time.
    (time("finished_at") - time("created_at")).as_seconds_f64() + 0.01
}

/// Only what was said clashes: the default of the queue is clipped by the limit of the job.
#[tokio::test(flavor = "multi_thread")]
async fn life_2c6_a_timeout_of_the_queue_is_clipped_by_the_deadline_of_the_job() {
    let database = harness::database().await;
    let service = slow_poll(&database).start().await;
    put(&service.http(), "mail", &json!({"timeout_seconds": 900})).await;
    let job = json!({"task": "sleep", "payload": {"seconds": 60}, "queue": "mail", "deadline_seconds": 1});
    let job = ended(&service, &submitted(&service, job).await).await;
    assert_eq!(job["error"]["code"], "deadline_exceeded", "{job}");
    assert!((1.0..5.0).contains(&lived(&job)), "{job}");
    let clash = json!({"deadline_seconds": 1, "timeout_seconds": 2});
    let refused = super::call(&service.http(), "PUT", "mail", Some(&clash), None).await;
    assert_eq!(
        (refused.status, &refused.body["errors"][0]["pointer"]),
        (422, &json!("/deadline_seconds"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_paused_queue_expires_by_the_limit_of_the_queue() {
    let database = harness::database().await;
    let service = slow_poll(&database).start().await;
    let (http, client) = (service.http(), database.client().await);
    http.post("/queues/mail/pause", &json!({})).await;
    // It waits already when the limit is set.
    let before = submitted(&service, json!({"payload": 1, "queue": "mail"})).await;
    put(&http, "mail", &json!({"queue_ttl_seconds": 1})).await;
    let after = submit(&client, "payload => '1', queue => 'mail'").await;
    let own = json!({"payload": 1, "queue": "mail", "queue_ttl_seconds": 600});
    let own = submitted(&service, own).await;
    let later =
        submitted(&service, json!({"payload": 1, "queue": "mail", "delay_seconds": 600})).await;
    let other =
        submitted(&service, json!({"payload": 1, "queue": "other", "task": "unserved"})).await;
    for id in [&before, &after] {
        let job = ended(&service, id).await;
        assert_eq!(
            (&job["status"], &job["error"]["code"]),
            (&json!("failed"), &json!("expired")),
            "{job}"
        );
        assert_eq!(job["attempt_count"], 0);
        assert!((1.0..10.0).contains(&lived(&job)), "{job}");
        assert!(job["error"]["message"].as_str().unwrap().contains("its queue's"), "{job}");
    }
    assert_eq!(http.get(&format!("/jobs/{before}/attempts")).await.body["data"], json!([]));
    for (id, status) in [(&own, "queued"), (&later, "scheduled"), (&other, "queued")] {
        assert_eq!(http.get_job(id).await.body["status"], status);
    }
    http.post("/queues/mail/resume", &json!({})).await;
    becomes(&client, &own, "completed", SOON).await;
    assert_eq!(http.get_job(&before).await.body["status"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_of_the_queue_ends_attempts_and_waits_and_begins_anew_with_a_retry() {
    let database = harness::database().await;
    let service = slow_poll(&database).start().await;
    let http = service.http();
    let retry = json!({"strategy": "fixed", "base_seconds": 0.1, "jitter": 0});
    put(&http, "mail", &json!({"deadline_seconds": 1, "retry": retry})).await;
    let slow = json!({"task": "sleep", "payload": {"seconds": 60}, "queue": "mail"});
    let slow = submitted(&service, slow).await;
    let job = ended(&service, &slow).await;
    assert_eq!(job["error"]["code"], "deadline_exceeded", "{job}");
    assert!((1.0..5.0).contains(&lived(&job)), "{job}");
    // It fails, waits, and fails again until no more attempt fits.
    let fails = json!({"task": "flaky", "payload": {"failures": 100}, "queue": "mail", "max_attempts": 100});
    let job = ended(&service, &submitted(&service, fails).await).await;
    assert_eq!(job["error"]["code"], "deadline_exceeded", "{job}");
    assert!(job["attempt_count"].as_i64().unwrap() > 1, "{job}");
    assert!((0.5..5.0).contains(&lived(&job)), "{job}");
    // A retry by hand has all of the time again.
    let before = job_ends(&service, &slow).await;
    let begun = std::time::Instant::now();
    http.post(&format!("/jobs/{slow}/retry"), &json!({})).await;
    eventually("it has ended again", SOON, async || {
        let after = job_ends(&service, &slow).await;
        after.is_string() && after != before
    })
    .await;
    assert!(begun.elapsed().as_secs_f64() >= 1.0, "{:?}", begun.elapsed());
    // A job that starts later has it from then on, and its own limit counts first.
    let later =
        json!({"task": "sleep", "payload": {"seconds": 0.1}, "queue": "mail", "delay_seconds": 2});
    assert_eq!(ended(&service, &submitted(&service, later).await).await["status"], "completed");
    let own = json!({"task": "sleep", "payload": {"seconds": 2}, "queue": "mail", "deadline_seconds": 60});
    assert_eq!(ended(&service, &submitted(&service, own).await).await["status"], "completed");
    let client = database.client().await;
    let kept = "select count(*) from reveille.job where settings ? 'deadline_seconds'";
    assert_eq!(value::<i64>(&client, kept).await, 1, "a default is not written to a job");
}

async fn job_ends(service: &Service, id: &str) -> Value {
    service.http().get_job(id).await.body["finished_at"].clone()
}
