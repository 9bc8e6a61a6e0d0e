//! Time limits of jobs: what ends them, when, and what is said of it.

mod leader;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reveille::{Context, Handler, JsonSchema, NewJob, OnConflict, Retry, Reveille, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::harness::http::Http;
use crate::harness::look::{assert_one_place, becomes, submit, value};
use crate::harness::{self, Service, TestDatabase, eventually, scaled};

const SOON: Duration = Duration::from_secs(20);

/// Works for a while, and stops when it is told to.
struct Work(Arc<Mutex<Vec<Told>>>);

/// The seconds that an attempt was told: its own, and those of the job.
struct Told {
    /// When it began.
    at: Instant,
    attempt: f64,
    job: Option<f64>,
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Shift {
    seconds: f64,
    /// Whether it goes on when it is told to stop.
    deaf: bool,
    /// Attempts that fail.
    failures: u32,
    retry_after: Option<f64>,
    snooze: Option<f64>,
}

impl Handler for Work {
    const NAME: &'static str = "work";
    type Payload = Shift;
    type Output = ();

    async fn run(&self, context: Context, shift: Shift) -> Result<(), TaskError> {
        let job = context.job_time_left().map(|left| left.as_secs_f64());
        let (at, attempt) = (Instant::now(), context.time_left().as_secs_f64());
        self.0.lock().unwrap().push(Told { at, attempt, job });
        if let Some(seconds) = shift.snooze {
            return Err(TaskError::snooze(Duration::from_secs_f64(seconds)));
        }
        if context.attempt() <= shift.failures {
            let error = TaskError::retry("it broke");
            return Err(match shift.retry_after {
                Some(seconds) => error.retry_after(Duration::from_secs_f64(seconds)),
                None => error,
            });
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(shift.seconds)) => Ok(()),
            () = context.cancelled(), if !shift.deaf => Err("it was stopped".into()),
        }
    }
}

struct House {
    database: TestDatabase,
    service: Reveille,
    http: Http,
    told: Arc<Mutex<Vec<Told>>>,
}

impl House {
    async fn open(workers: usize) -> Self {
        let database = harness::database().await;
        let told = Arc::default();
        let service = Reveille::builder()
            .database_url(database.url())
            .listen(([127, 0, 0, 1], 0))
            .workers(workers)
            .task(Work(Arc::clone(&told)))
            .start()
            .await
            .unwrap();
        let http = Http::new(&format!("http://{}", service.address().unwrap()));
        Self { database, service, http, told }
    }

    async fn submit(&self, job: NewJob) -> String {
        self.service.submit(job).await.unwrap().job_id.to_string()
    }

    /// The job once it has ended. A caller that waits for it is told.
    async fn end(&self, id: &str) -> Value {
        let asked = Instant::now();
        let job = self.http.get(&format!("/jobs/{id}?wait=30")).await.body;
        assert!(job["finished_at"].is_string() && asked.elapsed() < SOON, "{job}");
        job
    }

    async fn attempts(&self, id: &str) -> Vec<Value> {
        let answer = self.http.get(&format!("/jobs/{id}/attempts")).await.body;
        answer["data"].as_array().unwrap().clone()
    }

    async fn pause(&self, queue: &str) {
        let paused = self.http.post(&format!("/queues/{queue}/pause"), &json!({})).await;
        assert_eq!(paused.status, 200, "{paused:?}");
    }

    async fn resume(&self, queue: &str) {
        self.http.post(&format!("/queues/{queue}/resume"), &json!({})).await;
    }

    /// How long after the first attempt the second one began.
    fn second_began(&self) -> f64 {
        let told = self.told.lock().unwrap();
        (told[1].at - told[0].at).as_secs_f64()
    }

    fn runs(&self) -> usize {
        self.told.lock().unwrap().len()
    }

