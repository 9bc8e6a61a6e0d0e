//! At most one outcome of a claim is accepted, and nothing is held by nobody: every outcome carries its lease, and the
//! heartbeat compares what a worker runs with what it holds.

use std::time::Duration;

use nix::sys::signal::Signal;
use reveille::Config;
use reveille::internals::job::ending::Ending;
use reveille::internals::job::json::Json;
use reveille::internals::job::{JobId, LeaseId};
use reveille::internals::store::lease::{Settled, Settlement};
use reveille::internals::store::{Store, Target};
use tokio_postgres::Client;

use crate::harness::look::{
    all_end, assert_one_place, becomes, listens, metric, status, submit, value,
};
use crate::harness::service::ServiceBuilder;
use crate::harness::{self, Service, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(10);

/// Taken for lost after a second.
fn fast(database: &TestDatabase, name: &str) -> ServiceBuilder {
    Service::on(database.url()).brisk("1").env("REVEILLE_INSTANCE_NAME", name)
}

async fn sleepers(client: &Client, count: i64, seconds: f64) {
    let query = format!(
        "select count(*) from generate_series(1, {count}) nth
         cross join lateral reveille.submit(task => 'sleep', payload => jsonb_build_object('seconds', {seconds}, 'nth', nth))"
    );
    assert_eq!(value::<i64>(client, &query).await, count);
}

async fn held_by(client: &Client, name: &str) -> i64 {
    let query = format!(
        "select coalesce(sum(cardinality(l.ids)), 0) from reveille.lease l join reveille.worker w on w.id = l.worker where w.name = '{name}'"
    );
    value(client, &query).await
}

/// An instance that stood still past its lease goes on as if nothing had happened. What it says of its jobs then comes too
/// late: they are somebody else's.
#[tokio::test(flavor = "multi_thread")]
async fn the_late_outcomes_of_a_stopped_instance_change_nothing() {
    let database = harness::database().await;
    let client = database.client().await;
    let first = fast(&database, "first").start().await;
    sleepers(&client, 20, 1.0).await;
    eventually("the first one runs them", SOON, async || {
        metric(&first, "reveille_slots_running").await == 20.0
    })
    .await;
    first.signal(Signal::SIGSTOP);
    let mut second = fast(&database, "second").start().await;
    eventually("the second one took them", SOON, async || held_by(&client, "second").await == 20)
        .await;
    first.signal(Signal::SIGCONT);
    first.logged("discarded a", SOON).await;
    all_end(&client, 20, SOON).await;
    let accepted: i64 = value(
        &client,
        "select count(*) from reveille.outcome o join reveille.worker w on w.id = o.worker
         where w.name = 'second' and o.state = 'completed' and o.attempt = 1",
    )
    .await;
    assert_eq!(accepted, 20);
    let lost: i64 =
        value(&client, "select count(*) from reveille.attempt where ending = 'lost'").await;
    assert_eq!(lost, 20);
    assert_one_place(&client).await;

    // It was taken for lost; registers again, and works on.
    first.logged("registers again", SOON).await;
    assert!(second.terminate(SOON).await.success());
    let job = submit(&client, "payload => '1'").await;
    becomes(&client, &job, "completed", SOON).await;
    let known = format!(
        "select count(*) from reveille.outcome o join reveille.worker w on w.id = o.worker where w.name = 'first' and o.id = '{job}'"
    );
    assert_eq!(value::<i64>(&client, &known).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_lease_settles_nothing() {
    let database = harness::database().await;
    let client = database.client().await;
    let target = Target::parse(database.url()).unwrap();
    let store = Store::open(&Config::default(), &target).await.unwrap();
    let service = Service::on(database.url()).start().await;
    let job = submit(&client, "task => 'sleep', payload => '{\"seconds\": 60}'").await;
    becomes(&client, &job, "processing", SOON).await;
    let id = JobId(job.parse().unwrap());
    let late = |lease: uuid::Uuid, ending: Ending| Settlement {
        lease: LeaseId(lease),
        id,
        place: 1,
        attempt: 1,
        ending,
        begun: true,
        keyed: false,
        timed: false,
    };
    let settle = async |settlement| store.lease_settle(&[settlement], true).await.unwrap()[0];

    let unknown = late(uuid::Uuid::new_v4(), Ending::Completed(Json::null()));
    assert_eq!(settle(unknown).await, Settled::LeaseLost);
    assert_eq!(status(&client, &job).await.as_deref(), Some("processing"));

    let held: uuid::Uuid = value(&client, "select lease from reveille.lease").await;
    let result = Json::parse(b"\"accepted\"").unwrap();
    let accepted = settle(late(held, Ending::Completed(result))).await;
    assert!(matches!(accepted, Settled::Applied(Some(_))), "{accepted:?}");
    for ending in
        [Ending::Completed(Json::null()), Ending::Release, Ending::Snooze { seconds: 0.0 }]
    {
        assert_eq!(settle(late(held, ending)).await, Settled::AlreadyFinal);
    }
    let result: String = value(&client, "select result::text from reveille.outcome").await;
    assert_eq!(result, "\"accepted\"");
    assert_one_place(&client).await;
    drop(service);
}

/// A claim is not flushed, so a crash of the database can forget it; the job waits again then. Whoever runs it must hear of
/// that, or it would run twice at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_whose_lease_is_gone_is_stopped() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = fast(&database, "it").env("REVEILLE_WORKERS", "1").start().await;
    let job = submit(&client, "task => 'sleep', payload => '{\"seconds\": 60}'").await;
    becomes(&client, &job, "processing", SOON).await;
    client
        .batch_execute(
            "begin;
             insert into reveille.ready (queue, task, priority, run_at, id)
               select queue, task, priority, now() + interval '1 hour', id from reveille.job;
             delete from reveille.lease;
             commit;",
        )
        .await
        .unwrap();
    // Its only slot is free again.
    let next = submit(&client, "payload => '1'").await;
    becomes(&client, &next, "completed", SOON).await;
    assert_eq!(status(&client, &job).await.as_deref(), Some("scheduled"));
    drop(service);
}

/// The claim was committed, its answer was not heard: nobody runs the job, and its holder is alive and well.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_claim_got_no_answer_is_given_back() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let client = database.client().await;
    let service = Service::on(proxy.url())
        .env("REVEILLE_HEARTBEAT_SECONDS", "0.2")
        .env("REVEILLE_LISTEN_DATABASE_URL", database.url())
        .env("REVEILLE_POLL_INTERVAL_SECONDS", "60")
        .start()
        .await;
    listens(&service).await;
    proxy.lose_answer_to("insert into reveille.lease");
    let job = submit(&client, "payload => '1'").await;
    harness::within("the answer is lost", SOON, proxy.lost(1)).await;
    becomes(&client, &job, "completed", SOON).await;
    let attempt: i32 =
        value(&client, &format!("select attempt from reveille.outcome where id = '{job}'")).await;
    assert_eq!(attempt, 1, "the attempt that did not take place was spent");
    assert_one_place(&client).await;
}

/// The outcome was committed, its answer was not heard: it is settled again, changes nothing, and those who wait for it are
/// told all the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_whose_answer_was_lost_is_told_to_those_who_wait() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let client = database.client().await;
    let service =
        Service::on(proxy.url()).env("REVEILLE_LISTEN_DATABASE_URL", database.url()).start().await;
    listens(&service).await;
    proxy.lose_answer_to("insert into reveille.outcome");
    let begun = std::time::Instant::now();
    let done = service.http().post("/jobs?wait=30", &serde_json::json!({"payload": 1})).await;
    assert_eq!((done.status, &done.body["status"]), (201, &serde_json::json!("completed")));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    harness::within("the answer is lost", SOON, proxy.lost(1)).await;
    assert_one_place(&client).await;
    // Who looks at the right moment sees the outcome before it is settled again.
    eventually("the outcome is settled again", SOON, async || {
        let labels = r#"{outcome="already_final",task="echo",queue="default"}"#;
        metric(&service, &format!("reveille_job_outcomes_total{labels}")).await >= 1.0
    })
    .await;
}
