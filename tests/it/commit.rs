//! Acknowledged means flushed, once: what a submission's answer is worth when commits, answers or the server are lost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::harness::http::Answer;
use crate::harness::look::{assert_one_place, becomes, listens, submit, value};
use crate::harness::proxy::{FaultProxy, Mode};
use crate::harness::service::ServiceBuilder;
use crate::harness::{self, Cluster, Service, TestDatabase, eventually, within};

const SOON: Duration = Duration::from_secs(10);

/// A service whose statements go through the proxy, and whose notifications do not.
fn through(proxy: &FaultProxy, database: &TestDatabase) -> ServiceBuilder {
    Service::on(proxy.url()).env("REVEILLE_LISTEN_DATABASE_URL", database.url())
}

async fn jobs(client: &Client) -> i64 {
    value(client, "select count(*) from reveille.job").await
}

/// Sends a submission, and goes on.
fn submission(service: &Service, job: &Value) -> tokio::task::JoinHandle<Answer> {
    let (http, job) = (service.http(), job.clone());
    tokio::spawn(async move { http.post("/jobs", &job).await })
}

async fn statements_wait(client: &Client, count: i64, name: &str) {
    let query = format!(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%{name}%' and pid <> pg_backend_pid()"
    );
    eventually("statements wait for a lock", SOON, async || {
        value::<i64>(client, &query).await == count
    })
    .await;
}

/// Every INSERT takes a while here, so that the submissions that come meanwhile must share the next one.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_submissions_share_commits() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let client = database.client().await;
    client
        .batch_execute(
            "create function public.dawdle() returns trigger language plpgsql as $$ begin
               perform pg_sleep(0.4);
               return null;
             end $$;
             create trigger dawdle after insert on reveille.job for each statement execute function public.dawdle();",
        )
        .await
        .unwrap();
    let sent: Vec<_> = (0..64).map(|nth| submission(&service, &json!({"payload": nth}))).collect();
    for answer in sent {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    assert_eq!(jobs(&client).await, 64);
    let commits: i64 = value(&client, "select count(distinct xmin::text) from reveille.job").await;
    assert!(commits < 48, "64 submissions took {commits} commits");
    assert_one_place(&client).await;
}

/// The INSERT of one job waits for a lock here; another job's flies beside it.
#[tokio::test(flavor = "multi_thread")]
async fn an_insert_that_takes_long_holds_nobody_up() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let client = database.client().await;
    client
        .batch_execute(
            "create function public.wait() returns trigger language plpgsql as $$ begin
               perform pg_advisory_xact_lock(7);
               return new;
             end $$;
             create trigger wait before insert on reveille.ready for each row when (new.queue = 'slow') execute function public.wait();
             select pg_advisory_lock(7);",
        )
        .await
        .unwrap();
    let slow = submission(&service, &json!({"payload": 1, "queue": "slow"}));
    statements_wait(&client, 1, "insert into reveille.ready").await;
    let answer = service.http().post("/jobs", &json!({"payload": 2})).await;
    assert_eq!((answer.status, slow.is_finished()), (201, false), "{}", answer.body);
    client.batch_execute("select pg_advisory_unlock(7)").await.unwrap();
    assert_eq!(slow.await.unwrap().status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_was_lost_is_repeated_and_gives_one_job() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let service = through(&proxy, &database).start().await;
    let client = database.client().await;
    let forms = [
        ("/jobs", "insert into reveille.job", json!({"payload": 1})),
        (
            "/jobs",
            "submit_keyed",
            json!({"payload": 1, "unique_key": "k", "on_conflict": "reject"}),
        ),
        ("/jobs/batch", "insert into reveille.job", json!([{"payload": 1}, {"payload": 2}])),
    ];
    let mut kept = 0;
    for (nth, (path, needle, body)) in forms.iter().enumerate() {
        proxy.lose_answer_to(needle);
        let answer = service.http().post(path, body).await;
        within("the answer is lost", SOON, proxy.lost(nth + 1)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let one = std::slice::from_ref(&answer.body);
        for job in answer.body["jobs"].as_array().map_or(one, Vec::as_slice) {
            becomes(&client, job["job_id"].as_str().unwrap(), "completed", SOON).await;
            kept += 1;
        }
        assert_eq!(jobs(&client).await, kept);
    }
    assert_one_place(&client).await;
}

/// The statement was sent, and waits for a lock when the network goes silent; then it commits, and nobody hears of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_cannot_be_settled_in_time_is_said_to_be_unknown() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let service = through(&proxy, &database).env("REVEILLE_WORKERS", "0").start().await;
    let (client, mut locker) =
        (database.client().await, harness::cluster::connect(database.url()).await);
    for (needle, job) in [
        ("insert into reveille.job", json!({"payload": 1})),
        ("submit_keyed", json!({"payload": 1, "unique_key": "k"})),
    ] {
        let before = jobs(&client).await;
        let lock = locker.transaction().await.unwrap();
        // Only at its execution does an INSERT meet the partition; the table it would meet when it is prepared.
        let partition: String =
            value(&client, "select reveille.partition_name('job', now())").await;
        lock.batch_execute(&format!("lock table reveille.{partition} in share mode"))
            .await
            .unwrap();
        let begun = Instant::now();
        let sent = submission(&service, &job);
        statements_wait(&client, 1, needle).await;
        proxy.set(Mode::Blackhole);
        lock.commit().await.unwrap();
        let answer = sent.await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(2_500), "{:?}", begun.elapsed());
        assert_eq!((answer.status, &answer.body["code"]), (503, &json!("outcome_unknown")));
        eventually("it was kept", SOON, async || jobs(&client).await == before + 1).await;
        proxy.set(Mode::Pass);
        eventually("submissions work again", SOON, async || {
            service.http().get("/health").await.status == 200
        })
        .await;
    }
}

