//! The stages of leaving, handed to every service by its caller; there is no process-global token.

use tokio_util::sync::CancellationToken;

/// Leaving happens in stages, each of which includes those before it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown {
    /// No more claims; long polls end; `/readyz` says 503.
    pub draining: CancellationToken,
    /// The grace period is over: running handlers are cancelled and their jobs given back.
    pub cancelling: CancellationToken,
    /// Every outcome is settled: the remaining services end.
    pub stopping: CancellationToken,
    /// The wait is over: outcomes that are not settled are left to the other instances.
    pub abandoned: CancellationToken,
}
