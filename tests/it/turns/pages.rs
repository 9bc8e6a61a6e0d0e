//! What people are told of keys: the answers, the metrics, the doctor and the spec's refusals.

use serde_json::{Value, json};
use tokio::process::Command;

use super::{House, SOON, job};
use crate::harness::http::answer;
use crate::harness::look::{becomes, metric};
use crate::harness::{self, Service, eventually, within};

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_settings_that_cannot_be_are_refused_with_advice() {
    let house = House::open(1, 1).await;
    let long = "k".repeat(256);
    for (key, code) in
        [(json!(long), "invalid_length"), (json!(""), "invalid_length"), (json!(7), "wrong_type")]
    {
        let refused = house.http.post_job(&json!({"payload": 1, "concurrency_key": key})).await;
        assert_eq!(refused.status, 422, "{refused:?}");
        let fault = &refused.body["errors"][0];
        assert_eq!((&fault["pointer"], &fault["code"]), (&json!("/concurrency_key"), &json!(code)));
    }
    for (settings, pointer) in [
        (json!({"per_key_concurrency": 0}), "/per_key_concurrency"),
        (json!({"per_key_concurrency": -1}), "/per_key_concurrency"),
        (json!({"per_key_concurrency": 101}), "/per_key_concurrency"),
        (json!({"per_key_concurrency": 1.5}), "/per_key_concurrency"),
        (json!({"per_key_concurrency": "3"}), "/per_key_concurrency"),
        (json!({"on_retry": "wait"}), "/on_retry"),
    ] {
        let refused = answer(house.http.request("PUT", "/queues/mail").json(&settings)).await;
        assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (422, &json!(pointer)));
    }
    let kept = house.submit(job("k", 0, 0.0)).await;
    assert_eq!(house.end(&kept).await["concurrency_key"], "k");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_measured_and_the_doctor_sees_a_turn_that_nobody_has() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "2").start().await;
    let http = service.http();
    let nap =
        json!({"task": "sleep", "payload": {"seconds": 600}, "queue": "q", "concurrency_key": "k"});
    let first = http.post_job(&nap).await.body["job_id"].as_str().unwrap().to_owned();
    http.post_job(&nap).await;
    becomes(&client, &first, "processing", SOON).await;
    eventually("both are counted", SOON, async || {
        metric(&service, "reveille_queue_keys{queue=\"q\"}").await == 1.0
            && metric(&service, "reveille_queue_keyed{queue=\"q\"}").await == 1.0
    })
    .await;
    let said = doctor(database.url()).await;
    assert_eq!((&said["status"], &said["found"]), (&json!("ok"), &json!(NONE)), "{said}");
    drop(service);
    // Nobody is there to look after it.
    client
        .batch_execute("insert into reveille.gate (queue, key) values ('q', 'idle')")
        .await
        .unwrap();
    let said = doctor(database.url()).await;
    assert_eq!(said["status"], "warn", "{said}");
    assert!(said["found"].as_str().unwrap().starts_with("1 keys stay taken"), "{said}");
    let parked = "delete from reveille.gate; update reveille.keyed set look = 0";
    client.batch_execute(parked).await.unwrap();
    let said = doctor(database.url()).await;
    assert!(said["found"].as_str().unwrap().ends_with("1 jobs wait for a turn that nobody has"));
}

const NONE: &str = "0 keys stay taken by nobody, 0 jobs wait for a turn that nobody has";

/// What the doctor says of keys.
async fn doctor(url: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
    command.args(["doctor", "--json"]).env("DATABASE_URL", url).kill_on_drop(true);
    let output = within("the doctor", SOON, command.output()).await.unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut checks = found["checks"].as_array().unwrap().iter();
    checks.find(|check| check["name"] == "concurrency keys").unwrap().clone()
}
