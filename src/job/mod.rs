//! A job: what is asked for, and the words for it.

pub mod json;
pub mod submission;
