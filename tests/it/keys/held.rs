//! An open SQL transaction that holds keys: whatever it does, outcomes do not wait for it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Deed, House, SOON};
use crate::harness::look::{assert_one_place, becomes, submit, value};
use crate::harness::{self, Service, cluster, eventually};

const KEYS: usize = 20;

/// Keeping the job that exists is enough to lock its key.
#[tokio::test(flavor = "multi_thread")]
async fn outcomes_do_not_wait_for_a_transaction_that_holds_their_keys() {
    let house = House::open().await;
    let mut ids = Vec::new();
    for nth in 0..KEYS {
        let job = house.submit(&format!("k{nth}"), "keep", &Deed::Succeed).await;
        ids.push(job["job_id"].clone());
    }
    for id in &ids {
        house.becomes(id, "processing").await;
    }
    let mut holder = cluster::connect(house.database.url()).await;
    let open = holder.transaction().await.unwrap();
    for nth in 0..KEYS {
        let keep =
            format!("select outcome from reveille.submit(payload => '1', unique_key => 'k{nth}')");
        let outcome: String = open.query_one(&keep, &[]).await.unwrap().get(0);
        assert_eq!(outcome, "existing");
    }

    house.let_end(KEYS);
    for id in &ids {
        house.becomes(id, "completed").await;
    }
    let other = house.http.post("/jobs?wait=10", &json!({"task": "noop", "payload": 1})).await;
    assert_eq!(other.body["status"], "completed", "{}", other.body);
    let keys = "select count(*) from reveille.unique_key";
    assert_eq!(value::<i64>(&house.client, keys).await, i64::try_from(KEYS).unwrap());

    open.commit().await.unwrap();
    eventually("the keys are freed", SOON, async || value::<i64>(&house.client, keys).await == 0)
        .await;
    assert_one_place(&house.client).await;
    house.service.shutdown().await;
}

/// The lost worker's job was to be cancelled, so the rescue ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_rescue_does_not_wait_for_a_transaction_that_holds_a_key() {
    let database = harness::database().await;
    let client = database.client().await;
    let fast = || Service::on(database.url()).brisk("1");
    let mut victim = fast().start().await;
    let nap = r#"task => 'sleep', payload => '{"seconds": 600}'"#;
    let keyed = submit(&client, &format!("{nap}, unique_key => 'k'")).await;
    let plain = submit(&client, nap).await;
    for id in [&keyed, &plain] {
        becomes(&client, id, "processing", SOON).await;
    }
    let mut holder = cluster::connect(database.url()).await;
    let open = holder.transaction().await.unwrap();
    open.batch_execute("select reveille.submit(payload => '1', unique_key => 'k')").await.unwrap();
    victim.kill9().await;
    client
        .batch_execute(&format!("update reveille.lease set cancels = array['{keyed}'::uuid]"))
        .await
        .unwrap();

    let survivor = fast().env("REVEILLE_WORKERS", "0").start().await;
    becomes(&client, &keyed, "cancelled", SOON).await;
    becomes(&client, &plain, "queued", SOON).await;
    open.commit().await.unwrap();
    eventually("the key is freed", SOON, async || {
        value::<i64>(&client, "select count(*) from reveille.unique_key").await == 0
    })
    .await;
    drop(survivor);
}

