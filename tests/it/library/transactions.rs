//! Jobs that are submitted within a transaction of an application.

use std::time::Duration;

use reveille::{Client, NewJob, OnConflict, SubmitError, submit_in};
use serde_json::json;
use tokio_postgres::Client as Connection;

use super::SOON;
use crate::harness::cluster::connect;
use crate::harness::look::{becomes, value};
use crate::harness::{self, Service, TestDatabase};

/// A connection whose role may submit lists, and nothing else.
async fn app(database: &TestDatabase) -> Connection {
    let role = format!("app_of_{}", database.name());
    let made = format!(
        "create role {role} login; grant usage on schema reveille to {role};
         grant execute on function reveille.submit_many to {role}"
    );
    database.client().await.batch_execute(&made).await.unwrap();
    connect(&database.url_as(&role)).await
}

async fn jobs(database: &TestDatabase) -> i64 {
    value(&database.client().await, "select count(*) from reveille.job").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_exists_if_its_transaction_commits_and_runs_then() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let mut app = app(&database).await;
    let transaction = app.transaction().await.unwrap();
    submit_in(&transaction, NewJob::new("echo", &1)).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(jobs(&database).await, 0);

    let client = Client::connect(database.url()).await.unwrap();
    let transaction = app.transaction().await.unwrap();
    let job = NewJob::new("echo", &"paid")
        .queue("mail")
        .priority(0)
        .delay(Duration::from_millis(1))
        .max_attempts(3)
        .timeout(Duration::from_secs(7))
        .tag("invoice")
        .unique("order/7", OnConflict::Reject);
    let written = client.submit_in(&transaction, job).await.unwrap();
    assert_eq!(jobs(&database).await, 0, "nobody sees it before the commit");
    transaction.commit().await.unwrap();
    becomes(&database.client().await, &written.job_id.to_string(), "completed", SOON).await;
    let job = service.http().get_job(&written.job_id.to_string()).await.body;
    for (field, expected) in [
        ("queue", json!("mail")),
        ("priority", json!(0)),
        ("max_attempts", json!(3)),
        ("timeout_seconds", json!(7.0)),
        ("tags", json!(["invoice"])),
        ("unique_key", json!("order/7")),
        ("result", json!("paid")),
    ] {
        assert_eq!(job[field], expected, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_says_why_and_what_breaks_a_rule_leaves_the_transaction_alone() {
    let database = harness::database().await;
    let mut app = app(&database).await;
    let transaction = app.transaction().await.unwrap();
    let held = || NewJob::new("echo", &1).unique("k", OnConflict::Reject);
    let refused = submit_in(&transaction, held().queue("Mail")).await.unwrap_err();
    let SubmitError::Invalid(faults) = refused else { panic!("{refused}") };
    assert_eq!((faults[0].pointer.as_str(), faults[0].code), ("/queue", "invalid_name"));
    let written = submit_in(&transaction, held()).await.unwrap();
    transaction.commit().await.unwrap();

    let transaction = app.transaction().await.unwrap();
    let refused = submit_in(&transaction, held()).await.unwrap_err();
    let SubmitError::Conflict(holders) = refused else { panic!("{refused}") };
    assert_eq!(holders, [(0, written.job_id)]);
    drop(transaction);

    // The key is not free before the transaction that holds it has ended.
    let mut other = connect(database.url()).await;
    let holding = other.transaction().await.unwrap();
    submit_in(&holding, NewJob::new("echo", &2).unique("l", OnConflict::Keep)).await.unwrap();
    let transaction = app.transaction().await.unwrap();
    transaction.batch_execute("set local lock_timeout = '50ms'").await.unwrap();
    let held = NewJob::new("echo", &3).unique("l", OnConflict::Keep);
    let refused = submit_in(&transaction, held).await.unwrap_err();
    assert!(matches!(refused, SubmitError::KeyBusy), "{refused}");
    drop(transaction);

    let nobody = format!("drop owned by app_of_{}", database.name());
    database.client().await.batch_execute(&nobody).await.unwrap();
    let transaction = app.transaction().await.unwrap();
    let refused = submit_in(&transaction, NewJob::new("echo", &1)).await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
}

/// As the documentation of `submit_in` has it, for other drivers.
#[tokio::test(flavor = "multi_thread")]
async fn the_statement_for_other_drivers_works_as_it_is_documented() {
    let database = harness::database().await;
    let documented = include_str!("../../../src/client/transaction.rs");
    let statement = documented.lines().find_map(|line| line.strip_prefix("/// select ")).unwrap();
    let jobs = documented.lines().find_map(|line| line.strip_prefix("/// -- $1: ")).unwrap();
    let jobs: serde_json::Value = serde_json::from_str(jobs).unwrap();
    let app = app(&database).await;
    let row = app.query_one(&format!("select {statement}"), &[&jobs]).await.unwrap();
    assert_eq!(row.get::<_, &str>("outcome"), "created");
    let written = "select task || ' ' || queue || ' ' || payload from reveille.job";
    let client = database.client().await;
    assert_eq!(value::<String>(&client, written).await, "send_invoice mail 7");
}
