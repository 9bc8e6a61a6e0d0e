//! The accept loop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

use super::connection::Server;
use super::places::{Entry, Places};
use crate::supervise::Inbox;

/// How long nothing is accepted after the process has run out of something. Long enough to cost no
/// CPU, short enough to be no outage.
const BACK_OFF: Duration = Duration::from_millis(100);
/// A full house is reported once in this time, not once a connection.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Where connections come from: a listener, or in a test one that fails.
pub trait Accept: Send + 'static {
    /// The next connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self).await
    }
}

pub(super) async fn accept_all(listener: Inbox<impl Accept>, places: Places, server: Arc<Server>) {
    let mut listener = listener.lock().await;
    let mut full = Report::default();
    let mut failed = Report::default();
    loop {
        // A connection that may not come in yet waits in the kernel's queue, and costs nothing.
        let entry = entry(&places, &mut full).await;
        match listener.accept().await {
            Ok((socket, peer)) => server.clone().take(socket, peer, places.place(entry)),
            // The client gave up before it was its turn.
            Err(error) if is_about_the_client(&error) => {}
            Err(error) => {
                failed.say(|| {
                    tracing::warn!(%error, "cannot accept connections; trying again every 100 ms. Raise the limit of \
                                            open files if it is `Too many open files`");
                });
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

async fn entry(places: &Places, full: &mut Report) -> Entry {
    if places.are_full() {
        full.say(|| {
            tracing::warn!(
                "all connections are in use: until one ends, new ones are answered 503, but for health checks. Raise \
                 max_connections, or look for who holds them"
            );
        });
    }
    places.entry().await
}

fn is_about_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

#[derive(Default)]
struct Report(Option<Instant>);

impl Report {
    fn say(&mut self, line: impl FnOnce()) {
        if self.0.is_none_or(|last| last.elapsed() >= REPORT_EVERY) {
            self.0 = Some(Instant::now());
            line();
        }
    }
}
