//! Functions and views are files, applied when they changed.

use std::fs;
use std::time::Duration;

use refinery::Migration;
use reveille::store::{Target, migrate};
use tokio::process::Command;
use tokio_postgres::Client;

use super::{dump, first_difference, root};
use crate::harness::cluster::{Cluster, connect};
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

async fn migrate_now(database: &TestDatabase) {
    let target = Target::parse(database.url()).unwrap();
    let migrated = within("it ends", SOON, migrate::migrate(&target)).await;
    assert_eq!(migrated.unwrap().now, migrate::known());
}

fn files() -> Vec<(String, String)> {
    let files = fs::read_dir(root().join("sql/functions")).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(&path).unwrap().replace("\r\n", "\n"))
    });
    files.collect()
}

#[test]
fn every_file_makes_what_its_name_says_and_gives_nothing_to_everybody() {
    let mut faults = Vec::new();
    for (file, text) in files() {
        let Some(name) = file.strip_suffix(".sql") else {
            faults.push(format!("{file} is not SQL"));
            continue;
        };
        let code: String =
            text.lines().filter(|it| !it.starts_with("--")).collect::<Vec<_>>().join("\n");
        let (is, of) = if code.starts_with("create or replace view") {
            ("view", "")
        } else {
            ("function", "function ")
        };
        let begins = [' ', '('].map(|next| format!("create or replace {is} reveille.{name}{next}"));
        if !begins.iter().any(|it| code.starts_with(it.trim_end())) {
            faults.push(format!("{file} does not begin with {}", begins[0]));
        }
        if code.matches("create or replace").count() != 1 {
            faults.push(format!("{file} makes more than one thing"));
        }
        if !code.contains(&format!("\ncomment on {is} reveille.{name} is")) {
            faults.push(format!("{file} has no comment on reveille.{name}"));
        }
        if !code.ends_with(&format!("\nrevoke all on {of}reveille.{name} from public;")) {
            faults.push(format!("{file} does not end with what PUBLIC may not do"));
        }
    }
    assert!(files().len() > 40, "{}", files().len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whether the number of these files may be that of the last release, given what was released: a number and a checksum a line.
fn release_fault(released: &str, number: i32, checksum: &str) -> Option<String> {
    let (last, pinned) = released.lines().filter_map(|line| line.split_once("  ")).next_back()?;
    let last: i32 = last.parse().ok()?;
    match number {
        _ if number < last => Some(format!("{last} was released before {number}")),
        _ if number == last && checksum != pinned => Some(format!(
            "the functions of release {last} changed: raise RELEASE in src/store/functions.rs"
        )),
        _ => None,
    }
}

/// The list holds a number and the `checksum` of this test a line; both join it when they are released.
#[tokio::test(flavor = "multi_thread")]
async fn the_functions_of_a_released_number_stay() {
    let one = "1  a\n2  b\n";
    assert!(release_fault(one, 1, "a").is_some() && release_fault(one, 2, "c").is_some());
    assert!(release_fault(one, 2, "b").is_none() && release_fault(one, 3, "c").is_none());
    let database = harness::database().await;
    let client = database.client().await;
    let number: i32 = value(&client, "select max(release) from reveille.definition").await;
    let checksum = "select encode(sha256(convert_to(string_agg(d.name || ' ' || d.checksum, ',' order by d.name), 'UTF8')), 'hex')
        from reveille.definition d";
    let checksum: String = value(&client, checksum).await;
    let fault = release_fault(include_str!("functions.sha256"), number, &checksum);
    assert_eq!(fault, None, "{number}  {checksum}");
}

/// The files are applied without these checks, since they name each other.
#[tokio::test(flavor = "multi_thread")]
async fn every_function_passes_the_checks_that_it_is_made_without() {
    let database = harness::database().await;
    let client = database.client().await;
    let texts = "select p.oid::regprocedure::text, pg_get_functiondef(p.oid) from pg_proc p
        where p.pronamespace = 'reveille'::regnamespace";
    let rows = client.query(texts, &[]).await.unwrap();
    client
        .batch_execute("set search_path = pg_catalog, pg_temp; set check_function_bodies = on")
        .await
        .unwrap();
    for row in &rows {
        let (name, text): (&str, &str) = (row.get(0), row.get(1));
        let made = client.batch_execute(text).await;
        made.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    assert!(rows.len() > 40);
}

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
             grant execute on function reveille.submit, reveille.submit_many to {role};
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
    migrate_now(&database).await;
    migrate::check(&target).await.unwrap();
    let (is, new) = (dump(&database).await, dump(&harness::database().await).await);
    let (line, is_line, new_line) = first_difference(&is, &new);
    assert!(is == new, "line {line}: {is_line}\na new one has: {new_line}");

    let theirs = connect(&database.url_as(&role)).await;
    for call in [
        "select job_id from reveille.submit(payload => '1', task => 'noop')",
        "select job_id from reveille.submit_many('[{\"payload\": 1}]')",
        "select public.theirs()",
    ] {
        let rows = theirs.query(call, &[]).await;
        rows.unwrap_or_else(|error| panic!("{call}: {error:?}"));
    }
    for view in ["reveille.jobs", "public.theirs"] {
        let count: i64 = value(&theirs, &format!("select count(*) from {view}")).await;
        assert_eq!(count, 4, "{view}");
    }
    let options = "select reloptions::text from pg_class where oid = 'reveille.jobs'::regclass";
    assert_eq!(value::<String>(&client, options).await, "{security_barrier=true}");
    drop(theirs);
    client.batch_execute(&format!("drop owned by {role}; drop role {role}")).await.unwrap();
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
async fn says(database: &TestDatabase, command: &str) -> (Option<i32>, String) {
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

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_at_once_apply_a_file_once() {
    let database = harness::database().await;
    let client = database.client().await;
    client.batch_execute(CHANGE).await.unwrap();
    counted(&client).await;
    let target = Target::parse(database.url()).unwrap();
    let starting = (0..4).map(|_| {
        let target = target.clone();
        tokio::spawn(async move { migrate::migrate(&target).await })
    });
    for started in futures_util::future::join_all(starting).await {
        started.unwrap().unwrap();
    }
    assert_eq!(value::<String>(&client, TOKEN).await, "a~1b");
    let made = "select string_agg(name, ', ') from public.made";
    assert_eq!(value::<String>(&client, made).await, "reveille.pointer_token(pg_catalog.text)");
}
