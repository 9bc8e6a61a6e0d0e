//! The integration tests: one binary and one PostgreSQL for all of them, a database for each.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "a harness offers more than the tests of the day use")]
mod harness;

mod cli;
mod doors;
mod edge;
mod embedded;
mod examples;
mod faults;
mod library;
mod reading;
mod retention;
mod schema;
mod service;
mod tasks;
