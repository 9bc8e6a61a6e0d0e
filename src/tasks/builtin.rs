//! The tasks that come with the service, for trying it out.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Handler, Registry, TaskError};
use crate::job::backoff::Backoff;
use crate::job::json::Json;

pub(super) fn add(registry: &mut Registry) {
    registry.add(Echo);
    registry.add(HelloWorld);
    registry.add(Sleep);
    registry.add(Noop);
    registry.add(Flaky);
}

fn example(text: &str) -> Option<Json> {
    Json::parse(text.as_bytes()).ok()
}

struct Echo;

impl Handler for Echo {
    const NAME: &'static str = "echo";
    type Payload = Json;
    type Output = Json;

    fn description(&self) -> &'static str {
        "Returns its payload."
    }

    fn example(&self) -> Option<Json> {
        example(r#"{"any": "value"}"#)
    }

    async fn run(&self, _: Context, payload: Json) -> Result<Json, TaskError> {
        Ok(payload)
    }
}

struct HelloWorld;

#[derive(Deserialize, JsonSchema)]
struct Greeting {
    /// Is given back.
    #[serde(default)]
    data: Option<Json>,
}

#[derive(Serialize, JsonSchema)]
struct Greeted {
    message: &'static str,
    data: Option<Json>,
}

impl Handler for HelloWorld {
    const NAME: &'static str = "hello_world";
    type Payload = Greeting;
    type Output = Greeted;

    fn description(&self) -> &'static str {
        "Says hello, and returns the `data` of its payload."
    }

    fn example(&self) -> Option<Json> {
        example(r#"{"task": "hello_world", "data": "test message"}"#)
    }

    async fn run(&self, context: Context, payload: Greeting) -> Result<Greeted, TaskError> {
        tracing::debug!(job.id = %context.job_id(), "Hello, world!");
        Ok(Greeted { message: "Hello, world!", data: payload.data })
    }
}

struct Sleep;

#[derive(Deserialize, JsonSchema)]
struct Nap {
    /// How long to wait.
    #[schemars(range(min = 0.0))]
    seconds: f64,
}

impl Handler for Sleep {
    const NAME: &'static str = "sleep";
    type Payload = Nap;
    type Output = ();

    fn description(&self) -> &'static str {
        "Waits for `seconds`, and says how far it is."
    }

    fn example(&self) -> Option<Json> {
        example(r#"{"seconds": 2.5}"#)
    }

    async fn run(&self, context: Context, payload: Nap) -> Result<(), TaskError> {
        let length = Duration::try_from_secs_f64(payload.seconds).map_err(TaskError::permanent)?;
        let begun = tokio::time::Instant::now();
        loop {
            let left = length.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            tokio::select! {
                () = context.cancelled() => return Err(TaskError::retry("woken before its time")),
                () = tokio::time::sleep(left.min(Duration::from_secs(1))) => {
                    context.progress(begun.elapsed().as_secs_f64() / length.as_secs_f64(), "sleeping");
                }
            }
        }
    }
}

struct Noop;

impl Handler for Noop {
    const NAME: &'static str = "noop";
    type Payload = Json;
    type Output = ();

    fn description(&self) -> &'static str {
        "Does nothing."
    }

    async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
        Ok(())
    }
}

struct Flaky;

#[derive(Deserialize, JsonSchema)]
struct Failures {
    /// How many attempts fail before one succeeds.
    failures: u32,
}

impl Handler for Flaky {
    const NAME: &'static str = "flaky";
    type Payload = Failures;
    type Output = u32;

    fn description(&self) -> &'static str {
        "Fails the first `failures` attempts; for trying out retries, which come after 0.2 s and then ever later."
    }

    fn backoff(&self) -> Backoff {
        Backoff { base: Duration::from_millis(200), ..Backoff::default() }
    }

    fn example(&self) -> Option<Json> {
        example(r#"{"failures": 2}"#)
    }

    async fn run(&self, context: Context, payload: Failures) -> Result<u32, TaskError> {
        let attempt = context.attempt();
        if attempt <= payload.failures {
            return Err(TaskError::retry(format!("attempt {attempt} fails, as was asked for")));
        }
        Ok(attempt)
    }
}
