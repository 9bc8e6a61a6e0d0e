//! However a job ends or leaves its place, its turn goes to the next one.

use std::time::Duration;

use reveille::{NewJob, OnConflict, QueueSettings};
use serde_json::json;

use super::{House, SOON, Shift, job, of, shift, turns};
use crate::harness::http::answer;
use crate::harness::look::{assert_one_place, becomes, value};
use crate::harness::{eventually, scaled};

/// Completed, failed, panicked, out of time, tried again and snoozed: as many of each as the case says.
#[tokio::test(flavor = "multi_thread")]
async fn no_way_to_end_an_attempt_keeps_a_turn() {
    let house = House::open(2, 8).await;
    let each = scaled(10, 1_000);
    let ways = |nth: usize| {
        let key = format!("k{}", nth % 4);
        let shift = shift(&key, nth);
        let long = Shift { seconds: 60.0, ..shift.clone() };
        [
            of(&shift),
            of(&Shift { failures: 9, ..shift.clone() }).max_attempts(1),
            of(&Shift { panics: true, ..shift.clone() }).max_attempts(1),
            of(&long).max_attempts(1).timeout(Duration::from_millis(50)),
            of(&Shift { failures: 1, ..shift.clone() })
                .retry(reveille::Retry::fixed(Duration::from_millis(50))),
        ]
    };
    let jobs: Vec<NewJob> = (0..each).flat_map(ways).collect();
    let count = jobs.len();
    for jobs in jobs.chunks(10_000) {
        house.submit_many(jobs.to_vec()).await;
    }
    house.all_end(count as i64).await;
    for key in 0..4 {
        assert_eq!(house.log.most(&format!("k{key}")), 1);
    }
}

