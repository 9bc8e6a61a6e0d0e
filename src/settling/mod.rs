//! Settling: outcomes on their way to the database, whichever worker they come from.

mod completer;
mod delivery;
pub mod meter;
#[cfg(feature = "faults")]
mod mutant;
mod reporter;
mod room;
mod settler;
mod teller;

use std::sync::Arc;

pub use completer::{Completer, WAITING_MOST};
pub use delivery::{Delivery, log_failed};
pub use reporter::report;
pub use room::Room;
pub use teller::tell_others;

use crate::job::{JobId, LeaseId};

/// A job as one claim holds it.
pub type Key = (LeaseId, JobId);

/// Called with jobs whose outcomes are settled: whoever ran them holds them no longer.
pub type LetGo = Arc<dyn Fn(&[Key]) + Send + Sync>;
