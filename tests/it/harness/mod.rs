//! What the tests stand on: a PostgreSQL of their own, databases, the service as a process, HTTP, faults.
//!
//! Everything that must outlive a single test (the server, proxies, spawned processes) lives on [`background`]'s
//! runtime: each test has a runtime of its own, which ends with it.

pub(crate) mod cluster;
pub(crate) mod http;
pub(crate) mod look;
pub(crate) mod proxy;
pub(crate) mod service;
pub(crate) mod template;
mod wire;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

pub(crate) use cluster::{Cluster, TestDatabase};
#[allow(unused_imports, reason = "as above, in main.rs")]
pub(crate) use service::Service;

/// Between two looks of [`eventually`].
const LOOK: Duration = Duration::from_millis(10);

/// A migrated database on the PostgreSQL that all tests share.
pub(crate) async fn database() -> TestDatabase {
    Cluster::shared().await.database().await
}

/// Waits until the condition holds; fails with `what` if it does not within the deadline. The one place in the tests
/// where time is waited away: whatever can tell of itself is to be awaited instead.
pub(crate) async fn eventually<F>(what: &str, deadline: Duration, mut condition: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let give_up_at = Instant::now() + deadline;
    while !condition().await {
        assert!(Instant::now() < give_up_at, "not within {deadline:?}: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Awaits something that must come; fails with `what` if it does not within the deadline.
pub(crate) async fn within<T>(what: &str, deadline: Duration, event: impl Future<Output = T>) -> T {
    let came = tokio::time::timeout(deadline, event).await;
    came.unwrap_or_else(|_| panic!("not within {deadline:?}: {what}"))
}

/// Whether cases are played with their full figures, as `make faults` does.
pub(crate) fn full_figures() -> bool {
    std::env::var_os("FULL_FIGURES").is_some()
}

/// A figure of a case, a count or a time: small in `make test`, and what the case says in
/// `make faults`.
pub(crate) fn scaled<T>(small: T, full: T) -> T {
    if full_figures() { full } else { small }
}

/// The seeds of a case that is played in a random order: so many of them, or the one of
/// `make faults CASE=… SEED=7`.
pub(crate) fn seeds(few: u64, full: u64) -> std::ops::Range<u64> {
    let named = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
    named.map_or(0..scaled(few, full), |seed: u64| seed..seed + 1)
}

/// Tells a figure that a case came to with its full figures.
pub(crate) fn figure(case: &str, what: &str) {
    if full_figures() {
        eprintln!("{case}: {what}");
    }
}

/// The runtime whose threads live as long as the test process.
pub(crate) fn background() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("background")
            .enable_all()
            .build();
        runtime.expect("a runtime can be built")
    });
    &RUNTIME
}

/// Runs something on [`background`] and waits for it; its panics become the caller's.
pub(crate) async fn on_background<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    match background().spawn(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
