//! Reveille: a push-driven PostgreSQL job queue with a REST API.

pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod embedded;
pub mod engine;
pub mod events;
pub mod job;
pub mod listener;
pub mod maintenance;
pub mod queue;
pub mod shutdown;
pub mod store;
pub mod submitter;
pub mod tasks;
