//! The sockets: accepting them, bounding them, and leaving them.
//!
//! poem's own server has no deadlines on what a client sends. It spins when file descriptors run
//! out, and when it is told to stop it waits for ever for half a request. So connections are served
//! with hyper here:
//!
//! - At most [`EdgeLimits::connections`] are served at a time. [`PROBES`] more are answered if they
//!   ask how the service is, and else refused. The others wait in the kernel's queue. A connection
//!   of HTTP/2 answers more than one request at a time only while all such requests together are no
//!   more than that.
//! - A connection that says nothing, half a head, or nothing more for long is closed. So is one
//!   that does not take its answer. No deadline touches a request that is being answered, since
//!   long polls are requests too.
//! - Once the service is leaving, each answer ends its connection. On `stop` nothing more is
//!   accepted, idle connections end at once, and requests that are being answered end as they
//!   would. On `force` whatever is left is dropped. So [`serve`] always returns.
//!
//! [`super::body::Read`] minds the deadline and the size of a body: it alone can answer 408 and
//! 413.

mod accept;
mod connection;
mod inlet;
mod places;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use poem::Response;
use poem::endpoint::BoxEndpoint;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::supervise::Supervisor;

pub use accept::Accept;
pub use places::PROBES;
use places::Places;

/// The share that a client may take of the service's time and sockets.
#[derive(Debug, Clone, Copy)]
pub struct EdgeLimits {
    /// Connections that are served; as many requests of HTTP/2 are answered beside another of their
    /// connection.
    pub connections: usize,
    /// From the accept to the first byte.
    pub first_byte: Duration,
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// The whole body of a request.
    pub body: Duration,
    /// Bytes of the medium bodies that are there at a time, of the large ones, and of answers; see
    /// `Room`.
    pub bodies: usize,
    /// Between two requests.
    pub idle: Duration,
    /// For the client to take any more of an answer that the kernel has no more room for.
    pub write: Duration,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            bodies: 256 * 1024 * 1024,
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
        }
    }
}

/// How long a connection in a place for probes may take over each thing: its head, its body, the
/// next request.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

impl EdgeLimits {
    /// Shorter where they are longer, so that places for probes come free soon.
    fn of_a_probe(self) -> Self {
        let short = |limit: Duration| limit.min(PROBE_PATIENCE);
        Self {
            connections: self.connections,
            first_byte: short(self.first_byte),
            head: short(self.head),
            body: short(self.body),
            bodies: self.bodies,
            idle: short(self.idle),
            write: short(self.write),
        }
    }
}

/// Marks a request whose connection has a place for probes only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowded;

/// The stages of leaving.
#[derive(Debug, Clone, Default)]
pub struct Stages {
    /// All is answered, and each answer ends its connection.
    pub leaving: CancellationToken,
    /// Nothing more is accepted, and idle connections end.
    pub stop: CancellationToken,
    /// Everything ends.
    pub force: CancellationToken,
}

/// Answers what comes in on `listener` with `app`, until `stop`, and then finishes what it has
/// begun, until `force`.
pub async fn serve(
    listener: impl Accept,
    app: BoxEndpoint<'static, Response>,
    limits: EdgeLimits,
    supervisor: Supervisor,
    stages: Stages,
) {
    let tracker = TaskTracker::new();
    let server = connection::Server::new(app, limits, stages.clone(), tracker.clone());
    let (places, server) = (Places::new(limits.connections), Arc::new(server));
    let listener = Arc::new(Mutex::new(listener));
    let accept = move || accept::accept_all(listener.clone(), places.clone(), server.clone());
    let (stop, force) = (stages.stop.clone(), stages.force.clone());
    let is_over = move || stop.is_cancelled() || force.is_cancelled();
    tokio::select! {
        () = supervisor.keep("edge", is_over, accept) => {}
        () = stages.stop.cancelled() => {}
        () = stages.force.cancelled() => {}
    }
    tracker.close();
    // Not only told to stop but accepting no more: the listener is closed now, so that clients go
    // elsewhere.
    tracker.wait().await;
}