/// `k` has a job that runs for long, and others that wait for it.
async fn behind_a_long_one(house: &House, count: usize) -> Vec<String> {
    let mut ids = vec![house.submit(job("k", 0, 600.0)).await];
    becomes(&house.client, &ids[0], "processing", SOON).await;
    ids.extend(house.submit_many((1..=count).map(|nth| job("k", nth, 0.0)).collect()).await);
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn life_7c8_a_job_that_waits_is_cancelled_and_the_next_one_follows() {
    let house = House::open(1, 4).await;
    let ids = behind_a_long_one(&house, 4).await;
    assert_eq!(house.post(&format!("/jobs/{}/cancel", ids[2])).await.status, 200);
    let deleted = answer(house.http.request("DELETE", &format!("/jobs/{}", ids[3]))).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(house.post(&format!("/jobs/{}/cancel", ids[0])).await.status, 202);
    eventually("the others have run", SOON, async || house.log.starts("k") == [0, 1, 4]).await;
    house.all_end(4).await;
}

/// A job that has its turn and waits for a worker gives it back as it is cancelled, deleted or replaced.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_did_not_begin_goes_on_at_once() {
    let house = House::open(1, 4).await;
    let paused = house.http.post("/queues/default/pause", &json!({})).await;
    assert_eq!(paused.status, 200);
    let unique = |key: &str| job("k", 0, 0.0).unique(key, OnConflict::Replace);
    let mut ids = vec![house.submit(unique("u")).await];
    ids.extend(house.submit_many((1..4).map(|nth| job("k", nth, 0.0)).collect()).await);
    let turn = async |id: &str| {
        let has = format!("select count(*) from reveille.ready where id = '{id}'");
        eventually("it has the turn", Duration::from_secs(5), async || {
            value::<i64>(&house.client, &has).await == 1
        })
        .await;
        assert_eq!(house.count("ready").await, 1);
    };
    turn(&ids[0]).await;
    // The new content waits behind those that came before.
    let replaced = job("k", 9, 0.0).unique("u", OnConflict::Replace);
    assert_eq!(house.submit(replaced).await, ids[0]);
    turn(&ids[1]).await;
    assert_eq!(house.post(&format!("/jobs/{}/cancel", ids[1])).await.status, 200);
    turn(&ids[2]).await;
    assert_eq!(
        answer(house.http.request("DELETE", &format!("/jobs/{}", ids[2]))).await.status,
        204
    );
    turn(&ids[3]).await;
    assert_eq!(house.post("/queues/default/resume").await.status, 200);
    house.all_end(3).await;
    assert_eq!(house.log.starts("k"), [3, 9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_7c8_a_purge_takes_those_that_wait_for_a_turn_too() {
    let house = House::open(1, 4).await;
    let ids = behind_a_long_one(&house, 30).await;
    let purge = house.post("/queues/default/purge?delay_seconds=0").await;
    assert_eq!(purge.body["matched"], 30, "{purge:?}");
    eventually("they are cancelled", SOON, async || house.count("outcome").await == 30).await;
    assert_eq!(house.count("keyed").await, 0);
    assert_eq!(house.post(&format!("/jobs/{}/cancel", ids[0])).await.status, 202);
    house.all_end(31).await;
    assert_eq!(house.log.starts("k"), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_3c8_a_redriven_job_goes_behind_those_of_its_key_that_wait() {
    let house = House::open(1, 4).await;
    let failed = of(&Shift { failures: 1, ..shift("k", 0) }).max_attempts(1);
    let failed = house.submit(failed).await;
    assert_eq!(house.end(&failed).await["status"], "failed");
    // It succeeds in its next life.
    house.heal(&failed).await;
    let ids = behind_a_long_one(&house, 3).await;
    let redrive = house.http.post("/dead-letters/redrive", &json!({"all": true})).await;
    assert_eq!(redrive.status, 202, "{redrive:?}");
    eventually("it waits again", SOON, async || house.count("keyed").await == 4).await;
    assert_eq!(house.post(&format!("/jobs/{}/cancel", ids[0])).await.status, 202);
    house.all_end(5).await;
    assert_eq!(house.log.starts("k"), [0, 0, 1, 2, 3, 0]);
}

/// A process that dies between an outcome and what follows leaves a holder that has ended.
#[tokio::test(flavor = "multi_thread")]
async fn the_leader_finds_a_turn_that_nobody_was_told_of() {
    let house = House::open(1, 4).await;
    let gone = house.submit(NewJob::new("work", &shift("x", 0))).await;
    house.end(&gone).await;
    let taken = format!(
        "insert into reveille.gate (queue, key, holders) values ('default', 'k', array['{gone}'::uuid])"
    );
    house.client.batch_execute(&taken).await.unwrap();
    house.all_end(1).await;
    let idle = "insert into reveille.gate (queue, key) values ('default', 'k')";
    house.client.batch_execute(idle).await.unwrap();
    house.assert_none_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_turns_and_fewer_count_at_once() {
    let house = House::open(2, 8).await;
    let count = |most: i64| {
        let set = house.http.request("PUT", "/queues/default");
        answer(set.json(&json!({"per_key_concurrency": most})))
    };
    house.submit_many((0..12).map(|nth| job("k", nth, 600.0)).collect()).await;
    let running = async |count: i64| {
        eventually(&format!("{count} run"), Duration::from_secs(5), async || {
            house.count("lease l cross join lateral unnest(l.ids)").await == count
        })
        .await;
    };
    running(1).await;
    assert_eq!(count(4).await.status, 200);
    running(4).await;
    assert_eq!(count(2).await.status, 200);
    let holders = "select unnest(holders)::text from reveille.gate";
    let holders: Vec<String> =
        house.client.query(holders, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    for (nth, id) in holders.iter().enumerate() {
        assert_eq!(house.post(&format!("/jobs/{id}/cancel")).await.status, 202);
        running((3 - nth as i64).max(2)).await;
    }
    assert_eq!(house.log.most("k"), 4);
    assert_eq!(house.post("/queues/default/purge?delay_seconds=0").await.status, 202);
    eventually("none waits", SOON, async || house.count("keyed").await == 0).await;
    assert_one_place(&house.client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_retried_by_hand_or_runs_out_of_time_takes_its_turn_like_others() {
    let settings = QueueSettings { max_attempts: Some(1), ..turns(1) };
    let house = House::with(1, 4, settings).await;
    let failed = house.submit(of(&Shift { failures: 1, ..shift("k", 0) })).await;
    assert_eq!(house.end(&failed).await["status"], "failed");
    let long = house.submit(job("k", 1, 1.0)).await;
    becomes(&house.client, &long, "processing", SOON).await;
    assert_eq!(house.post(&format!("/jobs/{failed}/retry")).await.status, 200);
    let late = job("k", 2, 0.0).queue_ttl(Duration::from_millis(300));
    let late = house.submit(late).await;
    let end = house.end(&late).await;
    assert_eq!(end["error"]["code"], "expired", "{end}");
    assert_eq!(house.count("keyed").await, 1);
    house.all_end(3).await;
    assert_eq!(house.log.starts("k"), [0, 1, 0]);
    assert_eq!(house.log.most("k"), 1);
}
