//! A schema that is not the service's alone is refused before anything in it is named.

use std::time::Duration;

use reveille::internals::embedded::Embedded;
use reveille::internals::store::{Target, migrate};
use tokio::process::Command;

use super::{House, traps};
use crate::harness::Service;
use crate::harness::cluster::{connect, settings, throw_away_dir};
use crate::harness::look::{all_end, submit, value};

const SOON: Duration = Duration::from_secs(20);

impl House {
    /// `serve`, `migrate` and `doctor` say all of this, and none of them does its work.
    async fn is_refused(&self, words: &[&str]) {
        for command in ["serve", "migrate", "doctor"] {
            let mut line = Command::new(env!("CARGO_BIN_EXE_reveille"));
            line.arg(command).env("DATABASE_URL", self.url()).env("REVEILLE_LISTEN", "127.0.0.1:0");
            let output = tokio::time::timeout(SOON, line.kill_on_drop(true).output()).await;
            let output = output.expect("it ends").unwrap();
            assert_eq!(output.status.code(), Some(1), "{command}");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            for word in words {
                assert!(said.contains(word), "{command} does not say {word:?}: {said}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_a_stranger_made_first_is_refused() {
    let house = House::without_schema().await;
    let admin = house.database.client().await;
    let app = house.app().await;
    let (name, role) = (house.database.name(), &house.app_role);
    admin.batch_execute(&format!("grant create on database {name} to public")).await.unwrap();
    app.batch_execute("create schema reveille; grant usage on schema reveille to public")
        .await
        .unwrap();
    traps::set(&app, "reveille", true).await;
    // Whatever the service reads first is a trap.
    app.batch_execute(
        "create view reveille.migration as select 21 as version, reveille.thing_of('x'::text) as it;
         create view reveille.compatibility as select 1 as oldest_service, reveille.thing_of('x'::text) as it;
         grant select on all tables in schema reveille to public",
    )
    .await
    .unwrap();
    house
        .is_refused(&[
            &format!("schema reveille belongs to {role}"),
            "alter schema reveille owner to",
        ])
        .await;
    assert_eq!(traps::reached(&admin).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_own_or_may_put_into_the_schema_is_refused_until_it_is_mended() {
    let house = House::open().await;
    let service = house.served().await;
    drop(service);
    let admin = house.database.client().await;
    let app = &house.app_role;
    for (made, found, mended) in [
        (
            format!("create function reveille.f(text) returns text return $1; alter function reveille.f(text) owner to {app}"),
            "function reveille.f(text) belongs to",
            "drop function reveille.f(text)".to_owned(),
        ),
        (
            format!("create type reveille.thing as (it text); alter type reveille.thing owner to {app}"),
            "type reveille.thing belongs to",
            format!("alter type reveille.thing owner to {}", house.service_role),
        ),
        (
            format!("create view reveille.look as select 1; alter view reveille.look owner to {app}"),
            "view reveille.look belongs to",
            "drop view reveille.look".to_owned(),
        ),
        (
            "grant create on schema reveille to public".to_owned(),
            "public may create in the schema",
            "revoke create on schema reveille from public".to_owned(),
        ),
        (
            format!("grant trigger on reveille.ready to {app}"),
            "may put triggers on reveille.ready",
            format!("revoke trigger on reveille.ready from {app}"),
        ),
        (
            format!(
                "create function app.f() returns trigger language plpgsql as 'begin return null; end';
                 alter function app.f() owner to {app};
                 create trigger theirs after insert on reveille.job for each statement execute function app.f()"
            ),
            "trigger theirs on reveille.job calls a function of",
            "drop trigger theirs on reveille.job".to_owned(),
        ),
    ] {
        admin.batch_execute(&made).await.unwrap_or_else(|error| panic!("{made}: {error:?}"));
        house.is_refused(&[found]).await;
        admin.batch_execute(&mended).await.unwrap_or_else(|error| panic!("{mended}: {error:?}"));
    }
    Service::start(&house.url()).await;
}

/// In its own PostgreSQL too, on data of a release whose service was the superuser as on new data.
#[tokio::test(flavor = "multi_thread")]
async fn in_its_own_postgresql_the_service_is_no_superuser() {
    let dir = throw_away_dir();
    let start = || Embedded::start(settings(&dir));
    let server = start().await.unwrap_or_else(|error| panic!("{error}"));
    migrate::migrate(&Target::parse(server.url()).unwrap()).await.unwrap();
    let client = connect(server.url()).await;
    submit(&client, "payload => '1'").await;
    server.stop().await;

    let service = Service::bare().env("REVEILLE_DATA_DIR", dir.to_str().unwrap()).start().await;
    service.logged("listening for notifications", SOON).await;
    let done = service.http().post("/jobs?wait=10", &serde_json::json!({"payload": 1})).await;
    assert_eq!(done.body["status"], "completed");
    let client =
        connect(&format!("host='{}' user=reveille dbname=reveille", dir.join("run").display()))
            .await;
    all_end(&client, 2, SOON).await;
    let sessions = "select count(*), count(*) filter (where r.rolsuper) from pg_stat_activity a
        join pg_roles r on r.oid = a.usesysid where a.application_name like 'reveille%'";
    let sessions = client.query_one(sessions, &[]).await.unwrap();
    assert!(sessions.get::<_, i64>(0) > 3);
    assert_eq!(sessions.get::<_, i64>(1), 0, "sessions of a superuser");
    let owners = "select string_agg(distinct pg_get_userbyid(c.relowner), ', ') from pg_class c
        where c.relnamespace = 'reveille'::regnamespace";
    assert_eq!(value::<String>(&client, owners).await, "reveille_service");
}
