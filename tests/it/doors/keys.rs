//! Unique keys, through every door.

use std::time::Duration;

use reveille::{Context, Handler, Json, Reveille, TaskError};
use serde_json::json;

use super::door::{Accepted, Answer, Door, House};
use super::refused;
use crate::harness::eventually;

const SOON: Duration = Duration::from_secs(10);

/// Runs until it is told to stop. Nobody serves the other tasks here, so their jobs wait.
struct Stay;

impl Handler for Stay {
    const NAME: &'static str = "stay";
    type Payload = Json;
    type Output = ();

    async fn run(&self, context: Context, _: Json) -> Result<(), TaskError> {
        context.cancelled().await;
        Ok(())
    }
}

fn job(task: &str, key: &str, policy: &str, payload: u32) -> String {
    let job = json!({"task": task, "payload": payload, "unique_key": key, "on_conflict": policy});
    job.to_string()
}

async fn one(house: &House, door: Door, job: &str) -> Accepted {
    house.submit(door, job).await.unwrap().accepted().remove(0)
}

async fn open() -> House {
    House::open(Reveille::builder().without_builtin_tasks().task(Stay)).await
}

async fn is(house: &House, id: &str, status: &str) {
    eventually(status, SOON, async || house.http.get_job(id).await.body["status"] == status).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_waiting_job() {
    let house = open().await;
    for (nth, door) in Door::ALL.into_iter().enumerate() {
        let key = format!("waiting {nth}");
        let first = one(&house, door, &job("wait", &key, "keep", 1)).await;
        assert_eq!((&*first.outcome, &*first.status), ("created", "queued"), "{door:?}");
        let kept = one(&house, door, &job("wait", &key, "keep", 2)).await;
        assert_eq!((&*kept.outcome, &kept.id), ("existing", &first.id), "{door:?}");
        assert_eq!(house.kept(&first.id).await.1, "1");
        let conflict = refused(&[("/unique_key", "unique_key_conflict")]);
        let answer = house.submit(door, &job("wait", &key, "reject", 3)).await.unwrap();
        assert_eq!(answer, conflict, "{door:?}");
        let replaced = json!({"task": "other", "payload": 4, "unique_key": key, "on_conflict": "replace",
            "priority": 1, "delay_seconds": 600, "max_attempts": 2, "tags": ["t"]});
        let replaced = one(&house, door, &replaced.to_string()).await;
        let expected = ("replaced", "scheduled", &first.id);
        assert_eq!((&*replaced.outcome, &*replaced.status, &replaced.id), expected, "{door:?}");
        let (is, payload) = house.kept(&first.id).await;
        assert_eq!((&is["task"], &is["priority"], &*payload), (&json!("other"), &json!(1), "4"));
        assert_eq!((&is["max_attempts"], &is["tags"]), (&json!(2), &json!(["t"])), "{door:?}");
        let elsewhere = json!({"payload": 5, "queue": "other", "unique_key": key});
        assert_eq!(one(&house, door, &elsewhere.to_string()).await.outcome, "created", "{door:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_job_that_is_processed_and_of_one_that_has_ended() {
    let house = open().await;
    for (nth, door) in Door::ALL.into_iter().enumerate() {
        let key = format!("processed {nth}");
        let first = one(&house, door, &job("stay", &key, "keep", 1)).await;
        is(&house, &first.id, "processing").await;
        let kept = one(&house, door, &job("stay", &key, "keep", 2)).await;
        let expected = ("existing", "processing", &first.id);
        assert_eq!((&*kept.outcome, &*kept.status, &kept.id), expected, "{door:?}");
        let answer = house.submit(door, &job("stay", &key, "reject", 3)).await.unwrap();
        assert_eq!(answer, refused(&[("/unique_key", "unique_key_conflict")]), "{door:?}");
        let behind = one(&house, door, &job("wait", &key, "replace", 4)).await;
        assert_eq!((&*behind.outcome, behind.id == first.id), ("created", false), "{door:?}");
        assert_eq!(house.kept(&first.id).await.1, "1");
        let kept = one(&house, door, &job("stay", &key, "keep", 5)).await;
        assert_eq!(
            (&*kept.outcome, &kept.id),
            ("existing", &behind.id),
            "the key went on: {door:?}"
        );

        for id in [&first.id, &behind.id] {
            house.http.post(&format!("/jobs/{id}/cancel"), &json!({})).await;
        }
        is(&house, &first.id, "completed").await;
        is(&house, &behind.id, "cancelled").await;
        let next = one(&house, door, &job("wait", &key, "reject", 6)).await;
        assert_eq!(next.outcome, "created", "{door:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_list_they_are_resolved_in_its_order() {
    let house = open().await;
    for (nth, door) in [Door::Http, Door::SqlMany, Door::Rust].into_iter().enumerate() {
        let [a, b, c] = ["a", "b", "c"].map(|key| format!("{key} {nth}"));
        let held = one(&house, door, &job("wait", &b, "keep", 0)).await;
        let list = [
            job("wait", &a, "keep", 1),
            job("wait", &a, "keep", 2),
            json!({"payload": 3}).to_string(),
            job("wait", &a, "replace", 4),
            job("wait", &b, "keep", 5),
            job("wait", &c, "reject", 6),
        ];
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        let jobs = house.submit_many(door, &list).await.unwrap().accepted();
        let outcomes: Vec<&str> = jobs.iter().map(|job| &*job.outcome).collect();
        let expected = ["created", "existing", "created", "replaced", "existing", "created"];
        assert_eq!(outcomes, expected, "{door:?}");
        assert!(jobs[0].id == jobs[1].id && jobs[1].id == jobs[3].id && jobs[4].id == held.id);
        assert!(jobs[0].id < jobs[2].id && jobs[2].id < jobs[5].id, "{door:?}");
        assert_eq!(house.kept(&jobs[0].id).await.1, "4");

        let before = house.count("reveille.job").await;
        let list = [
            job("wait", &format!("new {nth}"), "reject", 1),
            job("wait", &c, "reject", 2),
            job("wait", &b, "replace", 3),
            job("wait", &format!("new {nth}"), "reject", 4),
        ];
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        let answer: Answer = house.submit_many(door, &list).await.unwrap();
        let conflicts =
            [("/1/unique_key", "unique_key_conflict"), ("/3/unique_key", "unique_key_conflict")];
        assert_eq!(answer, refused(&conflicts), "{door:?}");
        assert_eq!(house.count("reveille.job").await, before, "{door:?}");
        assert_eq!(house.kept(&held.id).await.1, "0", "nothing was replaced either: {door:?}");
    }
}
