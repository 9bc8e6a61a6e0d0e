//! What the database or the role says of its sessions, by `alter database … set`, changes nothing about the way of a job.

use std::time::Duration;

use reveille::Config;
use reveille::internals::store::{Store, Target, migrate};
use reveille::{Client, NewJob, OnConflict};
use serde_json::{Value, json};

use crate::harness::cluster::Cluster;
use crate::harness::look::{becomes, value};
use crate::harness::proxy::Mode;
use crate::harness::{self, Service, eventually};

const SOON: Duration = Duration::from_secs(20);

/// How values are written and read.
const FORMATS: &[&str] = &[
    "DateStyle = 'German, DMY'",
    "IntervalStyle = 'sql_standard'",
    "TimeZone = 'Pacific/Chatham'",
    "bytea_output = 'escape'",
    "extra_float_digits = -15",
    "array_nulls = off",
    "transform_null_equals = on",
    "quote_all_identifiers = on",
    "backslash_quote = off",
    "standard_conforming_strings = off",
    "escape_string_warning = off",
    "row_security = off",
    "lc_messages = 'C'",
    "lc_numeric = 'C'",
    "xmloption = 'document'",
    "client_encoding = 'LATIN1'",
    "client_min_messages = 'debug1'",
];

/// What sessions may do, and for how long.
const LIMITS: &[&str] = &[
    "default_transaction_isolation = 'serializable'",
    "default_transaction_deferrable = on",
    "statement_timeout = '20ms'",
    "lock_timeout = '20ms'",
    "idle_in_transaction_session_timeout = '5s'",
    "idle_session_timeout = '200ms'",
    "session_replication_role = 'replica'",
];

/// What can be said of the way of some jobs without saying when it was, or which.
async fn way_of_jobs(settings: &[&str], by_role: bool) -> Value {
    let database = Cluster::shared().await.empty_database().await;
    let admin = database.client().await;
    let name = database.name();
    for setting in settings {
        let whose = if by_role {
            format!("role reveille in database {name}")
        } else {
            format!("database {name}")
        };
        admin.batch_execute(&format!("alter {whose} set {setting}")).await.unwrap();
    }
    // Its start also makes the schema.
    let service = Service::on(database.url()).start().await;
    let http = service.http();
    let said = |answer: &Value, fields: &[&str]| -> Value {
        fields
            .iter()
            .map(|field| (*field).to_owned())
            .zip(fields.iter().map(|it| answer[*it].clone()))
            .collect()
    };
    let mut facts = Vec::new();
    let payload = json!({"text": "ü €", "number": 0.1, "small": 1e-7, "large": 12_345_678_901_234_567_890_u64, "none": null});
    for job in [
        json!({"payload": payload}),
        json!({"task": "flaky", "payload": {"failures": 1}}),
        json!({"payload": 1, "delay_seconds": 0.3, "tags": ["a", "b\\c"], "priority": 3}),
        json!({"payload": 2, "unique_key": "k", "timeout_seconds": 1.5}),
    ] {
        let job = http.post("/jobs?wait=15", &job).await.body;
        let job = http.get_job(job["job_id"].as_str().unwrap_or_default()).await.body;
        facts.push(said(&job, &["status", "attempt_count", "result", "priority", "tags"]));
    }
    let fixed = "2100-02-03T04:05:06.123456Z";
    let mut later = Vec::new();
    for on_conflict in ["keep", "replace"] {
        let job = json!({"payload": 3, "run_at": fixed, "unique_key": "later", "on_conflict": on_conflict});
        let answer = http.post("/jobs", &job).await;
        later.push(answer.body["job_id"].as_str().unwrap_or_default().to_owned());
        facts.push(json!([answer.status, said(&answer.body, &["status", "outcome"])]));
    }
    let kept = http.get_job(&later[1]).await.body;
    facts.push(said(&kept, &["status", "run_at", "unique_key", "payload", "timeout_seconds"]));
    let cancelled = http.post(&format!("/jobs/{}/cancel", later[1]), &json!({})).await;
    facts.push(json!([cancelled.status, cancelled.body["status"]]));
    let attempts =
        http.get("/jobs?status=completed&task=flaky&created_after=2020-01-01T00:00:00Z").await.body;
    facts.push(json!(attempts["data"].as_array().map(Vec::len)));

    // The SQL door, in a session that has these settings too, as far as they let it write.
    let client = database.client().await;
    client
        .batch_execute(
            "set statement_timeout = 0; set lock_timeout = 0; \
             set idle_session_timeout = 0; set default_transaction_isolation = 'read committed'",
        )
        .await
        .unwrap();
    let submit = "select job_id::text from reveille.submit(task => 'echo', payload => '{\"a\": 1.50}', tags => array['x'],
        run_at => timestamptz '2001-02-03 04:05:06.5+00')";
    let id: String = value(&client, submit).await;
    becomes(&client, &id, "completed", SOON).await;
    let job = http.get_job(&id).await.body;
    facts.push(said(&job, &["status", "run_at", "result", "tags"]));
    // What listens goes on doing so, however long it is idle.
    eventually("it is ready", SOON, async || http.get("/readyz").await.status == 200).await;
    let listening = http.get("/readyz?verbose").await.body;
    facts.push(
        listening["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| said(check, &["name", "state"]))
            .collect(),
    );
    let partitions: i64 = value(&client, "select count(*) from reveille.partition").await;
    facts.push(json!(partitions > 0));
    Value::Array(facts)
}

