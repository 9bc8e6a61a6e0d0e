//! Room for outcomes on their way to the database: results may be large, and the database may be
//! away.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::job::ending::Ending;

/// Bytes of results and errors that are on their way, without small ones.
const ROOM_BYTES: usize = 64 << 20;
/// Outcomes of at most so many bytes take no room: their count bounds them.
const SMALL_BYTES: usize = 4 << 10;

/// Room for results and errors on their way to the database.
#[derive(Clone)]
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ROOM_BYTES)))
    }

    /// Waits for the room that this ending takes, if it is not small. The outcome holds it until it
    /// is settled.
    pub(crate) async fn take(&self, ending: &Ending) -> Option<Arc<OwnedSemaphorePermit>> {
        let bytes = ending.bytes().min(ROOM_BYTES);
        if bytes <= SMALL_BYTES {
            return None;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.0.clone().acquire_many_owned(bytes).await.ok().map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::job::json::Json;

    #[test]
    fn large_results_wait_for_room_until_others_are_settled_and_small_ones_do_not() {
        const LARGE: usize = 1 << 20;
        let of = |bytes: usize| {
            Ending::Completed(Json::from_serialize(&"x".repeat(bytes - 2)).expect("is JSON"))
        };
        let (room, large) = (Room::new(), of(LARGE));
        let (small, larger) = (of(SMALL_BYTES), of(SMALL_BYTES + 1));
        let take = |ending| room.take(ending).now_or_never();
        let taken: Vec<_> = (0..ROOM_BYTES / LARGE).map(|_| take(&large).flatten()).collect();
        assert!(taken.iter().all(Option::is_some));
        assert!(take(&larger).is_none(), "there is no room for it");
        assert!(matches!(take(&small), Some(None)));
        let kept = taken[0].clone();
        drop(taken);
        let most = (0..ROOM_BYTES / LARGE - 1).map(|_| take(&large).flatten()).collect::<Vec<_>>();
        assert!(most.iter().all(Option::is_some) && take(&large).is_none(), "one is kept");
        drop(kept);
        assert!(take(&large).is_some());
    }
}
