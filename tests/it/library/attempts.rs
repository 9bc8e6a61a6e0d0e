//! What an attempt knows, and how its error decides about its job.

use std::time::Duration;

use reveille::{Backoff, Context, Handler, JobId, Json, JsonSchema, NewJob, OnConflict, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{SOON, count, ended, on};
use crate::harness::http::Http;
use crate::harness::look::value;
use crate::harness::{self, eventually, within};

/// Says what it knows of its job, and submits another.
struct Knows;

impl Handler for Knows {
    const NAME: &'static str = "knows";
    type Payload = Json;
    type Output = Value;

    async fn run(&self, context: Context, _: Json) -> Result<Value, TaskError> {
        let key = context.job_id().to_string();
        let child = NewJob::new("echo", &context.attempt()).unique(key, OnConflict::Keep);
        let written = context.client().submit(child).await?;
        if !context.is_last_attempt() {
            return Err(TaskError::retry("once more").retry_after(Duration::ZERO));
        }
        let left = context.time_left();
        let read = context.client().get(context.job_id()).await?;
        Ok(json!({
            "child": written.job_id,
            "queue": context.queue(),
            "task": context.task(),
            "tags": context.tags().await?,
            "priority": context.priority(),
            "attempt": context.attempt(),
            "max_attempts": context.max_attempts(),
            "has_its_time": left > Duration::from_secs(5) && left <= Duration::from_secs(7),
            "sees_itself": read.is_some_and(|job| job.attempt_count == 2),
        }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_knows_its_job_and_submits_others_of_which_a_key_keeps_the_first() {
    let database = harness::database().await;
    let service = on(&database).queues(["knowing"]).task(Knows).start().await.unwrap();
    let job = NewJob::new(Knows::NAME, &())
        .queue("knowing")
        .priority(3)
        .tag("first")
        .tag("second")
        .max_attempts(2)
        .timeout(Duration::from_secs(7));
    let id = service.submit(job).await.unwrap().job_id;
    let job = ended(&service, id).await;
    assert_eq!(job["status"], "completed", "{job}");
    let child = job["result"]["child"].clone();
    let expected = json!({
        "child": child,
        "queue": "knowing",
        "task": "knows",
        "tags": ["first", "second"],
        "priority": 3,
        "attempt": 2,
        "max_attempts": 2,
        "has_its_time": true,
        "sees_itself": true,
    });
    assert_eq!(job["result"], expected);
    assert_eq!(count(&database, "job").await, 2, "the second attempt found the key held");
    let child = child.as_str().unwrap();
    let payload = format!("select payload from reveille.job where id = '{child}'");
    assert_eq!(value::<Value>(&database.client().await, &payload).await, 1);
    within("it leaves", SOON, service.shutdown()).await;
}

/// Fails as its payload says, until an attempt that succeeds.
struct Fails;

#[derive(Serialize, Deserialize, JsonSchema)]
struct Failing {
    attempts: u32,
    seconds: f64,
}

impl Handler for Fails {
    const NAME: &'static str = "fails";
    type Payload = Failing;
    type Output = u32;

    /// Longer than any test.
    fn backoff(&self) -> Backoff {
        Backoff { base: Duration::from_secs(86_400), ..Backoff::default() }
    }

    async fn run(&self, context: Context, failing: Failing) -> Result<u32, TaskError> {
        if context.attempt() > failing.attempts {
            return Ok(context.attempt());
        }
        let delay = Duration::from_secs_f64(failing.seconds);
        let cause = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = anyhow::Error::from(cause).context("the mirror is away");
        Err(TaskError::from(error).with_code("mirror_away").retry_after(delay))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_of_the_handler_replaces_the_back_off_and_spends_the_attempt() {
    let database = harness::database().await;
    let service = on(&database).task(Fails).start().await.unwrap();
    let job = |attempts, seconds| NewJob::of::<Fails>(Failing { attempts, seconds });
    let quick = service.submit(job(2, 0.05)).await.unwrap().job_id;
    let quick = within("no back-off of a day", SOON, ended(&service, quick)).await;
    assert_eq!((&quick["status"], &quick["result"]), (&json!("completed"), &json!(3)));

    let spent = service.submit(job(9, 0.05).max_attempts(2)).await.unwrap().job_id;
    let spent = ended(&service, spent).await;
    let message = "the mirror is away: connection refused";
    let error = json!({"code": "mirror_away", "message": message});
    assert_eq!((&spent["status"], &spent["error"]), (&json!("failed"), &error));
    assert_eq!(spent["attempt_count"], 2);

    let hour = service.submit(job(1, 3600.0)).await.unwrap().job_id;
    let http = Http::new(&format!("http://{}", service.address().unwrap()));
    let job_of = async |id: JobId| http.get_job(&id.to_string()).await.body;
    let waits = async |id| job_of(id).await["status"] == "scheduled";
    eventually("it waits again", SOON, async || waits(hour).await).await;
    let left = format!(
        "select extract(epoch from run_at - now())::float8 from reveille.ready where id = '{hour}'"
    );
    let left: f64 = value(&database.client().await, &left).await;
    assert!((3500.0..=3600.0).contains(&left), "{left} s");
    assert_eq!(job_of(hour).await["error"], error);

    let ages = service.submit(job(1, 1e15)).await.unwrap().job_id;
    eventually("so does this", SOON, async || waits(ages).await).await;
    within("it leaves", SOON, service.shutdown()).await;
}
