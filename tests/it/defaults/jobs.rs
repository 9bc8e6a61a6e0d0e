//! The settings of a queue in force for its jobs.

use std::time::Duration;

use reveille::{Client, Context, Handler, Json, NewJob, OnConflict, Reveille, TaskError};
use serde_json::{Value, json};

use super::{AT_ONCE, SOON, call, gives_priority, put, slow_poll};
use crate::harness::http::Http;
use crate::harness::look::{becomes, submit, value};
use crate::harness::{self, TestDatabase, eventually};

async fn priority_of(client: &tokio_postgres::Client, id: &str) -> i16 {
    let job = format!("select priority from reveille.job where id = '{id}'");
    let ready = format!("select priority from reveille.ready where id = '{id}'");
    let both: (i16, i16) = (value(client, &job).await, value(client, &ready).await);
    assert_eq!(both.0, both.1, "where it waits");
    both.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_a_priority_gets_that_of_its_queue_by_every_door() {
    let database = harness::database().await;
    let service = slow_poll(&database).env("REVEILLE_WORKERS", "0").start().await;
    let (http, client) = (service.http(), database.client().await);
    let library = Client::connect(database.url()).await.unwrap();
    put(&http, "mail", &json!({"priority": 2})).await;
    gives_priority(&http, "mail", 2, Duration::ZERO).await;
    let asked = || json!({"payload": 1, "queue": "mail"});
    let with = |name: &str, value: Value| {
        let mut job = asked();
        job[name] = value;
        job
    };
    let mut ids = Vec::new();
    for job in [asked(), with("tags", json!(["a"])), with("unique_key", json!("http"))] {
        ids.push(http.post_job(&job).await.body["job_id"].as_str().unwrap().to_owned());
    }
    let other = json!({"payload": 1, "queue": "other"});
    let batch = json!([asked(), other, with("unique_key", json!("batch"))]);
    let batch = http.post("/jobs/batch", &batch).await.body["jobs"].clone();
    let of_batch = |nth: usize| batch[nth]["job_id"].as_str().unwrap().to_owned();
    assert_eq!(priority_of(&client, &of_batch(1)).await, 5, "another queue has the built-in one");
    ids.extend([of_batch(0), of_batch(2)]);
    let null = with("priority", Value::Null);
    ids.push(http.post_job(&null).await.body["job_id"].as_str().unwrap().to_owned());

    let repeatable = http.request("POST", "/jobs").header("Idempotency-Key", "once");
    let repeatable = harness::http::answer(repeatable.json(&asked())).await.body;
    ids.push(repeatable["job_id"].as_str().unwrap().to_owned());

    ids.push(submit(&client, "payload => '1', queue => 'mail'").await);
    ids.push(submit(&client, "payload => '1', queue => 'mail', unique_key => 'sql'").await);
    let many =
        r#"select job_id::text from reveille.submit_many('[{"payload": 1, "queue": "mail"}]')"#;
    ids.push(value(&client, many).await);

    let job = || NewJob::new("echo", &1).queue("mail");
    eventually("the library knows it", 2 * AT_ONCE, async || {
        let id = library.submit(job()).await.unwrap().job_id.to_string();
        priority_of(&client, &id).await == 2
    })
    .await;
    let keyed = job().unique("library", OnConflict::Keep);
    for written in library.submit_many([job(), keyed]).await.unwrap() {
        ids.push(written.job_id.to_string());
    }
    let mut session = database.client().await;
    let transaction = session.transaction().await.unwrap();
    ids.push(reveille::submit_in(&transaction, job()).await.unwrap().job_id.to_string());
    transaction.commit().await.unwrap();
    for (nth, id) in ids.iter().enumerate() {
        assert_eq!(priority_of(&client, id).await, 2, "the {nth}th");
    }

    // Its own wins, the built-in number too.
    let own = http.post_job(&with("priority", json!(5))).await.body["job_id"].clone();
    assert_eq!(priority_of(&client, own.as_str().unwrap()).await, 5);
    let own = submit(&client, "payload => '1', queue => 'mail', priority => 0").await;
    assert_eq!(priority_of(&client, &own).await, 0);
    // It is part of the job from then on.
    call(&http, "DELETE", "mail", None, None).await;
    assert_eq!(priority_of(&client, &ids[0]).await, 2);
    let later = submit(&client, "payload => '1', queue => 'mail'").await;
    assert_eq!(priority_of(&client, &later).await, 5);
}

/// Fails. Its own back-off is of nine seconds, and it may be tried four times.
struct Fail;

impl Handler for Fail {
    const NAME: &'static str = "fail";
    type Payload = Json;
    type Output = ();

    fn backoff(&self) -> reveille::Backoff {
        let base = Duration::from_secs(9);
        reveille::Backoff { base, jitter: 0.0, ..reveille::Backoff::default() }
    }

    fn max_attempts(&self) -> u32 {
        4
    }

    async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
        Err("it always fails".into())
    }
}

async fn failing(database: &TestDatabase, workers: usize) -> (Reveille, Http) {
    let builder = Reveille::builder().database_url(database.url()).workers(workers);
    let service = builder.listen(([127, 0, 0, 1], 0)).task(Fail).start().await.unwrap();
    let http = Http::new(&format!("http://{}", service.address().unwrap()));
    (service, http)
}

