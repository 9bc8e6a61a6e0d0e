//! Where a PostgreSQL is and how to connect to it: a URL or `key=value` pairs, read by libpq's
//! rules.
//!
//! Each of libpq's words has libpq's meaning here, or is refused by name ([`words`]). A word that
//! is taken and not followed (`sslrootcert` beside `sslmode=require`) connects to somebody else.
//! One thing differs: no file in `~/.postgresql` is read. So `verify-full` without `sslrootcert`
//! means the system's certificates, where libpq wants `~/.postgresql/root.crt`.
//!
//! A password that should have been percent-encoded ends up in the host, the port or the name of
//! the database. So nothing of the text is ever quoted in an error: only words that libpq knows
//! are.

#[cfg(test)]
mod tests;
mod text;
mod words;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::secret::Secret;
use super::value::Wrong;

/// The form to write instead of an address that cannot be read.
const WRITE: &str = "write postgres://USER:PASSWORD@HOST:PORT/NAME, and percent-encode what the \
                     user or the password has of / ? % @ (@ is %40, / is %2F, ? is %3F, % is %25)";

/// Where a PostgreSQL is, and how to connect to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// In the order in which they are tried; at least one.
    pub hosts: Vec<HostAddress>,
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// `None`: named like the user.
    pub database: Option<String>,
    pub application_name: Option<String>,
    /// Session settings, in the form of libpq (`-c name=value`).
    pub options: Option<String>,
    /// How long each address of a host may take; `None`: not said. Never zero.
    pub connect_timeout: Option<Duration>,
    pub keepalive: Keepalive,
    pub server: ServerKind,
    pub channel_binding: ChannelBinding,
    pub tls: Tls,
}

/// One host of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAddress {
    pub host: Host,
    /// Where it is, if no resolver is to be asked (`hostaddr`).
    pub address: Option<IpAddr>,
    pub port: u16,
}

/// The way to reach a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or an IP address.
    Name(String),
    /// The folder of a Unix socket. Its connections are never encrypted, whatever `sslmode` says.
    Socket(PathBuf),
}

/// How a dead network is noticed; what is `None` was not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keepalive {
    pub on: Option<bool>,
    pub idle: Option<Duration>,
    pub interval: Option<Duration>,
    pub count: Option<u32>,
    pub user_timeout: Option<Duration>,
}

/// Which of several servers is to be used (`target_session_attrs`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ServerKind {
    #[default]
    Any,
    /// One whose sessions may write.
    ReadWrite,
    /// A server that is not in recovery.
    Primary,
}

/// Whether the password's exchange is bound to the encrypted connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    Disable,
    #[default]
    Prefer,
    Require,
}

/// How connections are encrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    pub mode: TlsMode,
    /// The file of `sslrootcert`; `None` under a verifying mode: the system's certificates.
    pub roots: Option<PathBuf>,
    /// Whether encryption begins without PostgreSQL's own question (`sslnegotiation=direct`).
    pub direct: bool,
}

/// The demands on the server's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsMode {
    Disable,
    /// Encrypts if the server can; tries once without if the handshake fails or the server refuses
    /// who came so.
    #[default]
    Prefer,
    /// Encrypts, whoever is there.
    Require,
    /// The certificate's chain is checked, its name is not.
    VerifyCa,
    /// Both are.
    VerifyFull,
}

impl Address {
    /// Reads a URL or a `key=value` string. Whether anything answers there is for the store to find
    /// out.
    ///
    /// # Errors
    /// The fault, without a piece of the address.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        words::address(&text::words(text)?)
    }
}

/// `HOST:PORT`, or the path of a socket's folder.
impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Host, user and database, put together anew from what was understood.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if self.password.is_some() {
                write!(f, ":{}", Secret::MASK)?;
            }
            f.write_str("@")?;
        }
        for (index, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if index > 0 { "," } else { "" })?;
        }
        write!(f, "/{}", self.database.as_deref().unwrap_or_default())
    }
}

/// How an address cannot be read.
fn unreadable(what: &str) -> Wrong {
    Wrong::new(what, WRITE)
}
