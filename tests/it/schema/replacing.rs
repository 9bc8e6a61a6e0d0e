//! Files of functions are applied when they changed, by one instance, and never over a newer release.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use reveille::internals::store::{Target, migrate};
use tokio::process::Command;
use tokio_postgres::{Client, Transaction};

use crate::harness::cluster::connect;
use crate::harness::look::value;
use crate::harness::{self, TestDatabase, eventually, within};

const SOON: Duration = Duration::from_secs(20);

/// What stands for each object when it was last written.
const WRITTEN: &str =
    "select coalesce(string_agg(x.name || x.written, ' ' order by x.name), '') from (
    select p.proname::text, p.xmin::text from pg_proc p
    where p.pronamespace = 'reveille'::regnamespace and p.proname <> 'pointer_token'
    union all
    select c.relname, r.xmin::text from pg_class c join pg_rewrite r on r.ev_class = c.oid
    where c.relnamespace = 'reveille'::regnamespace) x (name, written)";
const ROWS: &str =
    "select string_agg(d.name || d.xmin::text, ' ' order by d.name) from reveille.definition d";
const TOKEN: &str = "select reveille.pointer_token('a/b')";
/// The function is of another text, and the schema says so.
const CHANGE: &str = "create or replace function reveille.pointer_token(name text) returns text
    language sql immutable parallel safe as 'select ''changed''';
    update reveille.definition set checksum = 'changed' where name = 'pointer_token'";

