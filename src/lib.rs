//! Reveille: a push-driven PostgreSQL job queue with a REST API.
pub mod cli;
pub mod config;
pub mod store;
