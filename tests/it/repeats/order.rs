//! Requests that are written together take their keys in one order.

use tokio_postgres::Client;

use super::{SOON, jobs, kept};
use crate::harness::look::{submit, value};
use crate::harness::{self, eventually};

/// Two requests of one caller in one statement. The answers in the order of these keys.
fn both(names: [&str; 2]) -> String {
    let [one, other] = names;
    format!(
        "select string_agg(outcome || case when replayed then ' again' else '' end, ', ' order by place)
         from reveille.submit_once('{{p,p}}', '{{/jobs,/jobs}}', '{{{one},{other}}}',
           array['{one}', '{other}']::bytea[], '{{1,2}}', '{{1,2}}', '{{t,t}}', 60,
           array(select reveille.uuid7(reveille.uuid7_ticks(clock_timestamp()), n, n)
             from generate_series(1, 2) n),
           '{{q,q}}', '{{t,t}}', '{{5,5}}', array[now(), now()], array['1', '1']::jsonb[],
           array[null, null]::integer[], array[null, null]::float8[], array[null, null]::jsonb[],
           array[null, null]::jsonb[], array[null, null]::text[], array[null, null]::text[])"
    )
}

/// A session that waits for locks longer than it takes to find a deadlock.
async fn patient(database: &harness::TestDatabase) -> Client {
    let client = database.client().await;
    client.batch_execute("set lock_timeout = '8s'").await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_name_two_keys_in_two_orders_do_not_deadlock() {
    let database = harness::database().await;
    let (client, mut holder) = (database.client().await, database.client().await);
    // The partitions of today are there before.
    submit(&client, "payload => '1'").await;
    let waiting = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    for round in 0..6_i64 {
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        let take = "insert into reveille.idempotency
            (principal, path, key, fingerprint, ids, statuses, outcomes)
            values ('p', '/jobs', $1, '', '{}', '{}', '{}')";
        let open = holder.transaction().await.unwrap();
        open.execute(take, &[&a]).await.unwrap();
        let (one, other) = (patient(&database).await, patient(&database).await);
        let (forth, back) = (both([&a, &b]), both([&b, &a]));
        let forth = tokio::spawn(async move { value::<String>(&one, &forth).await });
        let back = tokio::spawn(async move { value::<String>(&other, &back).await });
        eventually("both wait", SOON, async || value::<i64>(&client, waiting).await == 2).await;
        open.rollback().await.unwrap();
        let mut answers = [forth.await.unwrap(), back.await.unwrap()];
        answers.sort_unstable();
        assert_eq!(answers, ["created again, created again", "created, created"], "{round}");
        assert_eq!((jobs(&client).await, kept(&client).await), (2 * round + 3, 2 * round + 2));
    }
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(value::<i64>(&client, deadlocks).await, 0);
}
