//! One connection, from its accept to its end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderValue, Version, header};
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use poem::endpoint::BoxEndpoint;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Request, RequestParts, Response};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::inlet::Inlet;
use super::places::Place;
use super::watch::{Watch, Watched, WatchedBody};
use super::{Crowded, EdgeLimits, Stages};
use crate::api::body::BodyTerms;
use crate::api::room::Room;

/// Enough for any sensible head; hyper answers 431 beyond.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const HTTP2_STREAMS: u32 = 128;
/// Bytes that a connection of HTTP/2 may send before somebody reads them.
const HTTP2_UNREAD: u32 = 256 * 1024;
const HTTP2_PING_EVERY: Duration = Duration::from_secs(20);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// For what is already written to leave, once a connection has nothing more to do.
const FAREWELL: Duration = Duration::from_secs(1);

/// Shared by all connections.
pub(super) struct Server {
    app: BoxEndpoint<'static, Response>,
    limits: EdgeLimits,
    room: Room,
    /// Requests of HTTP/2 that are answered beside another of their connection. As many as
    /// connections: each holds as much memory as one.
    streams: Arc<Semaphore>,
    http: auto::Builder<Tasks>,
    tasks: Tasks,
    stages: Stages,
}

impl Server {
    pub(super) fn new(
        app: BoxEndpoint<'static, Response>,
        limits: EdgeLimits,
        stages: Stages,
        tracker: TaskTracker,
    ) -> Self {
        let tasks = Tasks { tracker, force: stages.force.clone() };
        let mut http = auto::Builder::new(tasks.clone());
        // The watch keeps the time. Hyper's own header timer has no separate figure for idle
        // connections, and does not run while the version of HTTP is being found out.
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD_BYTES);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS)
            .max_header_list_size(MAX_HEAD_BYTES as u32)
            .initial_stream_window_size(HTTP2_UNREAD)
            .initial_connection_window_size(HTTP2_UNREAD)
            .keep_alive_interval(HTTP2_PING_EVERY)
            .keep_alive_timeout(HTTP2_PING_TIMEOUT);
        let room = Room::new(limits.bodies);
        let streams = limits.connections.clamp(1, Semaphore::MAX_PERMITS);
        let streams = Arc::new(Semaphore::new(streams));
        Self { app, limits, room, streams, http, tasks, stages }
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Serves a connection in the background.
    pub(super) fn take(self: Arc<Self>, socket: TcpStream, peer: SocketAddr, place: Place) {
        let tracker = self.tasks.tracker.clone();
        tracker.spawn(async move { self.run(socket, peer, place).await });
    }

    async fn run(self: Arc<Self>, socket: TcpStream, peer: SocketAddr, place: Place) {
        // Without it a small answer can wait 40 ms for an acknowledgement. A socket that refuses is
        // one that is gone.
        let _ = socket.set_nodelay(true);
        let local = socket.local_addr().ok();
        let watch = if place.is_for_probes() {
            let watch = Watch::new(self.limits.of_a_probe());
            watch.expect_head();
            watch
        } else {
            Watch::new(self.limits)
        };
        let shared = (self.clone(), watch.clone(), Arc::new(place));
        let service = service_fn(move |request| {
            let (server, watch, place) = shared.clone();
            async move { server.answer(request, local, peer, watch, &place).await }
        });
        let io = TokioIo::new(Watched::new(socket, watch.clone()));
        let mut connection = pin!(self.http.serve_connection(io, service));
        tokio::select! {
            // An error here is the client's: it went away, or spoke something else than HTTP.
            _ = connection.as_mut() => return,
            () = watch.overdue() => {}
            () = watch.ending() => {}
            () = self.stages.stop.cancelled() => {}
            () = self.stages.force.cancelled() => return,
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection.as_mut() => {}
            () = watch.spent(FAREWELL) => {}
            () = self.stages.force.cancelled() => {}
        }
    }

    async fn answer(
        self: &Arc<Self>,
        request: http::Request<Incoming>,
        local: Option<SocketAddr>,
        peer: SocketAddr,
        watch: Watch,
        place: &Place,
    ) -> Result<http::Response<WatchedBody>, Infallible> {
        let mut busy = watch.busy();
        let version = request.version();
        let beyond = busy.is_beside() && !busy.take_place(&self.streams);
        let mut crowded = place.is_for_probes();
        if crowded && place.become_served() {
            crowded = false;
            watch.allow(self.limits);
        }
        let within = if crowded { self.limits.of_a_probe().body } else { self.limits.body };
        let mut request = self.take_in(request, local, peer, within, &watch);
        if crowded || beyond {
            request.extensions_mut().insert(Crowded);
        }
        let last = crowded || self.stages.leaving.is_cancelled();
        if last && version > Version::HTTP_11 {
            // HTTP/2 has no header for it; its connections end with a GOAWAY.
            watch.end();
        }
        let mut response = self.app.get_response(request).await;
        if last && version <= Version::HTTP_11 {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(http::Response::from(response).map(|body| WatchedBody::new(body, busy)))
    }

    fn take_in(
        self: &Arc<Self>,
        request: http::Request<Incoming>,
        local: Option<SocketAddr>,
        peer: SocketAddr,
        within: Duration,
        watch: &Watch,
    ) -> Request {
        let local = LocalAddr(local.map(Addr::SocketAddr).unwrap_or_default());
        let remote = RemoteAddr(Addr::SocketAddr(peer));
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(BodyTerms { within, room: self.room.clone() });
        let expects = parts.headers.contains_key(header::EXPECT);
        // A stream of HTTP/2 ends without its connection, so nothing of its answer is lost.
        let body = if parts.version <= Version::HTTP_11 {
            BoxBody::new(Inlet::new(body, expects, within, self, watch))
        } else {
            BoxBody::new(body.map_err(io::Error::other))
        };
        let parts = RequestParts::from((parts, local, remote, Scheme::HTTP));
        Request::from_parts(parts, poem::Body::from(body))
    }
}

/// Runs hyper's HTTP/2 streams and the rests of bodies among the connections, so that they are
/// waited for and dropped like them.
#[derive(Clone)]
pub(super) struct Tasks {
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
