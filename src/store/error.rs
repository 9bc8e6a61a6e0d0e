//! Errors of the database, by what the caller can do about them.

use tokio_postgres::error::SqlState;

/// Ends of a session that the driver has no names for.
const TRANSACTION_TIMEOUT: &str = "25P04";
const IDLE_SESSION_TIMEOUT: &str = "57P05";

/// Why a statement did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection could be had; nothing was sent. Safe to repeat.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// No connection can be had until somebody changes something: a password, a certificate, an
    /// address. Nothing was sent.
    #[error("the database cannot be used: {message}. {advice}")]
    Misconfigured { state: Option<String>, message: String, advice: String },
    /// The connection went while the statement was under way, or its answer did not come in time;
    /// nobody knows whether it was carried out.
    #[error("whether the database did it is not known: {0}")]
    Unknown(String),
    /// The database gave up on it for a passing reason (a lock, a deadlock, a limit); nothing was
    /// changed. Safe to repeat.
    #[error("the database was too busy: {message}")]
    Busy { state: String, message: String },
    /// The database refused it.
    #[error("the database refused: {message} (SQLSTATE {state})")]
    Refused { state: String, message: String, detail: Option<String> },
    /// An answer was not what this version expects.
    #[error("the database answered something unexpected: {0}")]
    Unexpected(String),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A fault of a configuration, not told by the database.
    pub(super) fn misconfigured(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Misconfigured { state: None, message: message.into(), advice: advice.into() }
    }

    /// The SQLSTATE, where the database gave one.
    pub fn state(&self) -> Option<&str> {
        match self {
            Self::Busy { state, .. } | Self::Refused { state, .. } => Some(state),
            Self::Misconfigured { state, .. } => state.as_deref(),
            _ => None,
        }
    }

    /// The cause, without a word about what that means.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Unavailable(text) | Self::Unknown(text) | Self::Unexpected(text) => text.clone(),
            Self::Misconfigured { message, advice, .. } => format!("{message}. {advice}"),
            Self::Busy { message, .. } | Self::Refused { message, .. } => message.clone(),
        }
    }

    /// Whether a pooler refused settings of the session, which PostgreSQL itself takes.
    pub fn refuses_settings(&self) -> bool {
        let text = self.to_string();
        // PgBouncer's words, and those of RDS Proxy.
        ["unsupported startup parameter", "command-line options"].iter().any(|it| text.contains(it))
    }

    /// Whether the disk of the database is full.
    pub fn is_disk_full(&self) -> bool {
        self.state() == Some(SqlState::DISK_FULL.code())
    }

    /// Whether the statement may have been carried out all the same.
    pub fn may_be_done(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::Unexpected(_))
    }

    /// Whether it waited for a lock in vain.
    pub fn is_locked(&self) -> bool {
        self.state() == Some(SqlState::LOCK_NOT_AVAILABLE.code())
    }

    /// Whether the server ended it because it and others waited for each other.
    pub fn is_deadlock(&self) -> bool {
        self.state() == Some(SqlState::T_R_DEADLOCK_DETECTED.code())
    }

    /// Whether it took longer than the server may work on it, or somebody cancelled it.
    pub fn is_cancelled(&self) -> bool {
        self.state() == Some(SqlState::QUERY_CANCELED.code())
    }

    /// Whether a limit of the server was passed: with notices that of their queue, else one that
    /// the value passes.
    pub fn is_limit(&self) -> bool {
        self.state() == Some(SqlState::PROGRAM_LIMIT_EXCEEDED.code())
    }

    /// Whether a value cannot be kept (class 22, data exceptions).
    pub fn is_of_value(&self) -> bool {
        self.state().is_some_and(|state| state.starts_with("22"))
    }

    /// Whether a row is there already: an earlier try of the same statement was kept.
    pub fn is_doubled(&self) -> bool {
        self.state() == Some(SqlState::UNIQUE_VIOLATION.code())
    }

    /// Whether a row has no partition that takes it: the weeks to come have not been made.
    pub fn lacks_partition(&self) -> bool {
        self.state() == Some(SqlState::CHECK_VIOLATION.code())
    }

    /// Whether the same call may succeed a moment later.
    pub fn is_passing(&self) -> bool {
        self.is_outage() || matches!(self, Self::Busy { .. })
    }

    /// Whether the start of a service had better wait: the same call may succeed without anybody's
    /// doing.
    pub fn is_waited_for(&self) -> bool {
        self.is_passing() && !matches!(self, Self::Misconfigured { .. })
    }

    /// Whether the database could not be reached or kept, rather than refused.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Misconfigured { .. } | Self::Unknown(_))
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::of(&error)
    }
}

