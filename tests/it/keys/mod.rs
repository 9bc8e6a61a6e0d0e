//! Unique keys: nobody who holds one holds up an outcome, and a key says which of its jobs counts.

mod debounce;
mod held;
mod producers;
mod races;
mod redriven;
mod replaced;
mod superseded;
mod windows;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reveille::{Backoff, Context, Handler, JsonSchema, Reveille, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_postgres::Client;

use crate::harness::http::Http;
use crate::harness::{self, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(10);

/// Ends each attempt as its payload says, once the test lets it.
#[derive(Clone)]
struct Steered {
    /// One permit lets one attempt end.
    gate: Arc<Semaphore>,
    /// Attempts that have begun.
    begun: Arc<AtomicUsize>,
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Deed {
    Succeed,
    /// Fails so many attempts, and snoozes for ten minutes then.
    Fail(u32),
    /// Asks to come back after so many seconds.
    Snooze(f64),
}

impl Handler for Steered {
    const NAME: &'static str = "steered";
    type Payload = Deed;
    type Output = ();

    fn backoff(&self) -> Backoff {
        Backoff { base: Duration::from_millis(10), ..Backoff::default() }
    }

    async fn run(&self, context: Context, deed: Deed) -> Result<(), TaskError> {
        self.begun.fetch_add(1, Ordering::AcqRel);
        tokio::select! {
            permit = self.gate.acquire() => permit.map_err(TaskError::permanent)?.forget(),
            () = context.cancelled() => return Err(TaskError::retry("told to stop")),
        }
        match deed {
            Deed::Succeed => Ok(()),
            Deed::Fail(most) if context.attempt() <= most => Err(TaskError::retry("as it is told")),
            Deed::Fail(_) => Err(TaskError::snooze(Duration::from_secs(600))),
            Deed::Snooze(seconds) => Err(TaskError::snooze(Duration::from_secs_f64(seconds))),
        }
    }
}

/// A service in this process with that handler.
struct House {
    database: TestDatabase,
    client: Client,
    service: Reveille,
    http: Http,
    steered: Steered,
}

impl House {
    async fn open() -> Self {
        let database = harness::database().await;
        let steered = Steered { gate: Arc::new(Semaphore::new(0)), begun: Arc::default() };
        let service = Reveille::builder()
            .database_url(database.url())
            .listen(([127, 0, 0, 1], 0))
            // Jobs that nobody lets end go back at once when a test is over.
            .shutdown_grace(Duration::ZERO)
            .task(steered.clone())
            .start()
            .await
            .unwrap();
        let http = Http::new(&format!("http://{}", service.address().unwrap()));
        let client = database.client().await;
        Self { database, client, service, http, steered }
    }

    /// Submits a job with this key; its answer.
    async fn submit(&self, key: &str, policy: &str, deed: &Deed) -> Value {
        self.submit_with(key, policy, deed, &json!({})).await
    }

    async fn submit_with(&self, key: &str, policy: &str, deed: &Deed, more: &Value) -> Value {
        let mut job =
            json!({"task": "steered", "payload": deed, "unique_key": key, "on_conflict": policy});
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.http.post_job(&job).await;
        assert!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.body);
        answer.body
    }

    async fn job(&self, id: &Value) -> Value {
        self.http.get_job(id.as_str().unwrap()).await.body
    }

    async fn becomes(&self, id: &Value, status: &str) -> Value {
        eventually(&format!("job {id} is {status}"), SOON, async || {
            self.job(id).await["status"] == status
        })
        .await;
        self.job(id).await
    }

    async fn steer(&self, id: &Value, verb: &str) -> (u16, Value) {
        let path = format!("/jobs/{}/{verb}", id.as_str().unwrap());
        let answer = self.http.post(&path, &json!({})).await;
        (answer.status, answer.body)
    }

    fn let_end(&self, attempts: usize) {
        self.steered.gate.add_permits(attempts);
    }

    fn begun(&self) -> usize {
        self.steered.begun.load(Ordering::Acquire)
    }
}