/// How long the job waits after its first attempt, in seconds.
async fn wait_of(http: &Http, job: &str) -> f64 {
    eventually("it failed once", SOON, async || {
        http.get_job(job).await.body["attempt_count"] == 1
            && http.get_job(job).await.body["status"] == "scheduled"
    })
    .await;
    let run_at = http.get_job(job).await.body["run_at"].clone();
    let attempts = http.get(&format!("/jobs/{job}/attempts")).await.body;
    let ended = attempts["data"][0]["finished_at"].clone();
    let time = |it: &Value| it.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    (time(&run_at) - time(&ended)).as_seconds_f64()
}

/// The one that steers runs nothing, and the one that runs is told by it.
#[tokio::test(flavor = "multi_thread")]
async fn life_1c7_the_retry_of_a_queue_counts_when_the_job_fails() {
    let database = harness::database().await;
    let (works, on_it) = failing(&database, 4).await;
    let (steers, http) = failing(&database, 0).await;
    let fixed = |seconds: i64| json!({"retry": {"strategy": "fixed", "base_seconds": seconds, "jitter": 0}});
    let job = async |body: Value| {
        let mut job = json!({"task": "fail", "payload": 1, "queue": "mail"});
        job.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        http.post_job(&job).await.body["job_id"].as_str().unwrap().to_owned()
    };
    let near = |wait: f64, expected: f64| {
        assert!((wait - expected).abs() < 0.2, "{wait} instead of {expected}");
    };
    let of_task = job(json!({})).await;
    near(wait_of(&http, &of_task).await, 9.0);
    // The instance that runs is asked, so that it knows when the answer is there.
    put(&on_it, "mail", &fixed(100)).await;
    let of_queue = job(json!({})).await;
    near(wait_of(&http, &of_queue).await, 100.0);
    let own = json!({"retry": {"strategy": "fixed", "base_seconds": 50, "jitter": 0}});
    near(wait_of(&http, &job(own).await).await, 50.0);
    // Changed on the other instance, between submission and failure.
    let before = job(json!({"delay_seconds": 1.5})).await;
    put(&http, "mail", &fixed(200)).await;
    near(wait_of(&http, &before).await, 200.0);
    // The object counts as a whole: its other members are built in, and not those of the task.
    put(&on_it, "mail", &json!({"retry": {"jitter": 0}})).await;
    near(wait_of(&http, &job(json!({})).await).await, 5.0);
    call(&on_it, "DELETE", "mail", None, None).await;
    near(wait_of(&http, &job(json!({})).await).await, 9.0);
    works.shutdown().await;
    steers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_and_time_of_a_job_that_does_not_say_are_those_of_its_queue() {
    let database = harness::database().await;
    let (works, http) = failing(&database, 4).await;
    let retry = json!({"strategy": "fixed", "base_seconds": 0});
    let settings = json!({"max_attempts": 2, "timeout_seconds": 0.2, "retry": retry});
    put(&http, "mail", &settings).await;
    let job = http.post_job(&json!({"task": "fail", "payload": 1, "queue": "mail"})).await.body;
    let ended = http.get(&format!("/jobs/{}?wait=10", job["job_id"].as_str().unwrap())).await.body;
    let of_queue = [&ended["status"], &ended["attempt_count"], &ended["max_attempts"]];
    assert_eq!(of_queue, [&json!("failed"), &json!(2), &json!(2)]);
    assert_eq!(ended["timeout_seconds"], 0.2);
    let own = json!({"task": "fail", "payload": 1, "queue": "mail", "max_attempts": 1});
    let own = http.post_job(&own).await.body;
    let ended = http.get(&format!("/jobs/{}?wait=10", own["job_id"].as_str().unwrap())).await.body;
    assert_eq!(ended["attempt_count"], 1);

    let slow =
        json!({"task": "sleep", "payload": {"seconds": 30}, "queue": "mail", "max_attempts": 1});
    let slow = http.post_job(&slow).await.body;
    let ended = http.get(&format!("/jobs/{}?wait=10", slow["job_id"].as_str().unwrap())).await.body;
    assert_eq!(ended["error"]["code"], "timed_out", "{ended}");
    let longer = json!({"task": "sleep", "payload": {"seconds": 0.5}, "queue": "mail", "timeout_seconds": 20});
    let longer = http.post_job(&longer).await.body;
    let ended =
        http.get(&format!("/jobs/{}?wait=10", longer["job_id"].as_str().unwrap())).await.body;
    assert_eq!(ended["status"], "completed", "{ended}");
    // A job that nobody can read is tried as often.
    let client = database.client().await;
    let job =
        submit(&client, "task => 'fail', payload => '1', queue => 'mail', delay_seconds => 1")
            .await;
    let damage = format!(
        "alter table reveille.job alter payload drop not null;
         update reveille.job set payload = null where id = '{job}'"
    );
    client.batch_execute(&damage).await.unwrap();
    becomes(&client, &job, "failed", SOON).await;
    let attempts = format!("select attempt from reveille.outcome where id = '{job}'");
    assert_eq!(value::<i32>(&client, &attempts).await, 2);
    works.shutdown().await;
}
