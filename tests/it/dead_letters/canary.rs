//! Redrives that begin with a few jobs. They heal, or halt at the stage that fails. They go on with
//! the next leader wherever the last one died.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::{House, SOON, on, over, text};
use crate::harness::look::{assert_one_place, value};
use crate::harness::{self, eventually, scaled};

const JOBS: usize = 40;

fn canary() -> Value {
    json!({"all": true, "rate_per_second": 1000, "canary": {"share": 0.01, "halt_at": 0.1}})
}

/// The failed jobs as they are: each with how often it was redriven.
async fn redrives(house: &House, ids: &[String]) -> Vec<i64> {
    let count = "select array_agg((select count(*) from reveille.attempt a
            where a.id = i.id::uuid and a.redriven_at is not null) order by i.nth)
        from unnest($1::text[]) with ordinality i (id, nth)";
    house.client.query_one(count, &[&ids]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_heals_by_one_job_then_ten_then_the_rest() {
    let house = House::open().await;
    let ids = house.failed(JOBS).await;
    // The first one runs until it is let go.
    house.heal(&ids[11..]).await;
    let hold = "update reveille.job set task = 'sleep', payload = '{\"seconds\": 2}'
        where id::text = any ($1)";
    house.client.execute(hold, &[&vec![ids[0].clone()]]).await.unwrap();
    house.heal(&ids[1..11]).await;
    let id = house.redriving(canary()).await;
    eventually("the first has begun", SOON, async || house.operation(&id).await["moved"] == 1)
        .await;
    let first = house.operation(&id).await;
    if first["stage"]["number"] == 1 {
        assert_eq!(redrives(&house, &ids[1..]).await, vec![0; JOBS - 1], "{first}");
    }
    let done = house.over(&id).await;
    assert_eq!((text(&done, "status"), &done["moved"]), ("completed", &json!(JOBS)), "{done}");
    assert_eq!(done["stage"]["number"], 3, "{done}");
    eventually("all have completed", SOON, async || house.ended("completed").await == 40).await;
    // No job of a stage began before those of the stage before had ended.
    let order =
        "select (select min(o.claimed_at) from reveille.outcome o where o.id::text = any ($2))
          > (select max(o.ended_at) from reveille.outcome o where o.id::text = any ($1))";
    for (before, after) in [(&ids[..1], &ids[1..11]), (&ids[1..11], &ids[11..])] {
        let row = house.client.query_one(order, &[&before, &after]).await.unwrap();
        assert!(row.get::<_, bool>(0), "{before:?}");
    }
    house.assert_all_redriven_once(&ids).await;
    let left = "select count(*) from reveille.canary";
    assert_eq!(value::<i64>(&house.client, left).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_whose_first_job_fails_halts_there_and_says_which_job() {
    let house = House::open().await;
    let ids = house.failed(JOBS).await;
    let id = house.redriving(canary()).await;
    let halted = house.over(&id).await;
    assert_eq!((text(&halted, "status"), &halted["moved"]), ("halted", &json!(1)), "{halted}");
    assert_eq!(text(&halted, "halted_by"), ids[0]);
    let reason = text(&halted, "reason");
    assert!(reason.contains(&ids[0]) && reason.contains("stage 1"), "{reason}");
    house.service.logged("an operation was halted by its canary", SOON).await;
    assert_eq!(redrives(&house, &ids[1..]).await, vec![0; JOBS - 1]);
}

/// The first job is well, and of the ten that follow some are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_whose_second_stage_fails_halts_there() {
    let house = House::open().await;
    let ids = house.failed(JOBS).await;
    house.heal(&ids[..7]).await;
    let id = house.redriving(canary()).await;
    let halted = house.over(&id).await;
    assert_eq!((text(&halted, "status"), &halted["moved"]), ("halted", &json!(11)), "{halted}");
    assert!(text(&halted, "reason").contains("stage 2"), "{halted}");
    let by = text(&halted, "halted_by").to_owned();
    assert!(ids[7..11].contains(&by), "{halted}");
    assert_eq!(redrives(&house, &ids[11..]).await, vec![0; JOBS - 11]);
    eventually("the stage is over", SOON, async || house.ended("completed").await == 7).await;
    assert_one_place(&house.client).await;
}

/// One of ten may fail. The second one that does is seen by a later look, and fails otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_halts_later_still_says_why_the_first_job_failed() {
    let house = House::open().await;
    let ids = house.failed(JOBS).await;
    house.heal(&ids[..3]).await;
    house.heal(&ids[4..9]).await;
    house.heal(&ids[10..]).await;
    // Nobody knows its task until the first failure was seen.
    let hold = "update reveille.job set task = 'unserved' where id::text = any ($1)";
    house.client.execute(hold, &[&vec![ids[9].clone()]]).await.unwrap();
    let id = house.redriving(canary()).await;
    eventually("one has failed", SOON, async || house.operation(&id).await["stage"]["failed"] == 1)
        .await;
    let release = "with r as (delete from reveille.ready where id::text = $1 returning *)
        insert into reveille.ready (queue, task, priority, run_at, id, attempt, crashes, wakes)
        select queue, 'flaky', priority, run_at, id, attempt, crashes, 1 from r";
    let served = "update reveille.job set task = 'flaky', payload = '\"x\"'
        where id::text = $1";
    house.client.execute(served, &[&ids[9]]).await.unwrap();
    house.client.execute(release, &[&ids[9]]).await.unwrap();
    let halted = house.over(&id).await;
    assert_eq!((text(&halted, "status"), text(&halted, "halted_by")), ("halted", &*ids[3]));
    let reason = text(&halted, "reason");
    assert!(reason.contains("(handler_error: "), "{reason}");
}

/// One of ten is not more than a tenth.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_goes_on_while_no_more_than_it_allows_fail() {
    let house = House::open().await;
    let ids = house.failed(JOBS).await;
    house.heal(&ids[..5]).await;
    house.heal(&ids[6..]).await;
    let id = house.redriving(canary()).await;
    let done = house.over(&id).await;
    assert_eq!((text(&done, "status"), &done["moved"]), ("completed", &json!(JOBS)), "{done}");
}

