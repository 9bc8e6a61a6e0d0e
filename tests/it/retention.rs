//! What is kept, for how long, and what goes.

use std::time::Duration;

use reveille::Config;
use reveille::internals::job::JobId;
use reveille::internals::store::job::{Keep, Retried, from_the_front};
use reveille::internals::store::partition::Week;
use reveille::internals::store::{Store, Target};
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::harness::{self, Service, TestDatabase, eventually, within};

const SOON: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3600);
const WEEKS: Keep = Keep {
    completed: Duration::from_secs(7 * 86_400),
    failed_or_cancelled: Duration::from_secs(30 * 86_400),
};
const NONE: [Uuid; 0] = [];
const RETRY: &str = include_str!("../../sql/job/retry.sql");

/// A job that was submitted so long ago.
async fn job(client: &Client, created_ago: &str) -> Uuid {
    let sql = format!(
        "insert into reveille.job (id, run_at, priority, queue, task, payload, unique_key)
         values (reveille.uuid7(reveille.uuid7_ticks(now() - interval '{created_ago}'), reveille.uuid7_seed(), 0), now(), 5, 'default', 'unserved', '1', 'k' || random())
         returning id"
    );
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

/// A job that ended so long ago, in this state, after an attempt that failed.
pub(crate) async fn ended(
    client: &Client,
    created_ago: &str,
    ended_ago: &str,
    state: &str,
) -> Uuid {
    let id = job(client, created_ago).await;
    let sql = format!(
        "insert into reveille.outcome (id, ended_at, attempt, state) values ('{id}', now() - interval '{ended_ago}', 2, '{state}');
         insert into reveille.attempt (id, lease, attempt, ending) values ('{id}', gen_random_uuid(), 1, 'failed');
         insert into reveille.progress (id) values ('{id}');"
    );
    client.batch_execute(&sql).await.unwrap();
    id
}

async fn wait_again(client: &Client, id: Uuid) {
    let sql = format!(
        "insert into reveille.ready (queue, task, priority, run_at, id) values ('default', 'unserved', 5, now(), '{id}')"
    );
    client.batch_execute(&sql).await.unwrap();
}

/// The partitions of the week of a moment that long ago. Answers its suffix, such as `2026w40`.
pub(crate) async fn old_week(client: &Client, ago: &str) -> String {
    let name = format!("reveille.partition_name('', now() - interval '{ago}')");
    let week = format!("date_trunc('week', now() - interval '{ago}', 'UTC')");
    let row = client
        .query_one(&format!("select {name}, reveille.uuid7_floor({week})::text, reveille.uuid7_floor({week} + interval '7 days')::text"), &[])
        .await
        .unwrap();
    let (suffix, from, to): (String, String, String) = (row.get(0), row.get(1), row.get(2));
    for parent in ["job", "outcome", "attempt"] {
        let sql = format!(
            "create table reveille.{parent}{suffix} partition of reveille.{parent} for values from ('{from}') to ('{to}')"
        );
        client.batch_execute(&sql).await.unwrap();
    }
    let number = format!("reveille.week_number(now() - interval '{ago}')");
    client.batch_execute(&format!("insert into reveille.week values ({number})")).await.unwrap();
    suffix
}

async fn ids(client: &Client, table: &str) -> Vec<Uuid> {
    let sql = format!("select distinct id from reveille.{table} order by id");
    client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

pub(crate) async fn tables_of(client: &Client, suffix: &str) -> i64 {
    let sql =
        format!("select count(*) from pg_class where relname ~ '^(job|outcome|attempt){suffix}$'");
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

async fn store(database: &TestDatabase) -> (Store, Target) {
    let target = Target::parse(database.url()).unwrap();
    (Store::open(&Config::default(), &target).await.unwrap(), target)
}

/// An old week of which nothing is kept any longer: its suffix, and what removes it.
async fn expired_week(database: &TestDatabase, look: &Client) -> (Store, Target, Week, String) {
    let (store, target) = store(database).await;
    let suffix = old_week(look, "10 weeks").await;
    let [week] = store.partition_expired(WEEKS).await.unwrap()[..] else {
        panic!("one week has expired");
    };
    (store, target, week, suffix)
}

fn sorted(mut ids: Vec<Uuid>) -> Vec<Uuid> {
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_is_kept_for_its_time_and_gone_after_it() {
    let database = harness::database().await;
    let client = database.client().await;
    let mut kept = Vec::new();
    let mut gone = Vec::new();
    gone.push(ended(&client, "2 hours", "61 minutes", "completed").await);
    gone.push(ended(&client, "25 hours", "25 hours", "failed").await);
    gone.push(ended(&client, "25 hours", "25 hours", "cancelled").await);
    // Created before all of the others, and ended later.
    kept.push(ended(&client, "6 days", "59 minutes", "completed").await);
    kept.push(ended(&client, "6 days", "23 hours", "failed").await);
    kept.push(ended(&client, "6 days", "23 hours", "cancelled").await);
    let waiting = job(&client, "6 days").await;
    wait_again(&client, waiting).await;
    let processing = job(&client, "6 days").await;
    let lease = format!(
        "insert into reveille.worker (id, name, version, host, pid, heartbeat_at, lost_after, slots, tasks)
         values ('{processing}', 'w', '0', 'h', 1, now() + interval '1 hour', '1 hour', 1, '{{}}');
         insert into reveille.lease (lease, worker, ids, attempts, crashes)
         values (gen_random_uuid(), '{processing}', array['{processing}'::uuid], array[1], array[0::smallint])"
    );
    client.batch_execute(&lease).await.unwrap();

    let _service = Service::on(database.url())
        .env("REVEILLE_KEEP_COMPLETED_SECONDS", "3600")
        .env("REVEILLE_KEEP_FAILED_SECONDS", "86400")
        .start()
        .await;
    eventually("jobs past their time are gone", SOON, async || {
        let left = ids(&client, "outcome").await;
        !gone.iter().any(|id| left.contains(id))
    })
    .await;
    let kept = sorted(kept);
    for table in ["outcome", "attempt", "progress"] {
        assert_eq!(ids(&client, table).await, kept, "{table}");
    }
    let jobs = sorted([kept, vec![waiting, processing]].concat());
    assert_eq!(ids(&client, "job").await, jobs);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_week_goes_as_a_whole_and_one_with_a_waiting_job_bit_by_bit() {
    let database = harness::database().await;
    let client = database.client().await;
    let done = old_week(&client, "10 weeks").await;
    ended(&client, "10 weeks", "9 weeks", "completed").await;
    ended(&client, "10 weeks", "9 weeks", "failed").await;
    // Somebody was interrupted while it removed another one.
    let half = old_week(&client, "12 weeks").await;
    ended(&client, "12 weeks", "12 weeks", "completed").await;
    let detach = format!("alter table reveille.job detach partition reveille.job{half}");
    client.batch_execute(&detach).await.unwrap();
    let waits = old_week(&client, "14 weeks").await;
    ended(&client, "14 weeks", "14 weeks", "completed").await;
    let waiting = job(&client, "14 weeks").await;
    wait_again(&client, waiting).await;

    let service = Service::start(database.url()).await;
    eventually("old weeks are removed", SOON, async || {
        tables_of(&client, &done).await + tables_of(&client, &half).await == 0
    })
    .await;
    eventually("the ended job beside the waiting one is gone", SOON, async || {
        ids(&client, "outcome").await.is_empty()
    })
    .await;
    assert_eq!(tables_of(&client, &waits).await, 3);
    assert_eq!(ids(&client, "job").await, [waiting]);
    assert_eq!(ids(&client, "progress").await, NONE);
    let job = service.http().get_job(&waiting.to_string()).await;
    assert_eq!((job.status, &job.body["status"]), (200, &json!("queued")));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_retry_and_the_pruner_one_wins() {
    let database = harness::database().await;
    let mut client = database.client().await;
    let look = database.client().await;
    let (store, _) = store(&database).await;
    let keep = Keep { completed: HOUR, failed_or_cancelled: HOUR };
    let prune = || async { store.job_prune(keep, None, from_the_front(), 10).await.unwrap() };

    let id = ended(&look, "1 day", "1 day", "failed").await;
    let retrying = client.transaction().await.unwrap();
    assert!(retrying.query_one(RETRY, &[&id]).await.unwrap().get::<_, bool>(0));
    let pruning = async {
        let pruned = prune().await;
        assert_eq!(pruned.map(|it| it.count), [0, 0, 0]);
    };
    let commit = async {
        waiters(&database, 1).await;
        retrying.commit().await.unwrap();
    };
    within("both end", SOON, async { tokio::join!(pruning, commit) }).await;
    for table in ["job", "ready", "unique_key"] {
        assert_eq!(ids(&look, table).await, [id], "{table}");
    }
    assert_eq!(ids(&look, "outcome").await, NONE);

    // The other way round.
    client
        .batch_execute(&format!(
            "delete from reveille.ready; delete from reveille.unique_key;
             insert into reveille.outcome (id, ended_at, attempt, state) values ('{id}', now() - interval '1 day', 1, 'failed')"
        ))
        .await
        .unwrap();
    let blocker = client.transaction().await.unwrap();
    blocker.query_one("select from reveille.job where id = $1 for update", &[&id]).await.unwrap();
    let retrying = async {
        waiters(&database, 1).await;
        let retry = store.job_retry(JobId(id));
        let both = async {
            waiters(&database, 2).await;
            blocker.commit().await.unwrap();
        };
        let (retried, ()) = tokio::join!(retry, both);
        assert_eq!(retried.unwrap(), Retried::NotFinal);
    };
    within("both end", SOON, async { tokio::join!(prune(), retrying) }).await;
    for table in ["job", "ready", "outcome", "attempt", "unique_key", "progress"] {
        assert_eq!(ids(&look, table).await, NONE, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_retry_and_the_removal_of_its_week_one_wins() {
    let database = harness::database().await;
    let mut client = database.client().await;
    let look = database.client().await;
    let (store, target, week, suffix) = expired_week(&database, &look).await;
    let id = ended(&look, "10 weeks", "9 weeks", "failed").await;

    let removing = client.transaction().await.unwrap();
    let lock = "select pg_advisory_xact_lock(79, reveille.week_number(reveille.uuid7_time($1)))";
    removing.query_one(lock, &[&id]).await.unwrap();
    assert_eq!(store.job_retry(JobId(id)).await.unwrap(), Retried::NotFinal);
    removing.rollback().await.unwrap();

    let retrying = client.transaction().await.unwrap();
    assert!(retrying.query_one(RETRY, &[&id]).await.unwrap().get::<_, bool>(0));
    let remove = || within("an answer", SOON, store.partition_remove(&target, WEEKS, week));
    assert!(!remove().await.unwrap(), "removed while a job of it was being retried");
    retrying.commit().await.unwrap();
    assert!(!remove().await.unwrap(), "removed although a job of it waits");
    assert_eq!(tables_of(&look, &suffix).await, 3);
    assert_eq!(ids(&look, "job").await, [id]);

    look.batch_execute("delete from reveille.ready").await.unwrap();
    // The session of the last call may live for a moment longer, and holds the lock.
    eventually("the week is removed", SOON, async || remove().await.unwrap()).await;
    assert_eq!(tables_of(&look, &suffix).await, 0);
    assert_eq!(ids(&look, "unique_key").await, NONE);
}

/// The locks of the schema's own tables suffice: none of the two takes the advisory lock here.
#[tokio::test(flavor = "multi_thread")]
async fn a_week_is_marked_before_it_is_removed_and_waits_for_retries_of_its_jobs() {
    let database = harness::database().await;
    let mut client = database.client().await;
    let look = database.client().await;
    let (store, target, week, suffix) = expired_week(&database, &look).await;
    let id = ended(&look, "10 weeks", "9 weeks", "failed").await;
    let number = format!("reveille.week_number(reveille.uuid7_time('{id}'))");

    let marked = |since: &str| {
        format!("update reveille.week set removing_since = {since} where number = {number}")
    };
    look.batch_execute(&marked("now()")).await.unwrap();
    assert_eq!(store.job_retry(JobId(id)).await.unwrap(), Retried::NotFinal);
    look.batch_execute(&marked("null")).await.unwrap();

    // What a retry does, but for the advisory lock.
    let retrying = client.transaction().await.unwrap();
    let share = format!("select from reveille.week where number = {number} for share");
    retrying.batch_execute(&share).await.unwrap();
    let remover = store.clone();
    let removing =
        tokio::spawn(async move { remover.partition_remove(&target, WEEKS, week).await });
    waiters(&database, 1).await;
    wait_again(&look, id).await;
    look.batch_execute("delete from reveille.outcome").await.unwrap();
    retrying.commit().await.unwrap();
    let removed = within("an answer", SOON, removing).await.unwrap();
    assert!(!removed.unwrap(), "removed although a job of it waits");
    assert_eq!(tables_of(&look, &suffix).await, 3);
    let marks = "select count(*) from reveille.week where removing_since is not null";
    assert_eq!(look.query_one(marks, &[]).await.unwrap().get::<_, i64>(0), 0);
}

/// Meanwhile nobody else has the direct connection.
#[tokio::test(flavor = "multi_thread")]
async fn the_removal_of_a_week_gives_way_to_a_long_transaction_and_goes_on_the_next_time() {
    let database = harness::database().await;
    let mut client = database.client().await;
    let look = database.client().await;
    let (store, target, week, suffix) = expired_week(&database, &look).await;
    let reading = client.transaction().await.unwrap();
    reading.batch_execute("select from reveille.job limit 1").await.unwrap();
    let first = store.partition_remove(&target, WEEKS, week);
    let first = within("it gives way", Duration::from_secs(10), first).await;
    assert!(first.is_err(), "{first:?}");
    reading.rollback().await.unwrap();
    eventually("the week is removed", SOON, async || {
        store.partition_remove(&target, WEEKS, week).await.unwrap()
    })
    .await;
    assert_eq!(tables_of(&look, &suffix).await, 0);
}

/// As without a standby that has to confirm it.
#[tokio::test(flavor = "multi_thread")]
async fn the_removal_of_a_week_does_not_wait_for_a_commit_that_is_not_answered() {
    let database = harness::database().await;
    let (look, proxy) = (database.client().await, database.proxy().await);
    let (store, target, week, suffix) = expired_week(&database, &look).await;
    proxy.swallow_answer_to("update reveille.week set removing_since");
    let through = Target::parse(proxy.url()).unwrap();
    let first = store.partition_remove(&through, WEEKS, week);
    let first = within("it is given up", Duration::from_secs(10), first).await;
    assert!(first.is_err(), "{first:?}");
    within("the answer was lost", SOON, proxy.lost(1)).await;
    drop(proxy);
    eventually("the week is removed", SOON, async || {
        store.partition_remove(&target, WEEKS, week).await.unwrap()
    })
    .await;
    assert_eq!(tables_of(&look, &suffix).await, 0);
}

/// Waits until so many sessions wait for a lock.
async fn waiters(database: &TestDatabase, count: i64) {
    let client = database.client().await;
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    eventually("sessions wait for a lock", SOON, async || {
        client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == count
    })
    .await;
}
