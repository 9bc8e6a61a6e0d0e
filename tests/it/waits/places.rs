//! Jobs that wait in `keyed` count, are shown, end and are kept as those in `ready` are.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::harness::http::{Http, answer};
use crate::harness::look::{assert_one_place, metric, status, value};
use crate::harness::{self, Service, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(30);

/// A service that runs nothing.
struct House {
    database: TestDatabase,
    client: Client,
    service: Service,
    http: Http,
}

impl House {
    async fn open() -> Self {
        let database = harness::database().await;
        let client = database.client().await;
        let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
        let http = service.http();
        Self { database, client, service, http }
    }

    /// Submits a job to the queue `mail`, which waits for its key `k` from then on.
    async fn parked(&self, fields: &Value) -> String {
        let mut job = json!({"payload": 1, "queue": "mail"});
        job.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let written = self.http.post("/jobs", &job).await;
        let id = written.body["job_id"].as_str().unwrap_or_else(|| panic!("{written:?}"));
        let park = format!(
            "with r as (delete from reveille.ready where id = '{id}' returning *)
             insert into reveille.keyed (queue, key, run_at, id, task, priority, attempt, crashes, look)
             select queue, 'k', run_at, id, task, priority, attempt, crashes, 0 from r"
        );
        self.client.batch_execute(&park).await.unwrap();
        assert_eq!(self.count("keyed", id).await, 1);
        id.to_owned()
    }

    /// How many rows of the table are of this job.
    async fn count(&self, table: &str, id: &str) -> i64 {
        value(&self.client, &format!("select count(*) from reveille.{table} where id = '{id}'"))
            .await
    }

    /// The status of the job, and the code of its error.
    async fn end(&self, id: &str) -> (String, String) {
        let job = self.http.get_job(id).await.body;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&job["status"]), text(&job["error"]["code"]))
    }
}

