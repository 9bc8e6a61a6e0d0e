//! The fault proxy does what it says, or the tests that rely on it would prove nothing.

use std::time::{Duration, Instant};

use tokio_postgres::{Client, NoTls};

use crate::harness::cluster::connect;
use crate::harness::proxy::Mode;
use crate::harness::{TestDatabase, database, eventually, within};

const SOON: Duration = Duration::from_secs(10);

async fn table(database: &TestDatabase) -> Client {
    let client = database.client().await;
    client.batch_execute("CREATE TABLE seen (id int)").await.expect("a table can be made");
    client
}

async fn count(client: &Client) -> i64 {
    client.query_one("SELECT count(*) FROM seen", &[]).await.expect("the table can be read").get(0)
}

#[tokio::test]
async fn passes_and_delays() {
    let database = database().await;
    let proxy = database.proxy().await;
    let client = connect(proxy.url()).await;
    proxy.set(Mode::Delay(Duration::from_millis(100)));
    let start = Instant::now();
    client.simple_query("SELECT 1").await.expect("is answered");
    assert!(start.elapsed() >= Duration::from_millis(200), "there and back: {:?}", start.elapsed());
}

#[tokio::test]
async fn tcp_urls_work() {
    let database = database().await;
    let client = connect(&database.tcp_url().await).await;
    client.simple_query("SELECT 1").await.expect("is answered");
}

#[tokio::test]
async fn a_blackhole_answers_nothing_until_it_ends() {
    let database = database().await;
    let proxy = database.proxy().await;
    let client = connect(proxy.url()).await;
    proxy.set(Mode::Blackhole);
    let mut query = Box::pin(client.simple_query("SELECT 1"));
    let early = tokio::time::timeout(Duration::from_millis(200), &mut query).await;
    assert!(early.is_err(), "answered out of a black hole");
    proxy.set(Mode::Pass);
    within("the answer after the black hole", SOON, query).await.expect("is answered");
}

#[tokio::test]
async fn a_reset_closes_old_and_new_connections() {
    let database = database().await;
    let proxy = database.proxy().await;
    let client = connect(proxy.url()).await;
    proxy.set(Mode::Reset);
    eventually("the client sees the reset", SOON, async || client.is_closed()).await;
    assert!(
        tokio_postgres::connect(proxy.url(), NoTls).await.is_err(),
        "connected through a resetting proxy"
    );
    proxy.set(Mode::Pass);
    connect(proxy.url()).await;
}

#[tokio::test]
async fn a_lost_answer_leaves_the_row_committed() {
    let database = database().await;
    let direct = table(&database).await;
    let proxy = database.proxy().await;

    let client = connect(proxy.url()).await;
    let insert = client.prepare("INSERT INTO seen VALUES (1)").await.expect("can be prepared");
    proxy.lose_answer_to("INSERT INTO seen");
    client.query("SELECT 1", &[]).await.expect("other statements are left alone");
    assert!(client.execute(&insert, &[]).await.is_err(), "the answer was not lost");
    within("the loss is told", SOON, proxy.lost(1)).await;
    assert_eq!(count(&direct).await, 1);

    let client = connect(proxy.url()).await;
    client.execute("INSERT INTO seen VALUES (2)", &[]).await.expect("only one answer is lost");
}

#[tokio::test]
async fn in_a_transaction_the_answer_to_the_commit_is_lost() {
    let database = database().await;
    let direct = table(&database).await;
    let proxy = database.proxy().await;
    let mut client = connect(proxy.url()).await;
    proxy.lose_answer_to("INSERT INTO seen");
    let transaction = client.transaction().await.expect("begins");
    transaction
        .execute("INSERT INTO seen VALUES (1)", &[])
        .await
        .expect("is answered before the commit");
    assert!(transaction.commit().await.is_err(), "the answer to COMMIT was not lost");
    assert_eq!(count(&direct).await, 1);
}
