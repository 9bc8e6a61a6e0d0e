//! A panic in any loop of the real binary, built with the feature `faults`: it is logged, the loop is started again, and jobs go on.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reveille::{NewJob, Reveille};
use serde_json::json;
use tokio_postgres::Client;

use crate::harness::cluster::throw_away_dir;
use crate::harness::http::Http;
use crate::harness::look::{all_end, becomes, listens, metric, submit, value};
use crate::harness::service::ServiceBuilder;
use crate::harness::{self, Service, TestDatabase, eventually, within};

const SOON: Duration = Duration::from_secs(10);
/// All of them with a database that is given. Who adds a loop adds it here.
const LOOPS: &[&str] = &[
    "auditor",
    "completer",
    "dispatcher",
    "edge",
    "ends",
    "expirer",
    "fence",
    "forgetter",
    "heartbeat",
    "keyed-writer",
    "letters",
    "listener",
    "lost-turns",
    "metrics",
    "obeyer",
    "operations",
    "partitions",
    "pauses",
    "pruner",
    "remover",
    "repeats-writer",
    "reporter",
    "rescuer",
    "resumer",
    "settings",
    "teller",
    "ticker",
    "tidier",
    "turns",
    "writer",
];

fn on(database: &TestDatabase) -> ServiceBuilder {
    Service::on(database.url())
        .env("REVEILLE_HEARTBEAT_SECONDS", "0.5")
        .env("REVEILLE_LOST_AFTER_SECONDS", "10")
}

async fn panic_in(http: &Http, name: &str) {
    assert_eq!(http.post(&format!("/faults/{name}"), &json!({})).await.status, 202, "{name}");
}

async fn panicked(service: &Service, name: &str) {
    panic_in(&service.http(), name).await;
    service.logged(&format!("a test asked the loop {name} to panic"), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_loop_that_panics_is_logged_and_started_again_and_jobs_go_on() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = on(&database).start().await;
    listens(&service).await;
    assert_eq!(service.http().get("/faults").await.body, json!(LOOPS));
    for name in LOOPS {
        panicked(&service, name).await;
        for job in [json!({"payload": name}), json!({"payload": name, "unique_key": name})] {
            // A connection of its own: also where the loop that accepts them had panicked.
            let done = service.http().post("/jobs?wait=10", &job).await;
            assert_eq!(done.body["status"], "completed", "after {name}: {}", done.body);
        }
        let job = submit(&client, "task => 'noop', payload => '1'").await;
        becomes(&client, &job, "completed", SOON).await;
        let restarts = format!("reveille_loop_restarts_total{{loop=\"{name}\"}}");
        assert_eq!(metric(&service, &restarts).await, 1.0, "{name}");
    }
    assert_eq!(service.http().get("/livez").await.status, 200);
    let text = service.stderr();
    let line = text.lines().find(|line| line.contains("a panic: a test asked")).expect("its line");
    let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    assert!(line["place"].as_str().unwrap().starts_with("src/"), "{line}");
}

/// Its PostgreSQL runs on, and is kept up as before.
#[tokio::test(flavor = "multi_thread")]
async fn the_keeper_of_the_own_postgresql_that_panics_is_started_again_and_keeps_it() {
    let dir = throw_away_dir();
    let service = Service::bare().env("REVEILLE_DATA_DIR", dir.to_str().unwrap()).start().await;
    let http = service.http();
    let run = async |nth: i32| {
        let done = http.post("/jobs?wait=10", &json!({"payload": nth})).await;
        assert_eq!(done.body["status"], "completed", "{}", done.body);
    };
    assert!(http.get("/faults").await.body.as_array().unwrap().contains(&json!("postgres")));
    panicked(&service, "postgres").await;
    let restarts = "reveille_loop_restarts_total{loop=\"postgres\"}";
    eventually("it is started again", SOON, async || metric(&service, restarts).await == 1.0).await;
    run(1).await;
    let pid = std::fs::read_to_string(dir.join("pg/postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    service.logged("PostgreSQL is up again", SOON * 3).await;
    run(2).await;
    assert_eq!(http.get("/livez").await.status, 200);
}

/// The caller of a submission whose key is held is answered, and the key is as it was before.
#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_goes_alone_and_panics_is_answered_and_logged() {
    let database = harness::database().await;
    let mut holder = database.client().await;
    let service = on(&database).env("REVEILLE_WORKERS", "0").start().await;
    let open = holder.transaction().await.unwrap();
    open.batch_execute("select reveille.submit(payload => '1', unique_key => 'k')").await.unwrap();
    let http = service.http();
    let keyed = json!({"payload": 1, "unique_key": "k"});
    let (first, job) = (http.clone(), keyed.clone());
    let waiting = tokio::spawn(async move { first.post_job(&job).await });
    eventually("it goes alone", SOON, async || {
        http.post("/faults/keyed-alone", &json!({})).await.status == 202
    })
    .await;
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("outcome_unknown")));
    service.logged("a piece of work panicked: a test asked", SOON).await;
    open.commit().await.unwrap();
    let answer = http.post_job(&keyed).await;
    assert_eq!((answer.status, &answer.body["outcome"]), (200, &json!("existing")));
    let jobs = "select count(*) from reveille.job";
    assert_eq!(
        value::<i64>(&database.client().await, jobs).await,
        1,
        "beside the one that held it"
    );
}

