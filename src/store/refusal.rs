//! Why no connection could be made. Faults that waiting mends are told apart from others, such as a
//! wrong password, an untrusted certificate, or a pooler that takes no settings.

use std::io;

use tokio_postgres::error::SqlState;

use super::error::{Error, with_sources};

/// PgBouncer's words for what passes: PostgreSQL behind it is away, or no place is free. It gives
/// them the same state as its complaints about the client.
const PASSING: [&str; 5] = [
    "login has been failing",
    "cannot connect to server",
    "query_wait_timeout",
    "no more connections allowed",
    "shutting down",
];

/// The refusals of the hosts of an address, tried one after the other.
pub(super) struct Refusals {
    /// Whether the address asks for a certificate that is checked.
    verified: bool,
    words: Vec<String>,
    /// The advice about those that last.
    advice: Vec<&'static str>,
    /// Whether no host would be usable a moment later.
    lasting: Option<bool>,
    state: Option<String>,
}

impl Refusals {
    pub(super) fn of(verified: bool) -> Self {
        Self { verified, words: Vec::new(), advice: Vec::new(), lasting: None, state: None }
    }

    /// Takes in why this host (`HOST:PORT`) gave no connection.
    pub(super) fn add(&mut self, host: &str, error: &tokio_postgres::Error) {
        let text = with_sources(error);
        let advice = advice(error, &text, self.verified);
        self.lasting = Some(self.lasting.unwrap_or(true) && advice.is_some());
        self.state = error.code().map(|state| state.code().to_owned()).or(self.state.take());
        self.words.push(format!("{host}: {text}"));
        self.advice.extend(advice);
    }

    /// Takes in something that passes.
    pub(super) fn add_passing(&mut self, host: &str, why: &str) {
        self.lasting = Some(false);
        self.words.push(format!("{host}: {why}"));
    }

    pub(super) fn into_error(self) -> Error {
        // Addresses of one host often say the same.
        let (mut words, mut advice) = (self.words, self.advice);
        words.dedup();
        advice.dedup();
        let (message, advice) = (words.join("; "), advice.join("; "));
        if self.lasting == Some(true) {
            Error::Misconfigured { state: self.state, message, advice }
        } else if advice.is_empty() {
            Error::Unavailable(message)
        } else {
            Error::Unavailable(format!("{message}. {advice}"))
        }
    }
}

/// The advice about a fault that no waiting mends; `None` for all else.
fn advice(error: &tokio_postgres::Error, text: &str, verified: bool) -> Option<&'static str> {
    match error.code() {
        Some(state) => advice_of_state(state, text),
        None => advice_of_text(error, text, verified),
    }
}

fn advice_of_state(state: &SqlState, text: &str) -> Option<&'static str> {
    match state.code() {
        _ if text.contains("unsupported startup parameter") => Some(
            "This looks like a PgBouncer: set pooler = true, and listen_database_url to a direct connection",
        ),
        "0A000" => Some(
            "This looks like a proxy that takes no session settings (RDS Proxy): set pooler = true, and listen_database_url to a direct connection",
        ),
        "3D000" => Some("Create the database, or name another one in database_url"),
        "42501" => Some("Let the role connect: grant connect on database … to it"),
        "22023" | "42601" | "42704" => Some(
            "The server does not know a setting that is sent to it, or its value: look at options in database_url",
        ),
        "08P01" if PASSING.iter().any(|words| text.contains(words)) => None,
        "08P01" => Some("Something that is not a PostgreSQL, or a pooler, refuses the session"),
        state if state.starts_with("28") => {
            Some("Correct user or password in database_url, or the server's pg_hba.conf")
        }
        _ => None,
    }
}

fn advice_of_text(
    error: &tokio_postgres::Error,
    text: &str,
    verified: bool,
) -> Option<&'static str> {
    let own = error.to_string();
    if text.contains("channel binding") {
        return Some(
            "Write sslmode=verify-full, or leave channel_binding=require out of database_url: only \
             encrypted sessions with a SCRAM password can be bound",
        );
    }
    if own.starts_with("invalid configuration") || own.starts_with("authentication error") {
        return Some("Correct user and password in database_url");
    }
    if !is_of_handshake(error) || is_of_network(error) {
        return None;
    }
    Some(match text {
        // The party that answers so may stand in between: nothing weaker is advised.
        _ if text.contains("does not support TLS") && verified => "Switch ssl on in the server",
        _ if text.contains("does not support TLS") => {
            "Switch ssl on in the server, or write sslmode=prefer in database_url"
        }
        _ if text.contains("UnsupportedCertVersion") => {
            "The server's certificate is of X.509 version 1: make a new one in version 3"
        }
        _ if text.contains("UnknownIssuer") => {
            "Name the file with the certificate of the server's CA: sslrootcert in database_url"
        }
        _ if text.contains("not valid for name") => {
            "Connect by a name that the certificate has; sslmode=verify-ca does not look at names"
        }
        _ if text.contains("expired") || text.contains("not valid yet") => {
            "Renew the server's certificate, or set the clocks"
        }
        _ => "Look at the server's certificate, and at sslmode and sslrootcert in database_url",
    })
}

/// Whether the same server may admit a session that is not encrypted: the handshake failed, or the
/// server disliked who came (`hostssl … reject`).
pub(super) fn may_be_of_tls(error: &tokio_postgres::Error) -> bool {
    is_of_handshake(error) || error.code().is_some_and(|state| state.code().starts_with("28"))
}

fn is_of_handshake(error: &tokio_postgres::Error) -> bool {
    error.to_string().starts_with("error performing TLS handshake")
}

/// Whether the connection broke rather than that one side disliked the other.
fn is_of_network(error: &tokio_postgres::Error) -> bool {
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    // Rustls wraps what it dislikes into an error of the kind `InvalidData`.
    cause.is_some_and(|cause| {
        cause.kind() != io::ErrorKind::InvalidData && cause.kind() != io::ErrorKind::InvalidInput
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pooler_whose_database_is_away_is_waited_for_and_one_that_dislikes_the_client_is_not() {
        let violation = SqlState::PROTOCOL_VIOLATION;
        for text in [
            "db error: FATAL: server login has been failing, cached error: connect failed (server_login_retry)",
            "db error: FATAL: server login has been failing, try again later (server_login_retry)",
            "db error: FATAL: pgbouncer cannot connect to server",
            "db error: FATAL: query_wait_timeout",
            "db error: FATAL: no more connections allowed (max_client_conn)",
        ] {
            assert_eq!(advice_of_state(&violation, text), None, "{text}");
        }
        for (text, advice) in [
            ("db error: FATAL: unsupported startup parameter: options", "pooler = true"),
            ("db error: FATAL: server login failed: wrong password type", "refuses the session"),
        ] {
            let said = advice_of_state(&violation, text);
            assert!(said.is_some_and(|said| said.contains(advice)), "{text}: {said:?}");
        }
    }
}
