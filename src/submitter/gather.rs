//! The jobs of one INSERT.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use super::Request;
use super::turns::{Group, Timer, Turn, Turns};
use crate::supervise::Inbox;

/// Rows and payload bytes of one INSERT.
const ROWS_MOST: usize = 500;
const BYTES_MOST: usize = 4 << 20;

/// Where submissions without a unique key gather, for two writers that take turns.
pub(super) struct Plain {
    requests: Inbox<mpsc::Receiver<Request>>,
    turns: Arc<Turns>,
    /// Told by the writer that found the channel closed, while the other one may be reading it.
    spent: AtomicBool,
}

impl Plain {
    pub(super) fn new(requests: mpsc::Receiver<Request>, turns: Arc<Turns>) -> Self {
        Self { requests: Arc::new(Mutex::new(requests)), turns, spent: AtomicBool::new(false) }
    }

    /// Whether no more will come.
    pub(super) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    /// The next group, with the turn unless it flies beside another; `None` when no more will come.
    pub(super) async fn gather(
        &self,
        timer: &mut Timer,
    ) -> Option<(Vec<Request>, Option<Turn<'_>>)> {
        let mut requests = self.requests.lock().await;
        let Some(first) = requests.recv().await else {
            self.spent.store(true, Ordering::Relaxed);
            return None;
        };
        let mut batch = vec![first];
        let mut turn = self.turns.next(timer, || 1 + requests.len()).await;
        let room = gather_more(&mut requests, &mut batch);
        if let (true, Some(group)) = (room, &mut turn) {
            come_again(group, &mut requests, &mut batch, timer).await;
        }
        Some((batch, turn))
    }
}

/// Waits for those who were told of the last group, if enough of them can be expected.
async fn come_again(
    group: &mut Group,
    requests: &mut mpsc::Receiver<Request>,
    batch: &mut Vec<Request>,
    timer: &mut Timer,
) {
    let Some(expected) = group.expected(Instant::now()) else { return };
    let (first, late) = (batch.len(), Instant::now() + expected.wait);
    let mut room = true;
    while room && batch.len() < expected.jobs {
        tokio::select! {
            biased;
            Some(request) = requests.recv() => batch.push(request),
            () = timer.wait_until(late) => {
                if batch.len() == first {
                    group.nobody_came();
                }
                return;
            }
        }
        room = gather_more(requests, batch);
    }
}

/// A request with a payload.
pub(super) trait Weighs {
    /// Bytes of its payload.
    fn bytes(&self) -> usize;
}

impl Weighs for Request {
    fn bytes(&self) -> usize {
        self.job.payload.as_str().len()
    }
}

/// Everything that has gathered, and at least one; `None` when no more will come.
pub(super) async fn gather<T: Weighs>(requests: &mut mpsc::Receiver<T>) -> Option<Vec<T>> {
    let mut batch = vec![requests.recv().await?];
    gather_more(requests, &mut batch);
    Some(batch)
}

/// Takes the requests that have gathered meanwhile, as far as there is room in the batch. Answers
/// whether there is room for more.
pub(super) fn gather_more<T: Weighs>(requests: &mut mpsc::Receiver<T>, batch: &mut Vec<T>) -> bool {
    let mut bytes: usize = batch.iter().map(Weighs::bytes).sum();
    while batch.len() < ROWS_MOST && bytes < BYTES_MOST {
        let Ok(request) = requests.try_recv() else { return true };
        bytes += request.bytes();
        batch.push(request);
    }
    false
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;
    use crate::job::JobId;
    use crate::job::fields::NewJob;

    /// As if a group had ended then: those who came with it are expected all the time.
    const LATER: Duration = Duration::from_secs(3600);

    fn request() -> Request {
        let job = NewJob::new("noop", &()).check(chrono::Utc::now()).unwrap();
        let (answer, _) = oneshot::channel();
        let id = JobId(uuid::Uuid::now_v7());
        Request { id, job, deadline: Instant::now(), sent: false, door: "http", answer }
    }

    /// A group of 64 has just been written, and so many have come since.
    fn after_many(since: usize) -> (mpsc::Sender<Request>, Plain) {
        let (sender, requests) = mpsc::channel(100);
        let plain = Plain::new(requests, Arc::new(Turns::new()));
        let now = Instant::now();
        plain.turns.at_once().unwrap().ended(64, now, now + LATER);
        assert!(
            plain.turns.at_once().is_none(),
            "a lone one is not written before those who are expected"
        );
        send(&sender, since);
        (sender, plain)
    }

    fn send(sender: &mpsc::Sender<Request>, count: usize) {
        for _ in 0..count {
            sender.try_send(request()).unwrap();
        }
    }

    #[tokio::test]
    async fn after_a_group_of_many_the_next_waits_until_half_as_many_have_come_again() {
        let (_sender, plain) = after_many(32);
        let (batch, turn) = plain.gather(&mut Timer::new()).now_or_never().unwrap().unwrap();
        assert_eq!((batch.len(), turn.is_some()), (32, true));
        drop(turn);

        let (sender, plain) = after_many(1);
        let mut timer = Timer::new();
        let mut group = pin!(plain.gather(&mut timer));
        send(&sender, 30);
        assert!(group.as_mut().now_or_never().is_none(), "one is missing");
        send(&sender, 1);
        let (batch, _turn) = group.now_or_never().unwrap().unwrap();
        assert_eq!(batch.len(), 32);
    }

    #[tokio::test]
    async fn a_wait_for_those_who_do_not_come_ends_and_in_vain_counts_more() {
        for (come, expected) in [(0, 16), (7, 32)] {
            let (sender, plain) = after_many(1);
            let mut timer = Timer::new();
            let mut group = pin!(plain.gather(&mut timer));
            assert!(group.as_mut().now_or_never().is_none());
            send(&sender, come);
            let (batch, turn) = group.await.unwrap();
            assert_eq!(batch.len(), 1 + come);
            assert_eq!(turn.unwrap().expected(Instant::now()).unwrap().jobs, expected);
        }
    }
}
