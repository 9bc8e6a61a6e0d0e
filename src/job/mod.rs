//! A job: one piece of work, its states, and the rules of submitting one. Pure; nothing here does
//! any I/O.

pub(crate) mod backoff;
pub(crate) mod bounds;
pub(crate) mod clocks;
pub(crate) mod ending;
pub(crate) mod failure;
pub(crate) mod family;
pub(crate) mod fields;
#[cfg(feature = "service")]
pub(crate) mod idempotency;
pub(crate) mod json;
pub(crate) mod moment;
pub(crate) mod names;
pub(crate) mod state;
pub(crate) mod submission;
pub(crate) mod written;

use std::fmt;

use serde::{Serialize, Serializer};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(pub Uuid);

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }
    };
}

id!(
    /// A job's id: a UUIDv7 (RFC 9562), whose time is that of the submission.
    JobId
);
id!(
    /// A lease's id: random, and a new one for every claim, so that it fences.
    LeaseId
);
id!(
    /// The id of one running worker.
    WorkerId
);
