//! Reveille: a push-driven PostgreSQL job queue with a REST API, as a service and as a library.
//!
//! # Own tasks, in an own binary
//!
//! ```no_run
//! use reveille::{Context, Handler, Reveille, TaskError};
//!
//! struct Resize;
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Image {
//!     url: String,
//!     width: u32,
//! }
//!
//! impl Handler for Resize {
//!     const NAME: &'static str = "resize";
//!     type Payload = Image;
//!     type Output = String;
//!
//!     async fn run(&self, _: Context, image: Image) -> Result<String, TaskError> {
//!         Ok(format!("{} is {} pixels wide now", image.url, image.width))
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> anyhow::Result<()> {
//!     // The whole service: API, workers, settings from the environment, until Ctrl-C.
//!     Reveille::from_environment()?.task(Resize).run().await
//! }
//! ```
//!
//! # Inside another program
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use reveille::{NewJob, Reveille};
//!
//! let reveille = Reveille::builder()
//!     .database_url("postgres://me:secret@db/jobs")
//!     .without_http()
//!     .workers(8)
//!     .start()
//!     .await?;
//! let written = reveille.submit(NewJob::new("echo", "good morning").priority(0)).await?;
//! println!("{} was {}", written.job_id, written.outcome.as_str());
//! reveille.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Submitting, and no more
//!
//! A program that runs no jobs takes a [`Client`]. It submits, reads, waits for, cancels, retries
//! and lists jobs. The feature `client` is enough for it, with neither the API nor the engine:
//! `default-features = false, features = ["client"]`.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use std::time::Duration;
//!
//! use reveille::{Client, NewJob};
//!
//! let client = Client::connect("postgres://me:secret@db/jobs").await?;
//! let id = client.submit(NewJob::new("echo", "good morning").queue("mail")).await?.job_id;
//! if let Some(job) = client.wait(id, Duration::from_secs(10)).await? {
//!     println!("{} is {}", job.job_id, job.status.as_str());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Client::submit_to`] has the compiler check the payload, and [`submit_in`] submits within a
//! transaction of the caller.
//!
//! # Handlers in unit tests
//!
//! [`Context::test`] needs neither a service nor a database. [`TestContext`] chooses the attempt,
//! cancels it, and shows what the handler said and submitted.
//!
//! # The map of the house
//!
//! Imports run downward only; what lies on one level meets in what lies below it.
//!
//! | level | modules | what they are |
//! |---|---|---|
//! | 5 | `cli` | the command line |
//! | 4 | `app`, `builder` | the composition root, which alone spawns services, and the library around it |
//! | 3 | `engine`, `maintenance`, `api` | running jobs; rescues, partitions and retention; the door for HTTP |
//! | 2c | `tasks` | what jobs are to do |
//! | 2b | `client` | the door for Rust |
//! | 2a | `submitter`, `claiming`, `settling`, `listener`, `explain` | writing submissions; which lanes a claim asks; writing outcomes; hearing notices; why a job waits |
//! | 1 | `store`, `events`, `auth`, `embedded`, `shutdown`, `supervise`, `logging` | all SQL; notices, and signals within the process; tokens; the own PostgreSQL; loops that go on |
//! | 0 | `job`, `queue`, `caller`, `operation`, `config`, `spelling` | pure rules, without I/O |
//!
//! A submission comes in through `api`, `client` or SQL, is checked by the one rule book
//! (`job::submission`), and is written by the `submitter`. The `listener` hears of it, and
//! `claiming` names its lane. The `engine` claims and runs it, and `settling` writes its outcome.
//! Each of these opens with what was decided there, and why.
//!
//! # Where it is decided
//!
//! Folders of Rust lie below `src`, and a name with a dot in it is a file.
//!
//! | what | where |
//! |---|---|
//! | which fields a submission has, and what is wrong with one | `job/fields/mod.rs`, `job/submission.rs` |
//! | who writes a submission, and when it is given up | `submitter/turns.rs`, `submitter/mod.rs` |
//! | which status and code a caller is answered | `api/failure.rs`; each code in `api/codes.rs` |
//! | which lanes a claim asks, and what it takes there | `claiming/plan.rs`, `sql/lease/claim_lane.sql` |
//! | whether an attempt is tried again, and when | `engine/executor/attempt.rs`, `job/backoff.rs` |
//! | which outcomes count, and that one without its lease is discarded | `sql/lease/settle.sql` |
//! | when a worker is lost, and when its own handlers stop | `sql/worker/lost.sql`, `engine/fence.rs` |
//! | where a rescued job goes, and when it is a suspect | `sql/lease/rescue.sql` |
//! | who wakes a caller that waits for an end | `events/ends.rs`, `settling/teller.rs` |
//! | why a job waits | `explain.rs` |
//! | how long a job may wait and run, and what ends it | `job/clocks.rs`, `sql/functions/expire.sql` |
//! | which settings a queue has, and how they change | `job/fields/queue.rs`, `sql/queue/settings_write.sql` |
//! | when a pause ends by itself | `maintenance/resumer.rs` |
//! | when jobs that ended are forgotten | `maintenance/pruner.rs`, `sql/job/prune.sql` |
//! | who asks for an operation, and what is written down of it | `caller.rs`, `store/audit.rs` |
//! | which failed jobs are one group | `job/family.rs` |
//! | how an operation on many jobs goes on, and when it halts | `operation.rs`, `store/operation/step.rs` |
//! | who leads | `sql/worker/lead.sql` |
//! | who holds a unique key, and for how long | `sql/functions/submit_keyed.sql`, `sql/functions/key_is_free.sql` |
//! | who has a turn among the jobs of a `concurrency_key` | `sql/functions/gates_open.sql`, `maintenance/turns.rs` |
//! | what a repeated request is answered | `sql/functions/submit_once.sql`, `submitter/repeats.rs` |
//! | what a start does to the schema | `store/migrate.rs`, `store/functions.rs` |
//! | in which order the service starts and leaves | `app/mod.rs` |

#![allow(
    rustdoc::bare_urls,
    reason = "the documentation of settings is the text of default.toml, too"
)]
#![cfg_attr(
    not(feature = "service"),
    allow(
        dead_code,
        unreachable_pub,
        unused_imports,
        reason = "a client alone needs less of the store than a service"
    )
)]

