//! The release before this one becomes this one.

use std::fs;

use refinery_core::Migration;
use reveille::internals::store::{Target, migrate};

use super::replacing::{migrate_now, says};
use super::{dump, first_difference, root};
use crate::harness::cluster::{Cluster, connect};
use crate::harness::look::value;
use crate::harness::{self, TestDatabase};

/// A database as the last release before the files left it.
async fn of_the_last_release() -> TestDatabase {
    let database = Cluster::shared().await.empty_database().await;
    let client = database.client().await;
    client
        .batch_execute("set search_path = pg_catalog, pg_temp; create schema reveille")
        .await
        .unwrap();
    client.batch_execute(include_str!("../../../sql/schema/migration_table.sql")).await.unwrap();
    let mut migrations: Vec<(i32, String, String)> = Vec::new();
    for line in include_str!("migrations.sha256").lines() {
        let file = line.split_once("  ").unwrap().1;
        let text = fs::read_to_string(root().join("sql/migrations").join(file)).unwrap();
        let text = text.replace("\r\n", "\n");
        let migration = Migration::unapplied(file.trim_end_matches(".sql"), &text).unwrap();
        migrations.push((migration.version(), text, migration.checksum().to_string()));
    }
    migrations.sort_by_key(|it| it.0);
    migrations.retain(|it| it.0 <= 36);
    assert_eq!(migrations.len(), 26);
    for (version, text, checksum) in migrations {
        client.batch_execute(&format!("begin; {text}")).await.unwrap();
        let insert = "insert into reveille.migration (version, name, applied_on, checksum) values ($1, 'a', 'now', $2)";
        client.execute(insert, &[&version, &checksum]).await.unwrap();
        client.batch_execute("commit").await.unwrap();
    }
    database
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_makes_the_same_schema_and_keeps_what_applications_have() {
    let database = of_the_last_release().await;
    let client = database.client().await;
    let role = format!("upgraded_{}", database.name());
    client
        .batch_execute(&format!(
            "create role {role} login; grant usage on schema reveille to {role};
             grant execute on function reveille.submit to {role} with grant option;
             grant execute on function reveille.submit_many to {role};
             grant select on reveille.jobs to {role};
             alter view reveille.jobs set (security_barrier = true);
             create view public.theirs as select job_id, status from reveille.jobs;
             create function public.theirs() returns uuid language sql
               begin atomic select s.job_id from reveille.submit(payload => '1') s; end;
             grant execute on function public.theirs to {role}; grant select on public.theirs to {role};
             select reveille.submit(payload => '1', task => 'noop')"
        ))
        .await
        .unwrap();
    let target = Target::parse(database.url()).unwrap();
    assert!(migrate::check(&target).await.is_err());
    let known = migrate::known();
    let (_, told) = says(&database, "doctor").await;
    let older = format!("of an older release: it has 36 of {known} migrations");
    let found = told.lines().find(|line| line.starts_with("warn  schema"));
    assert!(found.is_some_and(|line| line.ends_with(&older)), "{told}");
    let oid =
        "select oid from pg_proc where pronamespace = 'reveille'::regnamespace and proname = ";
    let before: u32 = value(&client, &format!("{oid}'submit'")).await;
    migrate_now(&database).await;
    migrate::check(&target).await.unwrap();
    assert_eq!(value::<u32>(&client, &format!("{oid}'submit_without_settings'")).await, before);
    let (is, new) = (dump(&database).await, dump(&harness::database().await).await);
    let (line, is_line, new_line) = first_difference(&is, &new);
    assert!(is == new, "line {line}: {is_line}\na new one has: {new_line}");

    let theirs = connect(&database.url_as(&role)).await;
    for call in [
        "select job_id from reveille.submit(payload => '1', task => 'noop')",
        "select job_id from reveille.submit_many('[{\"payload\": 1}]')",
        "select public.theirs()",
        r#"select job_id from reveille.submit(payload => '1', settings => '{"task": "noop"}')"#,
        "grant execute on function reveille.submit to public",
    ] {
        let rows = theirs.query(call, &[]).await;
        rows.unwrap_or_else(|error| panic!("{call}: {error:?}"));
    }
    for view in ["reveille.jobs", "public.theirs"] {
        let count: i64 = value(&theirs, &format!("select count(*) from {view}")).await;
        assert_eq!(count, 5, "{view}");
    }
    let options = "select reloptions::text from pg_class where oid = 'reveille.jobs'::regclass";
    assert_eq!(value::<String>(&client, options).await, "{security_barrier=true}");
    drop(theirs);
    // As a service of that release does it.
    let older = "select outcome from reveille.submit_rows(array[reveille.uuid7(reveille.uuid7_ticks(now()), 1, 1)],
        '{q}', '{t}', '{5}', array[now()], array['1']::jsonb[], '{}', '{}', '{}', '{k}', '{keep}')";
    assert_eq!(value::<String>(&client, older).await, "created");
    client.batch_execute(&format!("drop owned by {role}; drop role {role}")).await.unwrap();
}
