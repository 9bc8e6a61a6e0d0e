//! A caller with very many keys.

use super::{job, kept, noop, until_answered};
use crate::harness::{self, Service};

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_with_a_million_keys_gets_no_new_one_and_the_answers_of_the_old_ones() {
    let database = harness::database().await;
    let client = database.client().await;
    let (full, other) =
        tokio::join!(Service::start(database.url()), Service::start(database.url()));
    let first = job(&full.http(), "first", &noop(1)).await;
    let fill = "insert into reveille.idempotency (principal, path, key, fingerprint, ids, statuses, outcomes)
        select i.principal, i.path, n::text, '', '{}', '{}', '{}'
        from reveille.idempotency i cross join generate_series(1, 1000000) n";
    client.batch_execute(fill).await.unwrap();
    // As autovacuum would: a count reads the index only.
    client.batch_execute("vacuum reveille.idempotency").await.unwrap();
    // This one has never counted the caller.
    let refused = until_answered(&other.http(), "new", &noop(2)).await;
    let code = &refused.body["code"];
    assert_eq!((refused.status, code.as_str()), (429, Some("too_many_idempotency_keys")));
    assert!(refused.retry_after.is_some(), "{refused:?}");
    let again = job(&other.http(), "first", &noop(1)).await;
    assert!(again.replayed, "{again:?}");
    assert_eq!(again.as_first(), first);
    let plain = other.http().post("/jobs", &noop(3)).await;
    assert_eq!(plain.status, 201);
    client.batch_execute("delete from reveille.idempotency where key < '5'").await.unwrap();
    assert!(kept(&client).await < 1_000_000);
}
