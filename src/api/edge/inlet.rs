//! The body of a request on its way in.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::rt::Executor as _;
use tokio::time::{Instant, timeout_at};

use super::connection::Server;
use super::watch::{Busy, Watch};

/// More than any body may have: a client that is refused may be sending the largest one.
const DRAIN_BYTES: usize = 40 * 1024 * 1024;
/// How long the rest of a body is taken in after its answer.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// A body whose rest is read and thrown away when nobody reads it to its end. Many answers are
/// given before that: to a stranger, to a path that is not there, to a wrong content type. A
/// connection that is closed with bytes unread is reset, and the reset destroys the answer of a
/// client that writes first and reads later.
pub(super) struct Inlet {
    body: Option<Incoming>,
    /// The client sends nothing before it is asked to (`Expect: 100-continue`), and it is asked by
    /// reading.
    silent: bool,
    /// When the body has to be there.
    deadline: Instant,
    /// Where its rest is drained.
    rest: Option<(Arc<Server>, Watch)>,
}

impl Inlet {
    pub(super) fn new(
        body: Incoming,
        expects: bool,
        within: Duration,
        server: &Arc<Server>,
        watch: &Watch,
    ) -> Self {
        let body = Some(body).filter(|body| !body.is_end_stream());
        let rest = body.is_some().then(|| (server.clone(), watch.clone()));
        Self { body, silent: expects, deadline: Instant::now() + within, rest }
    }
}

impl Body for Inlet {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.silent = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled.map_err(io::Error::other)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        let (Some(body), Some((server, watch))) = (self.body.take(), self.rest.take()) else {
            return;
        };
        let until = self.deadline.min(Instant::now() + DRAIN_WITHIN);
        if !self.silent && !body.is_end_stream() && Instant::now() < until {
            server.tasks().execute(drain(body, until, watch.busy()));
        }
    }
}

/// The connection counts as busy meanwhile, so that no deadline of an idle one ends it.
async fn drain(mut body: Incoming, until: Instant, busy: Busy) {
    let all = async {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // The answer has been given, whether or not all of it came.
    let _ = timeout_at(until, all).await;
    drop(busy);
}
