//! The integration tests: one binary and one PostgreSQL for all of them, a database for each.
#![allow(clippy::unwrap_used, clippy::print_stderr)]
#![allow(clippy::disallowed_methods, reason = "a row that a test cannot read fails it")]

#[allow(dead_code, reason = "a harness offers more than the tests of the day use")]
mod harness;

mod ahead;
mod answers;
mod bad_input;
mod bounds;
mod browsers;
mod claims;
mod cli;
mod clock;
mod collations;
mod commit;
mod connections;
mod contract;
mod descriptors;
mod doctor;
mod doors;
mod edge;
mod embedded;
mod ends;
mod examples;
mod faults;
mod fencing;
mod hostile;
mod hosts;
mod instances;
mod keys;
mod leaving;
mod library;
mod lists;
mod logs;
mod metrics;
mod operating;
mod outage;
#[cfg(feature = "faults")]
mod panics;
mod parameters;
mod payloads;
mod plans;
mod prefix;
mod push;
mod queues;
mod reading;
mod readme;
mod refusals;
mod rescue;
mod retention;
mod schema;
mod service;
mod settling;
mod silence;
mod starting;
mod strays;
mod structure;
mod supervision;
mod surroundings;
mod tasks;
mod tls;
mod together;
mod tokens;
mod unseen;
mod waited_for;
mod wakes;
