//! Every long-lived loop of the service runs under a [`Supervisor`], which logs one that panics or
//! ends too early, and starts it again. The channels and buffers that a loop works on belong to its
//! caller and outlive it.
//!
//! A loop that panics a third time within a minute is given up. Then `/livez` fails, `serve` drains
//! and exits, and the handle of the library tells its program. A service that lives on without one
//! of its loops looks healthy and does nothing.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use metrics::counter;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Ends within [`WITHIN`] of each other after which a loop is given up.
const ENDS_MOST: usize = 3;
const WITHIN: Duration = Duration::from_secs(60);
/// The pause before a loop is started again; it doubles with each end of late.
const PAUSE: Duration = Duration::from_millis(50);

/// A loop of the service, kept alive. Its maker hands it to the composition root, which alone
/// spawns it.
pub(crate) type Loop = BoxFuture<'static, ()>;

/// A loop of the service could not be kept alive.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the loop {name} of this service ended three times within a minute, at last because {why}. No job is lost. Start the \
     service again, and report this with its log"
)]
pub struct LoopFailed {
    /// The name of the loop.
    pub name: &'static str,
    /// Why it ended at last.
    pub why: String,
}

/// Keeps loops alive. Clones share what they know of each other's failures.
#[derive(Clone, Debug, Default)]
pub struct Supervisor(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    failed: OnceLock<LoopFailed>,
    told: CancellationToken,
    #[cfg(feature = "faults")]
    faults: faults::Faults,
}

impl Supervisor {
    /// Runs the loop that `start` makes, and starts it again whenever it panics, or ends while it
    /// is not `over`. Returns when it has ended and is over, or is given up.
    pub async fn keep<F: Future<Output = ()>>(
        self,
        name: &'static str,
        over: impl Fn() -> bool,
        mut start: impl FnMut() -> F,
    ) {
        let restarts = counter!("reveille_loop_restarts_total", "loop" => name);
        // It is there from the start: a rate over a metric that appears with its first event misses
        // that event.
        restarts.increment(0);
        let mut ends = Ends::default();
        loop {
            // On the heap: else whoever starts a service would have all of them on the stack, and
            // some are large. Made in here, since that may panic as well.
            let round = async { self.run(name, Box::pin(start())).await };
            let ended = AssertUnwindSafe(round).catch_unwind().await;
            let why = match ended {
                Ok(()) if over() => return,
                Ok(()) => "it ended too early".to_owned(),
                Err(panic) => format!("it panicked: {}", words_of(&*panic)),
            };
            restarts.increment(1);
            let Some(pause) = ends.note(Instant::now()) else {
                tracing::error!(
                    r#loop = name,
                    why,
                    "a loop of the service cannot be kept alive; the service is to end"
                );
                let _ = self.0.failed.set(LoopFailed { name, why });
                self.0.told.cancel();
                return;
            };
            tracing::error!(r#loop = name, why, "a loop of the service ended; it is started again");
            sleep(pause).await;
        }
    }

    /// As [`Self::keep`], for a loop that is over once this is cancelled.
    pub(crate) fn keep_until<F>(
        &self,
        over: &CancellationToken,
        name: &'static str,
        start: impl FnMut() -> F + Send + 'static,
    ) -> Loop
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let over = over.clone();
        self.clone().keep(name, move || over.is_cancelled(), start).boxed()
    }

    /// Does something that ends by itself. `None`: it panicked, which is logged.
    pub async fn once<T>(&self, name: &'static str, work: impl Future<Output = T>) -> Option<T> {
        let done = AssertUnwindSafe(self.run(name, work)).catch_unwind().await;
        let panicked = |panic: &Box<dyn Any + Send>| {
            tracing::error!(work = name, "a piece of work panicked: {}", words_of(&**panic));
        };
        done.inspect_err(panicked).ok()
    }

    #[cfg(not(feature = "faults"))]
    async fn run<T>(&self, _: &'static str, round: impl Future<Output = T>) -> T {
        round.await
    }

    /// Whether each loop lives, or is about to live again.
    pub fn is_well(&self) -> bool {
        self.failure().is_none()
    }

    /// The loop that was given up first, if one was.
    pub fn failure(&self) -> Option<&LoopFailed> {
        self.0.failed.get()
    }

    /// Returns when a loop is given up.
    pub async fn failed(&self) -> LoopFailed {
        loop {
            self.0.told.cancelled().await;
            if let Some(failed) = self.failure() {
                return failed.clone();
            }
        }
    }
}

/// When a loop ended of late.
#[derive(Default)]
struct Ends(VecDeque<Instant>);

