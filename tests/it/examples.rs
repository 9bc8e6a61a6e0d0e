//! The examples do what they say.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use crate::harness::{self, Service, eventually};

const SOON: Duration = Duration::from_secs(20);

/// Builds an example beside the binary under test. Cargo itself does not when it is asked for one test.
async fn built(name: &str) -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_reveille")).parent().unwrap();
    let profile = match beside.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--example", name, "--profile", profile]);
    cargo.arg("--target-dir").arg(beside.parent().unwrap());
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    // What the cargo around us says of this package would look to build scripts like a change.
    let ours = ["CARGO_MANIFEST_", "CARGO_PKG_", "OUT_DIR"];
    for (variable, _) in std::env::vars_os() {
        if ours.iter().any(|prefix| variable.to_string_lossy().starts_with(prefix)) {
            cargo.env_remove(variable);
        }
    }
    let output = cargo.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    beside.join("examples").join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn primes_is_a_service_with_a_task_of_its_own() {
    let database = harness::database().await;
    let mut service = Service::of(&built("primes").await, database.url()).start().await;
    let http = service.http();
    let job = |up_to: u32| json!({"task": "primes", "payload": {"up_to": up_to}});
    let submit = async |up_to| {
        let submitted = http.post("/jobs?wait=20", &job(up_to)).await;
        assert_eq!(submitted.status, 201, "{submitted:?}");
        http.get_job(submitted.body["job_id"].as_str().unwrap()).await.body
    };
    let done = submit(1000).await;
    assert_eq!(done["result"], json!({"count": 168, "largest": 997}), "{done}");
    let refused = submit(u32::MAX).await;
    assert_eq!((&refused["status"], &refused["attempt_count"]), (&json!("failed"), &json!(1)));
    assert_eq!(refused["error"]["code"], "too_far");

    let long = http.post_job(&job(5_000_000)).await.body["job_id"].as_str().unwrap().to_owned();
    eventually("it says how far it is", SOON, async || {
        http.get_job(&long).await.body["progress"]["fraction"].as_f64() > Some(0.0)
    })
    .await;
    http.post(&format!("/jobs/{long}/cancel"), &json!({})).await;
    assert_eq!(http.get(&format!("/jobs/{long}?wait=20")).await.body["status"], "cancelled");

    let task = http.get("/tasks/primes").await.body;
    let field = &task["payload_schema"]["properties"]["up_to"];
    assert_eq!(field["description"], "The last number to look at.", "{task}");
    assert!(service.terminate(SOON).await.success());
}
