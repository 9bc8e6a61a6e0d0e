//! Time limits of a queue beside those of its jobs.

use serde_json::{Value, json};

use super::{put, slow_poll};
use crate::harness::{self, Service};

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
    (time("finished_at") - time("created_at")).as_seconds_f64()
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
}