impl Ends {
    /// How long to wait before the loop is started again; `None`: it is given up.
    fn note(&mut self, now: Instant) -> Option<Duration> {
        self.0.retain(|at| now.duration_since(*at) < WITHIN);
        self.0.push_back(now);
        let before = u32::try_from(self.0.len() - 1).unwrap_or_default();
        (self.0.len() < ENDS_MOST).then(|| PAUSE * 2_u32.pow(before))
    }
}

/// The words of a panic.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

/// The receiving end of a channel that outlives the loop that reads it.
pub(crate) type Inbox<T> = Arc<tokio::sync::Mutex<T>>;

/// Whether nothing more will come out of a channel. A loop reads it, or has just ended.
pub(crate) fn is_spent<R: Receives>(inbox: &Inbox<R>) -> bool {
    inbox.try_lock().is_ok_and(|inbox| inbox.is_spent())
}

/// The receiving ends of channels of either kind.
pub(crate) trait Receives {
    /// Whether nothing more will come.
    fn is_spent(&self) -> bool;
}

impl<T> Receives for mpsc::Receiver<T> {
    fn is_spent(&self) -> bool {
        self.is_closed() && self.is_empty()
    }
}

impl<T> Receives for mpsc::UnboundedReceiver<T> {
    fn is_spent(&self) -> bool {
        self.is_closed() && self.is_empty()
    }
}

/// Panics on demand, for tests; not part of a build for use.
#[cfg(feature = "faults")]
mod faults {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex, PoisonError};

    use tokio::sync::Notify;

    use super::Supervisor;

    #[derive(Debug, Default)]
    pub(super) struct Faults(Mutex<BTreeMap<&'static str, Arc<Notify>>>);

    impl Supervisor {
        pub(super) async fn run<T>(&self, name: &'static str, round: impl Future<Output = T>) -> T {
            let asked = {
                let mut faults = self.0.faults.0.lock().unwrap_or_else(PoisonError::into_inner);
                faults.entry(name).or_default().clone()
            };
            tokio::select! {
                biased;
                () = asked.notified() => panic!("a test asked the loop {name} to panic"),
                done = round => done,
            }
        }

        /// The loops that have been started.
        pub fn loops(&self) -> Vec<&'static str> {
            let faults = self.0.faults.0.lock().unwrap_or_else(PoisonError::into_inner);
            faults.keys().copied().collect()
        }

        /// Has a loop panic. `false`: there is none of this name.
        pub fn panic_in(&self, name: &str) -> bool {
            let faults = self.0.faults.0.lock().unwrap_or_else(PoisonError::into_inner);
            let asked = faults.get(name);
            asked.inspect(|asked| asked.notify_one()).is_some()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_third_end_within_a_minute_is_the_last() {
        let (mut ends, start) = (Ends::default(), Instant::now());
        assert_eq!(ends.note(start), Some(PAUSE));
        assert_eq!(ends.note(start + WITHIN / 2), Some(PAUSE * 2));
        assert_eq!(ends.note(start + WITHIN), Some(PAUSE * 2), "the first is forgotten");
        assert_eq!(ends.note(start + WITHIN), None);
    }

    #[tokio::test]
    async fn a_loop_that_panics_or_ends_too_early_is_started_again_until_it_is_over() {
        let (supervisor, rounds) = (Supervisor::default(), AtomicUsize::new(0));
        let round = || async {
            assert!(rounds.fetch_add(1, Ordering::Relaxed) != 0, "the first round panics");
        };
        supervisor.clone().keep("it", || rounds.load(Ordering::Relaxed) == 3, round).await;
        assert_eq!((rounds.load(Ordering::Relaxed), supervisor.is_well()), (3, true));
    }

    #[tokio::test]
    async fn a_loop_that_panics_where_its_next_round_is_made_is_started_again() {
        let (supervisor, rounds) = (Supervisor::default(), AtomicUsize::new(0));
        let start = || {
            assert!(rounds.fetch_add(1, Ordering::Relaxed) != 0, "making the first round panics");
            std::future::ready(())
        };
        let kept = supervisor.clone().keep("it", || true, start);
        assert!(AssertUnwindSafe(kept).catch_unwind().await.is_ok(), "the panic went through");
        assert_eq!((rounds.load(Ordering::Relaxed), supervisor.is_well()), (2, true));
    }

    #[tokio::test]
    async fn a_loop_that_cannot_be_kept_alive_is_given_up_with_its_last_words() {
        let supervisor = Supervisor::default();
        supervisor.clone().keep("it", || true, || async { panic!("no {}", "way") }).await;
        assert!(!supervisor.is_well());
        let failed = supervisor.failed().await;
        assert_eq!((failed.name, failed.why.as_str()), ("it", "it panicked: no way"));
    }
}
