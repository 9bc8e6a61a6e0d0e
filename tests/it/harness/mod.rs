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

/// How many there are of something in a case: few in `make test`, and as many as the case says in
/// `make faults`.
pub(crate) fn scaled(few: usize, full: usize) -> usize {
    if std::env::var_os("FULL_FIGURES").is_some() { full } else { few }
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
