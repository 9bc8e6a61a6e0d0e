//! Room for the bodies of requests, so that together they do not fill the memory.
//!
//! A body of the usual size takes none: [`FREE`] bytes for each connection are little. A larger one
//! takes room for all that it may have before more of it is read. A body that waited for more while
//! it holds some would wait for another that does the same. Medium and large bodies have rooms of
//! their own, so that a few large ones do not keep the others waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::problem::Problem;

/// Bytes of a body that takes no room.
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
}

impl Room {
    /// So many bytes for medium bodies, and as many for large ones.
    pub fn new(bytes: usize) -> Self {
        let bytes = bytes.clamp(MEDIUM, u32::MAX as usize);
        let room = || Arc::new(Semaphore::new(bytes));
        Self(Arc::new(Rooms { bytes, medium: room(), large: room() }))
    }

    /// Room for a body of which `arrived` bytes are there and which may have `most`. Waits for it.
    ///
    /// # Errors
    /// 503 if others hold the room for as long as `within`.
    async fn take(&self, arrived: usize, most: usize, within: Duration) -> Result<Held, Problem> {
        let Rooms { bytes, medium, large } = &*self.0;
        let (room, most) =
            if arrived <= MEDIUM { (medium, most.min(MEDIUM)) } else { (large, most) };
        // A body larger than the whole room is read alone.
        let permits = u32::try_from(most.min(*bytes)).unwrap_or(u32::MAX);
        match timeout(within, room.clone().acquire_many_owned(permits)).await {
            Ok(Ok(permit)) => Ok(Held { most, _permit: Some(permit) }),
            _ => Err(no_room()),
        }
    }
}

/// What a body holds of the room, until this is dropped.
#[derive(Debug)]
pub struct Held {
    /// Bytes that it covers.
    most: usize,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for Held {
    fn default() -> Self {
        Self { most: FREE, _permit: None }
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
}

fn no_room() -> Problem {
    let detail = "Other large bodies take all the room that the service has for them. Nothing was \
                  changed. Try again, or send less at once.";
    Problem::unavailable("too_many_bodies", detail, 1)
}
