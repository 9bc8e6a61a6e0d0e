//! Every connection looks for names in `pg_catalog` alone.

use std::time::Duration;

use tokio::process::Command;

use super::House;
use crate::harness::{self, Service};

const SOON: Duration = Duration::from_secs(20);
const PATH: &str = "-c search_path=pg_catalog,pg_temp";

/// Those of the pools, of the listener, of migrations, of the doctor and of the library.
#[tokio::test(flavor = "multi_thread")]
async fn every_connection_brings_its_search_path() {
    let house = House::open().await;
    let proxy = harness::proxy::FaultProxy::start(&house.url()).await;
    let service = Service::on(proxy.url()).start().await;
    service.logged("listening for notifications", SOON).await;
    for path in ["/jobs", "/queues", "/health"] {
        assert_eq!(service.http().get(path).await.status, 200);
    }
    let done = service.http().post("/jobs?wait=10", &serde_json::json!({"payload": 1})).await;
    assert_eq!(done.body["status"], "completed");
    let served = proxy.started().len();
    for command in ["migrate", "doctor"] {
        let mut command_line = Command::new(env!("CARGO_BIN_EXE_reveille"));
        let output = command_line.arg(command).env("DATABASE_URL", proxy.url()).output().await;
        let output = output.unwrap();
        // The doctor minds that the server of the tests has `fsync` off.
        assert!(output.status.success() || command == "doctor", "{command}: {output:?}");
    }
    reveille::Client::connect(proxy.url()).await.unwrap();
    let started = proxy.started();
    assert!(served > 5 && started.len() > served + 3, "{served}, {}", started.len());
    for startup in started {
        assert!(startup.contains(PATH), "{startup}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_a_role_without_the_path_is_refused_with_what_to_run() {
    let house = House::open().await;
    let pooled = || Service::on(&house.url()).env("REVEILLE_POOLER", "true");
    let mut refused = pooled().spawn().await;
    let status = refused.ended(SOON).await;
    assert_eq!(status.code(), Some(1), "{}", refused.stderr());
    let run = format!(
        "alter role {} in database {} set search_path = pg_catalog, pg_temp",
        house.service_role,
        house.database.name()
    );
    refused.logged(&format!("`{run}`"), SOON).await;

    house.database.client().await.batch_execute(&run).await.unwrap();
    let direct = house.url();
    let service = pooled().env("REVEILLE_LISTEN_DATABASE_URL", &direct).start().await;
    let done = service.http().post("/jobs?wait=10", &serde_json::json!({"payload": 1})).await;
    assert_eq!(done.body["status"], "completed");
}
