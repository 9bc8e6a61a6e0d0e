//! Retries by the policy of the job: when its attempts come, and what is kept of their errors.

mod waits;

use std::time::Duration;

use reveille::{Context, Handler, JsonSchema, NewJob, Retry, Reveille, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::harness::http::Http;
use crate::harness::look::{becomes, submit, value};
use crate::harness::{self, Service, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(20);
/// By so much a wait may be longer than was asked for, on a machine that is busy.
const SLACK: f64 = 5.0;

/// Fails as its payload says. Its own back-off is the built-in one, which no test here waits for.
struct Fail;

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Failing {
    /// Attempts that fail.
    failures: u32,
    /// Bytes of each error.
    bytes: usize,
    /// What its errors ask for.
    retry_after: Option<f64>,
    /// How often it snoozes first.
    snoozes: u32,
}

impl Handler for Fail {
    const NAME: &'static str = "fail";
    type Payload = Failing;
    type Output = u32;

    async fn run(&self, context: Context, failing: Failing) -> Result<u32, TaskError> {
        let attempt = context.attempt();
        if failing.snoozes > 0 {
            let history = context.client().get(context.job_id()).await?;
            let created = history.map(|job| job.created_at).unwrap_or_default();
            // A snooze takes a second at least, and the job has no more than these.
            let age = (chrono::Utc::now() - created).num_milliseconds();
            if age < i64::from(failing.snoozes) * 1000 {
                return Err(TaskError::snooze(Duration::ZERO));
            }
        }
        if attempt > failing.failures {
            return Ok(attempt);
        }
        let letter = char::from(b'a' + u8::try_from(attempt % 26).unwrap_or_default());
        let error = TaskError::retry(letter.to_string().repeat(failing.bytes));
        Err(match failing.retry_after {
            Some(seconds) => error.retry_after(Duration::from_secs_f64(seconds)),
            None => error,
        })
    }
}

struct House {
    database: TestDatabase,
    service: Reveille,
    http: Http,
}

impl House {
    async fn open() -> Self {
        let database = harness::database().await;
        let service = Reveille::builder()
            .database_url(database.url())
            .listen(([127, 0, 0, 1], 0))
            .task(Fail)
            .start()
            .await
            .unwrap();
        let http = Http::new(&format!("http://{}", service.address().unwrap()));
        Self { database, service, http }
    }

    /// Submits a job that fails, and waits for its end.
    async fn ended(&self, failing: Failing, retry: Retry, attempts: u32) -> Value {
        let job = NewJob::of::<Fail>(failing).retry(retry).max_attempts(attempts);
        let id = self.service.submit(job).await.unwrap().job_id;
        let path = format!("/jobs/{id}?wait=30");
        let mut job = self.http.get(&path).await.body;
        if harness::full_figures() && job["finished_at"].is_null() {
            job = self.http.get(&path).await.body;
        }
        assert!(job["finished_at"].is_string(), "{job}");
        job
    }

    /// Between the end of each attempt and the start of the next, in seconds.
    async fn waits(&self, job: &Value) -> Vec<f64> {
        let path = format!("/jobs/{}/attempts", job["job_id"].as_str().unwrap());
        let attempts = self.http.get(&path).await.body["data"].as_array().unwrap().clone();
        let at = |attempt: &Value, name: &str| {
            let time = attempt[name].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>();
            time.unwrap()
        };
        let wait = |pair: &[Value]| at(&pair[1], "started_at") - at(&pair[0], "finished_at");
        let seconds = |pair| wait(pair).num_microseconds().unwrap() as f64 / 1e6;
        attempts.windows(2).map(seconds).collect()
    }
}

fn failures(failures: u32) -> Failing {
    Failing { failures, ..Failing::default() }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// No wait is shorter than was asked for, or much longer.
fn assert_waits(waits: &[f64], expected: &[f64]) {
    assert_eq!(waits.len(), expected.len(), "{waits:?}");
    for (wait, expected) in waits.iter().zip(expected) {
        let most = harness::scaled(expected * SLACK + 0.5, expected + 1.0);
        assert!((*expected..=most).contains(wait), "{waits:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn life_1c6_snoozes_do_not_count_as_attempts() {
    let house = House::open().await;
    let asked = Failing { snoozes: 3, ..Failing::default() };
    let job = house.ended(asked, Retry::fixed(millis(50)), 1).await;
    assert_eq!((&job["status"], &job["attempt_count"]), (&json!("completed"), &json!(1)), "{job}");
    let snoozed = house.waits(&job).await;
    assert!(snoozed.len() >= 3 && snoozed.iter().all(|wait| *wait >= 1.0), "{snoozed:?}");
}

/// A worker is killed twice while it holds the job, which then fails once. From the second crash on
/// it is a suspect.
#[tokio::test(flavor = "multi_thread")]
async fn life_1c6_crashes_do_not_count_as_attempts_and_the_policy_outlives_them() {
    let database = harness::database().await;
    let client = database.client().await;
    let on = || Service::on(database.url()).brisk("0.7");
    let observer = on().env("REVEILLE_WORKERS", "0").start().await;
    let sleep = "task => 'sleep', payload => '{\"seconds\": 600}',
        settings => '{\"retry\": {\"strategy\": \"fixed\", \"base_seconds\": 2, \"jitter\": 0}}'";
    let id = submit(&client, sleep).await;
    for crashes in 1..=2_i64 {
        let mut victim = on().start().await;
        becomes(&client, &id, "processing", SOON).await;
        victim.kill9().await;
        let lost = format!("select crashes::bigint from reveille.jobs where job_id = '{id}'");
        eventually("it is taken back", SOON, async || {
            value::<i64>(&client, &lost).await == crashes
        })
        .await;
    }
    let other = "update reveille.job set task = 'flaky', payload = '{\"failures\": 1}';
        update reveille.ready set task = 'flaky'";
    client.batch_execute(other).await.unwrap();
    let last = on().start().await;
    let job = observer.http().get(&format!("/jobs/{id}?wait=30")).await.body;
    assert_eq!((&job["status"], &job["attempt_count"]), (&json!("completed"), &json!(2)), "{job}");
    let path = format!("/jobs/{id}/attempts");
    let attempts = observer.http().get(&path).await.body["data"].as_array().unwrap().clone();
    let ends: Vec<&Value> = attempts.iter().map(|attempt| &attempt["outcome"]).collect();
    assert_eq!(ends, ["lost", "lost", "failed", "completed"]);
    let wait = format!(
        "select extract(epoch from o.claimed_at - a.ended_at)::float8 from reveille.outcome o
         join reveille.attempt a on a.id = o.id and a.ending = 'failed' where o.id = '{id}'"
    );
    assert_waits(&[value(&client, &wait).await], &[2.0]);
    drop(last);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_1c9_of_many_long_errors_the_first_and_the_last_are_whole() {
    const ATTEMPTS: u32 = 12;
    let house = House::open().await;
    let long = Failing { failures: ATTEMPTS, bytes: 20 << 10, ..Failing::default() };
    let job = house.ended(long, Retry::fixed(Duration::ZERO), ATTEMPTS).await;
    let id = job["job_id"].as_str().unwrap().to_owned();
    assert_eq!(job["attempt_count"], ATTEMPTS, "{job}");
    let client = house.database.client().await;
    let bytes = format!(
        "select sum(octet_length(error ->> 'message')) from (
           select error from reveille.attempt where id = '{id}'
           union all select error from reveille.outcome where id = '{id}') kept"
    );
    eventually("the errors are cut", SOON, async || {
        value::<i64>(&client, &bytes).await <= 64 << 10
    })
    .await;
    let path = format!("/jobs/{id}/attempts");
    let attempts = house.http.get(&path).await.body["data"].as_array().unwrap().clone();
    let lengths: Vec<usize> = attempts
        .iter()
        .map(|attempt| attempt["error"]["message"].as_str().unwrap().len())
        .collect();
    assert_eq!(lengths.len(), ATTEMPTS as usize);
    // Whole is what an error may have.
    let whole = |length: usize| (8000..=8192).contains(&length);
    assert!(whole(lengths[0]) && whole(lengths[11]), "{lengths:?}");
    assert!(lengths[1..4].iter().all(|length| *length <= 24), "{lengths:?}");
    let letter = |nth: usize| attempts[nth]["error"]["message"].as_str().unwrap().chars().next();
    assert_eq!((letter(0), letter(11)), (Some('b'), Some('m')));
}

/// A job of which so many snoozes are counted already.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_snoozes_a_thousand_times_and_no_more_until_it_is_sent_back() {
    let house = House::open().await;
    let client = house.database.client().await;
    let asked = Failing { snoozes: 4, ..Failing::default() };
    let job = NewJob::of::<Fail>(asked).delay(millis(1000));
    let id = house.service.submit(job).await.unwrap().job_id.to_string();
    let before = format!(
        "insert into reveille.attempt (id, lease, claimed_at, attempt, ending, error)
         values ('{id}', gen_random_uuid(), now(), 1, 'snoozed',
           '{{\"code\": \"snoozed\", \"count\": 999, \"message\": \"999 times\"}}')"
    );
    client.batch_execute(&before).await.unwrap();
    let job = house.http.get(&format!("/jobs/{id}?wait=30")).await.body;
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("failed"), &json!("snooze_limit")));
    assert_eq!(job["attempt_count"], 1, "{job}");
    let message = job["error"]["message"].as_str().unwrap();
    assert!(message.contains("1000 times") && message.contains("retry it"), "{message}");
    let snoozes = "select count(*) from reveille.attempt where ending = 'snoozed'";
    assert_eq!(value::<i64>(&client, snoozes).await, 2, "the thousandth was taken");

    let retried = house.http.post(&format!("/jobs/{id}/retry"), &json!({})).await;
    assert_eq!(retried.status, 200, "{retried:?}");
    let total = format!("select total from reveille.snoozes(array['{id}']::uuid[]) where nth = 1");
    assert!(value::<i64>(&client, &total).await <= 1, "those before count no more");
    let job = house.http.get(&format!("/jobs/{id}?wait=30")).await.body;
    assert_eq!(job["status"], "completed", "{job}");
    assert!(value::<i64>(&client, &total).await >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_1c9_errors_of_several_lives_are_bounded_together() {
    let house = House::open().await;
    let client = house.database.client().await;
    let long = |attempts| Failing { failures: attempts, bytes: 20 << 10, ..Failing::default() };
    // Lives of seven attempts, and lives of one.
    for (attempts, lives) in [(7, 3), (1, 12)] {
        let mut job = house.ended(long(attempts), Retry::fixed(Duration::ZERO), attempts).await;
        let id = job["job_id"].as_str().unwrap().to_owned();
        for _ in 1..lives {
            let retried = house.http.post(&format!("/jobs/{id}/retry"), &json!({})).await;
            assert_eq!(retried.status, 200, "{retried:?}");
            job = house.http.get(&format!("/jobs/{id}?wait=30")).await.body;
            assert_eq!(
                (&job["status"], &job["attempt_count"]),
                (&json!("failed"), &json!(attempts))
            );
        }
        let bytes = format!(
            "select sum(octet_length(error ->> 'message')) from (
               select error from reveille.attempt where id = '{id}'
               union all select error from reveille.outcome where id = '{id}') kept"
        );
        eventually("the errors are cut", SOON, async || {
            value::<i64>(&client, &bytes).await <= 64 << 10
        })
        .await;
        let path = format!("/jobs/{id}/attempts");
        let all = house.http.get(&path).await.body["data"].as_array().unwrap().clone();
        let length = |attempt: &Value| attempt["error"]["message"].as_str().unwrap().len();
        assert_eq!(all.len(), (attempts * lives) as usize);
        for whole in [&all[0], &all[all.len() - 1]] {
            assert!((8000..=8192).contains(&length(whole)), "{whole}");
        }
    }
}
