//! Nothing of a stranger's is reached, by whichever door.

use std::time::Duration;

use reveille::Client as Submitting;
use reveille::{NewJob, OnConflict};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{House, traps};
use crate::harness::look::{all_end, submit, value};
use crate::harness::{Service, eventually};

const SOON: Duration = Duration::from_secs(20);

async fn nothing_is_reached(admin: &Client) {
    assert_eq!(traps::reached(admin).await, "", "what a stranger made was called");
}

/// The case as it was found: on PostgreSQL 18 a deferred trigger runs as the role that queued it, here the service's, with the
/// path of the one that commits.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_submit_does_not_act_as_the_service_at_commit() {
    let house = House::open().await;
    let _service = house.served().await;
    let (app, admin) = (house.app().await, house.database.client().await);
    // What only the service's role can do, as ALTER ROLE is what only a superuser can.
    let grant = format!("grant all on all tables in schema reveille to {}", house.app_role);
    app.batch_execute(&format!(
        "create function app.f(text, smallint) returns text language plpgsql as
           $$ begin execute '{grant}'; return $1; end $$;
         create operator app.|| (leftarg = text, rightarg = smallint, function = app.f);
         create function app.pg_notify(text, text) returns void language plpgsql as
           $$ begin execute '{grant}'; end $$;
         create function app.current_setting(text, boolean) returns text language plpgsql as
           $$ begin execute '{grant}'; return null; end $$;
         grant usage on schema app to public"
    ))
    .await
    .unwrap();
    let may_read =
        format!("select has_table_privilege('{}', 'reveille.job', 'select')", house.app_role);
    for path in ["app", "app, pg_catalog"] {
        // An error is as good: it is the caller's own.
        let attack = format!(
            "set search_path = {path}; select * from reveille.submit(task => 'noop', payload => '1')"
        );
        let _ = app.batch_execute(&attack).await;
        assert!(!value::<bool>(&admin, &may_read).await, "with search_path = {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_of_one_that_submits_leads_nowhere() {
    let house = House::open().await;
    let _service = house.served().await;
    let (app, admin) = (house.app().await, house.database.client().await);
    traps::set(&app, "app", true).await;
    app.batch_execute("create temporary table job (id uuid); create temporary table pg_stats ()")
        .await
        .unwrap();
    let mut jobs = 0;
    for path in ["app", "app, pg_catalog", "app, pg_temp, pg_catalog", "pg_temp, app"] {
        app.batch_execute(&format!("set search_path = {path}")).await.unwrap();
        for arguments in [
            "task => 'noop', payload => '1'",
            "task => 'noop', payload => '1', unique_key => 'a', on_conflict => 'replace'",
            "task => 'noop', payload => '{\"a\": [1]}', tags => '{a,b}', priority => 3, max_attempts => 2, timeout_seconds => 60",
            "task => 'noop', payload => '1', run_at => '2026-01-01T00:00:00Z', queue => 'other'",
        ] {
            app.batch_execute(&format!("select from reveille.submit({arguments})"))
                .await
                .unwrap_or_else(|error| panic!("{path}, {arguments}: {error:?}"));
            jobs += 1;
        }
        let many = r#"[{"payload": 1, "task": "noop"}, {"payload": 2, "task": "noop", "unique_key": "b"}]"#;
        app.batch_execute(&format!("select from reveille.submit_many('{many}')")).await.unwrap();
        let refused = app
            .batch_execute("select from reveille.submit_many('[{\"tags\": [1], \"run_at\": \"x\", \"a\": 1}]')")
            .await;
        assert_eq!(refused.unwrap_err().code().map(|it| it.code()), Some("22023"), "{path}");
    }
    nothing_is_reached(&admin).await;
    eventually("jobs run", SOON, async || {
        value::<i64>(&admin, "select count(*) from reveille.ready").await == 0
    })
    .await;
    assert!(jobs > 0);
    nothing_is_reached(&admin).await;
}

/// `public` is in everybody's path, and on PostgreSQL 14 everybody may create there.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_stranger_puts_into_public_is_never_called() {
    let house = House::open().await;
    let (app, admin) = (house.app().await, house.database.client().await);
    traps::set(&app, "public", false).await;
    // From the first migration on.
    let service = house.served().await;
    tour(&service).await;
    let doctor = doctor(&house.url()).await;
    // The server of the tests has `fsync` off.
    let failed: Vec<&str> = doctor.lines().filter(|it| it.starts_with("FAIL")).collect();
    assert!(matches!(failed[..], [only] if only.contains("fsync")), "{doctor}");
    submit(&app, "payload => '1', task => 'noop', unique_key => 'sql', tags => '{a}'").await;
    app.batch_execute(
        "select reveille.submit_many('[{\"payload\": 1, \"task\": \"noop\"}]');
         do $$ begin perform reveille.submit(payload => '1', run_at => 'infinity');
           exception when invalid_parameter_value then null; end $$",
    )
    .await
    .unwrap();
    let client = Submitting::connect(&house.url()).await.unwrap();
    let job = |key: &str| NewJob::new("noop", &1).unique(key, OnConflict::Keep);
    client.submit(job("library")).await.unwrap();
    client.submit_many([job("a"), NewJob::new("noop", &2)]).await.unwrap();
    eventually("jobs are forgotten", SOON, async || {
        value::<i64>(&admin, "select count(*) from reveille.outcome").await == 0
    })
    .await;
    nothing_is_reached(&admin).await;
}