pub(super) async fn migrate_now(database: &TestDatabase) {
    let target = Target::parse(database.url()).unwrap();
    let migrated = within("it ends", SOON, migrate::migrate(&target)).await;
    assert_eq!(migrated.unwrap().now, migrate::known());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_finds_its_functions_neither_locks_nor_writes() {
    let database = harness::database().await;
    let client = database.client().await;
    let before: (String, String) = (value(&client, WRITTEN).await, value(&client, ROWS).await);
    let mut holder = connect(database.url()).await;
    let open = holder.transaction().await.unwrap();
    // Whoever applies something waits for this.
    open.batch_execute("lock table reveille.migration, reveille.definition in row exclusive mode; select from reveille.jobs")
        .await
        .unwrap();
    migrate_now(&database).await;
    assert_eq!((value(&client, WRITTEN).await, value(&client, ROWS).await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_files_only_one_that_changed_is_applied_again() {
    let database = harness::database().await;
    let client = database.client().await;
    client.batch_execute("alter view reveille.jobs set (security_barrier = on)").await.unwrap();
    client.batch_execute(CHANGE).await.unwrap();
    assert_eq!(value::<String>(&client, TOKEN).await, "changed");
    let before: String = value(&client, WRITTEN).await;
    let target = Target::parse(database.url()).unwrap();
    let refused = migrate::check(&target).await.unwrap_err().to_string();
    assert!(refused.contains("functions of the schema are not those of this release"), "{refused}");
    let mut reader = connect(database.url()).await;
    // The view did not change, so nobody waits for its readers.
    let open = reader.transaction().await.unwrap();
    open.batch_execute("select from reveille.jobs").await.unwrap();
    migrate_now(&database).await;
    assert_eq!(value::<String>(&client, TOKEN).await, "a~1b");
    assert_eq!(value::<String>(&client, WRITTEN).await, before);
    migrate::check(&target).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_changed_gives_way_to_its_readers() {
    let database = harness::database().await;
    let client = database.client().await;
    let change = "update reveille.definition set checksum = 'changed' where name = 'jobs'";
    client.batch_execute(change).await.unwrap();
    let before: String = value(&client, WRITTEN).await;
    let mut reader = connect(database.url()).await;
    let open = reader.transaction().await.unwrap();
    open.batch_execute("select from reveille.jobs").await.unwrap();
    let target = Target::parse(database.url()).unwrap();
    let migrating = tokio::spawn(async move { migrate::migrate(&target).await });
    let waiting =
        "select count(*) from pg_locks where not granted and relation = 'reveille.jobs'::regclass";
    for what in ["it waits", "it tries again"] {
        eventually(what, SOON, || async { value::<i64>(&client, waiting).await == 1 }).await;
        eventually("it gave way", SOON, || async { value::<i64>(&client, waiting).await == 0 })
            .await;
        value::<i64>(&client, "select count(*) from reveille.jobs").await;
    }
    open.commit().await.unwrap();
    migrating.await.unwrap().unwrap();
    assert_ne!(value::<String>(&client, WRITTEN).await, before);
}

/// One of the command line, with what it printed.
pub(super) async fn says(database: &TestDatabase, command: &str) -> (Option<i32>, String) {
    let mut line = Command::new(env!("CARGO_BIN_EXE_reveille"));
    line.arg(command).env("DATABASE_URL", database.url()).kill_on_drop(true);
    let output = within("it ends", SOON, line.output()).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_and_migrate_tell_of_functions_that_are_not_of_this_release() {
    let database = harness::database().await;
    let client = database.client().await;
    client.batch_execute(CHANGE).await.unwrap();
    let (_, told) = says(&database, "doctor").await;
    let found = told.lines().skip_while(|line| !line.starts_with("FAIL  functions"));
    let found: Vec<&str> = found.take(2).collect();
    assert!(found.len() == 2 && found[0].ends_with("not those of this release"), "{told}");
    assert!(found[1].contains("→ run `reveille migrate`"), "{told}");
    let (code, told) = says(&database, "migrate").await;
    assert!(
        code == Some(0) && told.contains("functions of the schema were brought up to date"),
        "{told}"
    );
    let (_, told) = says(&database, "doctor").await;
    assert!(told.lines().any(|it| it.starts_with("ok    functions")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_release_leaves_the_functions_of_a_newer_one() {
    let database = harness::database().await;
    let client = database.client().await;
    client.batch_execute(CHANGE).await.unwrap();
    let newer = "update reveille.definition set release = 1000000 where name = 'jobs'";
    client.batch_execute(newer).await.unwrap();
    let (code, told) = says(&database, "migrate").await;
    assert!(code == Some(0) && told.contains("of a newer release, and stay"), "{told}");
    assert_eq!(value::<String>(&client, TOKEN).await, "changed");
    migrate::check(&Target::parse(database.url()).unwrap()).await.unwrap();
    let (_, told) = says(&database, "doctor").await;
    assert!(told.contains("those of a newer release"), "{told}");
}

/// How often the function was made since, by whomever.
async fn counted(client: &Client) {
    client
        .batch_execute(
            "create table public.made (name text);
             create function public.count_made() returns event_trigger language plpgsql as $$
             begin
               insert into public.made
               select c.object_identity from pg_catalog.pg_event_trigger_ddl_commands() c
               where c.command_tag = 'CREATE FUNCTION';
             end $$;
             create event trigger count_made on ddl_command_end execute function public.count_made()",
        )
        .await
        .unwrap();
}

/// Whoever applies functions waits for this transaction to end.
async fn held(holder: &mut Client) -> Transaction<'_> {
    let open = holder.transaction().await.unwrap();
    open.batch_execute("lock table reveille.migration in row exclusive mode").await.unwrap();
    open
}

/// Waits until so many sessions have waited for the lock of migrations, which they do for a moment at each try.
async fn have_waited(client: &Client, sessions: usize) {
    let seen = Mutex::new(HashSet::<i32>::new());
    let waiting =
        "select pid from pg_locks where not granted and relation = 'reveille.migration'::regclass";
    eventually("they wait", SOON, || async {
        let rows = client.query(waiting, &[]).await.unwrap();
        let mut seen = seen.lock().unwrap();
        seen.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
        seen.len() >= sessions
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_at_once_apply_a_file_once() {
    let database = harness::database().await;
    let client = database.client().await;
    client.batch_execute(CHANGE).await.unwrap();
    counted(&client).await;
    // The lock of earlier releases, by which they would take turns, is a stranger's.
    let stranger = format!("stranger_in_{}", database.name());
    client.batch_execute(&format!("create role {stranger} login")).await.unwrap();
    let old_lock = connect(&database.url_as(&stranger)).await;
    old_lock.batch_execute("select pg_advisory_lock(77, 0)").await.unwrap();
    let mut holder = connect(database.url()).await;
    let open = held(&mut holder).await;
    let target = Target::parse(database.url()).unwrap();
    let starting: Vec<_> = (0..4)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move { migrate::migrate(&target).await })
        })
        .collect();
    have_waited(&client, 4).await;
    open.commit().await.unwrap();
    for started in futures_util::future::join_all(starting).await {
        started.unwrap().unwrap();
    }
    assert_eq!(value::<String>(&client, TOKEN).await, "a~1b");
    let made = "select string_agg(name, ', ') from public.made";
    assert_eq!(value::<String>(&client, made).await, "reveille.pointer_token(pg_catalog.text)");
    drop(old_lock);
    client.batch_execute(&format!("drop role {stranger}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_release_that_was_faster_keeps_its_functions() {
    let database = harness::database().await;
    let client = database.client().await;
    client.batch_execute(CHANGE).await.unwrap();
    let mut holder = connect(database.url()).await;
    let open = held(&mut holder).await;
    open.batch_execute("update reveille.definition set release = 1000000").await.unwrap();
    let target = Target::parse(database.url()).unwrap();
    let migrating = tokio::spawn(async move { migrate::migrate(&target).await });
    have_waited(&client, 1).await;
    open.commit().await.unwrap();
    migrating.await.unwrap().unwrap();
    assert_eq!(value::<String>(&client, TOKEN).await, "changed");
}
