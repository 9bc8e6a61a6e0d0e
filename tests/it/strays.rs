//! Statements whose answers are lost: their connections come back soon, and nobody else's session suffers for it.

use std::time::{Duration, SystemTime};

use reveille::{NewJob, OnConflict, SubmitError};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::harness::look::{drop_partitions, listens, value};
use crate::harness::{self, Service, eventually, within};

const SOON: Duration = Duration::from_secs(10);
const NOBODY: [bool; 0] = [];
/// Sessions of the service that work on something.
const NOT_IDLE: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'reveille' and state <> 'idle'";

/// The pool of heartbeats has one connection, and nobody can tell a pooler's sessions apart.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_one_lost_answer_does_not_silence_the_heartbeat() {
    let database = harness::database().await;
    let (client, proxy) = (database.client().await, database.proxy().await);
    let set = format!(
        "alter role reveille in database {} set search_path = pg_catalog, pg_temp",
        database.name()
    );
    client.batch_execute(&set).await.unwrap();
    let service = Service::on(proxy.url())
        .env("REVEILLE_POOLER", "true")
        .env("REVEILLE_LISTEN_DATABASE_URL", database.url())
        .env("REVEILLE_HEARTBEAT_SECONDS", "0.2")
        .start()
        .await;
    listens(&service).await;
    proxy.swallow_answer_to("update reveille.worker");
    within("an answer is lost", SOON, proxy.lost(1)).await;
    let lost_at: SystemTime = value(&client, "select clock_timestamp()").await;
    let later = "select heartbeat_at > $1 from reveille.worker";
    eventually("it sends heartbeats again", Duration::from_secs(12), async || {
        client.query_one(later, &[&lost_at]).await.unwrap().get(0)
    })
    .await;
}

/// The number of the server's process and when it was started, as the client sees it.
async fn backend(of: &Client, to: &Client) -> (i32, SystemTime) {
    let pid: i32 = value(of, "select pg_backend_pid()").await;
    let of = "select backend_start from pg_stat_activity where pid = $1";
    (pid, to.query_one(of, &[&pid]).await.unwrap().get(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_the_number_of_one_that_is_gone_is_left_alone() {
    let database = harness::database().await;
    let (looking, other) = (database.client().await, database.client().await);
    let ended = include_str!("../../sql/session/ended.sql");
    let look = async |of: (i32, SystemTime)| -> Vec<bool> {
        let rows = looking.query(ended, &[&of.0, &of.1]).await.unwrap();
        rows.iter().map(|row| row.try_get(0).unwrap()).collect()
    };
    let (pid, started_at) = backend(&other, &looking).await;
    let gone = (pid, started_at - Duration::from_secs(60));
    assert_eq!(look(gone).await, NOBODY, "an idle session of this role is another one");
    assert_eq!(value::<i32>(&other, "select 1").await, 1);
    eventually("the session itself is ended", SOON, async || {
        look((pid, started_at)).await;
        other.is_closed()
    })
    .await;
    assert_eq!(look((pid, started_at)).await, NOBODY);

    // Another role's session is not seen to the bottom: neither its state nor its start.
    let stranger = format!("stranger_{}", database.name());
    let create = format!("create role {stranger} login; set role {stranger}");
    let third = database.client().await;
    let seen = backend(&third, &third).await;
    looking.batch_execute(&create).await.unwrap();
    assert_eq!(look(seen).await, NOBODY);
    looking.batch_execute(&format!("reset role; drop role {stranger}")).await.unwrap();
    assert_eq!(value::<i32>(&third, "select 1").await, 1);
}

/// The time of the statement is over in the same moment as that of the list. Nobody doubts a COMMIT that was never sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_whose_commit_was_not_sent_is_in_no_doubt() {
    let database = harness::database().await;
    let client = database.client().await;
    client
        .batch_execute(
            "create function public.dawdle() returns trigger language plpgsql as
             $$ begin perform pg_sleep(4); return null; end $$;
             create trigger dawdle after insert on reveille.job
             for each statement execute function public.dawdle()",
        )
        .await
        .unwrap();
    let mut lists = JoinSet::new();
    for list in 0..16 {
        let client = reveille::Client::connect(database.url()).await.unwrap();
        let job = move |nth: u32| {
            NewJob::new("noop", &nth).unique(format!("{list}-{nth}"), OnConflict::Keep)
        };
        lists.spawn(async move { client.submit_many([job(1), job(2)]).await });
    }
    for answer in lists.join_all().await {
        assert!(matches!(answer, Err(SubmitError::Unavailable(_))), "{answer:?}");
    }
    eventually("all statements have ended", SOON, async || {
        value::<i64>(&client, NOT_IDLE).await == 0
    })
    .await;
    assert_eq!(value::<i64>(&client, "select count(*) from reveille.job").await, 0);
}

/// The partitions of the week are made, and the answer to that is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_needs_a_partition_waits_for_it_no_longer_than_is_promised() {
    const ENSURE: &str = "select reveille.partition_ensure()";
    let database = harness::database().await;
    let (client, proxy) = (database.client().await, database.proxy().await);
    let service = Service::on(proxy.url()).env("REVEILLE_WORKERS", "0").start().await;
    eventually("it has made its own", SOON, async || {
        proxy.sent(ENSURE) >= 2 && value::<i64>(&client, NOT_IDLE).await == 0
    })
    .await;
    drop_partitions(&client).await;
    proxy.swallow_answer_to(ENSURE);
    let submit = || async { service.http().post_job(&json!({"payload": 1})).await.status };
    let status = within("it is answered", Duration::from_secs(6), submit()).await;
    assert_eq!(status, 503);
    within("the answer was lost", SOON, proxy.lost(1)).await;
    eventually("submissions are accepted", SOON, async || submit().await == 201).await;
}