/// Every call of the API.
async fn tour(service: &Service) {
    let http = service.http();
    let jobs = [
        json!({"payload": 1, "task": "noop"}),
        json!({"payload": {"a": [1, "x".repeat(2_000)]}, "task": "noop", "tags": ["a"], "priority": 2}),
        json!({"payload": 1, "task": "noop", "unique_key": "a", "on_conflict": "replace"}),
        json!({"payload": 1, "task": "noop", "unique_key": "a", "on_conflict": "keep"}),
        json!({"payload": 1, "delay_seconds": 3000, "unique_key": "b", "max_attempts": 2}),
        json!({"payload": 2, "delay_seconds": 3000, "unique_key": "b", "on_conflict": "replace"}),
        json!({"payload": {"failures": 1}, "task": "flaky"}),
    ];
    let mut ids = Vec::new();
    for job in &jobs {
        let answer = http.post_job(job).await;
        assert!((200..300).contains(&answer.status), "{job}: {answer:?}");
        ids.push(answer.body["job_id"].as_str().unwrap_or_default().to_owned());
    }
    let batch = http.post("/jobs/batch", &Value::from(jobs.to_vec())).await;
    assert!((200..300).contains(&batch.status), "{batch:?}");
    for path in [
        "/jobs",
        "/jobs?status=queued&queue=default&task=noop&include=payload",
        "/jobs?status=scheduled&tag=a&unique_key=a",
        "/jobs?status=processing",
        "/jobs?status=failed&created_after=2026-01-01T00:00:00Z",
        "/jobs?payload={\"a\":1}",
        "/queues",
        "/queues/default",
        "/tasks",
        "/tasks/noop",
        "/instances",
        "/audit?action=pause_queue",
        "/health",
        "/metrics",
    ] {
        let answer = http.get(path).await;
        assert!(matches!(answer.status, 200 | 400 | 404), "{path}: {answer:?}");
    }
    assert_eq!(
        http.post("/jobs?wait=10", &json!({"payload": 1})).await.body["status"],
        "completed"
    );
    for (method, body) in [("PUT", json!({"priority": 4})), ("PATCH", json!({"priority": null}))] {
        let request = http.request(method, "/queues/default").json(&body);
        assert_eq!(request.send().await.unwrap().status().as_u16(), 200, "{method}");
    }
    for path in ["/queues/default/pause", "/queues/default/resume"] {
        assert_eq!(http.post(path, &Value::Null).await.status, 200, "{path}");
    }
    for id in &ids {
        http.get(&format!("/jobs/{id}?wait=0.1")).await;
        http.get(&format!("/jobs/{id}/attempts")).await;
        for verb in ["cancel", "retry"] {
            let answer = http.post(&format!("/jobs/{id}/{verb}"), &Value::Null).await;
            assert!(answer.status < 500, "{verb}: {answer:?}");
        }
        let gone = http.request("DELETE", &format!("/jobs/{id}")).send().await.unwrap();
        assert!(gone.status().as_u16() < 500, "{gone:?}");
    }
}

async fn doctor(url: &str) -> String {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_reveille"))
        .arg("doctor")
        .env("DATABASE_URL", url)
        .output()
        .await
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A person looks at jobs with the path that sessions have.
#[tokio::test(flavor = "multi_thread")]
async fn a_superuser_who_reads_the_views_runs_nothing_of_a_strangers() {
    let house = House::open().await;
    let _service = house.served().await;
    let (app, admin) = (house.app().await, house.database.client().await);
    submit(&app, "payload => '1', task => 'noop'").await;
    all_end(&admin, 1, SOON).await;
    traps::set(&app, "public", false).await;
    for view in ["select * from reveille.jobs", "select * from reveille.partition"] {
        admin.query(view, &[]).await.unwrap_or_else(|error| panic!("{view}: {error:?}"));
    }
    admin.query("select created_at from reveille.jobs", &[]).await.unwrap();
    nothing_is_reached(&admin).await;
}
