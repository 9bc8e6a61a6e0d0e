//! How a connection to PostgreSQL is made: the one place for it, with libpq's words for TLS.
//! Keepalives notice a dead network within about ten seconds; untouched, neither an idle LISTEN nor
//! a query noticed one within a minute. Session settings travel in the startup packet.
//!
//! Every session looks for what a statement names in `pg_catalog` alone. Else a role that may
//! create objects in the database could have the service call its own functions, where they fit a
//! statement better than PostgreSQL's.
//!
//! Why there: a PgBouncer in transaction mode takes a `SET` and hands the changed server connection
//! to somebody else. So `synchronous_commit = off` for claims would leak to submissions. The
//! startup parameter `options` it refuses, and the refusal can be explained.
//!
//! Each address of each host has a time limit of its own, and the host that was good last comes
//! first. A primary that is frozen accepts connections for ever and answers none.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_postgres::config::{ChannelBinding as Binding, SslMode, SslNegotiation};
use tokio_postgres::{AsyncMessage, Client, Config, Notification, SimpleQueryMessage};

use super::error::{Error, Result, with_sources};
use super::refusal::{Refusals, may_be_of_tls};
use super::tls::{self, Connector};
use crate::config::{Address, ChannelBinding, Host, HostAddress, ServerKind, TlsMode};

/// How long one address of one host may take until a connection can be used, where the URL does not
/// say.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// The settings that every session brings along, whatever the database or the role says.
/// Backslashes in literals mean themselves, also where a migration makes a function. Nulls are
/// nulls, and times are written as they are read. Only limits of our own end a statement, a
/// transaction or a session. `default_transaction_read_only` stays as it is: a provider whose disk
/// is full sets it, and means it.
const SESSION: &str = "-c search_path=pg_catalog,pg_temp -c standard_conforming_strings=on -c array_nulls=on \
    -c transform_null_equals=off -c row_security=on -c default_transaction_isolation=read\\ committed \
    -c default_transaction_deferrable=off -c statement_timeout=0 -c lock_timeout=0 \
    -c idle_session_timeout=0 -c idle_in_transaction_session_timeout=60000 -c DateStyle=ISO,MDY \
    -c TimeZone=UTC -c IntervalStyle=postgres";
/// A part of [`SESSION`] that not every version knows, so that no startup packet may name it.
const SESSION_SINCE_17: &str = "select pg_catalog.set_config('transaction_timeout', '0', false)
    where pg_catalog.current_setting('transaction_timeout', true) is not null";

/// Where to connect, and how. Clones share which host was good last.
#[derive(Clone)]
pub struct Target {
    hosts: Arc<[HostAddress]>,
    /// Everything but the host.
    base: Config,
    tls: Connector,
    /// Whether the server's certificate is checked.
    verified: bool,
    within: Duration,
    /// Whether a session is nobody else's, and can be changed.
    own: bool,
    server: ServerKind,
    shown: String,
    good: Arc<watch::Sender<usize>>,
}

/// A connection that was made.
pub(super) struct Reached<T> {
    pub(super) client: Client,
    /// Which of the hosts it leads to.
    pub(super) host: usize,
    pub(super) rest: T,
}

impl Target {
    /// Reads a URL or a `key=value` string that leads to PostgreSQL itself; see [`Address`].
    ///
    /// # Errors
    /// [`Error::Misconfigured`], without a piece of the text.
    pub fn parse(text: &str) -> Result<Self> {
        let address = Address::parse(text).map_err(|wrong| {
            let message = format!("the database URL {}", wrong.what);
            Error::misconfigured(message, format!("Correct it: {}", wrong.write))
        })?;
        Self::of(&address)
    }

    /// PostgreSQL itself at this address.
    ///
    /// # Errors
    /// When a file that the address names cannot be read.
    pub fn of(address: &Address) -> Result<Self> {
        Ok(Self { own: true, ..Self::through_pooler(address)?.with_options(SESSION) })
    }

    /// As [`Target::of`], by a PgBouncer in transaction mode, which takes no settings of a session.
    /// The role has to have the search path: [`trust`](super::trust) says whether it has.
    pub(crate) fn through_pooler(address: &Address) -> Result<Self> {
        let shown = match &address.database {
            Some(_) => address.to_string(),
            None => format!("{address}{}", address.user.as_deref().unwrap_or_default()),
        };
        Ok(Self {
            hosts: address.hosts.clone().into(),
            base: base(address),
            tls: tls::connector(&address.tls)?,
            verified: matches!(address.tls.mode, TlsMode::VerifyCa | TlsMode::VerifyFull),
            within: address.connect_timeout.unwrap_or(CONNECT_WITHIN),
            own: false,
            server: address.server,
            shown,
            good: Arc::new(watch::Sender::new(0)),
        })
    }

    /// The same place, with more session settings (`-c name=value …`).
    #[must_use]
    pub(crate) fn with_options(&self, options: &str) -> Self {
        let mut target = self.clone();
        let own = target.base.get_options().unwrap_or_default();
        let all = [own, options].map(str::trim).join(" ");
        target.base.options(all.trim());
        target
    }

