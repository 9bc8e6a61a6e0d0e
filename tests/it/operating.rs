//! What an operator meets: the command line beside a running service, and what it says when something is wrong.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::harness::proxy::Mode;
use crate::harness::{self, Service, eventually, within};

const SOON: Duration = Duration::from_secs(10);

/// What a command did: its exit status, and what it wrote to standard output and standard error.
type Done = (Option<i32>, String, String);

/// Runs a command with nothing in its environment but these variables.
async fn reveille(environment: &[(&str, &str)], line: &[&str]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
    command.args(line).env_clear().envs(environment.iter().copied());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = within(&line.join(" "), Duration::from_secs(60), command.output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// What Kubernetes sets in a container beside Services named `reveille` and `reveille-api`.
const OF_SERVICES: [(&str, &str); 9] = [
    ("REVEILLE_SERVICE_HOST", "10.96.0.7"),
    ("REVEILLE_SERVICE_PORT", "8000"),
    ("REVEILLE_SERVICE_PORT_HTTP", "8000"),
    ("REVEILLE_PORT", "tcp://10.96.0.7:8000"),
    ("REVEILLE_PORT_8000_TCP", "tcp://10.96.0.7:8000"),
    ("REVEILLE_PORT_8000_TCP_PROTO", "tcp"),
    ("REVEILLE_PORT_8000_TCP_PORT", "8000"),
    ("REVEILLE_PORT_8000_TCP_ADDR", "10.96.0.7"),
    ("REVEILLE_API_SERVICE_HOST", "10.96.0.8"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_kubernetes_service_of_our_name_stops_no_command() {
    let database = harness::database().await;
    let mut service = Service::on(database.url());
    for (name, value) in OF_SERVICES {
        service = service.env(name, value);
    }
    let service = service.start().await;
    let ours = [("DATABASE_URL", database.url()), ("REVEILLE_URL", service.url())];
    let environment = [OF_SERVICES.as_slice(), &ours].concat();
    for (line, expected) in [
        (&["migrate"][..], 0),
        (&["config"], 0),
        // The tests' server is not fit for the service: its fsync is off.
        (&["doctor"], 1),
        (&["health"], 0),
        (&["submit", "echo", "--wait=10"], 0),
        (&["list"], 0),
        (&["queues"], 0),
        (&["tasks"], 0),
    ] {
        let (code, _, said) = reveille(&environment, line).await;
        assert_eq!(code, Some(expected), "{line:?}: {said}");
        assert!(!said.contains("setting"), "{line:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_that_the_database_is_down() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let service = Service::on(proxy.url()).start().await;
    proxy.set(Mode::Reset);
    eventually("it is not ready", SOON, async || service.http().get("/readyz").await.status == 503)
        .await;
    let (code, out, said) = reveille(&[("REVEILLE_URL", service.url())], &["health"]).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(said.starts_with("error: the service is not ready\n  database: "), "{said}");
    assert!(said.contains("reveille doctor"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn warning_is_a_level_of_the_log_and_what_is_none_ends_the_start() {
    let database = harness::database().await;
    let set = format!(
        "alter role reveille in database {} set search_path = pg_catalog, pg_temp",
        database.name()
    );
    database.client().await.batch_execute(&set).await.unwrap();
    let warns = "without listen_database_url nothing can be listened to";
    let service = Service::on(database.url())
        .env("REVEILLE_POOLER", "true")
        .env("REVEILLE_LOG", "warning")
        .start()
        .await;
    service.logged(warns, SOON).await;
    assert!(!service.stderr().contains("/docs"), "info is logged: {}", service.stderr());

    for level in ["verbose", "err", "reveille=loud", "reveille"] {
        let (code, out, said) = reveille(&[("REVEILLE_LOG", level)], &["serve"]).await;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{level}");
        assert!(
            said.contains("log (from REVEILLE_LOG)") && said.contains("is not a level"),
            "{said}"
        );
    }
}