#[tokio::test(flavor = "multi_thread")]
async fn how_values_are_written_changes_nothing() {
    let plain = way_of_jobs(&[], false).await;
    let first = &plain[0];
    assert_eq!(
        (&first["status"], &first["attempt_count"]),
        (&json!("completed"), &json!(1)),
        "{plain:#}"
    );
    assert_eq!(way_of_jobs(FORMATS, false).await, plain);
    assert_eq!(way_of_jobs(FORMATS, true).await, plain);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_sessions_change_nothing() {
    let plain = way_of_jobs(&[], false).await;
    assert_eq!(way_of_jobs(LIMITS, false).await, plain);
    assert_eq!(way_of_jobs(LIMITS, true).await, plain);
}

/// Statistics give times as text, and some abbreviations of zones are unknown, or mean another zone.
#[tokio::test(flavor = "multi_thread")]
async fn estimates_read_times_as_they_were_written() {
    let database = harness::database().await;
    let client = database.client().await;
    let many = "select count(*) from generate_series(1, 8000), lateral reveille.submit(
        task => 'unserved', payload => to_jsonb(generate_series), run_at => now() - interval '2 hours')";
    assert_eq!(value::<i64>(&client, many).await, 8000);
    client.batch_execute("analyze reveille.ready").await.unwrap();
    let target = Target::parse(database.url()).unwrap();
    for zone in ["Asia/Jakarta", "Asia/Kolkata"] {
        for setting in ["DateStyle = 'SQL, DMY'".to_owned(), format!("TimeZone = '{zone}'")] {
            let set = format!("alter database {} set {setting}", database.name());
            client.batch_execute(&set).await.unwrap();
        }
        let store = Store::open(&Config::default(), &target).await.unwrap();
        let depths = store.queue_depths().await.unwrap();
        let depth = depths.iter().find(|depth| depth.due + depth.later > 0.0).unwrap();
        assert!(depth.due > 7000.0 && depth.later < 1.0, "{zone}: {depth:?}");
    }
}

/// A list is several statements in one transaction, and the way to the database may take longer than others allow.
#[tokio::test(flavor = "multi_thread")]
async fn limits_of_transactions_end_none_of_the_services() {
    let database = harness::database().await;
    let (admin, proxy) = (database.client().await, database.proxy().await);
    let version: i32 = value(&admin, "select current_setting('server_version_num')::integer").await;
    let mut limits = vec!["idle_in_transaction_session_timeout = '10ms'"];
    if version >= 170_000 {
        limits.push("transaction_timeout = '40ms'");
    }
    for limit in limits {
        let set = format!("alter database {} set {limit}", database.name());
        admin.batch_execute(&set).await.unwrap();
    }
    proxy.set(Mode::Delay(Duration::from_millis(20)));
    let client = Client::connect(proxy.url()).await.unwrap();
    let job = |key| NewJob::new("noop", &1).unique(key, OnConflict::Keep);
    let written = client.submit_many([job("a"), job("b")]).await.unwrap();
    assert_eq!(written.len(), 2);
}

/// The service's sessions look at themselves when they write, and take their time. What is read at the start waits for a lock.
#[tokio::test(flavor = "multi_thread")]
async fn neither_time_limits_nor_isolation_of_the_database_are_those_of_the_service() {
    let database = harness::database().await;
    let (admin, locker) = (database.client().await, database.client().await);
    let slow = "create function public.slow() returns trigger language plpgsql as $$ begin
          if pg_catalog.current_setting('transaction_isolation') <> 'read committed' then
            raise 'the transaction is %', pg_catalog.current_setting('transaction_isolation');
          end if;
          perform pg_catalog.pg_sleep(0.05);
          return null;
        end $$";
    admin.batch_execute(slow).await.unwrap();
    // What submissions, claims, outcomes, heartbeats and people write.
    for table in ["job", "lease", "outcome", "worker", "ready"] {
        let trigger = format!(
            "create trigger slow after insert or update or delete on reveille.{table}
             for each statement execute function public.slow()"
        );
        admin.batch_execute(&trigger).await.unwrap();
    }
    let whose = format!("alter database {}", database.name());
    let limits = [
        "statement_timeout = '1ms'",
        "lock_timeout = '1ms'",
        "default_transaction_isolation = 'serializable'",
    ];
    for limit in limits {
        admin.batch_execute(&format!("{whose} set {limit}")).await.unwrap();
    }

    let service = Service::on(database.url()).env("REVEILLE_HEARTBEAT_SECONDS", "0.2");
    let service = service.start().await;
    let http = service.http();
    let done = http.post("/jobs?wait=10", &json!({"payload": 1, "unique_key": "k"})).await.body;
    assert_eq!(done["status"], "completed");
    assert_eq!(value::<i32>(&admin, "select attempt from reveille.outcome").await, 1);
    let later = http.post_job(&json!({"payload": 1, "delay_seconds": 600})).await.body;
    let path = format!("/jobs/{}/cancel", later["job_id"].as_str().unwrap());
    assert_eq!(http.post(&path, &json!({})).await.body["status"], "cancelled");
    let beats = "select count(*) from reveille.worker where heartbeat_at > started_at + interval '1 second'";
    eventually("heartbeats go on", SOON, async || value::<i64>(&admin, beats).await == 1).await;

    locker.batch_execute("begin; lock table reveille.migration").await.unwrap();
    let target = Target::parse(database.url()).unwrap();
    let checking = tokio::spawn(async move { migrate::check(&target).await });
    let waits = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    eventually("it waits for the table", SOON, async || {
        checking.is_finished() || value::<i64>(&admin, waits).await > 0
    })
    .await;
    locker.batch_execute("rollback").await.unwrap();
    checking.await.unwrap().unwrap();
    admin.batch_execute(&format!("{whose} reset all")).await.unwrap();
}
