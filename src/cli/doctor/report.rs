//! The doctor's findings.

use serde::Serialize;

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Ok,
    /// It works, and could be better or may become worse.
    Warn,
    /// Jobs may get lost, or the service does not run.
    Fail,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) status: Status,
    pub(super) found: String,
    /// The advice; none if all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &str, found: impl Into<String>) -> Self {
        Self { name: name.to_owned(), status: Status::Ok, found: found.into(), change: None }
    }

    pub(super) fn warn(name: &str, found: impl Into<String>, change: impl Into<String>) -> Self {
        Self { status: Status::Warn, change: Some(change.into()), ..Self::ok(name, found) }
    }

    pub(super) fn fail(name: &str, found: impl Into<String>, change: impl Into<String>) -> Self {
        Self { status: Status::Fail, change: Some(change.into()), ..Self::ok(name, found) }
    }

    /// Fine if `good`; else of this status.
    pub(super) fn unless(self, good: bool) -> Self {
        if good { Self { status: Status::Ok, change: None, ..self } } else { self }
    }
}

/// The worst of these.
pub(super) fn worst(checks: &[Check]) -> Status {
    checks.iter().map(|check| check.status).max().unwrap_or(Status::Ok)
}
