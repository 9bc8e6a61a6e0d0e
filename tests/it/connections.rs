//! Connections: what nobody waits for any more costs none, and nobody's slowness takes one from another purpose.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use reveille::internals::store::{Store, Target};
use reveille::{Client, NewJob};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::harness::look::{all_end, drop_partitions, listens, value};
use crate::harness::proxy::Mode;
use crate::harness::{self, Cluster, Service, TestDatabase, eventually, within};

const SOON: Duration = Duration::from_secs(10);
/// The number that docs/running.md promises.
const SESSIONS_MOST: i64 = 15;
/// Of them those for submissions.
const SUBMISSIONS_MOST: i64 = 3;
const KEPT: &str = "select count(*) from reveille.job";
const SESSIONS: &str = "select count(*) from pg_stat_activity
    where application_name = 'reveille' and datname = current_database()";

/// Counts the sessions of a service, or some of them, until it is dropped.
struct Watched {
    most: Arc<AtomicI64>,
    watching: tokio::task::AbortHandle,
}

impl Watched {
    async fn new(database: &TestDatabase) -> Self {
        Self::of(database, SESSIONS.to_owned()).await
    }

    async fn of(database: &TestDatabase, query: String) -> Self {
        let client = database.client().await;
        let most = Arc::new(AtomicI64::new(0));
        let highest = most.clone();
        let watching = tokio::spawn(async move {
            let mut looks = tokio::time::interval(Duration::from_millis(5));
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                highest.fetch_max(value(&client, &query).await, Ordering::Relaxed);
            }
        });
        Self { most, watching: watching.abort_handle() }
    }

    fn most(&self) -> i64 {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// So many callers who hang up after this time.
async fn hang_up(service: &Service, method: &str, path: &str, callers: usize, after: Duration) {
    let mut all = JoinSet::new();
    for _ in 0..callers {
        let request = service.http().request(method, path).timeout(after);
        all.spawn(async move { request.send().await.is_err() });
    }
    assert_eq!(all.join_all().await.len(), callers);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_hang_up_behind_a_lock_leave_no_session_beyond_the_number() {
    let database = harness::database().await;
    let service = Service::on(database.url()).start().await;
    listens(&service).await;
    let job = service.http().post_job(&json!({"payload": 1, "delay_seconds": 600})).await;
    let path = format!("/jobs/{}/cancel", job.body["job_id"].as_str().unwrap());
    let mut holder = database.client().await;
    let holding = holder.transaction().await.unwrap();
    holding.execute("select from reveille.ready for update", &[]).await.unwrap();
    let watched = Watched::new(&database).await;
    for _ in 0..6 {
        hang_up(&service, "POST", &path, 50, Duration::from_millis(150)).await;
    }
    assert!(watched.most() <= SESSIONS_MOST, "{} sessions", watched.most());
    eventually("a read is answered", Duration::from_secs(3), async || {
        service.http().get("/queues").await.status == 200
    })
    .await;
    holding.rollback().await.unwrap();
    // The last of those who hung up may have got through.
    let cancelled = service.http().post(&path, &json!({})).await;
    assert!([200, 409].contains(&cancelled.status), "{cancelled:?}");
    assert!(watched.most() <= SESSIONS_MOST, "{} sessions", watched.most());
}

/// No limit but that of statements ends them, which is ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn statements_of_callers_who_hang_up_are_cancelled() {
    let database = harness::database().await;
    let service = Service::on(database.url()).start().await;
    listens(&service).await;
    let client = database.client().await;
    let slow = "create function public.slow() returns trigger language plpgsql as
        $$ begin perform pg_catalog.pg_sleep(60); return old; end $$;
        create trigger slow before delete on reveille.ready for each row execute function public.slow()";
    client.batch_execute(slow).await.unwrap();
    let sleeping = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'
        and datname = current_database()";
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        let job = json!({"payload": 1, "delay_seconds": 600});
        let job = service.http().post_job(&job).await.body["job_id"].as_str().unwrap().to_owned();
        let http = service.http();
        callers.spawn(async move { http.post(&format!("/jobs/{job}/cancel"), &json!({})).await });
    }
    eventually("all connections for people are busy", SOON, async || {
        value::<i64>(&client, sleeping).await == 4
    })
    .await;
    callers.shutdown().await;
    eventually("a read is answered", Duration::from_secs(4), async || {
        service.http().get("/queues").await.status == 200
    })
    .await;
    let waiting = "select count(*) from reveille.ready";
    assert_eq!(value::<i64>(&client, waiting).await, 4, "cancelled jobs");
}

