//! Whoever dies, the rest goes on: the jobs of a killed process run again, and one that kills processes does not for ever.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use tokio_postgres::Client;

use crate::harness::look::{all_end, assert_one_place, becomes, listens, status, submit, value};
use crate::harness::proxy::{FaultProxy, Mode};
use crate::harness::service::ServiceBuilder;
use crate::harness::{self, Cluster, Service, eventually};

const SOON: Duration = Duration::from_secs(10);

/// Taken for lost after so many seconds.
fn fast(url: &str, lost_after: &str) -> ServiceBuilder {
    Service::on(url).brisk(lost_after)
}

/// With all defaults, as it is promised.
#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_killed_process_run_again_within_15_seconds() {
    let database = harness::database().await;
    let client = database.client().await;
    let (survivor, mut victim) = tokio::join!(
        Service::on(database.url()).env("REVEILLE_QUEUES", "later").start(),
        Service::on(database.url()).env("REVEILLE_QUEUES", "now,later").start(),
    );
    let job =
        submit(&client, "task => 'sleep', payload => '{\"seconds\": 600}', queue => 'now'").await;
    becomes(&client, &job, "processing", SOON).await;
    // The survivor serves the job's queue from here on, and not before.
    client.batch_execute("update reveille.job set queue = 'later'").await.unwrap();
    victim.kill9().await;
    let killed = Instant::now();
    let lease: String = value(&client, "select lease::text from reveille.lease").await;
    let again = format!("select count(*) from reveille.lease where lease <> '{lease}'");
    eventually("it runs again", Duration::from_secs(30), async || {
        value::<i64>(&client, &again).await == 1
    })
    .await;
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    drop(survivor);
}

async fn lease_of(client: &Client, job: &str) -> Option<(String, i16)> {
    let query = "select lease::text, crashes[array_position(ids, $1::text::uuid)] from reveille.lease where $1::text::uuid = any (ids)";
    let row = client.query_opt(query, &[&job]).await.unwrap()?;
    Some((row.get(0), row.get(1)))
}

/// The process is killed whenever it is seen to run the poison job: the one that kills it, as far as anybody can tell. Its
/// neighbours are suspects too in the end, and run one by one.
#[tokio::test(flavor = "multi_thread")]
async fn a_poison_job_ends_and_no_neighbour_shares_its_fate() {
    let database = harness::database().await;
    let client = database.client().await;
    let start = || fast(database.url(), "0.7").env("REVEILLE_WORKERS", "200").start();
    let (mut victim, observer) =
        (start().await, fast(database.url(), "0.7").env("REVEILLE_WORKERS", "0").start().await);
    let neighbours: i64 = value(
        &client,
        "select count(*) from generate_series(1, 100) nth
         cross join lateral reveille.submit(task => 'sleep', payload => jsonb_build_object('seconds', 0.1, 'nth', nth))",
    )
    .await;
    assert_eq!(neighbours, 100);
    let poison =
        submit(&client, "task => 'sleep', payload => '{\"seconds\": 600}', priority => 0").await;
    let mut crashes = Vec::new();
    while status(&client, &poison).await.as_deref() != Some("failed") {
        assert!(crashes.len() < 4, "it killed {crashes:?} and has not ended");
        eventually("the poison job runs or has ended", Duration::from_secs(60), async || {
            lease_of(&client, &poison).await.is_some()
                || status(&client, &poison).await.as_deref() == Some("failed")
        })
        .await;
        let Some((lease, count)) = lease_of(&client, &poison).await else { continue };
        crashes.push(count);
        victim.kill9().await;
        victim = start().await;
        eventually("it is taken back", Duration::from_secs(20), async || {
            lease_of(&client, &poison).await.is_none_or(|held| held.0 != lease)
        })
        .await;
    }
    assert_eq!(crashes, [0, 1, 2]);
    all_end(&client, 101, Duration::from_secs(60)).await;
    let http = observer.http();
    let job = http.get_job(&poison).await.body;
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("failed"), &json!("worker_lost")));
    // The workers are gone, and their names are known still.
    let attempts = http.get(&format!("/jobs/{poison}/attempts")).await.body;
    let attempts = attempts["data"].as_array().unwrap();
    assert_eq!(attempts.len(), 3);
    for worker in attempts.iter().chain([&job]).map(|it| &it["worker"]) {
        assert!(worker["name"].is_string(), "{worker}");
    }
    let names =
        "select count(*) from reveille.attempt where ending = 'lost' and worker_name is null";
    assert_eq!(value::<i64>(&client, names).await, 0);
    let told = |service: &Service| {
        let log = service.stderr();
        let mut lines = log.lines().filter(|line| line.contains("job failed"));
        lines.any(|line| {
            line.contains(&poison) && line.contains("worker_lost") && line.contains("sleep")
        })
    };
    assert!(told(&observer) || told(&victim), "{}\n{}", observer.stderr(), victim.stderr());
    let unharmed: i64 = value(
        &client,
        "select count(*) from reveille.outcome where state = 'completed' and attempt = 1",
    )
    .await;
    assert_eq!(unharmed, 100);
    assert_one_place(&client).await;
    drop(victim);
}

