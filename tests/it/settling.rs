//! Outcomes that gather while the database takes long over others.

use std::time::Duration;

use serde_json::json;

use crate::harness::look::{assert_one_place, value};
use crate::harness::{self, Service, eventually};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_that_are_held_up_fly_in_two_statements_and_each_counts_once() {
    let database = harness::database().await;
    let (client, blocker) = (database.client().await, database.client().await);
    let service = Service::start(database.url()).await;
    blocker.batch_execute("begin; lock table reveille.outcome in share mode").await.unwrap();
    let jobs = vec![json!({"task": "noop", "payload": 1}); 4000];
    let answer = service.http().post("/jobs/batch", &json!(jobs)).await;
    assert_eq!(answer.status, 201);
    let held_up = "select count(*) from pg_locks
      where database = (select oid from pg_database where datname = current_database())
        and relation = 'reveille.outcome'::regclass and mode = 'RowExclusiveLock' and not granted";
    eventually("two statements wait for the table", SOON, async || {
        value::<i64>(&client, held_up).await == 2
    })
    .await;

    blocker.batch_execute("commit").await.unwrap();
    let ended = "select count(*) from reveille.outcome where state = 'completed' and attempt = 1";
    eventually("all have ended", SOON, async || value::<i64>(&client, ended).await == 4000).await;
    let tried: i64 = value(&client, "select count(*) from reveille.attempt").await;
    assert_eq!(tried, 0, "an outcome counted twice, or a job ran twice");
    assert_one_place(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_somebody_has_locked_holds_up_its_own_outcomes_only() {
    let database = harness::database().await;
    let (client, blocker) = (database.client().await, database.client().await);
    let service = Service::start(database.url()).await;
    let http = service.http();
    let slow = json!({"task": "sleep", "payload": {"seconds": 1}});
    let slow = http.post_job(&slow).await.body["job_id"].as_str().unwrap().to_owned();
    let leases = "select count(*) from reveille.lease";
    eventually("it is claimed", SOON, async || value::<i64>(&client, leases).await == 1).await;
    blocker.batch_execute("begin; select from reveille.lease for update").await.unwrap();
    let held_up = "select count(*) from pg_stat_activity where datname = current_database()
      and wait_event_type = 'Lock'";
    eventually("its outcome waits", SOON, async || value::<i64>(&client, held_up).await == 1).await;

    let jobs = vec![json!({"task": "noop", "payload": 1}); 40];
    assert_eq!(http.post("/jobs/batch", &json!(jobs)).await.status, 201);
    let ended = "select count(*) from reveille.outcome where state = 'completed'";
    eventually("others end", SOON, async || value::<i64>(&client, ended).await == 40).await;
    assert_eq!(http.get_job(&slow).await.body["status"], "processing");

    blocker.batch_execute("commit").await.unwrap();
    eventually("it ends", SOON, async || value::<i64>(&client, ended).await == 41).await;
    assert_one_place(&client).await;
}
