//! A job whose key went to a replacement while it ran does not wait again.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Deed, House, SOON};
use crate::harness::look::{assert_one_place, becomes, submit, value};
use crate::harness::{self, Service, cluster, eventually};

/// The first job runs, and a second one with its key waits behind it.
async fn behind(house: &House, first: &Deed, second: &Value) -> (Value, Value) {
    let first = house.submit("k", "replace", first).await["job_id"].clone();
    house.becomes(&first, "processing").await;
    let second = house.submit_with("k", "replace", &Deed::Succeed, second).await;
    assert_eq!(second["outcome"], "created");
    (first, second["job_id"].clone())
}

fn assert_superseded(job: &Value, by: &Value) {
    assert_eq!(job["status"], "cancelled", "{job}");
    assert_eq!(
        (&job["error"]["code"], &job["error"]["job_id"]),
        (&json!("superseded"), by),
        "{job}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_job_is_not_tried_again_after_its_replacement_completed() {
    let house = House::open().await;
    let (first, second) = behind(&house, &Deed::Fail(2), &json!({})).await;
    house.becomes(&second, "processing").await;
    // Either may end first: both wait at the gate.
    house.let_end(2);
    house.becomes(&second, "completed").await;
    let job = house.becomes(&first, "cancelled").await;
    assert_superseded(&job, &second);
    assert!(job["error"]["message"].as_str().unwrap().contains("as it is told"), "{job}");
    assert_eq!(house.begun(), 2);
    for table in ["unique_key", "superseded"] {
        eventually(&format!("nothing is left in {table}"), SOON, async || {
            value::<i64>(&house.client, &format!("select count(*) from reveille.{table}")).await
                == 0
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_job_ends_after_a_failure_or_a_snooze_while_its_replacement_waits() {
    for deed in [Deed::Fail(2), Deed::Snooze(600.0)] {
        let house = House::open().await;
        let (first, second) = behind(&house, &deed, &json!({"delay_seconds": 600})).await;
        house.let_end(1);
        assert_superseded(&house.becomes(&first, "cancelled").await, &second);
        assert_eq!(house.job(&second).await["status"], "scheduled");
        assert_one_place(&house.client).await;
    }
}

/// The transaction that replaces it is still open when the job goes back to wait. It has spent no attempt by then.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_superseded_while_it_went_back_ends_when_it_is_claimed() {
    let house = House::open().await;
    let first = house.submit("k", "keep", &Deed::Snooze(2.0)).await["job_id"].clone();
    house.becomes(&first, "processing").await;
    let mut replacer = cluster::connect(house.database.url()).await;
    let open = replacer.transaction().await.unwrap();
    let replace = "select job_id::text, outcome from reveille.submit(task => 'steered', payload => '\"succeed\"',
        unique_key => 'k', on_conflict => 'replace', delay_seconds => 600)";
    let row = open.query_one(replace, &[]).await.unwrap();
    let (second, outcome): (String, String) = (row.get(0), row.get(1));
    assert_eq!(outcome, "created");
    house.let_end(1);
    house.becomes(&first, "scheduled").await;
    open.commit().await.unwrap();
    assert_superseded(&house.becomes(&first, "cancelled").await, &json!(second));
    assert_eq!(house.begun(), 1, "it ran again");
    assert_one_place(&house.client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_takes_its_key_back_if_its_replacement_is_cancelled_or_deleted_before_it_began() {
    let house = House::open().await;
    for verb in ["cancel", "delete"] {
        let (first, second) = behind(&house, &Deed::Fail(0), &json!({"delay_seconds": 600})).await;
        match verb {
            "cancel" => assert_eq!(house.steer(&second, "cancel").await.0, 200),
            _ => {
                let path = format!("/jobs/{}", second.as_str().unwrap());
                let request = house.http.request("DELETE", &path);
                assert_eq!(harness::http::answer(request).await.status, 204);
            }
        }
        let kept = house.submit("k", "keep", &Deed::Succeed).await;
        assert_eq!((&kept["outcome"], &kept["job_id"]), (&json!("existing"), &first), "{verb}");
        house.let_end(1);
        house.becomes(&first, "scheduled").await;
        let kept = house.submit("k", "keep", &Deed::Succeed).await;
        assert_eq!((&kept["outcome"], &kept["job_id"]), (&json!("existing"), &first), "{verb}");
        assert_eq!(house.steer(&first, "cancel").await.0, 200);
    }
    assert_eq!(value::<i64>(&house.client, "select count(*) from reveille.unique_key").await, 0);
    assert_eq!(value::<i64>(&house.client, "select count(*) from reveille.superseded").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_retry_is_refused_while_another_job_holds_the_key() {
    let house = House::open().await;
    let (first, second) = behind(&house, &Deed::Fail(0), &json!({"delay_seconds": 600})).await;
    house.let_end(1);
    house.becomes(&first, "cancelled").await;
    let (status, problem) = house.steer(&first, "retry").await;
    assert_eq!((status, &problem["code"]), (409, &json!("unique_key_conflict")));
    assert_eq!(problem["job_id"], second);
    assert_eq!(house.steer(&second, "cancel").await.0, 200);
    // It is no longer superseded: it waits, runs, and holds its key.
    assert_eq!(house.steer(&first, "retry").await.0, 200);
    house.becomes(&first, "processing").await;
    house.let_end(1);
    house.becomes(&first, "scheduled").await;
}

/// One superseded job is taken back from a process that was killed, one is given back by a process that leaves.
#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_job_ends_when_its_worker_is_lost_or_leaves() {
    let database = harness::database().await;
    let client = database.client().await;
    let start = || {
        Service::on(database.url()).brisk("1").env("REVEILLE_SHUTDOWN_GRACE_SECONDS", "0").start()
    };
    for lost in [true, false] {
        let mut worker = start().await;
        let nap = format!(
            r#"task => 'sleep', payload => '{{"seconds": 600}}', unique_key => '{lost}', on_conflict => 'replace'"#
        );
        let first = submit(&client, &nap).await;
        becomes(&client, &first, "processing", SOON).await;
        let second = submit(&client, &format!("{nap}, delay_seconds => 600")).await;
        assert_ne!(first, second);
        if lost {
            worker.kill9().await;
        } else {
            worker.terminate(Duration::from_secs(10)).await;
        }
        let other = start().await;
        becomes(&client, &first, "cancelled", SOON).await;
        let job = other.http().get_job(&first).await.body;
        assert_superseded(&job, &json!(second));
    }
    assert_one_place(&client).await;
}