/// What waits for the table, by the rows that it would write.
async fn waits_for(client: &Client, table: &str, mode: &str, statements: i64) {
    let query = format!(
        "select count(*) from pg_locks
         where database = (select oid from pg_database where datname = current_database())
           and relation = 'reveille.{table}'::regclass and mode = '{mode}' and not granted"
    );
    eventually("a statement waits for the table", SOON, async || {
        value::<i64>(client, &query).await >= statements
    })
    .await;
}

/// Some of them are in a statement, the others wait for it to end.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_outcomes_in_the_buffer_outlive_a_panic_of_the_completer() {
    let database = harness::database().await;
    let (client, blocker) = (database.client().await, database.client().await);
    let service = on(&database).start().await;
    listens(&service).await;
    blocker.batch_execute("begin; lock table reveille.outcome in share mode").await.unwrap();
    let jobs = vec![json!({"task": "noop", "payload": 1}); 100];
    assert_eq!(service.http().post("/jobs/batch", &json!(jobs)).await.status, 201);
    waits_for(&client, "outcome", "RowExclusiveLock", 1).await;
    eventually("all have run", SOON, async || {
        metric(&service, "reveille_job_run_seconds_count{task=\"noop\"}").await >= 100.0
    })
    .await;
    panicked(&service, "completer").await;
    blocker.batch_execute("commit").await.unwrap();
    all_end(&client, 101, SOON).await;
    let first: bool = value(&client, "select bool_and(attempt = 1) from reveille.outcome").await;
    let again: i64 = value(&client, "select count(*) from reveille.attempt").await;
    assert_eq!((first, again), (true, 0), "a job ran twice, or an outcome counted twice");
}

