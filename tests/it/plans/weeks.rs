//! What a statement locks does not grow with the weeks that are kept: with three years of them, locks were a third of the rate.

use reveille::internals::store::Purpose;
use tokio_postgres::Client;

use super::{HOT, NOW, connect};
use crate::harness::{self, TestDatabase};

/// What waits, runs and ends jobs. A rescue is not among them: it comes once for a process that was lost.
fn statements() -> impl Iterator<Item = &'static (&'static str, &'static str, Purpose)> {
    HOT.iter().filter(|(name, _, purpose)| *purpose != Purpose::People && *name != "lease/rescue")
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_outcomes_and_submissions_lock_no_more_with_three_years_of_weeks() {
    let database = harness::database().await;
    let few = locked(&database).await;
    let client = database.client().await;
    client.batch_execute("select reveille.partition_ensure(156)").await.unwrap();
    let many = locked(&database).await;
    assert_eq!(many, few, "relations that each statement locks, with 160 weeks and with 5");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_jobs_are_looked_up_in_their_weeks_only() {
    let database = harness::database().await;
    let client = database.client().await;
    client.batch_execute("select reveille.partition_ensure(156)").await.unwrap();
    let of_now = format!("select * from reveille.jobs_found(array[{NOW}, {NOW}])");
    let locked = locks_of(&client, &of_now).await;
    assert!((1..=20).contains(&locked), "{locked} relations locked for jobs of this moment");
}

/// How many relations each statement locks when its cached plan starts.
async fn locked(database: &TestDatabase) -> Vec<(&'static str, i64)> {
    let mut all = Vec::new();
    for (name, text, purpose) in statements() {
        let client = connect(database, *purpose).await;
        let count = client.prepare(text).await.unwrap().params().len();
        client.batch_execute(&format!("prepare it as {text}")).await.unwrap();
        let call = match vec!["null"; count].join(", ") {
            none if none.is_empty() => "it".to_owned(),
            some => format!("it({some})"),
        };
        all.push((*name, locks_of(&client, &format!("explain execute {call}")).await));
    }
    all
}

async fn locks_of(client: &Client, statement: &str) -> i64 {
    client.batch_execute(&format!("begin; {statement}")).await.unwrap();
    let sql = "select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'relation'
      and relation in (select oid from pg_class where relnamespace = 'reveille'::regnamespace)";
    let locks = client.query_one(sql, &[]).await.unwrap().get(0);
    client.batch_execute("rollback").await.unwrap();
    locks
}
