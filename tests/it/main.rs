//! The integration tests: one binary and one PostgreSQL for all of them, a database for each.

#[allow(dead_code, reason = "a harness offers more than the tests of the day use")]
mod harness;

mod embedded;
mod faults;