    async fn limits(&self) -> i64 {
        value(&self.database.client().await, "select count(*) from reveille.expiry").await
    }
}

fn work(shift: Shift) -> NewJob {
    NewJob::of::<Work>(shift)
}

fn shift(seconds: f64) -> NewJob {
    work(Shift { seconds, ..Shift::default() })
}

/// By so much later a machine that is busy may notice that a time is over.
fn slack() -> f64 {
    scaled(4.0, 0.5)
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn time(job: &Value, name: &str) -> chrono::DateTime<chrono::Utc> {
    job[name].as_str().unwrap_or_else(|| panic!("{name} of {job}")).parse().unwrap()
}

/// How long after its submission a job ended.
fn age(job: &Value) -> f64 {
    // Its id has the milliseconds of its submission, by the service's idea of the database's time.
    (time(job, "finished_at") - time(job, "created_at")).as_seconds_f64() + 0.01
}

/// It ended with this code, not before its time and soon after.
fn assert_ended(job: &Value, code: &str, after: f64) {
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("failed"), &json!(code)), "{job}");
    assert!((after..after + slack()).contains(&age(job)), "after {} s: {job}", age(job));
}

#[tokio::test(flavor = "multi_thread")]
async fn life_2c1_a_handler_that_obeys_frees_its_slot_at_the_time_out() {
    let house = House::open(1).await;
    let long = shift(60.0).timeout(seconds(0.5)).max_attempts(1);
    let long = house.submit(long).await;
    let next = house.submit(shift(0.0).deadline(seconds(3600.0))).await;
    let (long, next) = (house.end(&long).await, house.end(&next).await);
    assert_eq!(long["error"]["code"], "timed_out", "{long}");
    assert_eq!(long["error"]["message"], "the attempt took longer than its 0.5 s");
    let ran = (time(&long, "finished_at") - time(&long, "started_at")).as_seconds_f64();
    assert!((0.5..0.5 + slack()).contains(&ran), "{ran}");
    assert_eq!(next["status"], "completed");
    let began = house.second_began();
    assert!((0.45..ran + scaled(2.0, 0.2)).contains(&began), "{began} beside {ran}");
    eventually("its deadline is forgotten", SOON, async || house.limits().await == 0).await;
}

/// It is told to stop, and is dropped a second after that.
#[tokio::test(flavor = "multi_thread")]
async fn life_2c1_the_slot_of_a_handler_that_does_not_obey_is_free_a_second_after_the_time_out() {
    let house = House::open(1).await;
    let deaf = work(Shift { seconds: 60.0, deaf: true, ..Shift::default() });
    let deaf = house.submit(deaf.timeout(seconds(0.5)).max_attempts(1)).await;
    let next = house.submit(shift(0.0)).await;
    let (deaf, next) = (house.end(&deaf).await, house.end(&next).await);
    assert_eq!((&deaf["error"]["code"], &deaf["attempt_count"]), (&json!("timed_out"), &json!(1)));
    assert_eq!(next["status"], "completed");
    let began = house.second_began();
    assert!((1.45..1.5 + scaled(6.0, 0.2)).contains(&began), "{began}");
}

/// The grace lasts beyond the deadline; the timeout was over first.
#[tokio::test(flavor = "multi_thread")]
async fn life_2c1_a_handler_that_does_not_obey_is_dropped_a_second_later() {
    let house = House::open(1).await;
    let deaf = work(Shift { seconds: 60.0, deaf: true, ..Shift::default() });
    let retry = Retry::fixed(Duration::ZERO);
    let deaf = deaf.timeout(seconds(0.5)).deadline(seconds(1.2)).retry(retry);
    let deaf = house.submit(deaf).await;
    let next = house.submit(shift(0.0)).await;
    let (deaf, next) = (house.end(&deaf).await, house.end(&next).await);
    assert_ended(&deaf, "deadline_exceeded", 1.5);
    let message = deaf["error"]["message"].as_str().unwrap();
    assert!(message.ends_with("(timed_out: the attempt took longer than its 0.5 s)"), "{message}");
    assert_eq!(next["status"], "completed");
    assert!(age(&next) >= 1.3, "{next}");
}

