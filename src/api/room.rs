//! Room for the bodies of requests and of answers, so that together they do not fill the memory.
//!
//! The body of a request of the usual size takes none: [`FREE`] bytes for each connection are
//! little. A larger one takes room for all that it may have before more of it is read. A body that
//! waited for more while it holds some would wait for another that does the same. Medium and large
//! bodies have rooms of their own, so that a few large ones do not keep the others waiting.
//!
//! The answer to a read is whole before it is sent, and a slow reader keeps it for as long as it
//! likes. So a large one takes room until it has left, and is dropped where there is none. A wait
//! for room would keep it in memory as well.
//!
//! A large body that comes slowly holds much room for long. Once it has fallen behind the pace that
//! brings all of it in time, it loses its room to another that waits ([`Held::lost`]).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use poem::{IntoResponse as _, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::problem::Problem;

/// Bytes of a body that takes no room, of a request or of an answer.
const FREE: usize = 64 * 1024;
/// Bytes of a body that takes room among the medium ones.
const MEDIUM: usize = 512 * 1024;

/// The room of all bodies. Clones share it.
#[derive(Debug, Clone)]
pub struct Room(Arc<Rooms>);

#[derive(Debug)]
struct Rooms {
    bytes: usize,
    medium: Arc<Semaphore>,
    large: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    /// How many large bodies wait for room.
    waiting: watch::Sender<usize>,
}

/// A large body that waits, as long as this lives.
struct Waits<'a>(&'a watch::Sender<usize>);

impl<'a> Waits<'a> {
    fn new(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|count| *count += 1);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Room {
    /// So many bytes for medium bodies, as many for large ones, and as many for answers.
    pub fn new(bytes: usize) -> Self {
        let bytes = bytes.clamp(MEDIUM, u32::MAX as usize);
        let room = || Arc::new(Semaphore::new(bytes));
        let waiting = watch::Sender::new(0);
        Self(Arc::new(Rooms { bytes, medium: room(), large: room(), answers: room(), waiting }))
    }

    /// The answer to a read, which keeps its room until it has been sent; 503 if there is none.
    pub fn hold(&self, answer: Response) -> Response {
        let (parts, body) = answer.into_parts();
        let body: BoxBody<Bytes, io::Error> = body.into();
        let bytes = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
        let Some(bytes) = bytes.filter(|bytes| *bytes > FREE) else {
            return Response::from_parts(parts, body.into());
        };
        let Rooms { bytes: most, answers, .. } = &*self.0;
        let permits = u32::try_from(bytes.min(*most)).unwrap_or(u32::MAX);
        match answers.clone().try_acquire_many_owned(permits) {
            Ok(permit) => {
                let held = HeldBody { body, permit: Arc::new(permit) };
                Response::from_parts(parts, BoxBody::new(held).into())
            }
            Err(_) => {
                let mut refused = no_room_for_answers().into_response();
                // Which route it was, for the metrics.
                *refused.extensions_mut() = parts.extensions;
                refused
            }
        }
    }

    /// Room for a body of which `arrived` bytes are there and which may have `most`. Waits for it.
    ///
    /// # Errors
    /// 503 if others hold the room for as long as `within`.
    async fn take(&self, arrived: usize, most: usize, within: Duration) -> Result<Held, Problem> {
        let Rooms { bytes, medium, large, waiting, .. } = &*self.0;
        let is_large = arrived > MEDIUM;
        let (room, most) = if is_large { (large, most) } else { (medium, most.min(MEDIUM)) };
        // A body larger than the whole room is read alone.
        let permits = u32::try_from(most.min(*bytes)).unwrap_or(u32::MAX);
        let permit = match room.clone().try_acquire_many_owned(permits) {
            Ok(permit) => permit,
            Err(_) => {
                let _waits = is_large.then(|| Waits::new(waiting));
                let taken = timeout(within, room.clone().acquire_many_owned(permits)).await;
                taken.ok().and_then(Result::ok).ok_or_else(no_room)?
            }
        };
        let large = is_large.then(|| (self.clone(), Instant::now()));
        Ok(Held { most, large, _permit: Some(permit) })
    }
}

/// The body of an answer that has its room.
struct HeldBody {
    body: BoxBody<Bytes, io::Error>,
    permit: Arc<OwnedSemaphorePermit>,
}

impl HttpBody for HeldBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        // The server may be done with the body long before its bytes have left.
        let sent = |bytes| Bytes::from_owner(Sent { bytes, _permit: self.permit.clone() });
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(sent))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A piece of such a body on its way.
struct Sent {
    bytes: Bytes,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The room that a body holds, until this is dropped.
#[derive(Debug)]
pub struct Held {
    /// Bytes that it covers.
    most: usize,
    /// Since when it holds room among the large ones.
    large: Option<(Room, Instant)>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for Held {
    fn default() -> Self {
        Self { most: FREE, large: None, _permit: None }
    }
}

impl Held {
    /// Takes more room once `arrived` bytes are beyond what is held, and tells how many it covers
    /// then. `most`: what the body may have.
    ///
    /// # Errors
    /// 503 if there is none for as long as `within`.
    pub async fn cover(
        &mut self,
        room: &Room,
        arrived: usize,
        most: usize,
        within: Duration,
    ) -> Result<usize, Problem> {
        if arrived > self.most {
            // In a box, or every submission would carry the room for the wait.
            *self = Box::pin(room.take(arrived, most, within)).await?;
        }
        Ok(self.most)
    }

    /// Resolves when a large body of which `arrived` bytes are there is late and another waits for
    /// its room. It is late some seconds after so much of it should have come, if all of it may
    /// take as long as `within`. `None`: the body is not large.
    pub fn lost(&self, arrived: usize, within: Duration) -> Option<impl Future<Output = ()>> {
        let (Room(rooms), since) = self.large.as_ref()?;
        let share = within.as_nanos() * arrived as u128 / self.most.max(1) as u128;
        let share = Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX));
        let due = *since + share + within / 6;
        Some(async move {
            sleep_until(due).await;
            // The sender lives as long as the room, so this cannot fail.
            let _ = rooms.waiting.subscribe().wait_for(|waiting| *waiting > 0).await;
        })
    }
}

fn no_room_for_answers() -> Problem {
    let detail = "Answers that their readers have not taken yet take all the room that the service \
                  has for them. Try again, or ask for less at once.";
    Problem::unavailable("too_many_bodies", detail, 1)
}

fn no_room() -> Problem {
    let detail = "Other large bodies take all the room that the service has for them. Nothing was \
                  changed. Try again, or send less at once.";
    Problem::unavailable("too_many_bodies", detail, 1)
}
