//! The side that clients see: the socket, the tokens, and the API behind them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::descriptors;
use crate::api::browsers::Browsers;
use crate::api::edge::{self, EdgeLimits, Stages};
use crate::api::{self, Behind, Services};
use crate::auth::Tokens;
use crate::config::{Config, PublicUrl, Secret};
use crate::supervise::Supervisor;

/// The address, which must be free before anything else is started, and what is answered there.
pub(crate) struct Front {
    behind: Behind,
    serving: Serving,
    supervisor: Supervisor,
}

impl Front {
    /// Binds the address and answers at once: that the service lives, and that its database is not
    /// there yet.
    ///
    /// # Errors
    /// When the address is taken; the message says what to do.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let tokens = Tokens::new(config.auth_tokens.iter().map(Secret::expose));
        let listener = TcpListener::bind(config.listen).await.with_context(|| {
            format!("cannot listen on {}. Is another service there? Choose an address with --listen, port 0 for any free one", config.listen)
        })?;
        let address = listener.local_addr()?;
        // A count before there is a recorder goes nowhere, for as long as the process lives.
        super::metrics::install();
        let public_url = config.public_url.as_ref().map(PublicUrl::as_str);
        let (app, behind) = api::app(tokens, Browsers::of(config), public_url);
        let limits =
            EdgeLimits { connections: descriptors::connections(config), ..EdgeLimits::default() };
        let stages = Stages::default();
        let supervisor = Supervisor::default();
        let edge = edge::serve(listener, app, limits, supervisor.clone(), stages.clone());
        let edge = tokio::spawn(edge);
        let Stages { leaving, stop, force } = stages;
        // Balancers look at addresses of other machines only.
        let delay =
            if config.listen.ip().is_loopback() { Duration::ZERO } else { config.shutdown_delay };
        let (stop, force) = (stop.drop_guard(), force.drop_guard());
        let serving = Serving { address, edge, leaving, stop, force, delay };
        Ok(Self { behind, serving, supervisor })
    }

    /// The supervisor of its loop, which is to keep the others too.
    pub(super) fn supervisor(&self) -> Supervisor {
        self.supervisor.clone()
    }

    /// Serves the API.
    pub(super) fn serve(self, services: Services) -> Serving {
        self.behind.open(services);
        self.serving
    }
}

/// The API while it is served. Dropped, it ends at once.
pub(super) struct Serving {
    address: SocketAddr,
    edge: JoinHandle<()>,
    leaving: CancellationToken,
    stop: DropGuard,
    force: DropGuard,
    delay: Duration,
}

impl Serving {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Each answer ends its connection from now on. Answers how long all is to be answered still.
    /// So balancers see that the service is not ready any more before its port is closed.
    pub(super) fn leave(&self) -> Duration {
        self.leaving.cancel();
        self.delay
    }

    /// Accepts nothing more, and gives the answers in flight so much time.
    pub(super) async fn stop(self, last_answers: Duration) {
        let Self { mut edge, stop, force, .. } = self;
        drop(stop);
        if tokio::time::timeout(last_answers, &mut edge).await.is_err() {
            drop(force);
            // It ends now; that it panicked would have been said.
            let _ = edge.await;
        }
    }
}

/// The line that scripts wait for, on standard output; for people the rest on standard error, with
/// a command to paste. Where the API is `guarded`, it takes the token from the variable that our
/// own command line reads. A thread of its own writes the line, since its reader may stall or be
/// gone.
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