#[tokio::test(flavor = "multi_thread")]
async fn life_2c2_the_deadline_cuts_the_last_attempt_and_is_named() {
    let house = House::open(4).await;
    let retry = Retry::fixed(Duration::ZERO);
    let job = shift(60.0).timeout(seconds(2.0)).deadline(seconds(3.0)).retry(retry);
    let id = house.submit(job).await;
    let job = house.end(&id).await;
    assert_ended(&job, "deadline_exceeded", 3.0);
    assert_eq!(
        job["error"]["message"], "the job did not end within its deadline_seconds of 3",
        "{job}"
    );
    let attempts = house.attempts(&id).await;
    let codes: Vec<&Value> = attempts.iter().map(|attempt| &attempt["error"]["code"]).collect();
    assert_eq!(codes, ["timed_out", "deadline_exceeded"], "{attempts:?}");
    let told = std::mem::take(&mut *house.told.lock().unwrap());
    let [first, second] = &told[..] else { panic!("{} attempts", told.len()) };
    let job_of = |told: &Told| told.job.unwrap();
    assert!((1.9..=2.0).contains(&first.attempt) && (2.0..=3.0).contains(&job_of(first)));
    // LIFE 2c7: the handler is told the seconds that are left.
    assert!((0.0..=1.0).contains(&second.attempt) && (0.0..=1.0).contains(&job_of(second)));
    assert_eq!(job["deadline_seconds"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_2c3_a_retry_that_cannot_fit_fails_at_once() {
    let house = House::open(4).await;
    let failing = |retry_after| work(Shift { failures: 9, retry_after, ..Shift::default() });
    let late = Retry::fixed(seconds(100.0)).jitter(0.0);
    let by_policy = failing(None).retry(late).deadline(seconds(50.0));
    let by_handler = failing(Some(100.0)).deadline(seconds(50.0));
    for (job, wait) in [(by_policy, "100.0 s"), (by_handler, "100.0 s")] {
        let id = house.submit(job).await;
        let job = house.end(&id).await;
        assert_ended(&job, "deadline_exceeded", 0.0);
        let message = job["error"]["message"].as_str().unwrap();
        assert!(message.contains(wait), "{message}");
        assert!(message.ends_with("; the last one failed (handler_error: it broke)"), "{message}");
        assert_eq!((&job["attempt_count"], house.attempts(&id).await.len()), (&json!(1), 1));
    }
    // LIFE 1c5: no cap of the policy cuts what the handler asks for, only the deadline does.
    let fits = failing(Some(1.2)).retry(Retry::fixed(seconds(0.0)).max(seconds(0.0)));
    let id = house.submit(fits.deadline(seconds(2.0))).await;
    let job = house.end(&id).await;
    assert_ended(&job, "deadline_exceeded", 1.2);
    assert_eq!(job["attempt_count"], 2, "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn life_2c4_a_job_whose_ttl_is_over_ends_in_a_paused_queue_and_never_runs() {
    let house = House::open(4).await;
    house.pause("q").await;
    let job = || shift(0.0).queue("q").unique("k", OnConflict::Reject);
    let ttl = scaled(0.5, 1.0);
    let id = house.submit(job().queue_ttl(seconds(ttl))).await;
    let ended = house.end(&id).await;
    assert_ended(&ended, "expired", ttl);
    let message = format!("no attempt began within its queue_ttl_seconds of {ttl}");
    assert_eq!(ended["error"]["message"], message);
    assert_eq!((&ended["attempt_count"], house.attempts(&id).await), (&json!(0), Vec::new()));
    // By the other doors, and by a deadline; the key is free.
    let client = house.database.client().await;
    let arguments = "task => 'work', payload => '{}', queue => 'q', unique_key => 'k',
        settings => '{\"queue_ttl_seconds\": 0.5}'";
    let by_sql = submit(&client, arguments).await;
    let by_http = json!({"task": "work", "payload": {}, "queue": "q", "deadline_seconds": 0.5});
    let by_http = house.http.post_job(&by_http).await.body["job_id"].as_str().unwrap().to_owned();
    assert_ended(&house.end(&by_sql).await, "expired", 0.5);
    assert_ended(&house.end(&by_http).await, "deadline_exceeded", 0.5);
    let last = house.submit(job()).await;
    house.resume("q").await;
    assert_eq!(house.end(&last).await["status"], "completed");
    assert_eq!((house.runs(), house.limits().await), (1, 0));
    let metrics = house.http.request("GET", "/metrics").send().await.unwrap().text().await.unwrap();
    for code in ["expired", "deadline_exceeded"] {
        let counted = format!("reveille_jobs_out_of_time_total{{code=\"{code}\",queue=\"q\"}} ");
        assert!(metrics.contains(&counted), "{metrics}");
    }
    assert_one_place(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_2c5_the_ttl_ends_with_the_first_attempt_that_began() {
    let house = House::open(4).await;
    let failing = Shift { failures: 1, ..Shift::default() };
    let (ttl, wait) = scaled((1.0, 1.5), (2.0, 5.0));
    let retry = Retry::fixed(seconds(wait)).jitter(0.0);
    let id = house.submit(work(failing).queue_ttl(seconds(ttl)).retry(retry)).await;
    let snoozing = Shift { snooze: Some(1.2), ..Shift::default() };
    let snoozed = house.submit(work(snoozing).queue_ttl(seconds(1.0))).await;
    let job = house.end(&id).await;
    assert_eq!((&job["status"], &job["attempt_count"]), (&json!("completed"), &json!(2)), "{job}");
    assert!((wait..wait + slack()).contains(&age(&job)), "{job}");
    // A snooze gives its attempt back, which has begun all the same.
    eventually("it comes back", SOON, async || house.runs() >= 4).await;
    assert_ne!(house.http.get_job(&snoozed).await.body["status"], "failed");
}

/// A claim that did not begin does not count: one slot is busy, and the other job may be held for it.
#[tokio::test(flavor = "multi_thread")]
async fn life_2c5_a_job_that_is_held_for_a_slot_expires() {
    let house = House::open(1).await;
    let busy = house.submit(shift(1.5)).await;
    let client = house.database.client().await;
    becomes(&client, &busy, "processing", SOON).await;
    let held = house.submit(shift(0.0).queue_ttl(seconds(0.5))).await;
    let expired = house.end(&held).await;
    assert_ended(&expired, "expired", 0.5);
    assert_eq!((&expired["attempt_count"], house.attempts(&held).await), (&json!(0), Vec::new()));
    assert_eq!(house.end(&busy).await["status"], "completed");
    assert_eq!(house.runs(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_2c8_a_worker_that_stands_still_loses_its_job_and_one_outcome_counts() {
    let database = harness::database().await;
    let client = database.client().await;
    let mut first = Service::on(database.url()).brisk("0.7").start().await;
    let (naps, timeout, stands) = scaled((1.5, 3, 0), (5.0, 60, 20));
    let arguments = format!(
        "task => 'sleep', payload => '{{\"seconds\": {naps}}}', timeout_seconds => {timeout},
         settings => '{{\"deadline_seconds\": 60}}'"
    );
    let id = submit(&client, &arguments).await;
    becomes(&client, &id, "processing", SOON).await;
    first.signal(Signal::SIGSTOP);
    let stopped = Instant::now();
    let second = Service::on(database.url()).brisk("0.7").start().await;
    becomes(&client, &id, "completed", SOON * 2).await;
    let again = stopped.elapsed().as_secs_f64() - naps;
    harness::figure("life_2c8", &format!("ran elsewhere after {again:.1} s"));
    assert!(again <= 15.0, "{again}");
    eventually("it stood still for long enough", SOON * 2, async || {
        stopped.elapsed() >= Duration::from_secs(stands)
    })
    .await;
    let outcome = format!("select worker::text from reveille.outcome where id = '{id}'");
    let accepted: String = value(&client, &outcome).await;
    first.signal(Signal::SIGCONT);
    first.logged("this instance was taken for lost", SOON).await;
    let done = first.terminate(SOON).await;
    assert!(done.success(), "{done:?}");
    assert_eq!(value::<String>(&client, &outcome).await, accepted);
    let lost = format!("select array_agg(ending) from reveille.attempt where id = '{id}'");
    assert_eq!(value::<Vec<String>>(&client, &lost).await, ["lost"]);
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_2c9_a_snooze_beyond_the_deadline_fails_at_once() {
    let house = House::open(4).await;
    let snoozing = Shift { snooze: Some(60.0), ..Shift::default() };
    let id = house.submit(work(snoozing).deadline(seconds(10.0))).await;
    let job = house.end(&id).await;
    assert_ended(&job, "deadline_exceeded", 0.0);
    let message = job["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("the handler asked to come back in 60.0 s"), "{message}");
}
