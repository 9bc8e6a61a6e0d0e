//! The processes of the service, and whether each is ready.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use tokio_postgres::Client;

use crate::harness::look::{becomes, submit, value};
use crate::harness::proxy::Mode;
use crate::harness::service::ServiceBuilder;
use crate::harness::{self, Service, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(15);

/// Heartbeats often, and is taken for lost after two seconds.
fn brisk(database: &TestDatabase) -> ServiceBuilder {
    Service::on(database.url()).env("REVEILLE_INSTANCE_NAME", "brisk").brisk("2")
}

/// Makes an instance known that died long ago.
async fn lost(client: &Client, name: &str) {
    let insert = format!(
        "insert into reveille.worker (id, name, version, host, pid, lost_after, slots, tasks, heartbeat_at)
         values (gen_random_uuid(), '{name}', '', '', 1, '1 second', 1, '{{}}', now() - interval '1 day')"
    );
    client.batch_execute(&insert).await.unwrap();
}

/// Deleting rows of this table takes long.
async fn dawdle(client: &Client, table: &str, which: &str) {
    let trigger = format!(
        "create or replace function public.dawdle() returns trigger language plpgsql as
           $$ begin perform pg_sleep(15); return old; end $$;
         create trigger dawdle before delete on reveille.{table} for each row {which} execute function public.dawdle()"
    );
    client.batch_execute(&trigger).await.unwrap();
}

/// The sessions that do so.
async fn dawdling(client: &Client) -> i64 {
    value(client, "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'").await
}

const LOST: &str = "select count(*) from reveille.worker where name = 'lost'";

#[tokio::test(flavor = "multi_thread")]
async fn neither_heartbeats_nor_rescue_wait_for_who_has_locked_the_leadership() {
    let leaders = "select count(*) from reveille.leader where until > now()";
    let database = harness::database().await;
    let (client, blocker) = (database.client().await, database.client().await);
    let service = brisk(&database).start().await;
    eventually("it leads", SOON, async || value::<i64>(&client, leaders).await == 1).await;
    let job = submit(&client, "task => 'sleep', payload => '{\"seconds\": 600}'").await;
    becomes(&client, &job, "processing", SOON).await;
    blocker.batch_execute("begin; select from reveille.leader for update").await.unwrap();
    lost(&client, "lost").await;
    let locked: f64 = value(&client, "select extract(epoch from clock_timestamp())::float8").await;
    let beat = "select extract(epoch from max(heartbeat_at))::float8 from reveille.worker";
    eventually("heartbeats go on for longer than the lease time", SOON, async || {
        value::<f64>(&client, beat).await > locked + 4.0
    })
    .await;
    let fenced = service.stderr().contains("no heartbeat was confirmed");
    assert!(!fenced, "handlers were told to stop");
    eventually("it rescues", SOON, async || value::<i64>(&client, LOST).await == 0).await;
    blocker.batch_execute("rollback").await.unwrap();
    eventually("it leads again", SOON, async || value::<i64>(&client, leaders).await == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leadership_of_one_that_has_left_is_taken_over_at_once() {
    let database = harness::database().await;
    let client = database.client().await;
    let mut first =
        Service::on(database.url()).env("REVEILLE_LOST_AFTER_SECONDS", "600").start().await;
    let led = "select count(*) from reveille.leader l join reveille.worker w on w.id = l.worker";
    let led_by = |name: &str| format!("{led} where w.name = '{name}'");
    eventually("one leads", SOON, async || value::<i64>(&client, led).await == 1).await;
    let _second = brisk(&database).start().await;
    assert!(first.terminate(SOON).await.success());
    eventually("the other leads", SOON, async || {
        value::<i64>(&client, &led_by("brisk")).await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_the_house_and_takes_long_does_not_hold_a_service_that_leaves() {
    for (table, which) in [("worker", "when (old.name = 'lost')"), ("unique_key", "")] {
        let database = harness::database().await;
        let client = database.client().await;
        let mut service = brisk(&database).start().await;
        dawdle(&client, table, which).await;
        lost(&client, "lost").await;
        let job = service.http().post_job(&json!({"payload": 1, "unique_key": "a"})).await;
        becomes(&client, job.body["job_id"].as_str().unwrap(), "completed", SOON).await;
        eventually("it is at it", SOON, async || dawdling(&client).await == 1).await;
        assert!(service.terminate(Duration::from_secs(5)).await.success());
        let here = "select count(*) from reveille.worker where name = 'brisk'";
        assert_eq!(value::<i64>(&client, here).await, 0, "{table}: it has not said goodbye");
    }
}

/// The rescue takes the connection of all that keeps the house, and takes long.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_was_taken_for_lost_registers_anew_beside_a_rescue_that_takes_long() {
    let database = harness::database().await;
    let client = database.client().await;
    let _service = brisk(&database).start().await;
    dawdle(&client, "worker", "when (old.name = 'lost')").await;
    lost(&client, "lost").await;
    eventually("a rescue takes long", SOON, async || dawdling(&client).await == 1).await;
    let old: String =
        value(&client, "delete from reveille.worker where name = 'brisk' returning id::text").await;
    let anew =
        format!("select count(*) from reveille.worker where name = 'brisk' and id <> '{old}'");
    eventually("it is known again", Duration::from_secs(5), async || {
        value::<i64>(&client, &anew).await == 1
    })
    .await;
    assert_eq!(dawdling(&client).await, 1, "the rescue goes on");
}

/// The states of checks by their names.
fn states(readiness: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let checks = readiness["checks"].as_array().cloned().unwrap_or_default();
    checks.iter().map(|check| (text(&check["name"]), text(&check["state"]))).collect()
}

fn state(name: &str, state: &str) -> (String, String) {
    (name.to_owned(), state.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_listed_and_one_that_is_not_heard_of_is_not_alive() {
    let database = harness::database().await;
    // The first takes nobody for lost while the test looks; the second says itself how soon it is lost.
    let first = Service::on(database.url()).env("REVEILLE_INSTANCE_NAME", "first").start().await;
    let second = Service::on(database.url())
        .env("REVEILLE_INSTANCE_NAME", "second")
        .env("REVEILLE_WORKERS", "3")
        .env("REVEILLE_QUEUES", "mail")
        .brisk("1")
        .start()
        .await;
    let http = first.http();
    eventually("one of them leads", SOON, async || {
        let instances = http.get("/instances").await.body;
        instances["data"].as_array().unwrap().iter().filter(|it| it["leader"] == true).count() == 1
    })
    .await;
    let instances = http.get("/instances").await;
    assert_eq!(instances.status, 200);
    let [one, two] = &instances.body["data"].as_array().unwrap()[..] else {
        panic!("{instances:?}")
    };
    assert_eq!(
        (&one["name"], one.get("queues"), &one["alive"]),
        (&json!("first"), None, &json!(true))
    );
    assert!(one["tasks"].as_array().unwrap().contains(&json!("echo")), "{one}");
    assert_eq!(
        (&two["name"], &two["queues"], &two["slots"], &two["pid"]),
        (&json!("second"), &json!(["mail"]), &json!(3), &json!(second.process_id().as_raw()))
    );

    let id = two["id"].clone();
    second.signal(Signal::SIGSTOP);
    eventually("it is no longer alive, or taken for lost already", SOON, async || {
        let instances = http.get("/instances").await.body;
        let data = instances["data"].as_array().unwrap();
        data.iter().find(|it| it["id"] == id).is_none_or(|it| it["alive"] == false)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_what_fails() {
    let database = harness::database().await;
    let (proxy, listener) = (database.proxy().await, database.proxy().await);
    let mut service = Service::on(proxy.url())
        .env("REVEILLE_LISTEN_DATABASE_URL", listener.url())
        .env("REVEILLE_SHUTDOWN_GRACE_SECONDS", "30")
        .start()
        .await;
    let http = service.http();
    let well = ["database", "schema", "listener", "draining"].map(|name| state(name, "ok"));
    eventually("all is well", SOON, async || {
        states(&http.get("/readyz?verbose").await.body) == well
    })
    .await;
    assert_eq!(http.get("/readyz").await.body, json!({"status": "healthy", "checks": []}));

    listener.set(Mode::Reset);
    eventually("the listener is down", SOON, async || {
        states(&http.get("/readyz?verbose").await.body).contains(&state("listener", "degraded"))
    })
    .await;
    assert_eq!(http.get("/readyz").await.status, 200);

    proxy.set(Mode::Reset);
    // An answer is good for half a second.
    let failing = [state("database", "failing"), state("schema", "failing")];
    eventually("it is unready", SOON, async || {
        let unready = http.get("/readyz").await;
        (unready.status, &unready.body["status"]) == (503, &json!("unhealthy"))
            && states(&unready.body) == failing
    })
    .await;
    proxy.set(Mode::Pass);
    listener.set(Mode::Pass);
    eventually("it is ready again", SOON, async || http.get("/readyz").await.status == 200).await;

    let sleep = json!({"task": "sleep", "payload": {"seconds": 60}});
    let id = http.post("/jobs", &sleep).await.body["job_id"].as_str().unwrap().to_owned();
    eventually("a job runs", SOON, async || http.get_job(&id).await.body["status"] == "processing")
        .await;
    service.signal(Signal::SIGTERM);
    eventually("it says that it is leaving", SOON, async || {
        states(&http.get("/readyz").await.body) == [state("draining", "failing")]
    })
    .await;
    service.kill9().await;
}
