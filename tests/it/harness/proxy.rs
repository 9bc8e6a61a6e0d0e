//! A proxy between the service and PostgreSQL that can be told to misbehave.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::{background, on_background, wire};

/// What the proxy does with what comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Hands everything on.
    Pass,
    /// Hands everything on, each piece this much later.
    Delay(Duration),
    /// Keeps all connections, takes new ones, and hands nothing on until the mode changes.
    Blackhole,
    /// Resets all connections, and every new one.
    Reset,
}

/// Listens on loopback; the connections end with it.
pub(crate) struct FaultProxy {
    shared: Arc<Shared>,
    url: String,
    accepting: AbortHandle,
}

struct Shared {
    target: Target,
    mode: watch::Sender<Mode>,
    lose: Mutex<Option<String>>,
    lost: watch::Sender<usize>,
    /// Whether the connection of the answer that is to be lost stays open.
    keep: AtomicBool,
    /// How often each SQL text was sent.
    sent: Mutex<HashMap<String, usize>>,
    started: Mutex<Vec<String>>,
}

enum Target {
    Tcp(String, u16),
    Unix(String),
}

/// Why a connection ended.
enum End {
    Closed,
    Reset,
}

impl FaultProxy {
    /// Starts a proxy to the server of this connection string.
    pub(crate) async fn start(url: &str) -> Self {
        let config: Config = url.parse().unwrap_or_else(|error| panic!("{url}: {error}"));
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let target = match config.get_hosts() {
            [Host::Tcp(host)] => Target::Tcp(host.clone(), port),
            [Host::Unix(dir)] => {
                Target::Unix(dir.join(format!(".s.PGSQL.{port}")).display().to_string())
            }
            other => panic!("a proxy goes to one host, not to {other:?}"),
        };
        let (mode, lose, lost) =
            (watch::Sender::new(Mode::Pass), Mutex::default(), watch::Sender::new(0));
        let (sent, started, keep) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { target, mode, lose, lost, sent, started, keep });
        let accepter = shared.clone();
        let (address, accepting) = on_background(async move {
            let listener =
                TcpListener::bind("127.0.0.1:0").await.expect("loopback can be listened on");
            let address = listener.local_addr().expect("a listener has an address");
            (address, tokio::spawn(accepter.accept(listener)).abort_handle())
        })
        .await;
        Self { shared, url: url_through(&config, address), accepting }
    }

    /// How to connect through the proxy.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Changes what happens to all connections, those that are open and those to come.
    pub(crate) fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Loses the answer to the next commit of a transaction whose SQL contains `needle`: PostgreSQL commits, and the
    /// client sees its connection close. Wait for it with [`FaultProxy::lost`].
    pub(crate) fn lose_answer_to(&self, needle: &str) {
        *self.shared.lose.lock().expect("nobody panics with it") = Some(needle.to_owned());
    }

    /// What each session that was started through it said of itself: names and values, with blanks between them.
    pub(crate) fn started(&self) -> Vec<String> {
        self.shared.started.lock().expect("nobody panics with it").clone()
    }

    /// As [`FaultProxy::lose_answer_to`], but the connection stays open, and nothing comes from it any more.
    pub(crate) fn swallow_answer_to(&self, needle: &str) {
        self.shared.keep.store(true, Ordering::Relaxed);
        self.lose_answer_to(needle);
    }

    /// Waits until this many answers have been lost since the proxy was started.
    pub(crate) async fn lost(&self, count: usize) {
        let mut lost = self.shared.lost.subscribe();
        lost.wait_for(|it| *it >= count).await.expect("the proxy lives");
    }

    /// How many transactions were sent whose SQL contains `needle`.
    pub(crate) fn sent(&self, needle: &str) -> usize {
        let sent = self.shared.sent.lock().expect("nobody panics with it");
        sent.iter().filter(|(sql, _)| sql.contains(needle)).map(|(_, count)| count).sum()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.mode.send_replace(Mode::Reset);
    }
}

impl Shared {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            background().spawn(self.clone().serve(client));
        }
    }

    async fn serve(self: Arc<Self>, client: TcpStream) {
        let _ = client.set_nodelay(true);
        match &self.target {
            Target::Unix(path) => match UnixStream::connect(path).await {
                Ok(server) => self.join(client, server.into_split()).await,
                Err(_) => reset(&client),
            },
            Target::Tcp(host, port) => match TcpStream::connect((host.as_str(), *port)).await {
                Ok(server) => self.join(client, server.into_split()).await,
                Err(_) => reset(&client),
            },
        }
    }

    async fn join(
        &self,
        mut client: TcpStream,
        server: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    ) {
        let (from_client, to_client) = client.split();
        let losing = watch::Sender::new(None);
        let end = tokio::select! {
            end = self.reset_asked_for() => end,
            end = self.upstream(from_client, server.1, &losing) => end,
            end = self.downstream(server.0, to_client, &losing) => end,
        };
        if matches!(end, End::Reset) {
            reset(&client);
        }
    }

    async fn reset_asked_for(&self) -> End {
        // The sender is ours, so this cannot fail.
        let _ = self.mode.subscribe().wait_for(|mode| *mode == Mode::Reset).await;
        End::Reset
    }

    async fn upstream(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        losing: &watch::Sender<Option<usize>>,
    ) -> End {
        let (mut buffer, mut reader) = (vec![0; 1 << 16], wire::Reader::default());
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            self.hold_back().await;
            let before = reader.started().is_some();
            let commits = reader.read(&buffer[..length]);
            if let Some(startup) = reader.started().filter(|_| !before) {
                self.started.lock().expect("nobody panics with it").push(startup.to_owned());
            }
            for sql in commits {
                if self.is_to_be_lost(&sql) {
                    losing.send_replace(Some(reader.asked()));
                }
                let mut sent = self.sent.lock().expect("nobody panics with it");
                *sent.entry(sql).or_default() += 1;
            }
            if to.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
        End::Closed
    }

    async fn downstream(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        losing: &watch::Sender<Option<usize>>,
    ) -> End {
        let (mut buffer, mut answers) = (vec![0; 1 << 16], wire::Answers::default());
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let whole = answers.read(&buffer[..length]);
            let nth = *losing.borrow();
            if let Some(nth) = nth {
                if whole < nth {
                    continue;
                }
                // That it answered means that it has committed, or failed to.
                self.lost.send_modify(|count| *count += 1);
                if self.keep.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
                return End::Reset;
            }
            self.hold_back().await;
            if to.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
        End::Closed
    }

    async fn hold_back(&self) {
        let mode = *self.mode.borrow();
        if let Mode::Delay(delay) = mode {
            tokio::time::sleep(delay).await;
        }
        let _ = self.mode.subscribe().wait_for(|mode| *mode != Mode::Blackhole).await;
    }

    fn is_to_be_lost(&self, sql: &str) -> bool {
        let mut lose = self.lose.lock().expect("nobody panics with it");
        lose.take_if(|needle| sql.contains(needle.as_str())).is_some()
    }
}

fn reset(client: &TcpStream) {
    // With this, closing sends a reset instead of an orderly end.
    let _ = client.set_zero_linger();
}

fn url_through(config: &Config, address: SocketAddr) -> String {
    let (user, database) =
        (config.get_user().unwrap_or("postgres"), config.get_dbname().unwrap_or("postgres"));
    format!(
        "host={} port={} user={user} dbname={database} sslmode=disable",
        address.ip(),
        address.port()
    )
}
