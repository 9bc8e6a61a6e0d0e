//! New content in the place of a job that waits.

use serde_json::json;

use super::{Deed, House};
use crate::harness::look::{assert_one_place, value};
use crate::harness::{cluster, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn replaced_content_starts_with_fresh_attempts_and_no_error_and_keeps_the_history() {
    let house = House::open().await;
    let job = house.submit("k", "keep", &Deed::Fail(2)).await["job_id"].clone();
    house.let_end(3);
    house.becomes(&job, "processing").await;
    eventually("it has failed twice and sleeps", super::SOON, async || {
        house.begun() == 3 && house.job(&job).await["status"] == "scheduled"
    })
    .await;
    let before = house.job(&job).await;
    assert_eq!(
        (&before["attempt_count"], &before["error"]["code"]),
        (&json!(2), &json!("handler_error"))
    );
    house.client.batch_execute("update reveille.ready set crashes = 2").await.unwrap();

    let more = json!({"delay_seconds": 600, "max_attempts": 3});
    let answer = house.submit_with("k", "replace", &Deed::Succeed, &more).await;
    assert_eq!((&answer["outcome"], &answer["job_id"]), (&json!("replaced"), &job));
    let after = house.job(&job).await;
    assert_eq!(
        (&after["attempt_count"], &after["attempts_left"]),
        (&json!(0), &json!(3)),
        "{after}"
    );
    assert_eq!(after.get("error"), None, "{after}");
    let crashes = "select crashes::integer from reveille.ready";
    assert_eq!(value::<i32>(&house.client, crashes).await, 0);
    let attempts = house.http.get(&format!("/jobs/{}/attempts", job.as_str().unwrap())).await.body;
    let outcomes: Vec<_> =
        attempts["data"].as_array().unwrap().iter().map(|it| it["outcome"].clone()).collect();
    assert_eq!(outcomes, ["failed", "failed", "snoozed"]);
}

/// A job may snooze a thousand times; new content as often as a new job.
#[tokio::test(flavor = "multi_thread")]
async fn the_snoozes_of_earlier_content_do_not_count_for_what_replaced_it() {
    let house = House::open().await;
    let later = json!({"delay_seconds": 600});
    let job = house.submit_with("k", "keep", &Deed::Succeed, &later).await["job_id"].clone();
    let snoozed = format!(
        "insert into reveille.attempt (id, lease, claimed_at, ended_at, attempt, ending, error)
         select '{}', gen_random_uuid(), at, at, 1, 'snoozed',
           case n when 1 then '{{\"code\": \"snoozed\", \"message\": \"\", \"count\": 1000}}'::jsonb end
         from (select n, now() - n * interval '1 minute' as at from generate_series(1, 3) n) s",
        job.as_str().unwrap()
    );
    house.client.batch_execute(&snoozed).await.unwrap();
    let total = format!(
        "select max(total) from reveille.snoozes(array['{}'::uuid])",
        job.as_str().unwrap()
    );
    assert_eq!(value::<i64>(&house.client, &total).await, 1000);
    let answer = house.submit_with("k", "replace", &Deed::Snooze(600.0), &json!({})).await;
    assert_eq!((&answer["outcome"], &answer["job_id"]), (&json!("replaced"), &job));
    assert_eq!(value::<i64>(&house.client, &total).await, 0);
    house.let_end(1);
    // Else it fails.
    house.becomes(&job, "scheduled").await;
    house.service.shutdown().await;
}

const CANCEL: &str = include_str!("../../../sql/job/cancel.sql");
const CLAIM: &str = "select from reveille.ready where id = $1 for update";

/// A cancellation, or a claim, has its hand on the waiting job, and lets go of it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_beside_one_who_gives_up_takes_the_place_of_the_waiting_job() {
    let house = House::open().await;
    let later = json!({"delay_seconds": 600});
    for (key, hand) in [("cancelled", CANCEL), ("claimed", CLAIM)] {
        let job = house.submit_with(key, "keep", &Deed::Succeed, &later).await["job_id"].clone();
        let mut other = cluster::connect(house.database.url()).await;
        let holding = other.transaction().await.unwrap();
        let id: uuid::Uuid = job.as_str().unwrap().parse().unwrap();
        holding.query_one(hand, &[&id]).await.unwrap();

        let replacing = house.submit_with(key, "replace", &Deed::Fail(1), &later);
        let giving_up = async {
            let waits = "select count(*) from pg_stat_activity where datname = current_database()
                and wait_event_type = 'Lock' and query like '%submit_keyed%'";
            eventually("the replacement waits", super::SOON, async || {
                value::<i64>(&house.client, waits).await > 0
            })
            .await;
            holding.rollback().await.unwrap();
        };
        let (answer, ()) = tokio::join!(replacing, giving_up);
        assert_eq!((&answer["outcome"], &answer["job_id"]), (&json!("replaced"), &job), "{key}");
    }
    assert_eq!(value::<i64>(&house.client, "select count(*) from reveille.ready").await, 2);
    assert_one_place(&house.client).await;
}
