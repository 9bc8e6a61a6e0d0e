//! Settling: outcomes on their way to the database, whichever worker they come from.

mod completer;
#[cfg(feature = "faults")]
mod mutant;
mod room;
mod settler;

use std::sync::Arc;

pub use completer::{Completer, WAITING_MOST};
pub use room::Room;

use crate::job::{JobId, LeaseId};

/// A job as one claim holds it.
pub type Key = (LeaseId, JobId);

/// Called with jobs whose outcomes are settled: whoever ran them holds them no longer.
pub type LetGo = Arc<dyn Fn(&[Key]) + Send + Sync>;