/// While the database is away nobody can be heard; nobody is lost for that, though one returns before the other. The time since
/// the restart protects them, and so does the time since the return of the one who would judge.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_database_loses_nobody() {
    let cluster = Cluster::start().await;
    let database = cluster.database().await;
    let (near, far) = (database.proxy().await, database.proxy().await);
    let holder = fast(far.url(), "2").env("REVEILLE_ON_LOST_HEARTBEAT", "run").start().await;
    let judge = fast(near.url(), "2").env("REVEILLE_WORKERS", "0").start().await;
    let client = database.client().await;
    let job = submit(&client, "task => 'sleep', payload => '{\"seconds\": 8}'").await;
    becomes(&client, &job, "processing", SOON).await;
    // The crash would else forget the claim, which is not flushed.
    client.batch_execute("checkpoint").await.unwrap();
    cluster.kill9().await;
    near.set(Mode::Reset);
    far.set(Mode::Reset);
    holder.logged("no heartbeat was confirmed for too long", SOON).await;
    cluster.restart().await;
    let client = database.client().await;
    eventually("the outage outlasts every heartbeat", SOON, async || {
        value::<i64>(&client, SILENT).await == 2
    })
    .await;
    returns_before(&near, &far, &client).await;
    becomes(&client, &job, "completed", Duration::from_secs(40)).await;
    assert_eq!(value::<i64>(&client, "select count(*) from reveille.attempt").await, 0);
    assert_one_place(&client).await;
    drop((holder, judge));
}

/// Workers whose heartbeats are too old.
const SILENT: &str = "select count(*) from reveille.worker where heartbeat_at < now() - lost_after";

/// Of two silent instances one returns, and has looked around before the other does.
async fn returns_before(near: &FaultProxy, far: &FaultProxy, client: &Client) {
    near.set(Mode::Pass);
    eventually("the judge is back", SOON, async || value::<i64>(client, SILENT).await == 1).await;
    let beats = "select extract(epoch from max(heartbeat_at))::float8 from reveille.worker";
    let back: f64 = value(client, beats).await;
    eventually("it has looked around", SOON, async || {
        value::<f64>(client, beats).await > back + 0.5
    })
    .await;
    far.set(Mode::Pass);
}

/// Two instances were cut off; the one that returns first must not judge the other by its silence.
#[tokio::test(flavor = "multi_thread")]
async fn who_returns_from_an_outage_gives_the_others_time_to_return() {
    let database = harness::database().await;
    let (near, far) = (database.proxy().await, database.proxy().await);
    let holder = fast(far.url(), "2").env("REVEILLE_ON_LOST_HEARTBEAT", "run").start().await;
    let judge = fast(near.url(), "2").env("REVEILLE_WORKERS", "0").start().await;
    let client = database.client().await;
    let job = submit(&client, "task => 'sleep', payload => '{\"seconds\": 6}'").await;
    becomes(&client, &job, "processing", SOON).await;
    near.set(Mode::Reset);
    far.set(Mode::Reset);
    eventually("both are silent", SOON, async || value::<i64>(&client, SILENT).await == 2).await;
    returns_before(&near, &far, &client).await;
    becomes(&client, &job, "completed", Duration::from_secs(20)).await;
    assert_eq!(value::<i64>(&client, "select count(*) from reveille.attempt").await, 0);
    drop((holder, judge));
}

/// A process that stood still wakes up and claims, before its heartbeat can tell it that it was taken for lost.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_claims_after_it_was_taken_for_lost_is_no_crash() {
    let database = harness::database().await;
    let client = database.client().await;
    let sleeper =
        fast(database.url(), "0.7").env("REVEILLE_POLL_INTERVAL_SECONDS", "60").start().await;
    listens(&sleeper).await;
    let observer = fast(database.url(), "0.7").env("REVEILLE_WORKERS", "0").start().await;
    let known = "select count(*) from reveille.worker";
    eventually("both are known", SOON, async || value::<i64>(&client, known).await == 2).await;
    sleeper.signal(Signal::SIGSTOP);
    eventually("one is taken for lost", SOON, async || value::<i64>(&client, known).await == 1)
        .await;
    let job = submit(&client, "task => 'sleep', payload => '{\"seconds\": 600}'").await;
    sleeper.signal(Signal::SIGCONT);
    let held = format!(
        "select count(*) from reveille.lease l join reveille.worker w on w.id = l.worker where '{job}' = any (l.ids)"
    );
    eventually("somebody who is known runs it", SOON, async || {
        value::<i64>(&client, &held).await == 1
    })
    .await;
    assert_eq!(lease_of(&client, &job).await.map(|held| held.1), Some(0), "it has not crashed");
    drop(observer);
}