fn ended(status: &str, code: &str) -> (String, String) {
    (status.to_owned(), code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_shown_listed_and_counted_wherever_it_waits() {
    let house = House::open().await;
    let due = house.parked(&json!({})).await;
    let later = house.parked(&json!({"delay_seconds": 3600})).await;
    let ready = json!({"payload": 1, "queue": "mail"});
    let ready = house.http.post("/jobs", &ready).await.body["job_id"].as_str().unwrap().to_owned();
    for (id, expected) in [(&due, "queued"), (&later, "scheduled"), (&ready, "queued")] {
        assert_eq!(house.http.get_job(id).await.body["status"], expected);
        assert_eq!(status(&house.client, id).await.as_deref(), Some(expected));
    }
    for (filter, ids) in [
        ("status=queued", vec![&ready, &due]),
        ("status=scheduled", vec![&later]),
        ("queue=mail", vec![&ready, &later, &due]),
        ("status=queued,failed", vec![&ready, &due]),
    ] {
        let listed = house.http.get(&format!("/jobs?{filter}")).await.body;
        let listed = listed["data"].as_array().unwrap().iter();
        let listed: Vec<&str> = listed.map(|job| job["job_id"].as_str().unwrap()).collect();
        assert_eq!(listed, ids, "{filter}");
    }
    let queue = house.http.get("/queues/mail").await.body;
    assert_eq!(queue["counts"], json!({"scheduled": 1, "queued": 2, "processing": 0}));
    assert!(queue["oldest_waiting_at"].is_string(), "{queue}");
    for (name, expected) in [("depth", 2.0), ("scheduled", 1.0)] {
        let name = format!("reveille_queue_{name}{{queue=\"mail\"}}");
        assert_eq!(metric(&house.service, &name).await, expected, "{name}");
    }
    assert_one_place(&house.client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_whose_jobs_all_wait_elsewhere_is_known_and_not_forgotten() {
    let house = House::open().await;
    house.parked(&json!({})).await;
    let old = "delete from reveille.queue;
        insert into reveille.queue (name, touched_at) values ('mail', now() - interval '1 year')";
    house.client.batch_execute(old).await.unwrap();
    let forget = include_str!("../../../sql/queue/forget.sql");
    house.client.query(forget, &[&3600.0]).await.unwrap();
    assert_eq!(value::<i64>(&house.client, "select count(*) from reveille.queue").await, 1);
    house.client.batch_execute("delete from reveille.queue").await.unwrap();
    let names = house.http.get("/queues").await.body;
    let named = names["data"].as_array().unwrap().iter().any(|queue| queue["name"] == "mail");
    assert!(named, "{names}");
    assert_eq!(house.http.get("/queues/mail").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_cancelled_deleted_purged_and_replaced_wherever_it_waits() {
    let house = House::open().await;
    let key = |key: &str| json!({"unique_key": key});
    let [gone, cancelled, purged] = [
        house.parked(&key("a")).await,
        house.parked(&key("b")).await,
        house.parked(&key("c")).await,
    ];
    let replaced = house.parked(&key("d")).await;
    let deleted = answer(house.http.request("DELETE", &format!("/jobs/{gone}"))).await;
    assert_eq!((deleted.status, house.http.get_job(&gone).await.status), (204, 404));
    let cancel = house.http.post(&format!("/jobs/{cancelled}/cancel"), &json!({})).await;
    assert_eq!(cancel.status, 200, "{cancel:?}");
    assert_eq!(house.end(&cancelled).await, ended("cancelled", "cancelled"));
    let content = json!({"payload": 2, "queue": "mail", "unique_key": "d",
        "on_conflict": "replace", "delay_seconds": 3600});
    let answered = house.http.post("/jobs", &content).await.body;
    assert_eq!((&answered["outcome"], &answered["job_id"]), (&json!("replaced"), &json!(replaced)));
    assert_eq!(
        (house.count("keyed", &replaced).await, house.count("ready", &replaced).await),
        (0, 1)
    );
    let job = house.http.get_job(&replaced).await.body;
    assert_eq!((&job["payload"], &job["status"]), (&json!(2), &json!("scheduled")));
    let purge = "/queues/mail/purge?delay_seconds=0";
    assert_eq!(answer(house.http.request("POST", purge)).await.body["matched"], 2);
    eventually("both are purged", SOON, async || {
        [house.end(&purged).await, house.end(&replaced).await]
            .iter()
            .all(|end| *end == ended("cancelled", "purged"))
    })
    .await;
    let keys = "select count(*) from reveille.unique_key";
    assert_eq!(value::<i64>(&house.client, keys).await, 0);
    assert_one_place(&house.client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_out_of_time_wherever_it_waits() {
    let house = House::open().await;
    let own = house.parked(&json!({"queue_ttl_seconds": 0.5})).await;
    eventually("its own time is over", SOON, async || {
        house.end(&own).await == ended("failed", "expired")
    })
    .await;
    let of_queue = house.parked(&json!({})).await;
    let limit = json!({"deadline_seconds": 0.5, "timeout_seconds": 0.5});
    let put = house.http.request("PUT", "/queues/mail").json(&limit);
    assert_eq!(answer(put).await.status, 200);
    eventually("the time of its queue is over", SOON, async || {
        house.end(&of_queue).await == ended("failed", "deadline_exceeded")
    })
    .await;
    assert_one_place(&house.client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_is_kept_while_a_job_of_it_waits_anywhere() {
    let database = harness::database().await;
    database.holds_rows_without_jobs();
    let client = database.client().await;
    crate::retention::old_week(&client, "60 days").await;
    let expired = "select count(*) from reveille.partition_expired(now(), now())";
    assert_eq!(value::<i64>(&client, expired).await, 1);
    let wait = "insert into reveille.keyed (queue, key, run_at, id, task, priority, look)
        select 'mail', 'k', now(), reveille.uuid7_floor(now() - interval '60 days'), 'echo', 5, 0";
    client.batch_execute(wait).await.unwrap();
    assert_eq!(value::<i64>(&client, expired).await, 0);
}

/// Nobody waits for the gate of a key: whoever takes a job out of a place notes its key.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_a_job_with_a_key_out_of_a_place_notes_its_key() {
    let house = House::open().await;
    let [turn, waits, plain] = [
        house.http.post("/jobs", &json!({"payload": 1, "queue": "mail"})).await,
        house.http.post("/jobs", &json!({"payload": 2, "queue": "mail"})).await,
        house.http.post("/jobs", &json!({"payload": 3, "queue": "mail"})).await,
    ]
    .map(|written| written.body["job_id"].as_str().unwrap().to_owned());
    let keyed = format!(
        "update reveille.job set settings = '{{\"concurrency_key\": \"k\"}}' where id in ('{turn}', '{waits}');
         with r as (delete from reveille.ready where id = '{waits}' returning *)
         insert into reveille.keyed (queue, key, run_at, id, task, priority, look)
         select queue, 'k', run_at, id, task, priority, 0 from r;
         insert into reveille.gate (queue, key, holders) values ('mail', 'k', array['{turn}'::uuid])"
    );
    house.client.batch_execute(&keyed).await.unwrap();
    let mut holding = house.database.client().await;
    let open = holding.transaction().await.unwrap();
    open.batch_execute("select from reveille.gate for update").await.unwrap();
    for (id, noted) in [(&plain, 0), (&waits, 1), (&turn, 2)] {
        let cancel = house.http.post(&format!("/jobs/{id}/cancel"), &json!({})).await;
        assert_eq!(cancel.status, 200, "{cancel:?}");
        let freed = "select count(*) from reveille.freed where (queue, key) = ('mail', 'k')";
        assert_eq!(value::<i64>(&house.client, freed).await, noted);
    }
}
