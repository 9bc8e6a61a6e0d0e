//! Names of queues and tasks; lanes, which are the waiting jobs of one queue, task and priority;
//! and what holds them.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $most:literal, $allowed:literal, $class:literal, $extra:pat) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The form of such a name, for a person.
            pub const RULE: &'static str = concat!("1 to ", $most, " of `", $allowed, "`");
            /// The same as a regular expression.
            pub const PATTERN: &'static str = concat!("^[", $class, "]{1,", $most, "}$");

            /// Whether `text` is such a name.
            pub fn fits(text: &str) -> bool {
                (1..=$most).contains(&text.len())
                    && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.') || matches!(byte, $extra))
            }

            /// `None` if `text` is not such a name; [`Self::RULE`] says why.
            pub fn new(text: &str) -> Option<Self> {
                Self::fits(text).then(|| Self(text.into()))
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// A name as it stands in the database, whose constraints have checked it.
            pub(crate) fn trusted(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of a queue.
    QueueName, 64, "a-z 0-9 _ - .", "a-z0-9_.-", b'_'
);
name!(
    /// The name of a task: what a job is to do.
    TaskName, 100, "a-z A-Z 0-9 _ - . :", "a-zA-Z0-9_.:-", b'A'..=b'Z' | b':'
);

impl QueueName {
    /// The queue of a job that names none.
    pub const DEFAULT: &'static str = "default";
}

impl Default for QueueName {
    fn default() -> Self {
        Self::trusted(Self::DEFAULT)
    }
}

/// The priorities that a job can have.
pub(crate) const PRIORITIES: RangeInclusive<i16> = 0..=9;

/// The waiting jobs of one queue, task and priority: what a claim names.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Lane {
    /// The queue that they wait in.
    pub queue: QueueName,
    /// The task of the jobs.
    pub task: TaskName,
    /// 0 (first) to 9.
    pub priority: i16,
}

/// Why a claim gives no jobs of a lane that may have some.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hold {
    /// By what it is held.
    pub by: Holder,
    /// When it ends by itself, by the database's clock; `None`: when somebody ends it.
    pub until: Option<DateTime<Utc>>,
}

/// The reason why a lane is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// Its queue is paused.
    Pause,
}

impl Holder {
    /// Its name, for metrics and explanations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
        }
    }

    /// Reads a name as statements answer it.
    pub fn parse(text: &str) -> Option<Self> {
        (text == Self::Pause.as_str()).then_some(Self::Pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rule() {
        for good in ["default", "a", "a.b-c_9", &"q".repeat(64)] {
            assert!(QueueName::new(good).is_some(), "{good}");
        }
        for bad in ["", "Default", "a b", "a:b", "é", &"q".repeat(65)] {
            assert!(QueueName::new(bad).is_none(), "{bad}");
        }
        assert!(TaskName::new("Mail:send.v2").is_some());
        assert!(TaskName::new("a/b").is_none());
        assert!(TaskName::new(&"t".repeat(101)).is_none());
    }
}
