//! Jobs whose payload the compiler checks against their task.

use std::borrow::Borrow;

use serde::Serialize;

use super::Handler;
use crate::client::Client;
use crate::job::fields::NewJob;
use crate::job::written::Written;
use crate::submitter::SubmitError;

impl NewJob {
    /// A job of this handler's task, everything but its payload at its default.
    pub fn of<H: Handler<Payload: Serialize>>(payload: impl Borrow<H::Payload>) -> Self {
        Self::new(H::NAME, payload.borrow())
    }
}

impl Client {
    /// Submits a job of this handler's task, everything but its payload at its default. For more,
    /// give [`NewJob::of`] to [`submit`](Self::submit).
    ///
    /// ```no_run
    /// # use reveille::{Client, Context, Handler, NewJob, TaskError};
    /// struct Greet;
    ///
    /// impl Handler for Greet {
    ///     const NAME: &'static str = "greet";
    ///     type Payload = String;
    ///     type Output = String;
    ///
    ///     async fn run(&self, _: Context, name: String) -> Result<String, TaskError> {
    ///         Ok(format!("Hello, {name}!"))
    ///     }
    /// }
    ///
    /// # async fn example(client: Client) -> anyhow::Result<()> {
    /// client.submit_to::<Greet>("Ada".to_owned()).await?;
    /// client.submit(NewJob::of::<Greet>("Grace".to_owned()).queue("mail")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit_to<H: Handler<Payload: Serialize>>(
        &self,
        payload: impl Borrow<H::Payload>,
    ) -> Result<Written, SubmitError> {
        self.submit(NewJob::of::<H>(payload)).await
    }
}