/// The INSERT goes on, and is committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_was_sent_when_its_writer_panics_is_not_said_to_be_undone() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = on(&database).start().await;
    listens(&service).await;
    client
        .batch_execute(
            "create function public.dawdle() returns trigger language plpgsql as
               $$ begin perform pg_sleep(1.4); return null; end $$;
             create trigger dawdle after insert on reveille.job for each statement execute function public.dawdle()",
        )
        .await
        .unwrap();
    let sleeping = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
    let sent = async |inserts: i64| {
        eventually("they were sent", SOON, async || {
            value::<i64>(&client, sleeping).await == inserts
        })
        .await;
    };
    let post = |job: serde_json::Value| {
        let http = service.http();
        tokio::spawn(async move { http.post_job(&job).await })
    };
    let kept = async |payload: &str| {
        let kept = format!("select count(*) from reveille.job where payload = '\"{payload}\"'");
        eventually("it is kept", SOON, async || value::<i64>(&client, &kept).await == 1).await;
    };

    let keyed = post(json!({"payload": "keyed", "unique_key": "a"}));
    sent(1).await;
    panicked(&service, "keyed-writer").await;
    assert_eq!(keyed.await.unwrap().body["code"], "outcome_unknown");
    kept("keyed").await;

    // The first is written by its caller; the second flies beside it, since that takes long.
    let first = post(json!({"payload": "first"}));
    sent(1).await;
    let second = post(json!({"payload": "second"}));
    sent(2).await;
    for _ in 0..2 {
        panic_in(&service.http(), "writer").await;
    }
    assert_eq!(second.await.unwrap().body["code"], "outcome_unknown");
    assert_eq!(first.await.unwrap().status, 201);
    kept("second").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_in_flight_when_the_dispatcher_panics_is_given_back() {
    let database = harness::database().await;
    let (client, blocker) = (database.client().await, database.client().await);
    let service = on(&database).env("REVEILLE_POLL_INTERVAL_SECONDS", "60").start().await;
    listens(&service).await;
    blocker.batch_execute("begin; lock table reveille.lease in share mode").await.unwrap();
    let job = submit(&client, "task => 'noop', payload => '1'").await;
    waits_for(&client, "lease", "RowExclusiveLock", 1).await;
    panicked(&service, "dispatcher").await;
    blocker.batch_execute("commit").await.unwrap();
    becomes(&client, &job, "completed", SOON).await;
    let attempt: i32 =
        value(&client, &format!("select attempt from reveille.outcome where id = '{job}'")).await;
    assert_eq!(attempt, 1, "the attempt that did not take place was spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_cannot_be_kept_alive_ends_serve_with_70_once_it_has_drained() {
    let database = harness::database().await;
    let client = database.client().await;
    let mut service = on(&database).start().await;
    let http = service.http();
    let job = submit(&client, "task => 'sleep', payload => '{\"seconds\": 2}'").await;
    becomes(&client, &job, "processing", SOON).await;
    for restarts in 1..3 {
        panic_in(&http, "rescuer").await;
        eventually("it is started again", SOON, async || {
            let metric = metric(&service, "reveille_loop_restarts_total{loop=\"rescuer\"}").await;
            metric >= f64::from(restarts)
        })
        .await;
    }
    assert_eq!(http.get("/livez").await.status, 200);
    panic_in(&http, "rescuer").await;
    service.logged("cannot be kept alive", SOON).await;
    assert_eq!(http.get("/livez").await.status, 503);
    assert_eq!(service.ended(SOON).await.code(), Some(70));
    becomes(&client, &job, "completed", Duration::ZERO).await;
    service.logged("the loop rescuer of this service ended three times", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_cannot_be_kept_alive_fails_the_handle_of_the_library_and_ends_nothing_else() {
    let database = harness::database().await;
    let builder = Reveille::builder().database_url(database.url());
    let service = builder.listen(([127, 0, 0, 1], 0)).start().await.unwrap();
    let http = Http::new(&format!("http://{}", service.address().unwrap()));
    let failing = async {
        let mut often = tokio::time::interval(Duration::from_millis(50));
        loop {
            often.tick().await;
            panic_in(&http, "pruner").await;
        }
    };
    let failed = async {
        tokio::select! {
            failed = service.failed() => failed,
            () = failing => unreachable!("it goes on without end"),
        }
    };
    assert_eq!(within("the handle fails", SOON, failed).await.name, "pruner");
    assert_eq!(http.get("/livez").await.status, 503);
    service.submit(NewJob::new("noop", &1)).await.expect("what is submitted is kept for others");
    service.shutdown().await;
}