/// A submission is written for whoever sent it. If they give up, their statement stays behind in its session.
#[tokio::test(flavor = "multi_thread")]
async fn outcomes_do_not_wait_behind_the_submissions_of_callers_who_went_away() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let (client, mut locker) =
        (database.client().await, harness::cluster::connect(database.url()).await);
    let job = submit(&client, r#"task => 'sleep', payload => '{"seconds": 3}'"#).await;
    becomes(&client, &job, "processing", SOON).await;
    let lock = locker.transaction().await.unwrap();
    let partition: String = value(&client, "select reveille.partition_name('job', now())").await;
    lock.batch_execute(&format!("lock table reveille.{partition} in share mode")).await.unwrap();
    // As many as there are connections for submissions, which keep their places until they are answered.
    for nth in 1..=3 {
        let sent = submission(&service, &json!({"payload": nth}));
        statements_wait(&client, nth, "insert into reveille.job").await;
        sent.abort();
        assert!(sent.await.unwrap_err().is_cancelled());
    }
    becomes(&client, &job, "completed", SOON).await;
}

/// What the database was told of durability, as its triggers saw it.
#[tokio::test(flavor = "multi_thread")]
async fn submissions_and_outcomes_are_flushed_and_claims_are_not() {
    let database = harness::database().await;
    let client = database.client().await;
    client
        .batch_execute(
            "create table public.seen (what text, setting text, primary key (what, setting));
             create function public.note() returns trigger language plpgsql as $$ begin
               insert into public.seen values (tg_argv[0], current_setting('synchronous_commit')) on conflict do nothing;
               return null;
             end $$;
             create trigger note after insert on reveille.job for each statement execute function public.note('submission');
             create trigger note after insert on reveille.outcome for each statement execute function public.note('outcome');
             create trigger note after insert on reveille.lease for each row execute function public.note('claim');",
        )
        .await
        .unwrap();
    let service = Service::start(database.url()).await;
    let http = service.http();
    for job in [json!({"payload": 1}), json!({"payload": 1, "unique_key": "k"})] {
        let done = http.post("/jobs?wait=10", &job).await.body;
        assert_eq!(done["status"], "completed", "{done}");
    }
    assert_eq!(http.post("/jobs/batch", &json!([{"payload": 1}])).await.status, 201);
    let seen: String = value(
        &client,
        "select string_agg(what || ' ' || setting, ', ' order by what, setting) from public.seen",
    )
    .await;
    assert_eq!(seen, "claim off, outcome on, submission on");
}

/// The walwriter is made to sleep, so that a commit that was not flushed is certainly lost with the server.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_the_death_of_the_server() {
    let cluster = Cluster::start().await;
    let database = cluster.database().await;
    let client = database.client().await;
    client.batch_execute("alter system set wal_writer_delay = '10s'").await.unwrap();
    client.batch_execute("alter system set checkpoint_timeout = '1h'").await.unwrap();
    client.batch_execute("select pg_reload_conf()").await.unwrap();
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    let mut acknowledged = Vec::new();
    for job in [json!({"payload": 1}), json!({"payload": 1, "unique_key": "k"})] {
        let answer = http.post("/jobs", &job).await;
        assert_eq!(answer.status, 201);
        acknowledged.push(answer.body["job_id"].as_str().unwrap().to_owned());
    }
    cluster.kill9().await;
    cluster.restart().await;
    let client = database.client().await;
    for id in acknowledged {
        becomes(&client, &id, "queued", SOON).await;
    }
}

