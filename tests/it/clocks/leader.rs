//! The leader ends what waits: when it looks, what it passes by, and what is left of the limits.

use std::sync::atomic::{AtomicU64, Ordering};

use reveille::OnConflict;
use serde_json::json;

use super::{House, SOON, assert_ended, seconds, shift};
use crate::harness::eventually;
use crate::harness::look::{assert_one_place, submit, value};

/// An instance of the release before, or a loop that is late, gives back jobs that it held and did
/// not begin. Such a job is found all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_held_while_its_time_ended_ends_when_it_is_given_back() {
    let house = House::open(0).await;
    let client = house.database.client().await;
    let id = house.submit(shift(0.0).queue_ttl(seconds(0.5)).queue("q")).await;
    let take = format!(
        "with r as (delete from reveille.ready where id = '{id}' returning id)
         insert into reveille.lease (lease, worker, ids, attempts, crashes)
         select gen_random_uuid(), (select id from reveille.worker), array[id], '{{1}}', '{{0}}' from r"
    );
    client.batch_execute(&take).await.unwrap();
    let looked =
        format!("select at > since + interval '1 second' from reveille.expiry where id = '{id}'");
    eventually("the leader looks again later", SOON, async || value(&client, &looked).await).await;
    assert_eq!(house.http.get_job(&id).await.body["status"], "processing");
    let back = "with l as (delete from reveille.lease returning ids)
        insert into reveille.ready (queue, task, priority, run_at, id)
        select 'q', 'work', 5, now(), ids[1] from l";
    client.batch_execute(back).await.unwrap();
    let job = house.end(&id).await;
    assert_eq!((&job["error"]["code"], &job["attempt_count"]), (&json!("expired"), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_rests_hears_of_an_earlier_job() {
    let house = House::open(0).await;
    let client = house.database.client().await;
    let far = house.submit(shift(0.0).deadline(seconds(3600.0))).await;
    // It looks again a second after it was told. Then it rests for a minute.
    // Its session does other things too, so the last look that was seen counts.
    let looks = "select extract(epoch from max(query_start))::float8 from pg_stat_activity
        where pid <> pg_backend_pid() and datname = current_database()
          and query like '%min(e.at)%'";
    let now = "select extract(epoch from clock_timestamp())::float8";
    let now = async || value::<f64>(&client, now).await * 1e3;
    let seen = AtomicU64::new(now().await as u64);
    let rests = async || {
        let last = value::<Option<f64>>(&client, looks).await.unwrap_or_default() * 1e3;
        let last = seen.fetch_max(last as u64, Ordering::Relaxed).max(last as u64);
        now().await - last as f64 > 1500.0
    };
    let by_sql = "payload => '1', settings => '{\"deadline_seconds\": 0.3}'";
    for _ in 0..2 {
        eventually("it rests", SOON, &rests).await;
        let id = submit(&client, by_sql).await;
        assert_ended(&house.end(&id).await, "deadline_exceeded", 0.3);
    }
    assert_eq!(house.http.get_job(&far).await.body["status"], "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_somebody_has_locked_do_not_hide_those_behind_them() {
    const PASS: i64 = 1000;
    let house = House::open(0).await;
    let (client, mut holder) = (house.database.client().await, house.database.client().await);
    // They wait for a lock that is taken before they are due.
    let transaction = holder.transaction().await.unwrap();
    let locked = format!(
        "select count(*) from reveille.submit_many((select jsonb_agg(
           '{{\"payload\": 1, \"queue\": \"q\", \"queue_ttl_seconds\": 2}}'::jsonb)
         from generate_series(1, {PASS})))"
    );
    assert_eq!(value::<i64>(&client, &locked).await, PASS);
    transaction.batch_execute("select from reveille.ready for update").await.unwrap();
    let behind = house.submit(shift(0.0).queue_ttl(seconds(2.5))).await;
    assert_ended(&house.end(&behind).await, "expired", 2.5);
    let ended = "select count(*) from reveille.outcome";
    assert_eq!(value::<i64>(&client, ended).await, 1);
    transaction.rollback().await.unwrap();
    eventually("they end", SOON, async || value::<i64>(&client, ended).await == PASS + 1).await;
    eventually("nothing is left of them", SOON, async || house.limits().await == 0).await;
    assert_one_place(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_begin_anew_with_new_content_and_with_a_retry() {
    let house = House::open(0).await;
    let client = house.database.client().await;
    let left = async |id: &str| {
        let left = format!(
            "select extract(epoch from at - now())::float8 from reveille.expiry where id = '{id}'"
        );
        client.query_opt(&left, &[]).await.unwrap().map(|row| row.get::<_, f64>(0))
    };
    let job = || shift(0.0).unique("k", OnConflict::Replace);
    let id = house.submit(job().queue_ttl(seconds(1.0))).await;
    let replaced = house.submit(job().deadline(seconds(500.0)).queue_ttl(seconds(300.0))).await;
    assert_eq!(replaced, id);
    let now = left(&id).await.unwrap();
    assert!((290.0..=300.0).contains(&now), "{now}");
    // Content without limits: what was before does not end it.
    house.submit(job().queue_ttl(seconds(0.5))).await;
    house.submit(job()).await;
    eventually("its limits are forgotten", SOON, async || left(&id).await.is_none()).await;
    let waits = house.http.get_job(&id).await.body;
    assert_eq!((&waits["status"], waits.get("queue_ttl_seconds")), (&json!("queued"), None));

    let expired = house.submit(shift(0.0).queue_ttl(seconds(0.5))).await;
    assert_ended(&house.end(&expired).await, "expired", 0.5);
    // A longer one, or it would be over again.
    let longer = format!(
        "update reveille.job set settings = '{{\"queue_ttl_seconds\": 100}}' where id = '{expired}'"
    );
    client.batch_execute(&longer).await.unwrap();
    let retried = house.http.post(&format!("/jobs/{expired}/retry"), &json!({})).await;
    assert_eq!((retried.status, &retried.body["status"]), (200, &json!("queued")));
    let now = left(&expired).await.unwrap();
    assert!((90.0..=100.0).contains(&now), "{now}");
    for (method, path) in
        [("POST", format!("/jobs/{expired}/cancel")), ("DELETE", format!("/jobs/{id}"))]
    {
        let answer = house.http.request(method, &path).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }
    assert_eq!(house.limits().await, 0);
}

/// The job ended, and is sent back after the statement that forgets its limits has begun.
#[tokio::test(flavor = "multi_thread")]
async fn limits_that_begin_anew_while_they_are_forgotten_stay() {
    const FORGET: &str = include_str!("../../../sql/expiry/forget.sql");
    let house = House::open(0).await;
    let client = house.database.client().await;
    let id = house.submit(shift(0.0).deadline(seconds(600.0))).await;
    let held = format!(
        "with r as (delete from reveille.ready returning id)
         insert into reveille.outcome (id, attempt, state) select id, 1, 'failed' from r;
         create function public.held() returns uuid[] language plpgsql as $$
           begin
             perform pg_advisory_xact_lock(7);
             return array['{id}'::uuid];
           end $$;
         select pg_advisory_lock(7)"
    );
    client.batch_execute(&held).await.unwrap();
    assert!(FORGET.contains("$1::uuid[]"));
    let forget = FORGET.replace("$1::uuid[]", "public.held()");
    let other = house.database.client().await;
    let forgetting = tokio::spawn(async move { other.batch_execute(&forget).await });
    let waits = "select count(*) from pg_locks
        where locktype = 'advisory' and objid = 7 and not granted";
    eventually("it waits", SOON, async || value::<i64>(&client, waits).await == 1).await;
    let retried = house.http.post(&format!("/jobs/{id}/retry"), &json!({})).await;
    assert_eq!(retried.status, 200, "{retried:?}");
    client.batch_execute("select pg_advisory_unlock(7)").await.unwrap();
    forgetting.await.unwrap().unwrap();
    assert_eq!(house.limits().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_limits_leaves_nothing_beside_it() {
    let house = House::open(0).await;
    let client = house.database.client().await;
    let plain = json!({"payload": 1});
    let kept =
        |id: &str| format!("select payload is not null from reveille.ready where id = '{id}'");
    let alone = house.http.post_job(&plain).await.body["job_id"].as_str().unwrap().to_owned();
    let timed = json!({"payload": 1, "deadline_seconds": 900});
    let batch = house.http.post("/jobs/batch", &json!([plain, timed])).await.body;
    let id = |nth: usize| batch["jobs"][nth]["job_id"].as_str().unwrap();
    assert_eq!(house.limits().await, 1);
    for (id, beside) in [(&*alone, true), (id(0), true), (id(1), false)] {
        assert_eq!(value::<bool>(&client, &kept(id)).await, beside, "{batch}");
    }
}