    /// The part that a person may see: user, hosts with ports, and database.
    pub fn describe(&self) -> &str {
        &self.shown
    }

    /// The encryption of its connections.
    pub(super) fn tls(&self) -> Connector {
        self.tls.clone()
    }

    /// Waits until a host other than this one was good last: it has taken over, and this one
    /// answers no more.
    pub(super) async fn moved_from(&self, host: usize) {
        if self.hosts.len() == 1 {
            return std::future::pending().await;
        }
        // The sender lives as long as the target, so this cannot fail.
        let _ = self.good.subscribe().wait_for(|good| *good != host).await;
    }

    /// Whether another host was good last.
    pub(super) fn has_left(&self, host: usize) -> bool {
        *self.good.borrow() != host
    }

    /// Connects, and serves the connection until its client is dropped, or as long as the runtime
    /// lives. Its notifications come from the receiver.
    ///
    /// # Errors
    /// [`Error::Misconfigured`] for what no waiting mends, else [`Error::Unavailable`].
    pub(crate) async fn connect(&self) -> Result<(Client, mpsc::UnboundedReceiver<Notification>)> {
        let reached = self.reach(|config, tls| async move {
            let (client, mut connection) = config.connect(tls).await?;
            let (sender, notifications) = mpsc::unbounded_channel();
            // Reads on whatever anybody else does: a listener that stops reading holds back vacuum,
            // and at last every COMMIT.
            tokio::spawn(async move {
                let mut next =
                    async || std::future::poll_fn(|context| connection.poll_message(context)).await;
                while let Some(Ok(message)) = next().await {
                    if let AsyncMessage::Notification(notification) = message {
                        // An error says that nobody listens.
                        let _ = sender.send(notification);
                    }
                }
            });
            Ok((client, notifications))
        });
        let reached = reached.await?;
        Ok((reached.client, reached.rest))
    }

    /// Tries the hosts, the last good one first, until `make` gives a connection that leads to such
    /// a server as is wanted.
    pub(super) async fn reach<T, F>(
        &self,
        make: impl Fn(Config, Connector) -> F,
    ) -> Result<Reached<T>>
    where
        F: Future<Output = std::result::Result<(Client, T), tokio_postgres::Error>>,
    {
        let first = *self.good.borrow();
        let others = (0..self.hosts.len()).filter(|nth| *nth != first);
        let mut refusals = Refusals::of(self.verified);
        for nth in std::iter::once(first).chain(others) {
            let host = &self.hosts[nth];
            let shown = host.to_string();
            let addresses = match timeout(self.within, addresses(host)).await {
                Ok(Ok(addresses)) => addresses,
                Ok(Err(error)) => {
                    refusals.add_passing(&shown, &with_sources(&error));
                    continue;
                }
                Err(_) => {
                    refusals.add_passing(&shown, "its name was not resolved in time");
                    continue;
                }
            };
            for address in addresses {
                let trying = async {
                    let config = self.config(host, address);
                    let (client, rest) =
                        self.admitted(config, &make, &shown, &mut refusals).await?;
                    let (fits, ()) = tokio::try_join!(self.fits(&client), self.set_up(&client))?;
                    Ok::<_, tokio_postgres::Error>((client, rest, fits))
                };
                match timeout(self.within, trying).await {
                    Ok(Ok((client, rest, true))) => {
                        self.good.send_if_modified(|good| std::mem::replace(good, nth) != nth);
                        return Ok(Reached { client, host: nth, rest });
                    }
                    Ok(Ok(_)) => refusals.add_passing(
                        &shown,
                        "it takes no writes, as target_session_attrs asks for",
                    ),
                    Ok(Err(error)) => refusals.add(&shown, &error),
                    Err(_) => {
                        let silence = format!("no answer within {} s", self.within.as_secs_f64());
                        refusals.add_passing(&shown, &silence);
                    }
                }
            }
        }
        Err(refusals.into_error())
    }

    /// Connects; as libpq, once more without encryption where that was only preferred and may be
    /// what the server dislikes.
    async fn admitted<T, F>(
        &self,
        mut config: Config,
        make: &impl Fn(Config, Connector) -> F,
        shown: &str,
        refusals: &mut Refusals,
    ) -> std::result::Result<(Client, T), tokio_postgres::Error>
    where
        F: Future<Output = std::result::Result<(Client, T), tokio_postgres::Error>>,
    {
        let tls = self.tls.anew();
        let error = match make(config.clone(), tls.clone()).await {
            Err(error) if config.get_ssl_mode() == SslMode::Prefer => error,
            made => return made,
        };
        if !tls.has_begun() || !may_be_of_tls(&error) {
            return Err(error);
        }
        refusals.add(shown, &error);
        config.ssl_mode(SslMode::Disable);
        make(config, tls).await
    }