/// A full queue of notifications aborts the commit that notifies. The jobs matter more than their announcement.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_of_notifications_fails_nothing() {
    let database = harness::database().await;
    let client = database.client().await;
    client
        .batch_execute(
            "create function public.pg_notify(channel text, payload text) returns void language plpgsql as $$ begin
               if payload not like 'canary%' then
                 raise exception 'too many notifications in the NOTIFY queue' using errcode = '54000';
               end if;
               perform pg_catalog.pg_notify(channel, payload);
             end $$;
             do $$ begin
               execute format('alter database %I set search_path = public, pg_catalog', current_database());
             end $$",
        )
        .await
        .unwrap();
    let service = Service::start(database.url()).await;
    listens(&service).await;
    let http = service.http();
    for job in [
        json!({"payload": 1}),
        json!({"payload": 1, "tags": ["a"]}),
        json!({"payload": 1, "unique_key": "k"}),
        json!({"task": "flaky", "payload": {"failures": 1}}),
    ] {
        let done = http.post("/jobs?wait=30", &job).await;
        assert_eq!((done.status, &done.body["status"]), (201, &json!("completed")), "{job}");
    }
    for second in [json!({}), json!({"tags": ["b"]}), json!({"unique_key": "b"})] {
        let mut jobs = json!([{"payload": 1}, {"payload": 2}]);
        jobs[1].as_object_mut().unwrap().extend(second.as_object().unwrap().clone());
        assert_eq!(http.post("/jobs/batch", &jobs).await.status, 201, "{jobs}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_that_holds_a_key_holds_up_that_key_only() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let mut holder = harness::cluster::connect(database.url()).await;
    let open = holder.transaction().await.unwrap();
    open.batch_execute("select reveille.submit(payload => '1', unique_key => 'held')")
        .await
        .unwrap();

    let keyed = |key: &str| submission(&service, &json!({"payload": 1, "unique_key": key}));
    let held: Vec<_> = (0..8).map(|_| keyed("held")).collect();
    let begun = Instant::now();
    for nth in 0..10 {
        for other in [keyed(&format!("free-{nth}")), submission(&service, &json!({"payload": 1}))] {
            assert_eq!(other.await.unwrap().status, 201);
        }
    }
    // The submissions of the held key take turns of 200 ms; the others wait for two of them at the most.
    assert!(
        held.iter().any(|held| !held.is_finished()) || begun.elapsed() > Duration::from_secs(1)
    );
    for held in held {
        let answer = held.await.unwrap();
        assert_eq!((answer.status, &answer.body["code"]), (503, &json!("unique_key_busy")));
    }
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());

    let waits = keyed("held");
    open.commit().await.unwrap();
    assert_eq!(waits.await.unwrap().status, 200, "the job that exists is the answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_told_of_a_key_that_an_open_transaction_holds() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let mut holder = harness::cluster::connect(database.url()).await;
    let open = holder.transaction().await.unwrap();
    open.batch_execute("select reveille.submit(payload => '1', unique_key => 'held')")
        .await
        .unwrap();
    let batch = json!([{"payload": 1}, {"payload": 2, "unique_key": "held"}]);
    let answer = service.http().post("/jobs/batch", &batch).await;
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("unique_key_busy")));
    open.commit().await.unwrap();
    assert_eq!(jobs(&database.client().await).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_which_one_is_rejected_inserts_nothing() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let client = database.client().await;
    submit(&client, "payload => '1', unique_key => 'taken'").await;
    let batch = json!([
        {"payload": 1},
        {"payload": 2, "unique_key": "free"},
        {"payload": 3, "unique_key": "taken", "on_conflict": "reject"}
    ]);
    let answer = service.http().post("/jobs/batch", &batch).await;
    assert_eq!(
        (answer.status, &answer.body["errors"][0]["pointer"]),
        (409, &json!("/2/unique_key"))
    );
    assert_eq!(jobs(&client).await, 1);
    assert_eq!(value::<i64>(&client, "select count(*) from reveille.unique_key").await, 1);
}

/// Sixteen MiB may take six seconds; a small batch that waits as long is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_has_the_time_that_its_size_takes() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let client = database.client().await;
    let waiting = async || {
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        value::<i64>(&client, waiting).await
    };
    let mut locker = harness::cluster::connect(database.url()).await;
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute("lock table reveille.job in share mode").await.unwrap();
    let filler = "x".repeat(512 << 10);
    let batch = json!((0..32).map(|nth| json!({"payload": [nth, filler]})).collect::<Vec<_>>());
    let http = service.http();
    let large = tokio::spawn(async move { http.post("/jobs/batch", &batch).await });
    eventually("the large one waits", Duration::from_secs(30), async || waiting().await > 0).await;
    // A small one that comes later is given up earlier.
    let small = json!([{"payload": 1}, {"payload": 2}]);
    let small = within("it is given up", SOON, service.http().post("/jobs/batch", &small)).await;
    assert_eq!(small.status, 503, "{small:?}");
    eventually("only the large one waits", SOON, async || waiting().await == 1).await;
    lock.commit().await.unwrap();
    let large = within("the large one is kept", SOON, large).await.unwrap();
    assert_eq!(large.status, 201, "{:?}", large.body["code"]);
    assert_eq!(jobs(&client).await, 32);
}
