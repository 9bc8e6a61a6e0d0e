//! The thread of the heartbeat and the listener. Its runtime has that thread alone, and their connections are made there:
//! handlers that block every thread of the main runtime keep neither from the database.

use std::thread;

use anyhow::Context as _;

const REFUSED: &str = "the system refuses a thread for the heartbeat; see `ulimit -u`";

/// Runs this on a thread of its own.
pub(super) fn start(loops: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context(REFUSED)?;
    let run = move || {
        runtime.block_on(loops);
        // A look-up of a host that does not return must not hold it.
        runtime.shutdown_background();
    };
    thread::Builder::new().name("heartbeat".into()).spawn(run).map(drop).context(REFUSED)
}
