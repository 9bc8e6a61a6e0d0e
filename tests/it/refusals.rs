//! What the database refuses at a settlement: only a value can be at fault, everything else passes.

use std::time::Duration;

use serde_json::json;
use tokio_postgres::Client;

use crate::harness::look::{assert_one_place, becomes, status, submit, value};
use crate::harness::{self, Service, TestDatabase};

const SOON: Duration = Duration::from_secs(15);

/// Outcomes are refused with this SQLSTATE as long as the row says so.
async fn refuse(client: &Client, state: &str, only: Option<&str>) {
    let only = only.map_or("true".to_owned(), |id| format!("new.id = '{id}'"));
    client
        .batch_execute(&format!(
            "create table if not exists public.refusal (state text);
             delete from public.refusal;
             insert into public.refusal values ('{state}');
             create or replace function public.refuse() returns trigger language plpgsql as $$ begin
               if {only} and exists (select from public.refusal) then
                 raise exception 'refused for a while' using errcode = (select state from public.refusal);
               end if;
               return new;
             end $$;
             create or replace trigger refuse before insert on reveille.outcome for each row execute function public.refuse();"
        ))
        .await
        .unwrap();
}

async fn relent(client: &Client) {
    client.batch_execute("delete from public.refusal").await.unwrap();
}

async fn start(database: &TestDatabase) -> (Client, Service) {
    tokio::join!(database.client(), Service::start(database.url()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_error_at_a_settlement_fails_no_job() {
    let database = harness::database().await;
    let (client, service) = start(&database).await;
    for state in ["XX000", "58030", "53400", "0A000", "P0001"] {
        refuse(&client, state, None).await;
        let job = submit(&client, &format!("payload => '\"{state}\"'")).await;
        service.logged(&format!("SQLSTATE {state}"), SOON).await;
        relent(&client).await;
        becomes(&client, &job, "completed", SOON).await;
    }
    assert_eq!(value::<i64>(&client, "select count(*) from reveille.attempt").await, 0);
    assert_one_place(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_is_refused_holds_up_no_other() {
    let database = harness::database().await;
    let (client, service) = start(&database).await;
    let refused = submit(&client, "payload => '1', delay_seconds => 1").await;
    refuse(&client, "XX000", Some(&refused)).await;
    let jobs = json!(vec![json!({"task": "noop", "payload": 1}); 50]);
    assert_eq!(service.http().post("/jobs/batch", &jobs).await.status, 201);
    service.logged("SQLSTATE XX000", SOON).await;
    for _ in 0..3 {
        let done = service.http().post("/jobs?wait=15", &json!({"payload": 1})).await;
        assert_eq!(done.body["status"], "completed", "{}", done.body);
    }
    assert_eq!(status(&client, &refused).await.as_deref(), Some("processing"));
    relent(&client).await;
    becomes(&client, &refused, "completed", SOON).await;
    let ended = "select count(*) from reveille.outcome where state = 'completed'";
    assert_eq!(value::<i64>(&client, ended).await, 54);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_with_a_value_that_cannot_be_kept_fails_its_job_and_no_other() {
    let database = harness::database().await;
    let (client, service) = start(&database).await;
    for state in ["22P05", "54000"] {
        let unkeepable = submit(&client, "payload => '1', delay_seconds => 0.5").await;
        // The failure that is written in its place can be kept.
        let only = format!("{unkeepable}' and new.state = 'completed");
        refuse(&client, state, Some(&only)).await;
        becomes(&client, &unkeepable, "failed", SOON).await;
        let job = service.http().get_job(&unkeepable).await.body;
        assert_eq!(job["error"]["code"], "outcome_refused", "{job}");
        let done = service.http().post("/jobs?wait=15", &json!({"payload": 1})).await;
        assert_eq!(done.body["status"], "completed", "{}", done.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_is_missing_is_made_and_the_outcome_kept() {
    let database = harness::database().await;
    let (client, _service) = start(&database).await;
    let partition: String =
        value(&client, "select reveille.partition_name('outcome', now())").await;
    client.batch_execute(&format!("drop table reveille.{partition}")).await.unwrap();
    let job = submit(&client, "payload => '1'").await;
    becomes(&client, &job, "completed", SOON).await;
    assert_one_place(&client).await;
}
