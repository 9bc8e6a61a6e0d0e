//! Tasks: what jobs are to do. In code the type that does one is a [`Handler`].

#[cfg(feature = "service")]
mod builtin;
mod context;
mod error;
#[cfg(feature = "service")]
mod registry;
#[cfg(feature = "service")]
mod resources;
mod testing;
mod typed;

use std::future::Future;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use context::Around;
pub use context::Context;
pub use error::TaskError;
pub(crate) use error::Then;
#[cfg(feature = "service")]
pub(crate) use registry::{Registered, Registry};
#[cfg(feature = "service")]
pub(crate) use registry::{RunError, Started};
#[cfg(feature = "service")]
pub use resources::Resources;
pub use testing::TestContext;

use crate::job::backoff::Backoff;
use crate::job::json::Json;

/// Does what the jobs of one task ask for.
///
/// A job runs at least once: a worker that dies after it did the work and before the outcome was
/// kept has it run again.
pub trait Handler: Send + Sync + 'static {
    /// The task's name: 1 to 100 of `a-z A-Z 0-9 _ - . :`.
    const NAME: &'static str;
    /// The type of a job's payload. The documentation of its fields becomes that of its JSON
    /// Schema.
    type Payload: DeserializeOwned + JsonSchema + Send;
    /// The type of the job's result: at most 1 MiB of JSON, or the job fails with the code
    /// `result_too_large`.
    type Output: Serialize + JsonSchema + Send;

    /// Its work, in a sentence.
    fn description(&self) -> &'static str {
        ""
    }

    /// Attempts of a job that does not say how many.
    fn max_attempts(&self) -> u32 {
        10
    }

    /// How long a failed job waits for its next attempt, if the job does not say.
    fn backoff(&self) -> Backoff {
        Backoff::default()
    }

    /// How long one attempt may take, if the job does not say; `None`: as the service is
    /// configured.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// A payload that shows the form, for the documentation.
    fn example(&self) -> Option<Json> {
        None
    }

    /// Prepares for work, such as by opening a pool of connections. A service calls this once,
    /// before the first job, if it runs jobs at all. An error, a panic or more than 60 s end its
    /// start.
    fn start(&self) -> impl Future<Output = Result<(), TaskError>> + Send {
        async { Ok(()) }
    }

    /// Tidies up. A service that has started this calls it once when it leaves, after the last job.
    /// It has what is left of the grace period, and a second at least.
    fn stop(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Does the work. When `context` says that it is cancelled, return soon, with any error.
    ///
    /// It runs on a thread of the service's runtime and must not block it. The other handlers and
    /// the API have no more threads than the machine has cores. Hand work that computes for long,
    /// or waits without `await`, to [`tokio::task::spawn_blocking`], and await that.
    fn run(
        &self,
        context: Context,
        payload: Self::Payload,
    ) -> impl Future<Output = Result<Self::Output, TaskError>> + Send;
}
