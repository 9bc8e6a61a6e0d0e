//! The fence: stops handlers when the lease time of this process is nearly over and no heartbeat
//! was confirmed. Others may run their jobs soon. The outcome of a handler then is offered all the
//! same, and counts if its lease stands. Else its job goes back, and the attempt is not spent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::running::{Running, Stop};
use super::slots::Slots;
use crate::shutdown::Shutdown;

/// How long before the end of the lease time handlers are told to stop, where that is a small part
/// of it.
const MARGIN: Duration = Duration::from_secs(1);
/// How often jobs that begin all the same are stopped while no heartbeat is confirmed.
const STOP_EVERY: Duration = Duration::from_millis(100);

/// When the last heartbeat was sent that the database has confirmed.
#[derive(Clone)]
pub(super) struct Confirmed(Arc<Mutex<Instant>>);

impl Confirmed {
    /// Registering confirms as a heartbeat does.
    pub(super) fn new(sent: Instant) -> Self {
        Self(Arc::new(Mutex::new(sent)))
    }

    pub(super) fn set(&self, sent: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sent;
    }

    fn at(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops handlers while no heartbeat is confirmed.
#[derive(Clone)]
pub(super) struct Fence {
    pub(super) running: Running,
    pub(super) slots: Arc<Slots>,
    pub(super) confirmed: Confirmed,
    pub(super) lost_after: Duration,
    /// Whether handlers are stopped; it is said in any case.
    pub(super) stops: bool,
    pub(super) shutdown: Shutdown,
}

impl Fence {
    pub(super) async fn run(self) {
        let patience = self.lost_after - MARGIN.min(self.lost_after / 5);
        tokio::select! {
            () = self.shutdown.stopping.cancelled() => {}
            () = async {
                loop {
                    self.silence(patience).await;
                    self.stand(patience).await;
                }
            } => {}
        }
    }

    /// Returns when no heartbeat has been confirmed for so long.
    async fn silence(&self, patience: Duration) {
        loop {
            let at = self.confirmed.at() + patience;
            if Instant::now() >= at {
                return;
            }
            tokio::time::sleep_until(at.into()).await;
        }
    }

    /// Stops what runs, until a heartbeat is confirmed.
    async fn stand(&self, patience: Duration) {
        let _claims_nothing = self.slots.shut();
        let mut jobs = self.stop();
        let seconds = patience.as_secs_f64();
        if self.stops {
            tracing::warn!(
                seconds,
                jobs,
                "no heartbeat was confirmed for too long: running jobs are told to stop, since others may run them soon"
            );
        } else {
            tracing::warn!(
                seconds,
                "no heartbeat was confirmed for too long: others may run the jobs that run here, and on_lost_heartbeat says that they go on"
            );
        }
        while self.confirmed.at().elapsed() >= patience {
            tokio::time::sleep(STOP_EVERY).await;
            jobs += self.stop();
        }
        tracing::info!(jobs, "a heartbeat is confirmed again");
    }

    fn stop(&self) -> usize {
        if self.stops { self.running.stop_all(Stop::Silent) } else { 0 }
    }
}