/// The parts that the binary, the tests and the benches of this repository reach for. They are no
/// part of the public API.
#[cfg(feature = "service")]
#[doc(hidden)]
pub mod internals;

/// The Rust in README and docs/, which compiles as it is pasted.
#[cfg(all(doctest, feature = "service"))]
mod documents {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/tasks.md")]
    mod tasks {}
}

#[cfg(feature = "service")]
mod api;
#[cfg(feature = "service")]
mod app;
#[cfg(feature = "service")]
mod auth;
#[cfg(feature = "service")]
mod builder;
mod caller;
#[cfg(feature = "service")]
mod claiming;
#[cfg(feature = "service")]
mod cli;
mod client;
mod config;
#[cfg(feature = "service")]
#[allow(missing_docs, reason = "public for the tests of this repository alone")]
mod embedded;
#[cfg(feature = "service")]
mod engine;
mod events;
#[cfg(feature = "service")]
mod explain;
mod job;
mod listener;
#[cfg(feature = "service")]
mod logging;
#[cfg(test)]
mod made;
#[cfg(feature = "service")]
mod maintenance;
mod operation;
mod queue;
#[cfg(feature = "service")]
mod settling;
mod shutdown;
mod spelling;
mod store;
mod submitter;
mod supervise;
mod tasks;

/// For the macro `refusals!`.
#[cfg(feature = "service")]
#[doc(hidden)]
pub use api::answers::Refuses;
#[cfg(feature = "service")]
pub use builder::{Builder, Reveille};
pub use client::{
    Client, ClientError, DeadLetterGroup, DeadLetters, Operation, OperationPage, OperationSkip,
    submit_in,
};
pub use config::{
    Config, ConfigError, ConfigProblem, ConfigSource, DatabaseUrl, LogFormat, OnLostHeartbeat,
    PublicUrl, Secret,
};
pub use job::backoff::Backoff;
pub use job::failure::Failure;
pub use job::fields::{NewJob, QueueSettings, Retry, Settings};
pub use job::json::{Json, JsonFault};
pub use job::state::Status;
pub use job::submission::{FieldError, OnConflict};
pub use job::written::{Outcome, Written};
pub use job::{JobId, WorkerId};
pub use operation::{DeadLetterFilter, OperationKind, OperationStatus, Redrive, RedriveCanary};
#[cfg(feature = "service")]
pub use reqwest;
/// [`Handler::Payload`] and [`Handler::Output`] derive this, beside what serde needs. The derived
/// code names the crate `schemars`, version 1; `#[schemars(crate = "reveille::schemars")]` does
/// without it among a program's own dependencies.
pub use schemars::{self, JsonSchema};
pub use store::audit::{AuditEntry, AuditFilter, AuditPage};
pub use store::job::{Cancelled, Job, JobFilter, JobPage, JobProgress, Retried};
pub use store::queue::Count;
pub use submitter::SubmitError;
pub use supervise::LoopFailed;
#[cfg(feature = "service")]
pub use tasks::Resources;
pub use tasks::{Context, Handler, TaskError, TestContext};
pub use tokio_postgres;
