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
//! A program that only submits takes a [`Client`].
//!
//! # The map of the house
//!
//! Imports run downward only; what lies on one level meets in what lies below it.
//!
//! | level | modules | what they are |
//! |---|---|---|
//! | 5 | [`cli`] | the command line |
//! | 4 | `app`, [`builder`] | the composition root, which alone spawns services, and the library around it |
//! | 3 | [`engine`], [`maintenance`], [`api`], [`client`] | running jobs; keeping the house; the doors for HTTP and Rust |
//! | 2 | [`submitter`], [`listener`], [`tasks`], [`auth`] | writing submissions, hearing of them, doing them; tokens |
//! | 1 | [`store`], [`events`], [`embedded`], [`shutdown`], [`supervise`], `logging` | all SQL; signals within the process; the own PostgreSQL; loops that go on |
//! | 0 | [`job`], [`queue`], [`config`] | pure rules, without I/O |
//!
//! A submission comes in through [`api`], [`client`] or SQL, is checked by the one rule book ([`job::submission`]), written
//! by the [`submitter`], heard of by the [`listener`], claimed and run by the [`engine`], and settled by it. Each of these
//! opens with what was decided there, and why.

/// The Rust in the README, which compiles as it is pasted.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub mod api;
mod app;
pub mod auth;
pub mod builder;
mod claiming;
pub mod cli;
pub mod client;
pub mod config;
pub mod embedded;
pub mod engine;
pub mod events;
pub mod explain;
pub mod job;
pub mod listener;
mod logging;
pub mod maintenance;
pub mod queue;
mod settling;
pub mod shutdown;
mod spelling;
pub mod store;
pub mod submitter;
pub mod supervise;
pub mod tasks;

pub use builder::{Builder, Reveille};
pub use client::Client;
pub use config::Config;
pub use job::JobId;
pub use job::backoff::Backoff;
pub use job::json::Json;
pub use job::submission::{FieldError, NewJob, OnConflict};
pub use job::written::{Outcome, Written};
/// What [`Handler::Payload`] and [`Handler::Output`] derive, beside what serde needs. The derived code names the crate
/// `schemars`, version 1; `#[schemars(crate = "reveille::schemars")]` does without it among a program's own dependencies.
pub use schemars::{self, JsonSchema};
pub use submitter::SubmitError;
pub use supervise::LoopFailed;
pub use tasks::{Context, Handler, TaskError};
