//! The whole service with a task of its own: `cargo run --example primes`, and then
//!
//! ```sh
//! curl -s 'localhost:8000/jobs?wait=10' -H 'content-type: application/json' \
//!   -d '{"task": "primes", "payload": {"up_to": 1000}}'
//! curl -s localhost:8000/jobs/JOB_ID
//! ```
//!
//! It takes its settings from where `reveille serve` takes them, and brings up a PostgreSQL of its own without DATABASE_URL.

use reveille::{Context, Handler, JsonSchema, Reveille, TaskError};
use serde::{Deserialize, Serialize};

/// What a job of this task must say. `GET /tasks/primes` shows it to callers as JSON Schema, with these comments.
#[derive(Deserialize, JsonSchema)]
struct Range {
    /// The last number to look at.
    up_to: u32,
}

/// What is kept as the job's result.
#[derive(Serialize, JsonSchema)]
struct Primes {
    /// How many there are.
    count: u32,
    /// The greatest of them.
    largest: Option<u32>,
}

/// Counts prime numbers.
struct CountPrimes;

impl CountPrimes {
    const MOST: u32 = 5_000_000;
    /// Numbers between two looks at whether to stop.
    const STEP: u32 = 10_000;
}

impl Handler for CountPrimes {
    const NAME: &'static str = "primes";
    type Payload = Range;
    type Output = Primes;

    fn description(&self) -> &'static str {
        "Counts the prime numbers up to `up_to`."
    }

    async fn run(&self, context: Context, Range { up_to }: Range) -> Result<Primes, TaskError> {
        if up_to > Self::MOST {
            // Another attempt would end the same way. Any other error is tried again, after the task's back-off.
            let error = TaskError::permanent(format!("up_to may be {} at most", Self::MOST));
            // Programs that read the job's `error.code` know it by this.
            return Err(error.with_code("too_far"));
        }
        let mut found = Primes { count: 0, largest: None };
        for number in 2..=up_to {
            if number.is_multiple_of(Self::STEP) {
                // Somebody cancelled the job, its time is up, or the service leaves: it is told why, and an error will do.
                if context.is_cancelled() {
                    return Err("told to stop".into());
                }
                // Seen in `GET /jobs/{job_id}` while the job runs.
                context.progress(f64::from(number) / f64::from(up_to), format!("at {number}"));
                // Handlers share their threads with the service: work that never waits makes way now and then.
                tokio::task::yield_now().await;
            }
            if is_prime(number) {
                found = Primes { count: found.count + 1, largest: Some(number) };
            }
        }
        Ok(found)
    }
}

fn is_prime(number: u32) -> bool {
    (2..)
        .take_while(|divisor| divisor * divisor <= number)
        .all(|divisor| !number.is_multiple_of(divisor))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    Reveille::from_environment()?.task(CountPrimes).run().await
}

/// A handler needs no service to be tested: `cargo test --example primes`.
#[cfg(test)]
mod tests {
    use reveille::TestContext;

    use super::*;

    #[tokio::test]
    async fn primes_are_counted_and_progress_is_reported() {
        let test = TestContext::new();
        let found = CountPrimes.run(test.context(), Range { up_to: 20_000 }).await.unwrap();
        assert_eq!((found.count, found.largest), (2262, Some(19_997)));
        assert_eq!(test.progress(), Some((1.0, "at 20000".to_owned())));
    }

    #[tokio::test]
    async fn a_range_that_is_too_far_fails_for_good_and_a_cancelled_one_stops() {
        let error =
            CountPrimes.run(Context::test(), Range { up_to: u32::MAX }).await.err().unwrap();
        assert_eq!((error.code(), error.is_permanent()), ("too_far", true));
        let test = TestContext::new();
        test.cancel();
        let error = CountPrimes.run(test.context(), Range { up_to: 20_000 }).await.err().unwrap();
        assert_eq!(error.to_string(), "told to stop");
    }
}
