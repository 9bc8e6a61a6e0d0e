//! Locks that any role can hold keep nothing of the service from its work.

use std::time::Duration;

use super::House;
use crate::harness::cluster::connect;
use crate::harness::eventually;
use crate::harness::look::{becomes, submit};
use crate::retention::{ended, old_week, tables_of};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn advisory_locks_of_other_roles_stop_no_start_no_retry_and_no_retention() {
    let house = House::open().await;
    let app = house.app().await;
    let weeks = "select pg_advisory_lock(79, n) from generate_series(2900, 3100) n";
    app.batch_execute(&format!(
        "select pg_advisory_lock(77, 0); select pg_advisory_lock(77, 1); {weeks}"
    ))
    .await
    .unwrap();
    let service = house.served().await;
    let pid: i32 = app.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    service.logged(&format!("{pid} of {}", house.app_role), SOON).await;

    let client = connect(&house.url()).await;
    let job =
        submit(&client, "payload => '1', max_attempts => 1, task => 'noop', delay_seconds => 3000")
            .await;
    let http = service.http();
    assert_eq!(
        http.post(&format!("/jobs/{job}/cancel"), &serde_json::Value::Null).await.status,
        200
    );
    let retried = http.post(&format!("/jobs/{job}/retry"), &serde_json::Value::Null).await;
    assert_eq!(retried.status, 200, "{retried:?}");
    becomes(&client, &job, "completed", SOON).await;
    drop(service);

    let week = old_week(&client, "10 weeks").await;
    ended(&client, "10 weeks", "9 weeks", "completed").await;
    let _service = house.served().await;
    eventually("the old week is removed", SOON, async || tables_of(&client, &week).await == 0)
        .await;
}