/// A job that is tried again has failed one attempt, and that is what a canary looks at.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_does_not_wait_for_the_retries_of_its_jobs() {
    let house = House::open().await;
    let ids = house.failed(JOBS).await;
    let patient = "update reveille.job set max_attempts = 9,
        settings = '{\"retry\": {\"strategy\": \"fixed\", \"base_seconds\": 3600, \"jitter\": 0}}'";
    house.client.execute(patient, &[]).await.unwrap();
    let id = house.redriving(canary()).await;
    let halted = house.over(&id).await;
    assert_eq!((text(&halted, "status"), text(&halted, "halted_by")), ("halted", &*ids[0]));
}

/// The leader is killed while the canary's first job runs, while its ten do, and among the rest;
/// the seed says how long after the stage began.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_goes_on_wherever_its_leader_dies() {
    for three in harness::seeds(3, 12).collect::<Vec<_>>().chunks(3) {
        join_all(three.iter().map(|seed| leader_dies(*seed))).await;
    }
}

async fn leader_dies(seed: u64) {
    let (many, rate) = scaled((40, 15), (400, 50));
    let mut dice = StdRng::seed_from_u64(seed);
    let stage = seed % 3 + 1;
    let mut house = House::open().await;
    let ids = house.failed(many).await;
    house.heal(&ids).await;
    // The jobs of this stage run elsewhere, and take their time.
    let slow = match stage {
        1 => &ids[..1],
        2 => &ids[1..11],
        _ => &ids[many - 1..],
    };
    let sleep = "update reveille.job set task = 'sleep', payload = '{\"seconds\": 1}'
        where id::text = any ($1)";
    house.client.execute(sleep, &[&slow]).await.unwrap();
    let other = on(&house.database).start().await;
    let http = other.http();
    let body = json!({"all": true, "rate_per_second": rate, "canary": {}});
    let id = house.redriving(body).await;
    let path = format!("/operations/{id}");
    eventually("it has come to this stage", SOON, async || {
        let operation = http.get(&path).await.body;
        let moved = operation["stage"]["moved"].as_i64().unwrap_or_default();
        operation["stage"]["number"] == stage && (stage == 3 || moved > 0)
    })
    .await;
    let (reached, later) = (Instant::now(), Duration::from_millis(dice.random_range(0..900)));
    eventually("its moment has come", SOON, async || reached.elapsed() >= later).await;
    house.service.kill9().await;
    let done = over(&http, &id).await;
    let ended = (text(&done, "status"), &done["moved"]);
    assert_eq!(ended, ("completed", &json!(many)), "seed {seed}: {done}");
    eventually("all have completed", SOON, async || house.ended("completed").await == many as i64)
        .await;
    let lost = "delete from reveille.attempt where ending in ('lost', 'released')";
    house.client.execute(lost, &[]).await.unwrap();
    house.assert_all_redriven_once(&ids).await;
}
