//! Many producers of the same keys.

use rand::RngExt as _;
use serde_json::{Value, json};

use crate::harness::look::{assert_one_place, value};
use crate::harness::{self, Service};

const PRODUCERS: u32 = 8;
const BATCHES: u32 = 12;

/// Their keys are locked by submissions while the jobs that hold them end.
#[tokio::test(flavor = "multi_thread")]
async fn producers_of_the_same_keys_do_not_deadlock_with_each_other_or_with_outcomes() {
    let database = harness::database().await;
    let client = database.client().await;
    let services = tokio::join!(Service::start(database.url()), Service::start(database.url()));
    let batch = || -> Vec<Value> {
        let key = || rand::rng().random_range(0..30);
        let job = |key| json!({"task": "noop", "payload": 1, "unique_key": format!("k{key}"), "on_conflict": "keep"});
        (0..20).map(|_| job(key())).collect()
    };
    let producers = (0..PRODUCERS).map(|nth| {
        let http = if nth % 2 == 0 { services.0.http() } else { services.1.http() };
        let batches: Vec<_> = (0..BATCHES).map(|_| json!(batch())).collect();
        tokio::spawn(async move {
            for batch in batches {
                let answer = http.post("/jobs/batch", &batch).await;
                assert_eq!(answer.status, 201, "{}", answer.body);
                let one = http.post_job(&batch[0]).await;
                assert!(matches!(one.status, 200 | 201), "{} {}", one.status, one.body);
            }
        })
    });
    for producer in producers.collect::<Vec<_>>() {
        producer.await.unwrap();
    }
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(value::<i64>(&client, deadlocks).await, 0);
    assert_one_place(&client).await;
    let twice = "select count(*) from (
        select from reveille.job j where not exists (select from reveille.outcome o where o.id = j.id)
        group by j.unique_key having count(*) > 1
    ) k";
    assert_eq!(value::<i64>(&client, twice).await, 0, "two unfinished jobs have one key");
    drop(services);
}
