//! Values that must not appear in a log, in an error or in `reveille config`.

use std::fmt;
use std::str::FromStr;

use super::value::Wrong;

/// A text whose `Debug` says nothing; there is no `Display`, and no serialisation.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(super) const MASK: &'static str = "***";

    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

/// Where a PostgreSQL is, with the password that opens it.
///
/// `Display` and `Debug` show host, user and database, put together anew from what was understood:
/// a password left in by a rule that cuts it out could sit anywhere in the text.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Secret);

impl DatabaseUrl {
    /// Checks the form, a URL or `key=value` pairs. Whether anything answers there is for the
    /// store to find out.
    pub fn new(text: &str) -> Result<Self, Wrong> {
        const WRITE: &str = "write postgres://USER:PASSWORD@HOST:PORT/NAME";
        let url = text.starts_with("postgres://") || text.starts_with("postgresql://");
        if !url && (!text.contains('=') || text.contains("://")) {
            return Err(Wrong::new("is no address of a PostgreSQL", WRITE));
        }
        if let Err(error) = tokio_postgres::Config::from_str(&without_tls(text)) {
            // The driver's message names the parameter, not its value; the source may quote it.
            return Err(Wrong::new(format!("cannot be read ({error})"), WRITE));
        }
        Ok(Self(Secret::new(text)))
    }

    /// The whole address, password and all.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Without the words for TLS that libpq knows and the driver does not; the store understands them.
fn without_tls(text: &str) -> String {
    let ours = |pair: &str| {
        pair.starts_with("sslrootcert=")
            || matches!(pair, "sslmode=verify-ca" | "sslmode=verify-full")
    };
    if let Some((address, query)) = text.split_once('?') {
        let kept: Vec<_> = query.split('&').filter(|pair| !ours(pair)).collect();
        return format!("{address}?{}", kept.join("&"));
    }
    if text.contains("://") || !text.split_whitespace().any(ours) {
        return text.to_owned();
    }
    text.split_whitespace().filter(|pair| !ours(pair)).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(config) = tokio_postgres::Config::from_str(&without_tls(self.expose())) else {
            return f.write_str(Secret::MASK);
        };
        f.write_str("postgres://")?;
        if let Some(user) = config.get_user() {
            f.write_str(user)?;
            if config.get_password().is_some() {
                write!(f, ":{}", Secret::MASK)?;
            }
            f.write_str("@")?;
        }
        let ports = config.get_ports();
        for (index, host) in config.get_hosts().iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match host {
                tokio_postgres::config::Host::Tcp(name) => write!(f, "{comma}{name}")?,
                #[cfg(unix)]
                tokio_postgres::config::Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
            }
            if let Some(port) = ports.get(index).or(ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", config.get_dbname().unwrap_or_default())
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
            ("host=db user='the me' sslmode=require", "postgres://the me@db/"),
            ("host=db sslmode=verify-ca sslrootcert=/ca.pem dbname=x", "postgres://db/x"),
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
