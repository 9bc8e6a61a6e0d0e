//! Keeps the time of a connection: what it is doing, and since when.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};

use super::EdgeLimits;

/// Shared by the socket, which sees bytes, the service, which sees requests, and the connection,
/// which acts.
#[derive(Clone)]
pub(super) struct Watch(Arc<Shared>);

struct Shared {
    /// Requests that are being answered, until the last byte of the answer has been handed over.
    busy: AtomicUsize,
    /// No more requests are to come after those that are being answered.
    last: AtomicBool,
    times: Mutex<Times>,
}

/// Each deadline is at most one of these instants plus its limit.
struct Times {
    limits: EdgeLimits,
    /// When waiting for a first byte or for the next request began, and how long it may take.
    waiting: (Instant, Duration),
    /// When the head that is arriving began.
    head: Option<Instant>,
    /// Since when the client has taken nothing of what waits to be written.
    blocked: Option<Instant>,
}

impl Watch {
    pub(super) fn new(limits: EdgeLimits) -> Self {
        let waiting = (Instant::now(), limits.first_byte);
        let times = Times { limits, waiting, head: None, blocked: None };
        let (busy, last) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self(Arc::new(Shared { busy, last, times: Mutex::new(times) }))
    }

    /// The connection has just begun, and so has the time of its first head.
    pub(super) fn expect_head(&self) {
        self.times().head = Some(Instant::now());
    }

    /// From now on these limits are in force.
    pub(super) fn allow(&self, limits: EdgeLimits) {
        self.times().limits = limits;
    }

    /// Ends the connection after the requests that are being answered.
    pub(super) fn end(&self) {
        self.0.last.store(true, Ordering::Release);
    }

    /// Resolves once the connection is to end. It is only seen together with the connection, whose
    /// task wakes to write the answer after [`Watch::end`]. So nothing has to be woken here, which
    /// every request would pay for.
    pub(super) fn ending(&self) -> impl Future<Output = ()> {
        poll_fn(
            |_| if self.0.last.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending },
        )
    }

    /// Resolves when the connection has taken too long over something.
    pub(super) async fn overdue(&self) {
        // Deadlines move while this sleeps. None can come earlier than the shortest limit from now,
        // so sleeping that long at most is exact, and saves a wake-up for every request.
        loop {
            let limits = self.times().limits;
            let step = limits.first_byte.min(limits.head).min(limits.idle).min(limits.write);
            let deadline = self.deadline();
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return;
            }
            let look = now + step;
            sleep_until(deadline.map_or(look, |deadline| deadline.min(look))).await;
        }
    }

    /// Resolves `farewell` after the last request has been answered, or when the client takes no
    /// more of an answer.
    pub(super) async fn spent(&self, farewell: Duration) {
        let mut quiet = Instant::now();
        loop {
            let (blocked, limit) = {
                let times = self.times();
                (times.blocked, times.limits.write)
            };
            let busy = self.is_busy();
            if blocked.is_some_and(|since| since.elapsed() >= limit) {
                return;
            }
            if busy || blocked.is_some() {
                quiet = Instant::now();
            } else if quiet.elapsed() >= farewell {
                return;
            }
            sleep(farewell.min(Duration::from_millis(100))).await;
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let busy = self.is_busy();
        let times = self.times();
        let limits = times.limits;
        // An answer can be waiting in hyper's buffer when its request is long done with.
        if let Some(since) = times.blocked {
            return Some(since + limits.write);
        }
        (!busy).then(|| match times.head {
            Some(since) => since + limits.head,
            None => times.waiting.0 + times.waiting.1,
        })
    }

    fn is_busy(&self) -> bool {
        self.0.busy.load(Ordering::Acquire) > 0
    }

    /// A request's head has arrived; it is being answered until the guard is dropped.
    pub(super) fn busy(&self) -> Busy {
        let beside = self.0.busy.fetch_add(1, Ordering::AcqRel) > 0;
        self.times().head = None;
        Busy { watch: self.clone(), beside, place: None }
    }

    fn bytes_came_in(&self) {
        // While a request is answered, what comes in is its body or the next one's head, which is
        // nobody's fault.
        if !self.is_busy() {
            self.times().head.get_or_insert_with(Instant::now);
        }
    }

    fn wrote(&self, blocked: bool) {
        let mut times = self.times();
        if blocked {
            times.blocked.get_or_insert_with(Instant::now);
        } else if times.blocked.take().is_some() {
            // Waiting for the next request begins when the last answer has left.
            times.waiting.0 = Instant::now();
        }
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.0.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it lives, a request is being answered.
pub(super) struct Busy {
    watch: Watch,
    beside: bool,
    place: Option<OwnedSemaphorePermit>,
}

impl Busy {
    /// Whether another request of the connection was being answered when this one came.
    pub(super) fn is_beside(&self) -> bool {
        self.beside
    }

    /// Takes a place until the request has been answered, and tells whether there was one.
    pub(super) fn take_place(&mut self, places: &Arc<Semaphore>) -> bool {
        self.place = places.clone().try_acquire_owned().ok();
        self.place.is_some()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // The times first: whoever sees that nothing is being answered must see since when.
        let mut times = self.watch.times();
        times.waiting = (Instant::now(), times.limits.idle);
        times.head = None;
        self.watch.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The body of an answer, which keeps its request busy until it is done.
pub(super) struct WatchedBody {
    body: BoxBody<Bytes, io::Error>,
    _busy: Busy,
}

impl WatchedBody {
    pub(super) fn new(body: BoxBody<Bytes, io::Error>, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that reports what it does.
pub(super) struct Watched {
    socket: TcpStream,
    watch: Watch,
}

impl Watched {
    pub(super) fn new(socket: TcpStream, watch: Watch) -> Self {
        Self { socket, watch }
    }

    fn wrote<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.watch.wrote(result.is_pending());
        result
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.socket).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.watch.bytes_came_in();
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
