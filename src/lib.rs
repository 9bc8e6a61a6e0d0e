//! Reveille: a push-driven PostgreSQL job queue with a REST API.

pub mod embedded;