/// Nobody has freed the keys here: their holders have ended, which is enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_holder_has_ended_counts_as_free_at_every_door() {
    let house = House::open().await;
    let leave = async |key: &str| -> Value {
        let job = house.submit(key, "keep", &Deed::Succeed).await["job_id"].clone();
        house.let_end(1);
        house.becomes(&job, "completed").await;
        let id = job.as_str().unwrap();
        let left = format!(
            "insert into reveille.unique_key (queue, key, id) values ('default', '{key}', '{id}') on conflict do nothing"
        );
        eventually("its key is freed", SOON, async || {
            value::<i64>(&house.client, "select count(*) from reveille.unique_key").await == 0
        })
        .await;
        house.client.batch_execute(&left).await.unwrap();
        job
    };
    let holder = async || -> String {
        value(&house.client, "select id::text from reveille.unique_key").await
    };
    for policy in ["keep", "reject", "replace"] {
        let ended = leave(policy).await;
        let next = house.submit(policy, policy, &Deed::Succeed).await;
        assert_eq!(next["outcome"], "created", "{policy}: {next}");
        assert_ne!(next["job_id"], ended, "{policy}");
        assert_eq!(holder().await, next["job_id"].as_str().unwrap(), "{policy}");
        house.let_end(1);
        house.becomes(&next["job_id"], "completed").await;
    }
    let ended = leave("sql").await;
    let by_sql =
        "unique_key => 'sql', on_conflict => 'reject', task => 'steered', payload => '\"succeed\"'";
    let next = submit(&house.client, by_sql).await;
    assert_ne!(next, ended.as_str().unwrap());
    house.let_end(1);
    becomes(&house.client, &next, "completed", SOON).await;

    let second = leave("other").await;
    house.client.batch_execute("delete from reveille.unique_key").await.unwrap();
    let first = leave("retry").await;
    let stolen = format!(
        "delete from reveille.unique_key; insert into reveille.unique_key (queue, key, id) values ('default', 'retry', '{}')",
        second.as_str().unwrap()
    );
    house.client.batch_execute(&stolen).await.unwrap();
    let (status, job) = house.steer(&first, "retry").await;
    assert_eq!(status, 200, "{job}");
    assert_eq!(holder().await, first.as_str().unwrap());
    house.let_end(1);
    house.becomes(&first, "completed").await;
}

/// The held keys are found out together, and leave the rounds of the others.
#[tokio::test(flavor = "multi_thread")]
async fn submissions_of_other_keys_do_not_wait_for_forty_keys_that_a_transaction_holds() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let mut holder = cluster::connect(database.url()).await;
    let open = holder.transaction().await.unwrap();
    open.batch_execute(
        "select from generate_series(1, 40) n
         cross join lateral reveille.submit(payload => '1', unique_key => 'held' || n)",
    )
    .await
    .unwrap();
    let http = service.http();
    let submission = |key: String| {
        let http = http.clone();
        tokio::spawn(async move { http.post_job(&json!({"payload": 1, "unique_key": key})).await })
    };
    let held: Vec<_> = (1..=40).map(|nth| submission(format!("held{nth}"))).collect();
    for wave in 0..5 {
        let free: Vec<_> = (0..20).map(|nth| submission(format!("free{wave}-{nth}"))).collect();
        for free in free {
            let answer = free.await.unwrap();
            assert_eq!(answer.status, 201, "wave {wave}: {}", answer.body);
        }
    }
    for held in held {
        let answer = held.await.unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (503, &json!("unique_key_busy")));
    }
    let held: Vec<_> = (1..=40).map(|nth| submission(format!("held{nth}"))).collect();
    open.commit().await.unwrap();
    for held in held {
        let answer = held.await.unwrap();
        assert_eq!(answer.status, 200, "the job that exists is the answer: {}", answer.body);
    }
    assert_eq!(
        value::<i64>(&database.client().await, "select count(*) from reveille.job").await,
        140
    );
}

