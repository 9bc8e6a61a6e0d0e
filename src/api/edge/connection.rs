//! One connection, from its accept to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use poem::endpoint::BoxEndpoint;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Request, Response};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::EdgeLimits;
use super::watch::{Watch, Watched, WatchedBody};
use crate::api::body::BodyDeadline;

/// Enough for any sensible head; hyper answers 431 beyond.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const HTTP2_STREAMS: u32 = 128;
const HTTP2_PING_EVERY: Duration = Duration::from_secs(20);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// For what is already written to leave, once a connection has nothing more to do.
const FAREWELL: Duration = Duration::from_secs(1);

/// What all connections share.
pub(super) struct Server {
    app: BoxEndpoint<'static, Response>,
    limits: EdgeLimits,
    http: auto::Builder<Tasks>,
    stop: CancellationToken,
    force: CancellationToken,
    pub(super) tracker: TaskTracker,
}

impl Server {
    pub(super) fn new(
        app: BoxEndpoint<'static, Response>,
        limits: EdgeLimits,
        stop: CancellationToken,
        force: CancellationToken,
        tracker: TaskTracker,
    ) -> Self {
        let mut http = auto::Builder::new(Tasks { tracker: tracker.clone(), force: force.clone() });
        // The watch keeps the time: hyper's own header timer has no separate figure for idle connections, and does not
        // run while the version of HTTP is being found out.
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD_BYTES);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS)
            .max_header_list_size(MAX_HEAD_BYTES as u32)
            .keep_alive_interval(HTTP2_PING_EVERY)
            .keep_alive_timeout(HTTP2_PING_TIMEOUT);
        Self { app, limits, http, stop, force, tracker }
    }

    pub(super) fn spawn(
        self: Arc<Self>,
        socket: TcpStream,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
    ) {
        let tracker = self.tracker.clone();
        tracker.spawn(async move {
            self.run(socket, peer).await;
            drop(permit);
        });
    }

    async fn run(self: Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        // Without it a small answer can wait 40 ms for an acknowledgement. A socket that refuses is one that is gone.
        let _ = socket.set_nodelay(true);
        let local = socket.local_addr().ok();
        let watch = Watch::new(self.limits);
        let shared = (self.clone(), watch.clone());
        let service = service_fn(move |request| {
            let (server, watch) = shared.clone();
            async move { server.answer(request, local, peer, watch).await }
        });
        let io = TokioIo::new(Watched::new(socket, watch.clone()));
        let mut connection = pin!(self.http.serve_connection(io, service));
        tokio::select! {
            // An error here is the client's: it went away, or spoke something else than HTTP.
            _ = connection.as_mut() => return,
            () = watch.overdue() => {}
            () = self.stop.cancelled() => {}
            () = self.force.cancelled() => return,
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection.as_mut() => {}
            () = watch.spent(FAREWELL) => {}
            () = self.force.cancelled() => {}
        }
    }

    async fn answer(
        &self,
        request: http::Request<Incoming>,
        local: Option<SocketAddr>,
        peer: SocketAddr,
        watch: Watch,
    ) -> Result<http::Response<WatchedBody>, Infallible> {
        let busy = watch.busy();
        let local = LocalAddr(local.map(Addr::SocketAddr).unwrap_or_default());
        let remote = RemoteAddr(Addr::SocketAddr(peer));
        let mut request = Request::from((request, local, remote, Scheme::HTTP));
        request.extensions_mut().insert(BodyDeadline(self.limits.body));
        let response = self.app.get_response(request).await;
        Ok(http::Response::from(response).map(|body| WatchedBody::new(body, busy)))
    }
}

/// Runs hyper's HTTP/2 streams among the connections, so that they are waited for and dropped like them.
#[derive(Clone)]
struct Tasks {
    tracker: TaskTracker,
    force: CancellationToken,
}

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let force = self.force.clone();
        self.tracker.spawn(async move { force.run_until_cancelled_owned(future).await });
    }
}
