//! The places where a job waits: people and the leader find it in each of them.

mod places;
mod statements;
