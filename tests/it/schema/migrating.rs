//! Migrations on a database that others use.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use reveille::store::{Target, migrate};

use crate::harness::{self, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_was_left_out_is_told() {
    let database = harness::database().await;
    let client = database.client().await;
    client.batch_execute("delete from reveille.migration where version = 5").await.unwrap();
    let target = Target::parse(database.url()).unwrap();
    let (migrated, checked) = (migrate::migrate(&target).await, migrate::check(&target).await);
    for error in [migrated.map(drop).unwrap_err(), checked.unwrap_err()] {
        assert!(error.to_string().contains("lacks the migrations [5]"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_gives_way_to_an_open_transaction_and_tries_again() {
    let database = harness::database().await;
    let client = database.client().await;
    client
        .batch_execute(
            "create table public.migration (like reveille.migration including all);
            drop schema reveille cascade; create schema reveille;
            alter table public.migration set schema reveille",
        )
        .await
        .unwrap();
    let mut holder = harness::cluster::connect(database.url()).await;
    let open = holder.transaction().await.unwrap();
    open.batch_execute("lock table reveille.migration in share mode").await.unwrap();

    let target = Target::parse(database.url()).unwrap();
    let migrating = tokio::spawn(async move { migrate::migrate(&target).await });
    let seen = Mutex::new(HashSet::<SystemTime>::new());
    let waiting = "select xact_start from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    eventually("two tries that wait", Duration::from_secs(20), || async {
        let rows = client.query(waiting, &[]).await.unwrap();
        let mut seen = seen.lock().unwrap();
        seen.extend(rows.iter().map(|row| row.get::<_, SystemTime>(0)));
        seen.len() > 1
    })
    .await;
    open.commit().await.unwrap();
    assert_eq!(migrating.await.unwrap().unwrap().now, migrate::known());
}