/// Makes a worker known that holds a job, is lost after so long a silence, and has been silent for days.
async fn silent_worker(client: &Client, name: &str, lost_after: &str) {
    let job = submit(client, "payload => '1', queue => 'later'").await;
    let insert = format!(
        "with w as (insert into reveille.worker (id, name, version, host, pid, lost_after, slots, tasks, heartbeat_at)
           values (gen_random_uuid(), '{name}', '', '', 1, '{lost_after}', 1, '{{}}', now() - interval '3 days') returning id)
         insert into reveille.lease (lease, worker, ids, attempts, crashes) select gen_random_uuid(), id, array['{job}'::uuid], '{{1}}', '{{0}}' from w;
         delete from reveille.ready where id = '{job}'"
    );
    client.batch_execute(&insert).await.unwrap();
}

/// A server that was started a moment ago has given nobody the time that they have to be heard.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_lost_while_the_server_has_been_up_for_less_than_their_time() {
    let database = harness::database().await;
    let (client, proxy) = (database.client().await, database.proxy().await);
    silent_worker(&client, "patient", "2 days").await;
    let observer = fast(proxy.url(), "0.7").env("REVEILLE_WORKERS", "0").start().await;
    // When the second is rescued, the look that found the first is over.
    for rescued in 1..=2 {
        silent_worker(&client, "lost", "0.1 seconds").await;
        eventually("the one who is lost is rescued", SOON, async || {
            value::<i64>(&client, "select count(*) from reveille.ready").await == rescued
        })
        .await;
    }
    let patient = "select count(*) from reveille.worker where name = 'patient'";
    assert_eq!(value::<i64>(&client, patient).await, 1, "lost before its time");
    // Nor is a rescue called for again and again.
    let beats = async |more: usize| {
        let sent = || proxy.sent("update reveille.worker set heartbeat_at");
        let enough = sent() + more;
        eventually("heartbeats go on", SOON, async || sent() >= enough).await;
    };
    beats(2).await;
    let looks = || proxy.sent(include_str!("../../sql/worker/lost.sql"));
    let before = looks();
    beats(5).await;
    assert_eq!(looks(), before, "looks for lost workers");
    drop(observer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_worker_whose_lease_is_locked_does_not_keep_the_others_from_their_rescue() {
    let database = harness::database().await;
    let (client, blocker) = (database.client().await, database.client().await);
    for nth in 1..=4 {
        silent_worker(&client, &format!("lost {nth}"), "0.1 seconds").await;
    }
    let lost = client.query(include_str!("../../sql/worker/lost.sql"), &[]).await.unwrap();
    let last: uuid::Uuid = lost.last().unwrap().get(0);
    let lock = format!("begin; select from reveille.lease where worker <> '{last}' for update");
    blocker.batch_execute(&lock).await.unwrap();
    let observer = fast(database.url(), "0.7").env("REVEILLE_WORKERS", "0").start().await;
    eventually("the one whose lease is free is rescued", Duration::from_secs(20), async || {
        value::<i64>(&client, "select count(*) from reveille.ready").await == 1
    })
    .await;
    blocker.batch_execute("rollback").await.unwrap();
    eventually("the others are rescued", Duration::from_secs(20), async || {
        value::<i64>(&client, "select count(*) from reveille.ready").await == 4
    })
    .await;
    drop(observer);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leases_of_a_worker_that_nobody_knows_go_back_without_a_crash() {
    let database = harness::database().await;
    let client = database.client().await;
    let job = submit(&client, "payload => '1', queue => 'later'").await;
    let stray = submit(&client, "payload => '2', queue => 'later'").await;
    client
        .batch_execute(&format!(
            "with r as (delete from reveille.ready where id in ('{job}', '{stray}') returning *)
             insert into reveille.lease (lease, worker, ids, attempts, crashes)
               select gen_random_uuid(), gen_random_uuid(), array[id], array[1], array[case id when '{stray}' then 2 else 0 end::smallint] from r"
        ))
        .await
        .unwrap();
    let observer = fast(database.url(), "0.7").env("REVEILLE_WORKERS", "0").start().await;
    observer.logged("after it was taken for lost are given back", SOON).await;
    let back = "select string_agg(r.attempt || ' ' || r.crashes || ' ' || a.ending, ', ' order by r.crashes)
        from reveille.ready r join reveille.attempt a using (id) where a.error is null";
    eventually("both wait again", SOON, async || {
        value::<Option<String>>(&client, back).await.as_deref()
            == Some("0 0 released, 0 2 released")
    })
    .await;
}
