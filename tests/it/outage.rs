//! The database is gone, or silent: callers hear of it soon, nothing is lost, and everything goes on by itself.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::look::{assert_one_place, becomes, metric, value};
use crate::harness::proxy::Mode;
use crate::harness::{self, Service, eventually};

const SOON: Duration = Duration::from_secs(10);

async fn is_refused_in_time(service: &Service, job: &serde_json::Value, code: &str) {
    let begun = Instant::now();
    let answer = service.http().request("POST", "/jobs").json(job).send().await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(2_500), "{:?}", begun.elapsed());
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["code"], code);
}

#[tokio::test(flavor = "multi_thread")]
async fn submissions_are_refused_in_two_seconds_and_accepted_when_it_is_back() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let service = Service::on(proxy.url()).start().await;
    let http = service.http();
    let plain = json!({"payload": 1});
    let keyed = json!({"payload": 1, "unique_key": "k"});
    assert_eq!(http.post("/jobs?wait=10", &plain).await.body["status"], "completed");

    proxy.set(Mode::Reset);
    eventually("it is unhealthy", SOON, async || http.get("/health").await.status == 503).await;
    assert_eq!(http.get("/livez").await.status, 200);
    // One after the other and many at once: nobody waits for those before him.
    for _ in 0..2 {
        is_refused_in_time(&service, &plain, "database_unavailable").await;
        is_refused_in_time(&service, &keyed, "database_unavailable").await;
    }
    let mut crowd = Vec::new();
    for nth in 0..20_u64 {
        for job in [plain.clone(), json!({"payload": 1, "unique_key": format!("k{nth}")})] {
            let http = service.http();
            crowd.push(tokio::spawn(async move {
                let begun = Instant::now();
                (http.post("/jobs", &job).await.status, begun.elapsed())
            }));
        }
    }
    for one in crowd {
        let (status, took) = one.await.unwrap();
        assert_eq!(status, 503);
        assert!(took < Duration::from_millis(2_500), "{took:?}");
    }
    proxy.set(Mode::Pass);
    eventually("submissions are accepted", SOON, async || {
        http.post("/jobs", &plain).await.status == 201
    })
    .await;
    assert_eq!(http.post("/jobs?wait=20", &keyed).await.body["status"], "completed");
    let client = database.client().await;
    let ended = "select count(*) = (select count(*) from reveille.job) from reveille.outcome";
    eventually("every job has run", SOON, async || value::<bool>(&client, ended).await).await;
    assert_one_place(&client).await;
}

/// No connection is closed; there is just no answer any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_database_is_no_longer_waited_for() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let service = Service::on(proxy.url()).start().await;
    let http = service.http();
    assert_eq!(http.post("/jobs?wait=10", &json!({"payload": 1})).await.status, 201);
    // Once the others have been told of its end, there is a connection that a submission takes.
    let idle = "reveille_pool_idle_connections{pool=\"hot\"}";
    eventually("one is idle", SOON, async || metric(&service, idle).await >= 1.0).await;
    proxy.set(Mode::Blackhole);
    // It was sent, so nobody knows.
    is_refused_in_time(&service, &json!({"payload": 1}), "outcome_unknown").await;
    proxy.set(Mode::Pass);
    eventually("submissions are accepted", SOON, async || {
        http.post("/jobs", &json!({"payload": 1})).await.status == 201
    })
    .await;
    assert_eq!(
        http.post("/jobs?wait=20", &json!({"payload": 1})).await.body["status"],
        "completed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_outlive_an_outage_that_is_shorter_than_their_leases() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let client = database.client().await;
    let service = Service::on(proxy.url()).start().await;
    let job =
        service.http().post("/jobs", &json!({"task": "sleep", "payload": {"seconds": 1}})).await;
    let job = job.body["job_id"].as_str().unwrap();
    becomes(&client, job, "processing", SOON).await;
    proxy.set(Mode::Reset);
    service.logged("outcomes cannot be settled yet", SOON).await;
    proxy.set(Mode::Pass);
    becomes(&client, job, "completed", SOON).await;
    let (attempt, before): (i32, i64) = (
        value(&client, "select attempt from reveille.outcome").await,
        value(&client, "select count(*) from reveille.attempt").await,
    );
    assert_eq!((attempt, before), (1, 0));
}

/// No session settings, no prepared statements: as behind a PgBouncer in transaction mode.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_end_to_end_in_pooler_mode() {
    let database = harness::database().await;
    let set = format!(
        "alter role reveille in database {} set search_path = pg_catalog, pg_temp",
        database.name()
    );
    database.client().await.batch_execute(&set).await.unwrap();
    let service = Service::on(database.url())
        .env("REVEILLE_POOLER", "true")
        .env("REVEILLE_LISTEN_DATABASE_URL", database.url())
        .start()
        .await;
    let http = service.http();
    for job in [
        json!({"payload": 1}),
        json!({"payload": 1, "unique_key": "k"}),
        json!({"task": "flaky", "payload": {"failures": 1}}),
    ] {
        assert_eq!(http.post("/jobs?wait=30", &job).await.body["status"], "completed", "{job}");
    }
    let client = database.client().await;
    let prepared: i64 = value(&client, "select count(*) from reveille.attempt").await;
    assert_eq!(prepared, 1);
}

/// No probe writes, so only submissions know.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_submissions_find_full_is_no_health() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let (http, client) = (service.http(), database.client().await);
    assert_eq!(http.get("/health").await.status, 200);
    let full = "create function public.full() returns trigger language plpgsql as
        $$ begin raise exception using errcode = '53100', message = 'No space left on device'; end $$;
        create trigger full_disk before insert on reveille.job for each statement execute function public.full()";
    client.batch_execute(full).await.unwrap();
    let drop_trigger = "drop trigger full_disk on reveille.job";
    // One with a unique key is written on another way, and knows as much.
    for job in [json!({"payload": 1}), json!({"payload": 1, "unique_key": "k"})] {
        let refused = http.post_job(&job).await;
        assert_eq!(refused.status, 503, "{refused:?}");
        assert_eq!(http.get("/health").await.status, 503);
        let ready = http.get("/readyz").await;
        assert_eq!(ready.status, 503);
        let detail = ready.body["checks"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("full"), "{ready:?}");
        client.batch_execute(drop_trigger).await.unwrap();
        assert_eq!(http.post_job(&job).await.status, 201);
        assert_eq!(http.get("/health").await.status, 200);
        client.batch_execute(&full[full.find("create trigger").unwrap()..]).await.unwrap();
    }
    // Without another submission it is forgotten after five seconds.
    assert_eq!(http.post_job(&json!({"payload": 1})).await.status, 503);
    assert_eq!(http.get("/health").await.status, 503);
    eventually("it is forgotten", Duration::from_secs(10), async || {
        http.get("/health").await.status == 200
    })
    .await;
}
