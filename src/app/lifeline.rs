//! The thread of the heartbeat and the listener. Its runtime has that thread alone, and their
//! connections are made there. So handlers that block every thread of the main runtime keep neither
//! from the database.

use std::sync::mpsc;
use std::thread;

use anyhow::Context as _;

const REFUSED: &str = "the system refuses a thread for the heartbeat; see `ulimit -u`";

/// Runs this on a thread of its own. Blocks until that has begun, which takes well below a
/// millisecond.
pub(super) fn start(loops: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
    let (tell, told) = mpsc::channel();
    let run = move || {
        // Made here: a runtime must not be dropped where another one runs.
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let _ = tell.send(Ok(()));
                runtime.block_on(loops);
                // A look-up of a host that does not return must not hold it.
                runtime.shutdown_background();
            }
            Err(error) => drop(tell.send(Err(error))),
        }
    };
    thread::Builder::new().name("heartbeat".into()).spawn(run).context(REFUSED)?;
    told.recv().context(REFUSED)?.context(REFUSED)
}
