//! Who does not hear of the database does not go on as if nothing had happened: every wait has an end, and handlers stop before
//! others run their jobs.

use std::time::Duration;

use reveille::Config;
use reveille::{Context, Handler, Json, NewJob, Reveille, TaskError};
use tokio_postgres::Client;

use crate::harness::look::{becomes, listens, metric, submit, value};
use crate::harness::proxy::{FaultProxy, Mode};
use crate::harness::service::ServiceBuilder;
use crate::harness::{self, Service, TestDatabase, eventually, within};

const SOON: Duration = Duration::from_secs(10);

fn behind(proxy: &FaultProxy) -> ServiceBuilder {
    Service::on(proxy.url()).brisk("2")
}

/// A job that runs, and whose service is cut off then.
async fn cut_off(service: &Service, proxy: &FaultProxy, client: &Client) -> String {
    listens(service).await;
    let job = submit(client, "task => 'sleep', payload => '{\"seconds\": 600}'").await;
    becomes(client, &job, "processing", SOON).await;
    assert_eq!(metric(service, "reveille_slots_running").await, 1.0);
    proxy.set(Mode::Blackhole);
    job
}

/// Nothing is refused and no connection closed: packets go nowhere, as in a middle box that has forgotten a connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_cut_off_stops_its_handlers_and_they_spend_neither_attempt_nor_crash() {
    let database = harness::database().await;
    let (proxy, client) = (database.proxy().await, database.client().await);
    let service = behind(&proxy).start().await;
    let job = cut_off(&service, &proxy, &client).await;
    service.logged("running jobs are told to stop", SOON).await;
    eventually("its handler has stopped", SOON, async || {
        metric(&service, "reveille_slots_running").await == 0.0
    })
    .await;
    let before: String = value(&client, "select lease::text from reveille.lease").await;
    proxy.set(Mode::Pass);
    let again = format!(
        "select (attempts[1], crashes[1]) = (1, 0) from reveille.lease
         where lease::text <> '{before}' and '{job}' = any (ids)"
    );
    eventually("it runs again", SOON, async || {
        client.query(&again, &[]).await.unwrap().iter().any(|row| row.get(0))
    })
    .await;
    service.logged("a heartbeat is confirmed again", SOON).await;
}

/// Heartbeats wait for their row, and nothing else does.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_claimed_while_no_heartbeat_is_confirmed() {
    let database = harness::database().await;
    let (client, locker) = (database.client().await, database.client().await);
    let proxy = database.proxy().await;
    let service = behind(&proxy).env("REVEILLE_POLL_INTERVAL_SECONDS", "0.2").start().await;
    listens(&service).await;
    locker.batch_execute("begin; select from reveille.worker for update").await.unwrap();
    service.logged("running jobs are told to stop", SOON).await;
    let job = submit(&client, "task => 'sleep', payload => '{\"seconds\": 600}'").await;
    // Where it looks, it claims what it finds before it looks again.
    let looks = || proxy.sent(include_str!("../../sql/ready/lanes.sql"));
    let before = looks();
    eventually("it has found the job", SOON, async || looks() > before + 2).await;
    assert_eq!(value::<i64>(&client, "select count(*) from reveille.attempt").await, 0);
    assert_eq!(value::<i64>(&client, "select count(*) from reveille.lease").await, 0);
    locker.batch_execute("rollback").await.unwrap();
    service.logged("a heartbeat is confirmed again", SOON).await;
    becomes(&client, &job, "processing", SOON).await;
    assert_eq!(value::<i32>(&client, "select attempts[1] from reveille.lease").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_go_on_without_a_heartbeat_where_that_is_asked_for() {
    let database = harness::database().await;
    let (proxy, client) = (database.proxy().await, database.client().await);
    let service = behind(&proxy).env("REVEILLE_ON_LOST_HEARTBEAT", "run").start().await;
    let job = cut_off(&service, &proxy, &client).await;
    service.logged("on_lost_heartbeat says that they go on", SOON).await;
    let lease = format!("select lease::text from reveille.lease where '{job}' = any (ids)");
    let before: String = value(&client, &lease).await;
    proxy.set(Mode::Pass);
    service.logged("a heartbeat is confirmed again", SOON).await;
    assert_eq!(metric(&service, "reveille_slots_running").await, 1.0);
    assert_eq!(value::<String>(&client, &lease).await, before);
}

/// What a handler gives when it is told to stop counts, if nobody else has its job.
struct Prompt;

impl Handler for Prompt {
    const NAME: &'static str = "prompt";
    type Payload = Json;
    type Output = &'static str;

    async fn run(&self, context: Context, _: Json) -> Result<&'static str, TaskError> {
        context.cancelled().await;
        Ok("ready")
    }
}

