//! Migrations on a database that others use.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use reveille::internals::store::{Target, migrate};
use sha2::{Digest as _, Sha256};

use super::root;
use crate::harness::cluster::Cluster;
use crate::harness::look::{becomes, submit, value};
use crate::harness::{self, Service, TestDatabase, eventually};

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

/// The list is what `sha256sum` writes; a migration joins it when it is released.
#[test]
fn a_migration_that_was_released_stays_byte_for_byte() {
    let pinned = include_str!("migrations.sha256").lines().map(|line| line.split_once("  "));
    let pinned: Vec<(&str, &str)> = pinned.map(|it| it.expect("a checksum and a name")).collect();
    assert!(pinned.len() >= 14);
    for (checksum, name) in pinned {
        let text = std::fs::read_to_string(root().join("sql/migrations").join(name));
        let text = text.unwrap_or_else(|error| panic!("{name}: {error}")).replace("\r\n", "\n");
        let digest = Sha256::digest(text.as_bytes());
        let is: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(is, checksum, "{name} was released; change the schema by a new migration");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_was_applied_with_another_text_is_told() {
    let database = harness::database().await;
    let client = database.client().await;
    let change = "update reveille.migration set checksum = '1' where version = 5";
    client.batch_execute(change).await.unwrap();
    let target = Target::parse(database.url()).unwrap();
    let (migrated, checked) = (migrate::migrate(&target).await, migrate::check(&target).await);
    for error in [migrated.map(drop).unwrap_err(), checked.unwrap_err()] {
        assert!(error.to_string().contains("migration 5 was applied with another text"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_at_once_on_an_empty_database_make_one_schema() {
    let database = Cluster::shared().await.empty_database().await;
    let target = Target::parse(database.url()).unwrap();
    let starting = (0..4).map(|_| {
        let target = target.clone();
        tokio::spawn(async move { migrate::migrate(&target).await.map(|it| it.now) })
    });
    for started in futures_util::future::join_all(starting).await {
        assert_eq!(started.unwrap().unwrap(), migrate::known());
    }
    migrate::check(&target).await.unwrap();
}

/// Whatever a database or a role sets for its sessions, the schema and the answers are the same.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_database_change_neither_the_schema_nor_what_sql_takes() {
    let database = Cluster::shared().await.empty_database().await;
    let admin = database.client().await;
    for (name, value) in [
        ("standard_conforming_strings", "off"),
        ("escape_string_warning", "off"),
        ("datestyle", "'SQL, DMY'"),
        ("intervalstyle", "sql_standard"),
        ("timezone", "'Asia/Kolkata'"),
        ("array_nulls", "off"),
        ("quote_all_identifiers", "on"),
        ("transform_null_equals", "on"),
        ("bytea_output", "escape"),
        ("search_path", "pg_temp, public"),
    ] {
        let set = format!("alter database {} set {name} = {value}", database.name());
        admin.batch_execute(&set).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    let service = Service::start(database.url()).await;
    let client = database.client().await;
    let tables = "select count(*) from reveille.partition where week is not null";
    assert_eq!(value::<i64>(&client, tables).await, 15);
    for arguments in [
        "payload => '1', run_at => '2026-01-02T03:04:05.678901+05:30'",
        "payload => '1', tags => '{a,b}', unique_key => 'k', timeout_seconds => 0.5",
        "payload => '1', delay_seconds => 0.001, priority => 1",
    ] {
        let job = submit(&client, arguments).await;
        becomes(&client, &job, "completed", Duration::from_secs(10)).await;
    }
    let many = r#"select job_id::text from reveille.submit_many('[{"payload": 1, "run_at": "2026-01-02T03:04:05Z"}]')"#;
    let job: String = value(&client, many).await;
    becomes(&client, &job, "completed", Duration::from_secs(10)).await;
    let shown = service.http().get_job(&job).await;
    assert_eq!(shown.body["run_at"], "2026-01-02T03:04:05Z", "{shown:?}");
}

/// A database whose migrations were not applied, but for the table that counts them.
async fn without_schema() -> TestDatabase {
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
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_gives_way_to_an_open_transaction_and_tries_again() {
    let database = without_schema().await;
    let client = database.client().await;
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

/// They queue behind it, even where they and the transaction do not mind each other.
#[tokio::test(flavor = "multi_thread")]
async fn others_hardly_wait_behind_a_migration_that_waits_for_an_open_transaction() {
    let database = without_schema().await;
    let mut holder = harness::cluster::connect(database.url()).await;
    let open = holder.transaction().await.unwrap();
    let share = "lock table reveille.migration in share mode";
    open.batch_execute(share).await.unwrap();
    let other = database.client().await;

    let target = Target::parse(database.url()).unwrap();
    let migrating = tokio::spawn(async move { migrate::migrate(&target).await });
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    while begun.elapsed() < Duration::from_secs(4) {
        other.batch_execute("select pg_sleep(0.01)").await.unwrap();
        let asked = Instant::now();
        other.batch_execute(&format!("begin; {share}; commit")).await.unwrap();
        longest = longest.max(asked.elapsed());
    }
    assert!(longest > Duration::from_millis(50), "no migration was waited for: {longest:?}");
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    open.commit().await.unwrap();
    assert_eq!(migrating.await.unwrap().unwrap().now, migrate::known());
}
