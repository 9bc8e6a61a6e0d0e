//! Upkeep. Jobs of lost workers are taken back, and jobs whose time is over ended. Unique keys of
//! ended jobs are freed, and partitions made ahead and removed. Operations on many jobs are carried
//! out, and pauses ended. Ended jobs, empty queues, old entries of the audit and keys whose time is
//! over are forgotten.
//!
//! All but the rescue, the freeing of keys and the giving of turns are done by one instance, the
//! leader, once every so often. Two that lead for a moment do no harm: each of these can be done twice
//! at once.

mod auditor;
mod expirer;
mod forgetter;
mod letters;
mod operations;
mod partitions;
mod pruner;
mod remover;
mod rescuer;
mod resumer;
mod tidier;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use crate::events::Leadership;
use crate::shutdown::Shutdown;
use crate::store::Result;

pub(crate) use auditor::Auditor;
pub(crate) use expirer::Expirer;
pub(crate) use forgetter::Forgetter;
pub(crate) use letters::Letters;
pub(crate) use operations::operate;
pub(crate) use partitions::Partitions;
pub(crate) use pruner::Pruner;
pub(crate) use remover::Remover;
pub(crate) use rescuer::rescue;
pub(crate) use resumer::resume;
pub(crate) use tidier::tidy;
pub(crate) use turns::{LostTurns, give_turns};

/// A service that only the leader runs, every so often.
pub(crate) trait LeaderService: Send + Sync + 'static {
    /// The fault when it failed, for the log.
    const FAILED: &'static str;

    /// How long it rests between two runs.
    fn every(&self) -> Duration;

    /// Returns when it has rested.
    fn rest(&self) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(self.every())
    }

    fn run_once(&self) -> impl Future<Output = Result<()>> + Send;
}

/// Runs the service whenever this instance leads. A failure is told once, until it works again.
pub(crate) async fn lead<C: LeaderService>(
    service: Arc<C>,
    leadership: Leadership,
    shutdown: Shutdown,
) {
    let mut failing = false;
    let work = async {
        loop {
            leadership.led().await;
            match service.run_once().await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    tracing::warn!(%error, "{}; it is tried again and again", C::FAILED);
                    failing = true;
                }
                Err(_) => {}
            }
            service.rest().await;
        }
    };
    tokio::select! {
        () = work => {}
        () = shutdown.stopping.cancelled() => {}
    }
}
