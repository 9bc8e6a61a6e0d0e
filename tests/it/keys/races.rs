//! Everything that can happen to a key, at once and in a random order.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::harness::http::{Http, answer};
use crate::harness::look::{assert_one_place, value};
use crate::harness::{self, Service, eventually};

const CALLERS: u64 = 8;
const DEEDS: usize = 40;

/// Does something with one of a few keys.
async fn act(http: &Http, dice: &mut StdRng, known: &mut Vec<String>) {
    let policy = ["keep", "replace", "reject"][dice.random_range(0..3)];
    let mut job = json!({"task": "flaky", "payload": {"failures": dice.random_range(0..2)},
        "unique_key": format!("k{}", dice.random_range(0..4)), "on_conflict": policy,
        "max_attempts": dice.random_range(1..3), "delay_seconds": 0.02,
        "retry": {"strategy": "fixed", "base_seconds": 0.01}});
    if dice.random_bool(0.5) {
        job["unique_for_seconds"] = json!(1);
    }
    if policy == "replace" && dice.random_bool(0.5) {
        job["debounce_max_seconds"] = json!(0.05);
    }
    let id = known.get(dice.random_range(0..=known.len())).cloned();
    let done = match (id, dice.random_range(0..6)) {
        (Some(id), 0) => http.post(&format!("/jobs/{id}/cancel"), &json!({})).await,
        (Some(id), 1) => http.post(&format!("/jobs/{id}/retry"), &json!({})).await,
        (Some(id), 2) => answer(http.request("DELETE", &format!("/jobs/{id}"))).await,
        _ => http.post_job(&job).await,
    };
    assert!(done.status < 500, "{} {}", done.status, done.body);
    if let (200 | 201, Value::String(id)) = (done.status, &done.body["job_id"]) {
        known.push(id.clone());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_a_key_one_unfinished_job_holds_it() {
    for seed in [7, 19, 4711] {
        let database = harness::database().await;
        let client = database.client().await;
        let services = tokio::join!(Service::start(database.url()), Service::start(database.url()));
        let callers = (0..CALLERS).map(|nth| {
            let http = if nth % 2 == 0 { services.0.http() } else { services.1.http() };
            tokio::spawn(async move {
                let (mut dice, mut known) = (StdRng::seed_from_u64(seed * 100 + nth), Vec::new());
                for _ in 0..DEEDS {
                    act(&http, &mut dice, &mut known).await;
                }
            })
        });
        let beside = client.prepare("select reveille.keys_over(3)").await.unwrap();
        let callers: Vec<_> = callers.collect();
        while !callers.iter().all(tokio::task::JoinHandle::is_finished) {
            client.query(&beside, &[]).await.unwrap();
        }
        for caller in callers {
            caller.await.unwrap();
        }
        let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
        assert_eq!(value::<i64>(&client, deadlocks).await, 0, "seed {seed}");
        assert_one_place(&client).await;
        let without = "select count(*) from reveille.job j
            where not exists (select from reveille.outcome o where o.id = j.id)
              and not exists (select from reveille.superseded s where s.id = j.id)
              and not exists (select from reveille.unique_key k
                where k.id = j.id and k.queue = j.queue and k.key = j.unique_key)";
        assert_eq!(value::<i64>(&client, without).await, 0, "seed {seed}: without their key");
        let idle =
            "select (select count(*) from reveille.ready) + (select count(*) from reveille.lease)";
        eventually("all end", super::SOON * 2, async || value::<i64>(&client, idle).await == 0)
            .await;
        let forgotten = "select count(*) from reveille.unique_key";
        eventually("all keys are free", super::SOON * 2, async || {
            value::<i64>(&client, forgotten).await == 0
        })
        .await;
        drop(services);
    }
}
