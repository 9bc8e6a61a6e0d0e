//! HTTP: the edge, and one file for each resource behind it.
//!
//! A request comes in through [`edge`], which owns the sockets and their deadlines; passes [`middleware`], which gives it
//! an id and turns everything that goes wrong into a [`problem`]; is read by [`body`] and [`fields`]; and is answered by
//! the operation of a resource, whose error answers [`answers`] puts into the specification that [`docs`] serves.

pub mod answers;
pub mod body;
pub mod fields;
pub mod problem;
pub mod request;
mod types;
