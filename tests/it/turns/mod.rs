//! Keys in order: jobs with a concurrency_key take turns. The cases are those of LIFE 7, in small.

mod cases;
mod ends;
mod pages;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reveille::{
    Context, Handler, JsonSchema, NewJob, QueueSettings, Reveille, SubmitError, TaskError,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::Client;

use crate::harness::http::{Answer, Http, answer};
use crate::harness::look::{assert_one_place, value};
use crate::harness::{self, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(30);

/// What the handlers of all instances did, by keys.
#[derive(Default)]
struct Seen {
    running: HashMap<String, usize>,
    most: HashMap<String, usize>,
    starts: HashMap<String, Vec<usize>>,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Seen>>);

impl Log {
    fn starts(&self, key: &str) -> Vec<usize> {
        self.0.lock().unwrap().starts.get(key).cloned().unwrap_or_default()
    }

    fn most(&self, key: &str) -> usize {
        self.0.lock().unwrap().most.get(key).copied().unwrap_or_default()
    }
}

/// Counts as running while it lives.
struct Running(Log, String);

impl Running {
    fn begin(log: &Log, key: &str, nth: usize) -> Self {
        let seen = &mut *log.0.lock().unwrap();
        let running = seen.running.entry(key.to_owned()).or_default();
        *running += 1;
        let most = seen.most.entry(key.to_owned()).or_default();
        *most = (*most).max(*running);
        seen.starts.entry(key.to_owned()).or_default().push(nth);
        Self(log.clone(), key.to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap().running.entry(self.1.clone()).or_default() -= 1;
    }
}

#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Shift {
    key: String,
    nth: usize,
    seconds: f64,
    /// Attempts that fail.
    failures: u32,
    snooze: Option<f64>,
    panics: bool,
}

async fn work(log: &Log, context: &Context, shift: Shift) -> Result<(), TaskError> {
    let _running = Running::begin(log, &shift.key, shift.nth);
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs_f64(shift.seconds)) => {}
        () = context.cancelled() => return Err("it was stopped".into()),
    }
    assert!(!shift.panics, "it panics");
    let starts = log.starts(&shift.key).into_iter().filter(|nth| *nth == shift.nth).count();
    // A snooze spends no attempt.
    if let (Some(seconds), 1) = (shift.snooze, starts) {
        return Err(TaskError::snooze(Duration::from_secs_f64(seconds)));
    }
    if context.attempt() <= shift.failures {
        return Err(TaskError::retry("it broke"));
    }
    Ok(())
}

struct Work(Log);

impl Handler for Work {
    const NAME: &'static str = "work";
    type Payload = Shift;
    type Output = ();

    async fn run(&self, context: Context, shift: Shift) -> Result<(), TaskError> {
        work(&self.0, &context, shift).await
    }
}

struct Toil(Log);

impl Handler for Toil {
    const NAME: &'static str = "toil";
    type Payload = Shift;
    type Output = ();

    async fn run(&self, context: Context, shift: Shift) -> Result<(), TaskError> {
        work(&self.0, &context, shift).await
    }
}

/// Instances on one database.
struct House {
    database: TestDatabase,
    client: Client,
    services: Vec<Reveille>,
    http: Http,
    log: Log,
}

impl House {
    async fn open(instances: usize, workers: usize) -> Self {
        Self::with(instances, workers, QueueSettings::default()).await
    }

    /// With these settings of the queue `default`.
    async fn with(instances: usize, workers: usize, settings: QueueSettings) -> Self {
        let database = harness::database().await;
        let (client, log) = (database.client().await, Log::default());
        let mut services = Vec::new();
        for _ in 0..instances {
            let service = Reveille::builder()
                .database_url(database.url())
                .listen(([127, 0, 0, 1], 0))
                .workers(workers)
                .queue_settings("default", settings.clone())
                .task(Work(log.clone()))
                .task(Toil(log.clone()))
                .start()
                .await
                .unwrap();
            services.push(service);
        }
        let http = Http::new(&format!("http://{}", services[0].address().unwrap()));
        Self { database, client, services, http, log }
    }

    async fn submit(&self, job: NewJob) -> String {
        self.services[0].submit(job).await.unwrap().job_id.to_string()
    }

    async fn submit_many(&self, jobs: Vec<NewJob>) -> Vec<String> {
        let written: Result<_, SubmitError> = self.services[0].submit_many(jobs).await;
        written.unwrap().into_iter().map(|job| job.job_id.to_string()).collect()
    }

    async fn post(&self, path: &str) -> Answer {
        answer(self.http.request("POST", path)).await
    }

    /// The job once it has ended.
    async fn end(&self, id: &str) -> Value {
        let job = self.http.get(&format!("/jobs/{id}?wait=30")).await.body;
        assert!(job["finished_at"].is_string(), "{job}");
        job
    }

    /// What made the job fail is over.
    async fn heal(&self, id: &str) {
        let heal = format!(
            "update reveille.job set payload = payload || '{{\"failures\": 0}}' where id = '{id}'"
        );
        self.client.batch_execute(&heal).await.unwrap();
    }

    async fn count(&self, what: &str) -> i64 {
        value(&self.client, &format!("select count(*) from reveille.{what}")).await
    }

    /// Waits until so many jobs have ended, and no turn is left.
    async fn all_end(&self, jobs: i64) {
        eventually(&format!("{jobs} jobs have ended"), SOON, async || {
            self.count("outcome").await == jobs
        })
        .await;
        self.assert_none_left().await;
    }

    /// No turn is left, and nothing that would have to be looked at.
    async fn assert_none_left(&self) {
        eventually("no turn is left", SOON, async || {
            self.count("gate").await + self.count("keyed").await + self.count("freed").await == 0
        })
        .await;
        assert_one_place(&self.client).await;
    }
}

fn shift(key: &str, nth: usize) -> Shift {
    Shift { key: key.to_owned(), nth, ..Shift::default() }
}

/// A job that works so long, of the task `work`.
fn job(key: &str, nth: usize, seconds: f64) -> NewJob {
    of(&Shift { seconds, ..shift(key, nth) })
}

fn of(shift: &Shift) -> NewJob {
    NewJob::new(Work::NAME, shift).concurrency_key(&*shift.key)
}

fn turns(count: i64) -> QueueSettings {
    QueueSettings { per_key_concurrency: Some(count), ..QueueSettings::default() }
}

fn yields() -> QueueSettings {
    QueueSettings { on_retry: Some("yield".into()), ..QueueSettings::default() }
}
