//! Pushed, not polled: every way in which a worker learns of a job works by itself. The poll is a minute away in all tests
//! but its own, so that it hides nothing.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::cluster::connect;
use crate::harness::look::{becomes, listens, metric, submit, value};
use crate::harness::proxy::Mode;
use crate::harness::{self, Service, TestDatabase, eventually};
use crate::wakes::{self, Gates};

/// Far less than the poll, and far more than a wake takes on a loaded machine.
const SOON: Duration = Duration::from_secs(5);

async fn unpolled(database: &TestDatabase) -> Service {
    Service::on(database.url()).env("REVEILLE_POLL_INTERVAL_SECONDS", "60").start().await
}

fn claims(source: &str) -> String {
    format!("reveille_claims_total{{source=\"{source}\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_alone_wakes() {
    let database = harness::database().await;
    let service = unpolled(&database).await;
    listens(&service).await;
    let client = database.client().await;
    let before = metric(&service, &claims("notify")).await;
    let job = submit(&client, "payload => '1', queue => 'other'").await;
    becomes(&client, &job, "completed", SOON).await;
    assert_eq!(metric(&service, &claims("notify")).await, before + 1.0);
}

/// A queue of its own for each submission, so that nothing is found because something else was told.
#[tokio::test(flavor = "multi_thread")]
async fn every_submission_to_an_instance_wakes_the_others() {
    let database = harness::database().await;
    let api = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let worker = unpolled(&database).await;
    listens(&worker).await;
    let client = database.client().await;
    let job = |queue: &str| json!({"payload": 1, "queue": queue});
    let tagged = |queue: &str| json!({"payload": 1, "queue": queue, "tags": ["a"]});
    let keyed = |queue: &str| json!({"payload": 1, "queue": queue, "unique_key": "a"});
    let many: Vec<_> = (0..20).map(|nth| job(&format!("many-{nth}"))).collect();
    for jobs in [
        json!([job("plain")]),
        json!([tagged("tagged")]),
        json!([keyed("keyed")]),
        json!([job("plains"), job("plains")]),
        json!([job("mixed"), tagged("mixed")]),
        json!([job("some-keyed"), keyed("some-keyed")]),
        json!(many),
    ] {
        let answer = api.http().post("/jobs/batch", &jobs).await;
        for job in answer.body["jobs"].as_array().unwrap() {
            becomes(&client, job["job_id"].as_str().unwrap(), "completed", SOON).await;
        }
    }
}

/// A gated insert is not announced if somebody else holds the gate, who may have committed a moment earlier.
#[tokio::test(flavor = "multi_thread")]
async fn a_lane_is_looked_at_again_for_those_who_found_the_gate_shut() {
    let database = harness::database().await;
    let service = unpolled(&database).await;
    listens(&service).await;
    let (gate, client) = (database.client().await, database.client().await);
    wakes::hold(&gate, "default echo 5", Gates::All).await;
    client
        .batch_execute(
            "begin; select pg_notify('reveille', 'lane default echo 5'); commit;
             select pg_sleep(0.03);
             begin; select reveille.submit(payload => '\"late\"'); commit;",
        )
        .await
        .unwrap();
    let job: String =
        value(&client, "select id::text from reveille.job where payload = '\"late\"'").await;
    becomes(&client, &job, "completed", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_notifications_the_poll_finds_every_job() {
    let database = harness::database().await;
    let service =
        Service::on(database.url()).env("REVEILLE_POLL_INTERVAL_SECONDS", "1").start().await;
    listens(&service).await;
    let client = database.client().await;
    client.batch_execute("drop trigger wake on reveille.ready").await.unwrap();
    let before = metric(&service, &claims("poll")).await;
    let job = submit(&client, "payload => '1', queue => 'other'").await;
    becomes(&client, &job, "completed", SOON).await;
    let waited: f64 = value(
        &client,
        &format!("select extract(epoch from o.claimed_at - j.run_at)::float8 from reveille.outcome o join reveille.job j using (id) where id = '{job}'"),
    )
    .await;
    assert!(waited < 2.0, "found after {waited} s: later than the poll interval and a second");
    assert_eq!(metric(&service, &claims("poll")).await, before + 1.0);
}

/// Nothing is closed and nothing is said: only the canary can tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_listener_is_noticed_and_nothing_waits_for_it() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let service = Service::on(database.url())
        .env("REVEILLE_LISTEN_DATABASE_URL", proxy.url())
        .env("REVEILLE_POLL_INTERVAL_SECONDS", "60")
        .start()
        .await;
    listens(&service).await;
    proxy.set(Mode::Blackhole);
    let client = database.client().await;
    let job = submit(&client, "payload => '1', queue => 'other'").await;
    service.logged("the listening connection is lost", Duration::from_secs(20)).await;
    assert_eq!(metric(&service, "reveille_listener_up").await, 0.0);
    proxy.set(Mode::Pass);
    becomes(&client, &job, "completed", Duration::from_secs(15)).await;
    eventually("it listens again", SOON, async || {
        metric(&service, "reveille_listener_up").await == 1.0
    })
    .await;
    let next = submit(&client, "payload => '2', queue => 'other'").await;
    becomes(&client, &next, "completed", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_while_the_listener_was_away_is_found_at_its_return() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let service = Service::on(database.url())
        .env("REVEILLE_LISTEN_DATABASE_URL", proxy.url())
        .env("REVEILLE_POLL_INTERVAL_SECONDS", "60")
        .start()
        .await;
    listens(&service).await;
    proxy.set(Mode::Reset);
    service.logged("the listening connection is lost", SOON).await;
    let client = database.client().await;
    let job = submit(&client, "payload => '1', queue => 'other'").await;
    proxy.set(Mode::Pass);
    becomes(&client, &job, "completed", Duration::from_secs(15)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_whose_backend_is_killed_listens_again() {
    let database = harness::database().await;
    let service = unpolled(&database).await;
    listens(&service).await;
    let client = database.client().await;
    let killed: bool = value(
        &client,
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and query like 'select pg_notify($1, $2)%'",
    )
    .await;
    assert!(killed);
    service.logged("the listening connection is lost", SOON).await;
    eventually("it listens again", SOON, async || {
        metric(&service, "reveille_listener_up").await == 1.0
    })
    .await;
    let job = submit(&client, "payload => '1', queue => 'other'").await;
    becomes(&client, &job, "completed", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_job_starts_at_its_time_and_never_before() {
    let database = harness::database().await;
    let service = unpolled(&database).await;
    listens(&service).await;
    let client = database.client().await;
    for delay in ["1.5", "0.3", "0.9"] {
        submit(&client, &format!("payload => '1', queue => 'other', delay_seconds => {delay}"))
            .await;
    }
    let query = "select count(*) from reveille.outcome o join reveille.job j using (id) where j.queue = 'other'";
    eventually("all have ended", SOON, async || value::<i64>(&client, query).await == 3).await;
    let rows = client
        .query("select extract(epoch from o.claimed_at - j.run_at)::float8 from reveille.outcome o join reveille.job j using (id) where j.queue = 'other'", &[])
        .await
        .unwrap();
    for late in rows.iter().map(|row| row.get::<_, f64>(0)) {
        assert!((0.0..1.0).contains(&late), "claimed {late} s after its time");
    }
    // The first may be due just when its lane is looked at again.
    assert!(metric(&service, &claims("timer")).await >= 2.0);
}

async fn two_slots(database: &TestDatabase) -> Service {
    Service::on(database.url())
        .env("REVEILLE_POLL_INTERVAL_SECONDS", "60")
        .env("REVEILLE_WORKERS", "2")
        .start()
        .await
}

/// A backlog of so many jobs of a tenth of a second, for a service with two slots.
const BACKLOG: &str = "select count(*) from generate_series(1, 400) nth
    cross join lateral reveille.submit(task => 'sleep', payload => jsonb_build_object('seconds', 0.1, 'nth', nth))";

/// Every claim comes back full here, and that of the lane with the timer comes back short.
#[tokio::test(flavor = "multi_thread")]
async fn a_timer_is_exact_beside_a_backlog() {
    let database = harness::database().await;
    let service = two_slots(&database).await;
    listens(&service).await;
    let client = database.client().await;
    client.batch_execute(BACKLOG).await.unwrap();
    submit(&client, "payload => '1', queue => 'other'").await;
    submit(&client, "payload => '1', queue => 'other', delay_seconds => 1").await;
    let query = "select count(*) from reveille.outcome o join reveille.job j using (id) where j.queue = 'other'";
    eventually("both have ended", SOON, async || value::<i64>(&client, query).await == 2).await;
    let waiting = "select count(*) from reveille.ready where queue = 'default'";
    assert!(value::<i64>(&client, waiting).await > 0, "the backlog has gone by");
}

/// Claims of a saturated lane pass by what the last one took; what comes up before that must not starve.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_committer_starts_while_its_lane_is_saturated() {
    let database = harness::database().await;
    let service = two_slots(&database).await;
    listens(&service).await;
    let (client, mut late) = (database.client().await, connect(database.url()).await);
    let transaction = late.transaction().await.unwrap();
    let job = submit(&transaction, "task => 'sleep', payload => '{\"seconds\": 0}'").await;
    assert_eq!(value::<i64>(&client, BACKLOG).await, 400);
    eventually("the lane is drained", SOON, async || {
        metric(&service, &claims("drain")).await >= 10.0
    })
    .await;
    transaction.commit().await.unwrap();
    becomes(&client, &job, "completed", SOON).await;
    assert_saturated(&client).await;

    let before = submit(
        &client,
        "task => 'sleep', payload => '{\"seconds\": 0}', run_at => now() - interval '1 hour'",
    )
    .await;
    becomes(&client, &before, "completed", SOON).await;
    assert_saturated(&client).await;
}

/// Where reading a lane takes long, it is not read from its front each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_before_what_was_claimed_starts_though_nothing_else_comes() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let service =
        Service::on(proxy.url()).env("REVEILLE_POLL_INTERVAL_SECONDS", "60").start().await;
    listens(&service).await;
    let client = database.client().await;
    proxy.set(Mode::Delay(Duration::from_millis(50)));
    let job = submit(&client, "payload => '1'").await;
    becomes(&client, &job, "completed", SOON).await;
    let before = submit(&client, "payload => '1', run_at => now() - interval '1 hour'").await;
    becomes(&client, &before, "completed", SOON).await;
}

async fn assert_saturated(client: &tokio_postgres::Client) {
    let waiting: i64 = value(client, "select count(*) from reveille.ready").await;
    assert!(waiting > 50, "only {waiting} jobs wait: this proves nothing");
}

/// A caller's open transaction holds up nothing but its own job.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_that_submitted_mutes_nobody() {
    let database = harness::database().await;
    let service = unpolled(&database).await;
    listens(&service).await;
    let (client, mut open) = (database.client().await, connect(database.url()).await);
    let transaction = open.transaction().await.unwrap();
    let own = submit(&transaction, "payload => '\"open\"'").await;
    for _ in 0..20 {
        let begun = Instant::now();
        let other = submit(&client, "payload => '\"other\"'").await;
        becomes(&client, &other, "completed", SOON).await;
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    let begun = Instant::now();
    transaction.commit().await.unwrap();
    becomes(&client, &own, "completed", SOON).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_failed_is_tried_again_soon() {
    let database = harness::database().await;
    let (holder, client) = (database.client().await, database.client().await);
    let job = submit(&client, "payload => '1'").await;
    holder.batch_execute("begin; lock table reveille.lease").await.unwrap();
    let service = unpolled(&database).await;
    service.logged("jobs cannot be claimed", SOON).await;
    holder.batch_execute("commit").await.unwrap();
    becomes(&client, &job, "completed", SOON).await;
}