fn quick(database_url: &str) -> reveille::Builder {
    let config = Config {
        heartbeat: Duration::from_millis(200),
        lost_after: Duration::from_secs(2),
        ..Config::default()
    };
    let builder = Reveille::builder().config(config).database_url(database_url);
    builder.listen(([127, 0, 0, 1], 0)).workers(2)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_was_ready_counts_if_the_lease_stands_after_the_silence() {
    let database = harness::database().await;
    let (proxy, client) = (database.proxy().await, database.client().await);
    let service = quick(proxy.url()).task(Prompt).start().await.unwrap();
    let job = service.submit(NewJob::new("prompt", &Json::null())).await.unwrap();
    let job = job.job_id.to_string();
    becomes(&client, &job, "processing", SOON).await;
    proxy.set(Mode::Blackhole);
    let silent = "select count(*) from reveille.worker where heartbeat_at < now() - lost_after";
    eventually("the lease time is over", SOON, async || value::<i64>(&client, silent).await == 1)
        .await;
    proxy.set(Mode::Pass);
    becomes(&client, &job, "completed", SOON).await;
    let (result, attempt): (String, i32) = (
        value(&client, "select result::text from reveille.outcome").await,
        value(&client, "select attempt from reveille.outcome").await,
    );
    assert_eq!((result.as_str(), attempt), ("\"ready\"", 1));
    service.shutdown().await;
}

/// Blocks its thread, as code does that does not know where it runs.
struct Block;

impl Handler for Block {
    const NAME: &'static str = "block";
    type Payload = f64;
    type Output = ();

    async fn run(&self, _: Context, seconds: f64) -> Result<(), TaskError> {
        std::thread::sleep(Duration::from_secs_f64(seconds));
        Ok(())
    }
}

/// On a runtime with as many threads as jobs block; it is not that of the test.
fn blocked(database: &TestDatabase) -> std::thread::JoinHandle<()> {
    let builder = quick(database.url()).task(Block);
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let service = builder.start().await.unwrap();
            let jobs = [NewJob::new("block", &5.0), NewJob::new("block", &5.0)];
            let jobs = service.submit_many(jobs).await.unwrap();
            assert_eq!(jobs.len(), 2);
            let ended = "reveille_job_run_seconds_count{task=\"block\"}";
            let url = format!("http://{}/metrics", service.address().unwrap());
            eventually("both have ended", Duration::from_secs(30), async || {
                let text = reqwest::get(&url).await.unwrap().text().await.unwrap();
                text.lines().any(|line| line.strip_prefix(ended).is_some_and(|n| n.trim() == "2"))
            })
            .await;
            service.shutdown().await;
        });
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_that_block_every_thread_do_not_cost_their_instance_its_jobs() {
    let database = harness::database().await;
    let client = database.client().await;
    // Another instance, which would take them.
    let _observer =
        Service::on(database.url()).env("REVEILLE_WORKERS", "0").brisk("2").start().await;
    let blocked = blocked(&database);
    eventually("both have ended", Duration::from_secs(30), async || {
        value::<i64>(&client, "select count(*) from reveille.outcome").await == 2
    })
    .await;
    let again: i64 = value(&client, "select count(*) from reveille.attempt").await;
    let first: bool = value(&client, "select bool_and(attempt = 1) from reveille.outcome").await;
    assert_eq!((again, first), (0, true), "they were taken for lost, and ran again");
    tokio::task::spawn_blocking(|| blocked.join()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_listen_that_never_comes_is_not_waited_for() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    proxy.swallow_answer_to("listen reveille");
    let service =
        Service::on(database.url()).env("REVEILLE_LISTEN_DATABASE_URL", proxy.url()).start().await;
    within("the answer is lost", SOON, proxy.lost(1)).await;
    service.logged("listening for notifications", Duration::from_secs(12)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_listen_that_never_comes_does_not_hold_a_service_that_leaves() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    proxy.swallow_answer_to("listen reveille");
    let mut service =
        Service::on(database.url()).env("REVEILLE_LISTEN_DATABASE_URL", proxy.url()).start().await;
    within("the answer is lost", SOON, proxy.lost(1)).await;
    assert_eq!(service.terminate(Duration::from_secs(3)).await.code(), Some(0));
}
