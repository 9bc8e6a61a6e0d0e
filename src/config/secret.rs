//! Values that must not appear in a log, in an error or in `reveille config`.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::address::Address;
use super::problem::ConfigError;
use super::value::Wrong;

/// A text whose `Debug` says nothing, and whose memory is wiped when it is dropped. There is no
/// `Display`, and no serialisation.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub(super) const MASK: &'static str = "***";

    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Configurations are compared. A token that a caller sends is not compared here.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

/// Where a PostgreSQL is, with the password that opens it.
///
/// `Display` and `Debug` show host, user and database, put together again from what was understood.
/// A rule that cuts a password out could leave it in anywhere in the text.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    text: Secret,
    address: Address,
}

impl DatabaseUrl {
    /// Checks the form, a URL or `key=value` pairs. Nothing is connected to.
    ///
    /// # Errors
    /// The fault, without a piece of the address.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        Self::read(text).map_err(|wrong| ConfigError::of_program("database_url", wrong))
    }

    pub(super) fn read(text: &str) -> Result<Self, Wrong> {
        Ok(Self { address: Address::parse(text)?, text: Secret::new(text) })
    }

    /// The whole address, password and all.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// The address that it names.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.address, f)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_where_but_not_the_password() {
        for (text, shown) in [
            (
                "postgres://me:hush@db:5433/jobs?sslmode=verify-full",
                "postgres://me:***@db:5433/jobs",
            ),
            ("host=db user='the me' sslmode=require", "postgres://the me@db:5432/"),
            ("host=db sslmode=verify-ca sslrootcert=/ca.pem dbname=x", "postgres://db:5432/x"),
            ("postgresql://me@a:1,b:2/jobs", "postgres://me@a:1,b:2/jobs"),
            ("host=/run/pg user=me password=hush dbname=jobs", "postgres://me:***@/run/pg/jobs"),
            ("postgres://db/jobs?user=me&password=hush", "postgres://me:***@db:5432/jobs"),
            ("postgres://me:hu%40sh@db/jobs", "postgres://me:***@db:5432/jobs"),
        ] {
            let url = DatabaseUrl::new(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
            assert_eq!(url.expose(), text);
        }
    }

    #[test]
    fn a_wrong_address_is_refused_without_being_quoted() {
        for text in [
            "hush",
            "mysql://me:hush@db/x",
            "postgres://me:hush@db:hush/x",
            "postgres://me:hush@db/x?sslmode=maybe",
            "password=hush x",
        ] {
            let wrong = DatabaseUrl::new(text).unwrap_err();
            assert!(!format!("{wrong:?}").contains("hush"), "{wrong:?}");
        }
    }
}