impl Error {
    /// The meaning of an error of a statement.
    pub(super) fn of(error: &tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            let text = with_sources(error);
            return if error.is_closed()
                || std::error::Error::source(error)
                    .is_some_and(|source| source.is::<std::io::Error>())
            {
                Self::Unknown(text)
            } else {
                Self::Unexpected(text)
            };
        };
        Self::of_state(db.code(), db.message().to_owned(), db.detail())
    }

    /// The meaning of an error of the database. Only a state that may pass by itself is not a
    /// refusal. [`Error::is_limit`] and [`Error::is_of_value`] say whether a refusal is the fault
    /// of a value.
    pub(super) fn of_state(state: &SqlState, message: String, detail: Option<&str>) -> Self {
        let code = state.code();
        match state {
            // The server ends the session: an autocommit statement may have committed before it
            // said so.
            &SqlState::ADMIN_SHUTDOWN
            | &SqlState::CRASH_SHUTDOWN
            | &SqlState::DATABASE_DROPPED
            | &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
            | &SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN => Self::Unknown(message),
            _ if [TRANSACTION_TIMEOUT, IDLE_SESSION_TIMEOUT].contains(&code) => {
                Self::Unknown(message)
            }
            &SqlState::CANNOT_CONNECT_NOW
            | &SqlState::TOO_MANY_CONNECTIONS
            | &SqlState::READ_ONLY_SQL_TRANSACTION => Self::Unavailable(message),
            &SqlState::LOCK_NOT_AVAILABLE
            | &SqlState::QUERY_CANCELED
            | &SqlState::DISK_FULL
            | &SqlState::OUT_OF_MEMORY => Self::Busy { state: code.to_owned(), message },
            // A transaction that was rolled back, such as the victim of a deadlock.
            _ if code.starts_with("40") => Self::Busy { state: code.to_owned(), message },
            _ if code.starts_with("08") => Self::Unknown(message),
            _ => {
                Self::Refused { state: code.to_owned(), message, detail: detail.map(str::to_owned) }
            }
        }
    }
}

/// An error with what lies below it, which tokio-postgres leaves out of its own words.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes of PostgreSQL's own that can come in answer to a statement of ours.
    #[test]
    fn what_ends_a_session_leaves_doubt_what_may_pass_is_repeated_and_all_else_is_refused() {
        let kind =
            |code: &str| match Error::of_state(&SqlState::from_code(code), String::new(), None) {
                Error::Unknown(_) => "unknown",
                Error::Unavailable(_) => "unavailable",
                Error::Busy { state, .. } if state == code => "busy",
                Error::Refused { state, .. } if state == code => "refused",
                other => panic!("{code}: {other:?}"),
            };
        for (codes, meaning) in [
            ("08000 08006 08P01 25P03 25P04 40003 57P01 57P02 57P04 57P05", "unknown"),
            ("25006 53300 57P03", "unavailable"),
            ("40000 40001 40002 40P01 53100 53200 55P03 57014", "busy"),
            ("0A000 21000 22P05 23505 23514 25P01 25P02 26000 28000 42501 42P01", "refused"),
            ("53000 53400 54000 54001 55000 58000 58030 58P01 P0001 XX000 XX001", "refused"),
        ] {
            for code in codes.split(' ') {
                assert_eq!(kind(code), meaning, "{code}");
            }
        }
    }

    #[test]
    fn only_class_22_and_a_passed_limit_say_that_a_value_is_at_fault() {
        let blames = |code: &str| {
            let error = Error::of_state(&SqlState::from_code(code), String::new(), None);
            error.is_of_value() || error.is_limit()
        };
        let blamed = ["22000", "22003", "22021", "22P02", "22P05", "54000"];
        assert!(blamed.iter().all(|code| blames(code)));
        let others =
            "0A000 21000 23502 25P03 25P04 40001 53100 54001 54011 55P03 57P05 P0001 XX000";
        assert_eq!(others.split(' ').find(|code| blames(code)), None);
    }
}
