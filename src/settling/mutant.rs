//! Builds with faults can be told to do without a protection, so that the checks that watch for its
//! absence can be tried. `benches/mischief` must find out each of these.

use super::Delivery;
use crate::config;
use crate::store::Store;
use crate::store::lease::{Settled, Settlement};

/// Whether outcomes that cannot be settled at once are forgotten.
pub(super) fn has_no_settlement_retry() -> bool {
    config::mutant().as_deref() == Some("no_settlement_retry")
}

/// Writes late outcomes nevertheless, if the fence is to be missing.
pub(super) async fn settle_unfenced(store: &Store, batch: &[Delivery], settled: &[Settled]) {
    if config::mutant().as_deref() != Some("no_fence") {
        return;
    }
    let late = |settled: &Settled| matches!(settled, Settled::LeaseLost | Settled::AlreadyFinal);
    let pairs = batch.iter().zip(settled).filter(|(_, settled)| late(settled));
    let late: Vec<&Settlement> = pairs.map(|(outcome, _)| &outcome.settlement).collect();
    if let Err(error) = store.lease_settle_unfenced(&late).await {
        tracing::warn!(%error, "the mutant could not do its harm");
    }
}