    fn config(&self, host: &HostAddress, address: Option<IpAddr>) -> Config {
        let mut config = self.base.clone();
        match &host.host {
            Host::Name(name) => {
                config.host(name);
            }
            Host::Socket(path) => {
                config.host_path(path).ssl_mode(SslMode::Disable);
                config.ssl_negotiation(SslNegotiation::Postgres);
            }
        }
        if let Some(address) = address {
            config.hostaddr(address);
        }
        config.port(host.port);
        config
    }

    async fn set_up(&self, client: &Client) -> std::result::Result<(), tokio_postgres::Error> {
        if self.own { client.batch_execute(SESSION_SINCE_17).await } else { Ok(()) }
    }

    /// Whether the server is one that `target_session_attrs` asks for.
    async fn fits(&self, client: &Client) -> std::result::Result<bool, tokio_postgres::Error> {
        let question = match self.server {
            ServerKind::Any => return Ok(true),
            ServerKind::ReadWrite => "show transaction_read_only",
            ServerKind::Primary => "select pg_catalog.pg_is_in_recovery()",
        };
        let rows = client.simple_query(question).await?;
        Ok(rows.iter().any(|row| match row {
            SimpleQueryMessage::Row(row) => matches!(row.get(0), Some("off" | "f")),
            _ => false,
        }))
    }
}

/// Where a host is; `None` for the one way to a socket.
async fn addresses(host: &HostAddress) -> std::io::Result<Vec<Option<IpAddr>>> {
    match (&host.host, host.address) {
        (_, Some(address)) => Ok(vec![Some(address)]),
        (Host::Socket(_), None) => Ok(vec![None]),
        (Host::Name(name), None) => {
            let mut found = Vec::new();
            for address in tokio::net::lookup_host((name.as_str(), host.port)).await? {
                if !found.contains(&Some(address.ip())) {
                    found.push(Some(address.ip()));
                }
            }
            if found.is_empty() {
                return Err(std::io::Error::other("the name has no address"));
            }
            Ok(found)
        }
    }
}

fn base(address: &Address) -> Config {
    let mut config = Config::new();
    if let Some(user) = &address.user {
        config.user(user);
    }
    if let Some(password) = &address.password {
        config.password(password.expose());
    }
    if let Some(database) = &address.database {
        config.dbname(database);
    }
    if let Some(options) = &address.options {
        config.options(options);
    }
    config.application_name(address.application_name.as_deref().unwrap_or("reveille"));
    config.ssl_mode(match address.tls.mode {
        TlsMode::Disable => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
    });
    if address.tls.direct {
        config.ssl_negotiation(SslNegotiation::Direct);
    }
    config.channel_binding(match address.channel_binding {
        ChannelBinding::Disable => Binding::Disable,
        ChannelBinding::Prefer => Binding::Prefer,
        ChannelBinding::Require => Binding::Require,
    });
    // The words of the URL are respected; zero asks for the system's own.
    let keepalive = &address.keepalive;
    let seconds = Duration::from_secs;
    config.keepalives(keepalive.on.unwrap_or(true));
    config.keepalives_idle(match keepalive.idle {
        Some(Duration::ZERO) => seconds(7200),
        idle => idle.unwrap_or(seconds(5)),
    });
    if keepalive.interval != Some(Duration::ZERO) {
        config.keepalives_interval(keepalive.interval.unwrap_or(seconds(2)));
    }
    if keepalive.count != Some(0) {
        config.keepalives_retries(keepalive.count.unwrap_or(3));
    }
    if keepalive.user_timeout != Some(Duration::ZERO) {
        config.tcp_user_timeout(keepalive.user_timeout.unwrap_or(seconds(10)));
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(words: &str) -> (Duration, bool, [Option<Duration>; 3], Option<u32>) {
        let address = Address::parse(&format!("host=h user=u dbname=d {words}")).unwrap();
        let (target, base) = (Target::of(&address).unwrap(), base(&address));
        let times = [
            Some(base.get_keepalives_idle()),
            base.get_keepalives_interval(),
            base.get_tcp_user_timeout().copied(),
        ];
        (target.within, base.get_keepalives(), times, base.get_keepalives_retries())
    }

    #[test]
    fn times_of_the_url_are_respected_and_zero_leaves_them_to_the_system() {
        let seconds = |times: [u64; 3]| times.map(|time| Some(Duration::from_secs(time)));
        assert_eq!(times(""), (CONNECT_WITHIN, true, seconds([5, 2, 10]), Some(3)));
        let said = "connect_timeout=7 keepalives_idle=8 keepalives_interval=4 keepalives_count=6 \
                    tcp_user_timeout=9000";
        assert_eq!(times(said), (Duration::from_secs(7), true, seconds([8, 4, 9]), Some(6)));
        let zeros = "keepalives=0 keepalives_idle=0 keepalives_interval=0 \
                     keepalives_count=0 tcp_user_timeout=0";
        let [two_hours, _, _] = seconds([7200, 0, 0]);
        assert_eq!(times(zeros), (CONNECT_WITHIN, false, [two_hours, None, None], None));
    }
}
