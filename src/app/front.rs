//! The side that clients see: the socket, the tokens, and the API behind them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::api::browsers::Browsers;
use crate::api::edge::{self, EdgeLimits};
use crate::api::{self, Services};
use crate::auth::Tokens;
use crate::config::{Config, Secret};

/// What must be right before anything else is started: an address that is free.
pub(crate) struct Front {
    listener: TcpListener,
    tokens: Tokens,
    browsers: Browsers,
}

impl Front {
    /// # Errors
    /// When the address is taken; the message says what to do.
    pub(crate) async fn bind(config: &Config) -> anyhow::Result<Self> {
        let tokens = Tokens::new(config.auth_tokens.iter().map(Secret::expose));
        let listener = TcpListener::bind(config.listen).await.with_context(|| {
            format!("cannot listen on {}. Is another service there? Choose an address with --listen, port 0 for any free one", config.listen)
        })?;
        Ok(Self { listener, tokens, browsers: Browsers::of(config) })
    }

    /// Serves the API.
    pub(super) fn serve(self, behind: Services, connections: usize) -> anyhow::Result<Serving> {
        let app = api::app(behind, self.tokens, self.browsers)?;
        let address = self.listener.local_addr()?;
        let (stop, force) = (CancellationToken::new(), CancellationToken::new());
        let limits = EdgeLimits { connections, ..EdgeLimits::default() };
        let edge = edge::serve(self.listener, app, limits, stop.clone(), force.clone());
        let edge = tokio::spawn(edge);
        Ok(Serving { address, edge, stop: stop.drop_guard(), force: force.drop_guard() })
    }
}

/// The API while it is served. Dropped, it ends at once.
pub(super) struct Serving {
    pub(super) address: SocketAddr,
    edge: JoinHandle<()>,
    stop: DropGuard,
    force: DropGuard,
}

impl Serving {
    /// Accepts nothing more, and gives the answers in flight so much time.
    pub(super) async fn stop(mut self, last_answers: Duration) {
        drop(self.stop);
        if tokio::time::timeout(last_answers, &mut self.edge).await.is_err() {
            drop(self.force);
            // It ends now; that it panicked would have been said.
            let _ = self.edge.await;
        }
    }
}

/// The line that scripts wait for, on standard output; for people the rest on standard error, with a
/// command to paste. Where the API is `guarded`, it takes the token from the variable that our own
/// command line reads. A thread of its own writes the line, since its reader may stall or be gone.
pub(super) fn say_ready(address: SocketAddr, guarded: bool) {
    let url = format!("http://{address}");
    let token = if guarded { r#" -H "authorization: Bearer $REVEILLE_TOKEN""# } else { "" };
    tracing::info!(
        "API {url}  docs {url}/docs  metrics {url}/metrics\n\n  curl -s {url}/jobs{token} -H 'content-type: application/json' -d '{}'\n",
        r#"{"payload": {"task": "hello_world", "data": "test message"}}"#
    );
    let write = move || {
        let mut out = std::io::stdout().lock();
        if let Err(error) = writeln!(out, "ready {url}").and_then(|()| out.flush()) {
            tracing::warn!(%error, "the line `ready {url}` could not be written to standard output; the service is ready");
        }
    };
    if let Err(error) = thread::Builder::new().name("ready".into()).spawn(write) {
        tracing::warn!(%error, "the system refuses a thread; see `ulimit -u`");
    }
}
