//! Failed jobs that are sent back while the window of their key goes on.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Deed, House, SOON};
use crate::harness::eventually;
use crate::harness::look::{assert_one_place, value};

impl House {
    /// Has all failed jobs redriven; the operation as it ended.
    async fn redriven(&self) -> Value {
        let asked = self.http.post("/dead-letters/redrive", &json!({"all": true})).await;
        assert_eq!(asked.status, 202, "{asked:?}");
        let path = format!("/operations/{}", asked.body["operation"]["id"].as_str().unwrap());
        eventually("the redrive is over", SOON, async || {
            self.http.get(&path).await.body["stopped_at"].is_string()
        })
        .await;
        self.http.get(&path).await.body
    }

    /// A job that failed within the window of its key, which it let go of.
    async fn failed(&self, key: &str) -> Value {
        let once = json!({"unique_for_seconds": 3600, "max_attempts": 1});
        let job = self.submit_with(key, "keep", &Deed::Fail(9), &once).await["job_id"].clone();
        self.let_end(1);
        self.becomes(&job, "failed").await;
        eventually("its key is free", SOON, async || {
            let key = format!("select count(*) from reveille.unique_key where key = '{key}'");
            value::<i64>(&self.client, &key).await == 0
        })
        .await;
        job
    }
}

/// The case's second half: an old holder meets the open window of the job that completed since.
#[tokio::test(flavor = "multi_thread")]
async fn life_4c10_a_redrive_of_an_old_holder_leaves_an_open_window_alone() {
    let house = House::open().await;
    let old = house.failed("k").await;
    let window = json!({"unique_for_seconds": 3600});
    let new = house.submit_with("k", "keep", &Deed::Succeed, &window).await["job_id"].clone();
    house.let_end(1);
    house.becomes(&new, "completed").await;
    let done = house.redriven().await;
    assert_eq!((&done["moved"], &done["skipped"]), (&json!(0), &json!(1)), "{done}");
    let skipped = json!([{"job_id": old, "code": "unique_key_conflict", "holder_id": new}]);
    assert_eq!(done["skipped_jobs"], skipped);
    assert_eq!(house.job(&old).await["status"], "failed");
    // The window is over, and the old holder takes the key.
    let over = "update reveille.unique_key set until = now() - interval '1 ms'";
    house.client.batch_execute(over).await.unwrap();
    assert_eq!(house.redriven().await["moved"], 1);
    let again = house.submit("k", "keep", &Deed::Succeed).await;
    assert_eq!((&again["outcome"], &again["job_id"]), (&json!("existing"), &old));
    assert_one_place(&house.client).await;
    house.service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_job_takes_its_key_back_with_what_is_left_of_its_window() {
    let house = House::open().await;
    let until = async || -> Option<DateTime<Utc>> {
        value(&house.client, "select (select until from reveille.unique_key)").await
    };
    let job = house.failed("k").await;
    assert_eq!(until().await, None);
    let heal = "update reveille.job set payload = '\"succeed\"'";
    house.client.batch_execute(heal).await.unwrap();
    assert_eq!(house.redriven().await["moved"], 1);
    house.let_end(1);
    house.becomes(&job, "completed").await;
    let end = "select (reveille.uuid7_time(id) + interval '1 hour') from reveille.job";
    let end: DateTime<Utc> = value(&house.client, end).await;
    let off = until().await.expect("its window goes on") - end;
    assert!(off.num_milliseconds().abs() < 1_000, "{off}");
    let again = house.submit("k", "keep", &Deed::Succeed).await;
    let held = (&again["outcome"], &again["job_id"], &again["status"]);
    assert_eq!(held, (&json!("existing"), &job, &json!("completed")));
    house.service.shutdown().await;
}
