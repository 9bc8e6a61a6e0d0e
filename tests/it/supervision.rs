//! No loop of the service dies for good: what it meets is an error that it outlives, and a panic is the end of one round.

use std::time::Duration;

use crate::harness::look::{all_end, listens, submit};
use crate::harness::{self, Service};

const SOON: Duration = Duration::from_secs(10);

/// A migration or a stranger changed the type of a column for a while, which ended the dispatcher for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_is_an_error_that_names_its_column_and_claims_go_on() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = Service::on(database.url()).brisk("5").start().await;
    listens(&service).await;
    let alter = "drop view if exists reveille.jobs, reveille.waiting;
        alter table reveille.ready alter column attempt type";
    client.batch_execute(&format!("{alter} bigint")).await.unwrap();
    submit(&client, "task => 'noop', payload => '1'").await;
    service.logged("column 3 of lease/claim", SOON).await;
    client.batch_execute(&format!("{alter} integer")).await.unwrap();
    submit(&client, "task => 'noop', payload => '2'").await;
    all_end(&client, 2, SOON).await;
}