#[tokio::test(flavor = "multi_thread")]
async fn submissions_that_a_missing_standby_holds_up_leave_no_session_beyond_the_number() {
    let cluster = Cluster::start().await;
    let database = cluster.database().await;
    let service = Service::on(database.url()).start().await;
    listens(&service).await;
    let client = database.client().await;
    let standby = async |name: &str| {
        client.batch_execute("set synchronous_commit = local").await.unwrap();
        let set = format!("alter system set synchronous_standby_names = '{name}'");
        client.batch_execute(&set).await.unwrap();
        client.batch_execute("select pg_reload_conf()").await.unwrap();
    };
    let watched = Watched::new(&database).await;
    let held_up = format!("{SESSIONS} and wait_event = 'SyncRep' and query like '%reveille.%job%'");
    let held_up = Watched::of(&database, held_up).await;
    standby("nobody").await;
    eventually("commits are held up", SOON, async || {
        let answer = service.http().post_job(&json!({"payload": 1})).await;
        answer.body["code"] == "outcome_unknown"
    })
    .await;
    // Some came before the server had read its settings again.
    let kept: i64 = value(&client, KEPT).await;
    for _ in 0..2 {
        let mut callers = JoinSet::new();
        for nth in 0..10 {
            let http = service.http();
            let job = match nth % 2 {
                0 => json!({"payload": 1}),
                _ => json!({"payload": 1, "unique_key": format!("k{nth}")}),
            };
            callers.spawn(async move { http.post_job(&job).await });
        }
        for answer in callers.join_all().await {
            assert_eq!(answer.status, 503, "{answer:?}");
        }
    }
    assert!(watched.most() <= SESSIONS_MOST, "{} sessions", watched.most());
    // What nobody waits for any more keeps its place.
    assert!((1..=SUBMISSIONS_MOST).contains(&held_up.most()), "{} held up", held_up.most());
    // A statement that is cancelled here would be committed, on no standby, and be acknowledged by a second look.
    assert_eq!(value::<i64>(&client, KEPT).await, kept, "kept but for those before");
    standby("").await;
    eventually("submissions are accepted", SOON, async || {
        service.http().post_job(&json!({"payload": 1})).await.status == 201
    })
    .await;
    let ended = "select count(*) = (select count(*) from reveille.job) from reveille.outcome";
    eventually("every job has run", SOON, async || value::<bool>(&client, ended).await).await;
    assert!(watched.most() <= SESSIONS_MOST, "{} sessions", watched.most());
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_do_not_keep_jobs_from_running() {
    let database = harness::database().await;
    let service = Service::on(database.url()).start().await;
    listens(&service).await;
    let client = database.client().await;
    let mut holder = database.client().await;
    let holding = holder.transaction().await.unwrap();
    holding.batch_execute("lock table reveille.task in access exclusive mode").await.unwrap();
    let reading = Arc::new(AtomicBool::new(true));
    let mut readers = JoinSet::new();
    for _ in 0..12 {
        let (http, reading) = (service.http(), reading.clone());
        readers.spawn(async move {
            while reading.load(Ordering::Relaxed) {
                http.get("/tasks").await;
            }
        });
    }
    let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'
        and datname = current_database()";
    eventually("readers wait", SOON, async || value::<i64>(&client, waiting).await >= 4).await;
    let before: i64 = value(&client, "select count(*) from reveille.outcome").await;
    // Behind the readers each round would take a second and a half.
    let rounds = async {
        for nth in 1..=8 {
            // A queue that is new has to be made known.
            let new = json!({"payload": 1, "queue": format!("new-{nth}")});
            assert_eq!(service.http().post_job(&new).await.status, 201);
            assert_eq!(service.http().post_job(&json!({"payload": 1})).await.status, 201);
            all_end(&client, before + 2 * nth, SOON).await;
        }
    };
    within("all rounds", Duration::from_secs(8), rounds).await;
    reading.store(false, Ordering::Relaxed);
    holding.rollback().await.unwrap();
    within("the readers end", SOON, readers.join_all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_probes_share_one_question_over_a_connection_of_their_own() {
    let database = harness::database().await;
    let service = Service::on(database.url()).start().await;
    listens(&service).await;
    let client = database.client().await;
    let watched = Watched::new(&database).await;
    let asked = "select query_start::text from pg_stat_activity
        where datname = current_database() and query like '%transaction_read_only%'
          and application_name = 'reveille'";
    let begun = Instant::now();
    let flood = async {
        while begun.elapsed() < Duration::from_millis(1_600) {
            hang_up(&service, "GET", "/health", 100, Duration::from_millis(20)).await;
            hang_up(&service, "GET", "/readyz", 20, Duration::from_secs(5)).await;
        }
    };
    let mut times = std::collections::HashSet::new();
    let watching = async {
        while begun.elapsed() < Duration::from_millis(1_600) {
            let rows = client.query(asked, &[]).await.unwrap();
            assert!(rows.len() <= 1, "{} connections for probes", rows.len());
            times.extend(rows.iter().map(|row| row.try_get::<_, String>(0).unwrap()));
        }
    };
    tokio::join!(flood, watching);
    let took = begun.elapsed().as_secs_f64();
    // Each question has two statements; at most one question in half a second.
    assert!(
        f64::from(u32::try_from(times.len()).unwrap()) <= 2.0 * (took / 0.5 + 2.0),
        "{} in {took} s",
        times.len()
    );
    assert!(watched.most() <= SESSIONS_MOST, "{} sessions", watched.most());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_submits_over_two_connections_and_knows_the_clock_of_the_database() {
    let database = harness::database().await;
    let watched = Watched::new(&database).await;
    let client = Client::connect(database.url()).await.unwrap();
    let mut jobs = JoinSet::new();
    for nth in 0..200 {
        let client = client.clone();
        jobs.spawn(async move { client.submit(NewJob::new("noop", &nth)).await.is_ok() });
    }
    assert!(jobs.join_all().await.into_iter().all(|kept| kept));
    assert!((1..=2).contains(&watched.most()), "{} sessions", watched.most());

    let target = Target::parse(database.url()).unwrap();
    let mut ahead = Vec::new();
    for _ in 0..3 {
        ahead.push(Store::open_for_client(&target, 2).await.unwrap().clock.ahead_seconds());
    }
    // To the microsecond the clocks of two processes are never the same three times.
    assert!(ahead.iter().any(|ahead| *ahead != 0.0), "{ahead:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prober_that_hangs_up_leaves_no_old_answer_to_the_next() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let service = Service::on(proxy.url()).env("REVEILLE_LOG", "info,reveille=debug");
    let service = service.start().await;
    listens(&service).await;
    proxy.set(Mode::Blackhole);
    hang_up(&service, "GET", "/readyz", 1, Duration::from_millis(300)).await;
    // The question ends without anybody who waits for its answer.
    service.logged("the database was asked how it is", SOON).await;
    proxy.set(Mode::Pass);
    let job = service.http().post("/jobs?wait=10", &json!({"payload": 1})).await;
    assert_eq!(job.body["status"], "completed");
    let ready = service.http().get("/readyz").await;
    assert_eq!(ready.status, 200, "{ready:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_makes_missing_partitions_over_its_two_connections() {
    let database = harness::database().await;
    let admin = database.client().await;
    drop_partitions(&admin).await;
    let watched = Watched::new(&database).await;
    let client = Client::connect(database.url()).await.unwrap();
    let mut jobs = JoinSet::new();
    for nth in 0..50 {
        let client = client.clone();
        jobs.spawn(async move { client.submit(NewJob::new("noop", &nth)).await.is_ok() });
    }
    assert!(jobs.join_all().await.into_iter().all(|kept| kept));
    assert_eq!(value::<i64>(&admin, "select count(*) from reveille.job").await, 50);
    assert!((1..=2).contains(&watched.most()), "{} sessions", watched.most());
}
