//! Wakes are not lost, whatever the transactions do that submit: they fire constraints early, fail at their commit, replay
//! rows, or commit in two phases. The poll is a minute away, so that it hides nothing, where it is not what finds the job.

use std::time::Duration;

use serde_json::json;
use tokio_postgres::Client;

use crate::harness::cluster::connect;
use crate::harness::look::{becomes, listens, status, submit, value};
use crate::harness::{self, Service, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(5);

async fn unpolled(database: &TestDatabase) -> Service {
    let service =
        Service::on(database.url()).env("REVEILLE_POLL_INTERVAL_SECONDS", "60").start().await;
    listens(&service).await;
    service
}

/// Which gates of a lane: the first of the trigger's, or also its spare one and that of services.
pub(crate) enum Gates {
    First,
    All,
}

/// Holds the gates of a lane for some seconds to come, in a session, as transactions do that do not end.
pub(crate) async fn hold(client: &Client, lane: &str, gates: Gates) {
    let others = match gates {
        Gates::First => "",
        Gates::All => ", pg_advisory_lock(s.key # 1), pg_advisory_lock(s.key # 2)",
    };
    let statement = format!(
        "select pg_advisory_lock(s.key){others} from (
           select reveille.gate_key('{lane}', clock_timestamp() + nth * interval '100 ms') as key
           from generate_series(-1, 80) nth offset 0
         ) s"
    );
    client.batch_execute(&statement).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_fires_its_constraints_early_mutes_nobody() {
    let database = harness::database().await;
    let service = unpolled(&database).await;
    let (client, open) = (database.client().await, database.client().await);
    open.batch_execute(
        "begin; set constraints all immediate; select reveille.submit(payload => '\"open\"', queue => 'other')",
    )
    .await
    .unwrap();
    for _ in 0..10 {
        let other = submit(&client, "payload => '\"other\"', queue => 'other'").await;
        becomes(&client, &other, "completed", SOON).await;
        let through = service.http().post_job(&json!({"payload": 1, "queue": "other"})).await;
        becomes(&client, through.body["job_id"].as_str().unwrap(), "completed", SOON).await;
    }
    open.batch_execute("commit").await.unwrap();
    let waiting = "select count(*) from reveille.ready";
    eventually("its own job is found", SOON, async || value::<i64>(&client, waiting).await == 0)
        .await;
}

/// SQL has to find the spare gate, and services have one of their own: the instance with slots hears of the jobs by notice alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_gate_mutes_nobody() {
    let database = harness::database().await;
    let _worker = unpolled(&database).await;
    let api = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let (holder, client) = (database.client().await, database.client().await);
    let job = |queue: &str| json!({"payload": 1, "queue": queue});
    let tagged = |queue: &str| json!({"payload": 1, "queue": queue, "tags": ["a"]});
    for queue in ["sql", "plain", "tagged", "plains", "mixed"] {
        hold(&holder, &format!("{queue} echo 5"), Gates::First).await;
    }
    let own = submit(&client, "payload => '1', queue => 'sql'").await;
    becomes(&client, &own, "completed", SOON).await;
    for jobs in [
        vec![job("plain")],
        vec![tagged("tagged")],
        vec![job("plains"), job("plains")],
        vec![job("mixed"), tagged("mixed")],
    ] {
        let answer = api.http().post("/jobs/batch", &json!(jobs)).await;
        for job in answer.body["jobs"].as_array().unwrap() {
            becomes(&client, job["job_id"].as_str().unwrap(), "completed", SOON).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notifier_that_fails_at_its_commit_takes_nobodys_notice_with_it() {
    let database = harness::database().await;
    let _service = unpolled(&database).await;
    let (client, gatekeeper) = (database.client().await, database.client().await);
    client
        .batch_execute(
            "create table public.doomed (id integer);
             create function public.fail() returns trigger language plpgsql as $$ begin
               perform pg_advisory_xact_lock(7);
               raise exception 'this commit fails';
             end $$;
             create constraint trigger fail after insert on public.doomed deferrable initially deferred
               for each row execute function public.fail()",
        )
        .await
        .unwrap();
    gatekeeper.batch_execute("select pg_advisory_lock(7)").await.unwrap();
    let failing = connect(database.url()).await;
    let failing = tokio::spawn(async move {
        let doomed = "begin; select reveille.submit(payload => '\"doomed\"', queue => 'other');
                      insert into public.doomed values (1); commit";
        failing.batch_execute(doomed).await
    });
    let stands =
        "select count(*) from pg_locks where locktype = 'advisory' and objid = 7 and not granted
      and database = (select oid from pg_database where datname = current_database())";
    eventually("it stands at its commit", SOON, async || value::<i64>(&client, stands).await == 1)
        .await;
    let other = submit(&client, "payload => '\"other\"', queue => 'other'").await;
    gatekeeper.batch_execute("select pg_advisory_unlock(7)").await.unwrap();
    failing.await.unwrap().unwrap_err();
    becomes(&client, &other, "completed", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_as_a_replica_wakes_too() {
    let database = harness::database().await;
    let _service = unpolled(&database).await;
    let client = database.client().await;
    client.batch_execute("set session_replication_role = replica").await.unwrap();
    let job = submit(&client, "payload => '1', queue => 'other'").await;
    becomes(&client, &job, "completed", SOON).await;
}

/// What tells of a whole queue tells of its other lanes too, and nobody else does.
#[tokio::test(flavor = "multi_thread")]
async fn the_notice_of_a_queue_passes_no_gate() {
    let database = harness::database().await;
    let _service = unpolled(&database).await;
    let (holder, mut client) = (database.client().await, connect(database.url()).await);
    hold(&holder, "other echo 5", Gates::All).await;
    client.batch_execute("set reveille.notify = off").await.unwrap();
    let unseen = submit(&client, "payload => '1', queue => 'other', priority => 7").await;
    let moved = submit(&client, "payload => '2', queue => 'other'").await;
    client.batch_execute("reset reveille.notify").await.unwrap();
    // As a rescue puts jobs back.
    let transaction = client.transaction().await.unwrap();
    transaction
        .batch_execute(&format!(
            "create temporary table back on commit drop as select * from reveille.ready where id = '{moved}';
             delete from reveille.ready where id = '{moved}';
             update back set wakes = 2;
             insert into reveille.ready select * from back"
        ))
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    for job in [unseen, moved] {
        becomes(&client, &job, "completed", SOON).await;
    }
}

/// COMMIT PREPARED fires no trigger, and PREPARE TRANSACTION refuses a transaction that notifies.
#[tokio::test(flavor = "multi_thread")]
async fn with_notices_switched_off_a_transaction_commits_in_two_phases_and_the_poll_finds_its_job()
{
    let database = harness::database().await;
    let service =
        Service::on(database.url()).env("REVEILLE_POLL_INTERVAL_SECONDS", "1").start().await;
    listens(&service).await;
    let client = database.client().await;
    let notifies = "begin; select reveille.submit(payload => '1'); prepare transaction 'loud'";
    let error = client.batch_execute(notifies).await.unwrap_err();
    assert!(format!("{error:?}").contains("NOTIFY"), "{error:?}");
    client
        .batch_execute(
            "begin; set local reveille.notify = off;
             select reveille.submit(payload => '\"prepared\"'); prepare transaction 'quiet'",
        )
        .await
        .unwrap();
    client.batch_execute("commit prepared 'quiet'").await.unwrap();
    let query = "select id::text from reveille.job where payload = '\"prepared\"'";
    let job: String = value(&client, query).await;
    becomes(&client, &job, "completed", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listening_url_of_another_database_is_refused_at_the_start_and_by_the_doctor() {
    let (database, other) = (harness::database().await, harness::database().await);
    let mut service =
        Service::on(database.url()).env("REVEILLE_LISTEN_DATABASE_URL", other.url()).spawn().await;
    assert_eq!(service.ended(Duration::from_secs(20)).await.code(), Some(1));
    service.logged("listen_database_url leads to another database", SOON).await;
    let doctor = async |listens: &str| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_reveille"));
        command.arg("doctor").env("DATABASE_URL", database.url());
        command.env("REVEILLE_LISTEN_DATABASE_URL", listens);
        let output = command.output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let found = doctor(other.url()).await;
    assert!(found.contains("FAIL  same database"), "{found}");
    let found = doctor(&database.tcp_url().await).await;
    assert!(found.contains("ok    same database"), "{found}");
}

/// As docs/backup.md says.
#[tokio::test(flavor = "multi_thread")]
async fn the_queues_of_a_restored_copy_are_paused_before_a_service_starts() {
    let database = harness::database().await;
    let client = database.client().await;
    let job = submit(&client, "payload => '1', queue => 'restored'").await;
    let page = include_str!("../../docs/backup.md");
    let begin = page.find("insert into reveille.queue").expect("the page has it");
    let statement = page[begin..].split_once(';').expect("its end").0;
    client.batch_execute(statement).await.unwrap();
    let service = unpolled(&database).await;
    // It has looked at all that waits; a job of a queue that came later does run.
    let other = submit(&client, "payload => '2', queue => 'later'").await;
    becomes(&client, &other, "completed", SOON).await;
    assert_eq!(status(&client, &job).await.as_deref(), Some("queued"));
    let resumed = service.http().post("/queues/restored/resume", &json!(null)).await;
    assert_eq!(resumed.status, 200, "{resumed:?}");
    becomes(&client, &job, "completed", SOON).await;
}
