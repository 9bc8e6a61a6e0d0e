//! The start: what no waiting mends ends it with advice, what passes is waited for and told again, and limits of the database or
//! of the role do not end it.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpSocket;

use crate::harness::cluster::Cluster;
use crate::harness::look::value;
use crate::harness::{self, Service, TestDatabase};

const SOON: Duration = Duration::from_secs(10);

/// A role of this database alone.
async fn role(database: &TestDatabase, kind: &str, more: &str) -> String {
    let client = database.client().await;
    let name = database.url().rsplit_once('=').unwrap().1;
    let role = format!("{kind}_{name}");
    client.batch_execute(&format!("create role {role} login {more}")).await.unwrap();
    role
}

fn with_user(database: &TestDatabase, user: &str) -> String {
    database.url().replace("user=reveille", &format!("user={user}"))
}

async fn ends_with(url: &str, advice: &str) {
    let mut service = Service::on(url).spawn().await;
    let code = service.ended(SOON).await.code();
    assert_eq!(code, Some(1), "{url}: {}", service.stderr());
    service.logged(advice, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_waiting_mends_ends_it_with_advice() {
    let database = harness::database().await;
    let name = database.url().rsplit_once('=').unwrap().1;
    let client = database.client().await;
    let outsider = role(&database, "outsider", "").await;
    client.batch_execute(&format!("revoke connect on database {name} from public")).await.unwrap();
    ends_with(&with_user(&database, &outsider), "grant connect on database").await;
    ends_with(&format!("{} options='-c nosuch=1'", database.url()), "look at options").await;
    let missing = database.url().replace(name, "nowhere");
    ends_with(&missing, "Create the database").await;
    ends_with(&with_user(&database, "nobody_at_all"), "Correct user or password").await;
    client.batch_execute(&format!("drop role {outsider}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_waited_for_is_told_again_with_host_and_port() {
    // Nothing listens there, and nobody else can while the socket is bound.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let service = Service::on(&format!("postgres://me:hush@127.0.0.1:{port}/jobs")).spawn().await;
    service.logged(&format!("127.0.0.1:{port}"), SOON).await;
    let again = async || {
        let told = service.stderr().matches("waiting for the database").count();
        told >= 2
    };
    harness::eventually("it is told again", SOON, again).await;
    assert!(!service.stderr().contains("hush"), "{}", service.stderr());
}

/// The table of migrations is there and locked, so that the first migration waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_in_the_middle_of_a_migration_is_waited_for() {
    let database = Cluster::shared().await.empty_database().await;
    let (client, holder) = (database.client().await, database.client().await);
    let table = include_str!("../../sql/schema/migration_table.sql");
    client.batch_execute(&format!("create schema reveille; {table}")).await.unwrap();
    let lock = "begin; lock table reveille.migration in share mode";
    holder.batch_execute(lock).await.unwrap();
    let service = Service::on(database.url()).spawn().await;
    let end = "select count(pg_terminate_backend(pid)) from pg_locks where not granted
        and database = (select oid from pg_database where datname = current_database())";
    harness::eventually("a migration is cut off", SOON, async || {
        value::<i64>(&client, end).await == 1
    })
    .await;
    service.logged("waiting for the database", SOON).await;
    holder.batch_execute("commit").await.unwrap();
    service.logged("listening for notifications", SOON * 3).await;
    assert!(!service.stderr().contains("migration failed"), "{}", service.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_writes_is_waited_for() {
    let database = harness::database().await;
    let name = database.url().rsplit_once('=').unwrap().1;
    let client = database.client().await;
    let read_only = format!("alter database {name} set default_transaction_read_only = on");
    client.batch_execute(&read_only).await.unwrap();
    let service = Service::on(database.url()).spawn().await;
    service.logged("takes no writes", SOON).await;
    let writable = format!(
        "set transaction_read_only = off; alter database {name} reset default_transaction_read_only"
    );
    client.batch_execute(&writable).await.unwrap();
    service.printed("ready http", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_the_database_do_not_end_it() {
    let database = harness::database().await;
    let name = database.url().rsplit_once('=').unwrap().1;
    let client = database.client().await;
    // The whole schema is made anew under them.
    client.batch_execute("drop schema reveille cascade").await.unwrap();
    database.holds_rows_without_jobs();
    for limit in [
        "statement_timeout = '50ms'",
        "lock_timeout = '1ms'",
        "idle_session_timeout = '50ms'",
        "idle_in_transaction_session_timeout = '20ms'",
        "default_transaction_isolation = 'serializable'",
    ] {
        client.batch_execute(&format!("alter database {name} set {limit}")).await.unwrap();
    }
    let service = Service::on(database.url()).start().await;
    let job = service.http().post("/jobs?wait=10", &json!({"payload": 1})).await;
    assert_eq!(job.body["status"], "completed");
    assert!(!service.stderr().contains("lost"), "{}", service.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_connections_are_waited_for() {
    let database = harness::database().await;
    let client = database.client().await;
    let name = database.url().rsplit_once('=').unwrap().1;
    let role = role(&database, "narrow", "connection limit 0").await;
    // It makes the schema itself.
    database.holds_rows_without_jobs();
    client
        .batch_execute(&format!(
            "drop schema reveille cascade; grant create on database {name} to {role}"
        ))
        .await
        .unwrap();
    let service = Service::on(&with_user(&database, &role)).spawn().await;
    service.logged("too many connections", SOON).await;
    client.batch_execute(&format!("alter role {role} connection limit 30")).await.unwrap();
    service.printed("ready http", SOON).await;
    drop(service);
    let gone = format!("drop owned by {role}; drop role {role}");
    harness::eventually("the role can go", SOON, async || {
        client.batch_execute(&gone).await.is_ok()
    })
    .await;
}

#[test]
fn a_password_that_was_not_encoded_is_refused_by_every_command_and_not_printed() {
    use std::process::Command;
    for url in ["postgres://reveille:s3cr@t-Word@host/x", "postgres://reveille:s3cr/t-Word@host/x"]
    {
        for line in [&["config"][..], &["serve"], &["doctor"], &["migrate"]] {
            let output = Command::new(env!("CARGO_BIN_EXE_reveille"))
                .args(line)
                .env("DATABASE_URL", url)
                .env("REVEILLE_LISTEN", "127.0.0.1:0")
                .current_dir(std::env::temp_dir())
                .output()
                .unwrap();
            let said = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
            assert!(!output.status.success(), "{line:?}: {said:?}");
            assert!(said[1].contains("@ is %40"), "{line:?}: {said:?}");
            let leaks = said.iter().any(|said| ["s3cr", "Word"].iter().any(|it| said.contains(it)));
            assert!(!leaks, "{line:?}: {said:?}");
        }
    }
}
