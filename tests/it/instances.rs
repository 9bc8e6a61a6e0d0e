//! The processes of the service, and whether each is ready.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::proxy::Mode;
use crate::harness::{self, Service};

const SOON: Duration = Duration::from_secs(15);

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
        .env("REVEILLE_HEARTBEAT_SECONDS", "0.2")
        .env("REVEILLE_LOST_AFTER_SECONDS", "1")
        .start()
        .await;
    let http = first.http();
    harness::eventually("one of them leads", SOON, async || {
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
    harness::eventually("it is no longer alive, or taken for lost already", SOON, async || {
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
    harness::eventually("all is well", SOON, async || {
        states(&http.get("/readyz?verbose").await.body) == well
    })
    .await;
    assert_eq!(http.get("/readyz").await.body, json!({"status": "healthy", "checks": []}));

    listener.set(Mode::Reset);
    harness::eventually("the listener is down", SOON, async || {
        states(&http.get("/readyz?verbose").await.body).contains(&state("listener", "degraded"))
    })
    .await;
    assert_eq!(http.get("/readyz").await.status, 200);

    proxy.set(Mode::Reset);
    // An answer is good for half a second.
    let failing = [state("database", "failing"), state("schema", "failing")];
    harness::eventually("it is unready", SOON, async || {
        let unready = http.get("/readyz").await;
        (unready.status, &unready.body["status"]) == (503, &json!("unhealthy"))
            && states(&unready.body) == failing
    })
    .await;
    proxy.set(Mode::Pass);
    listener.set(Mode::Pass);
    harness::eventually("it is ready again", SOON, async || {
        http.get("/readyz").await.status == 200
    })
    .await;

    let sleep = json!({"task": "sleep", "payload": {"seconds": 60}});
    let id = http.post("/jobs", &sleep).await.body["job_id"].as_str().unwrap().to_owned();
    harness::eventually("a job runs", SOON, async || {
        http.get_job(&id).await.body["status"] == "processing"
    })
    .await;
    service.signal(Signal::SIGTERM);
    harness::eventually("it says that it is leaving", SOON, async || {
        states(&http.get("/readyz").await.body) == [state("draining", "failing")]
    })
    .await;
    service.kill9().await;
}