/// Each of the lists waits for the key as long as a list does.
#[tokio::test(flavor = "multi_thread")]
async fn submissions_without_a_key_do_not_wait_for_lists_that_wait_for_keys() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let mut holder = cluster::connect(database.url()).await;
    let open = holder.transaction().await.unwrap();
    open.batch_execute("select reveille.submit(payload => '1', unique_key => 'held')")
        .await
        .unwrap();
    let list = |keys: [String; 2]| {
        let http = service.http();
        let jobs: Vec<Value> =
            keys.iter().map(|key| json!({"payload": 1, "unique_key": key})).collect();
        tokio::spawn(async move { http.post("/jobs/batch", &json!(jobs)).await })
    };
    let waiting: Vec<_> = (0..9).map(|nth| list([format!("free{nth}"), "held".into()])).collect();
    let waits = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    eventually("a list waits", SOON, async || value::<i64>(&client, waits).await > 0).await;
    let mut answered = 0;
    while !waiting.iter().all(tokio::task::JoinHandle::is_finished) {
        let begun = Instant::now();
        let answer = service.http().post("/jobs", &json!({"payload": 1})).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(700), "after {answered} a plain one took {took:?}");
        let wait: i64 = value(&client, waits).await;
        assert!(wait <= 2, "{wait} connections wait for the key");
        answered += 1;
    }
    for waiting in waiting {
        let answer = waiting.await.unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (503, &json!("unique_key_busy")));
    }
    assert!(answered > 3, "{answered}");

    let waiting = list(["free".into(), "held".into()]);
    let free = list(["other".into(), "another".into()]).await.unwrap();
    assert_eq!(free.status, 201, "{}", free.body);
    open.commit().await.unwrap();
    let answer = waiting.await.unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.body["jobs"][1]["outcome"], "existing");
}

/// A row says which subtransaction wrote it. The server remembers 64 of those cheaply.
#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_many_jobs_are_taken_in_one_subtransaction_and_those_that_are_locked_told() {
    let database = harness::database().await;
    let (mut client, mut other) = (database.client().await, database.client().await);
    let jobs = "with made as (
        select s.job_id from generate_series(1, 300) n
        cross join lateral reveille.submit(payload => '1', unique_key => 'k' || n) s
      ) select array_agg(job_id) from made";
    let ids: Vec<uuid::Uuid> = value(&client, jobs).await;
    client.batch_execute("delete from reveille.unique_key").await.unwrap();
    let taken = "select count(*), count(*) filter (where holder = id) from reveille.keys_taken($1)";
    let written = "select count(distinct xmin::text) from reveille.unique_key";
    let transaction = client.transaction().await.unwrap();
    let all = transaction.query_one(taken, &[&ids]).await.unwrap();
    assert_eq!((all.get::<_, i64>(0), all.get::<_, i64>(1)), (300, 300));
    let subtransactions: i64 = transaction.query_one(written, &[]).await.unwrap().get(0);
    assert_eq!(subtransactions, 1);
    transaction.rollback().await.unwrap();

    // One is locked, and another just written.
    client.execute(taken_by_ids(), &[&ids]).await.unwrap();
    let (locked, new) = (ids[7], ids[250]);
    client.execute("delete from reveille.unique_key where id = $1", &[&new]).await.unwrap();
    let open = other.transaction().await.unwrap();
    let lock = "select from reveille.unique_key where id = $1 for update";
    open.execute(lock, &[&locked]).await.unwrap();
    open.execute(taken_by_ids(), &[&vec![new]]).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let busy = "select array_agg(id order by id) from reveille.keys_taken($1) where holder is null";
    let mut expected = vec![locked, new];
    expected.sort();
    let told: Vec<uuid::Uuid> = transaction.query_one(busy, &[&ids]).await.unwrap().get(0);
    assert_eq!(told, expected);
    let held = "select array_agg(h order by h) from reveille.keys_held(
        array_fill('default'::text, array[300]), array(select 'k' || n from generate_series(1, 300) n)) h";
    let places: Vec<i64> = transaction.query_one(held, &[]).await.unwrap().get(0);
    let place = |id: uuid::Uuid| ids.iter().position(|it| *it == id).unwrap() as i64 + 1;
    let mut expected = vec![place(locked), place(new)];
    expected.sort_unstable();
    assert_eq!(places, expected);
}

fn taken_by_ids() -> &'static str {
    "select from reveille.keys_taken($1)"
}
