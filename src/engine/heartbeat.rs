//! The heartbeat: one row says that this process lives, and renews all of its leases at once. The
//! answer says which leases are still held. A handler whose lease is missing there is stopped, or a
//! claim that a crash of the database forgot would run twice in one process. The other way round, a
//! job may be held there and unknown here, because the answer to its claim was lost. It is given
//! back, or it would be held for as long as this process lives.
//!
//! It runs beside the listener on a thread of their own, whose runtime handlers cannot block. Else
//! as many handlers as cores that block their threads would cost a living instance its jobs. Nor is
//! it renewed for an instance that does nothing any more: its own runtime has stood still for
//! longer than an attempt may take.
//!
//! A process that is cut off from the database cannot hear that its jobs were given to others. So
//! the [`fence`](super::fence) stops its handlers when its lease time is nearly over.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout;
use uuid::Uuid;

use super::Identity;
use super::fence::Confirmed;
use super::running::{Running, Stop};
use super::slots::Slots;
use super::ticks::Ticks;
use crate::events::{Events, Leadership};
use crate::job::WorkerId;
use crate::job::ending::Ending;
use crate::settling::{Delivery, Key};
use crate::shutdown::Shutdown;
use crate::store::lease::Settlement;
use crate::store::worker::{HeartbeatReply, RegisterOver, Registration};
use crate::store::{Error, Result as StoreResult, Store};
use crate::supervise::Inbox;

/// How much longer than an attempt may take the main runtime may stand still while the heartbeat is
/// renewed.
const STILL_BEYOND: Duration = Duration::from_secs(60);
/// How long the answer to a heartbeat is waited for, at most.
const ANSWER_MOST: Duration = Duration::from_secs(5);
/// How long the leadership is asked for: others may ask at the same moment, and the next heartbeat
/// takes the same connection.
const LEAD_MOST: Duration = Duration::from_millis(500);

pub(super) struct Heartbeat {
    pub(super) store: Store,
    pub(super) identity: Identity,
    pub(super) registration: Registration,
    pub(super) running: Running,
    pub(super) slots: Arc<Slots>,
    pub(super) events: Events,
    pub(super) leadership: Leadership,
    pub(super) every: Duration,
    pub(super) settle: mpsc::Sender<Delivery>,
    pub(super) shutdown: Shutdown,
    pub(super) ticks: Ticks,
    pub(super) confirmed: Confirmed,
    /// How long an attempt may take, if nothing else is said.
    pub(super) default_timeout: Duration,
    /// `None`: the last one failed.
    pub(super) connected_since: Option<Instant>,
    /// Jobs that were held and unknown at the last one.
    pub(super) orphaned: HashSet<Key>,
    /// As whom this instance is to be registered, since it was taken for lost. Kept until that has
    /// succeeded, or each answer that is lost would leave an instance that nobody is.
    pub(super) anew: Option<WorkerId>,
}

/// Why no heartbeat was confirmed.
enum Missed {
    /// This service does nothing any more, and has not for so long.
    Still(Duration),
    Failed(Error),
}

impl From<Error> for Missed {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Heartbeat {
    pub(super) async fn run(heartbeat: Inbox<Self>) {
        let mut heartbeat = heartbeat.lock().await;
        let stopping = heartbeat.shutdown.stopping.clone();
        loop {
            let pause = heartbeat.renew().await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stopping.cancelled() => return,
            }
        }
    }

    /// Answers how long to rest until the next one.
    async fn renew(&mut self) -> Duration {
        match self.beat_in_time().await {
            Ok(lost) => {
                // After an outage of ours the others may only have had no chance to be heard.
                let since = *self.connected_since.get_or_insert_with(Instant::now);
                if lost && since.elapsed().as_secs_f64() >= self.registration.lost_after_seconds {
                    self.leadership.call_to_rescue();
                }
                self.every
            }
            Err(missed) => {
                if self.connected_since.take().is_some() {
                    match missed {
                        Missed::Still(still) => tracing::warn!(
                            still_seconds = still.as_secs(),
                            "the heartbeat is not renewed: nothing has run in this service for longer than an attempt may take. \
                             Handlers block its threads; Handler::run says how to block"
                        ),
                        Missed::Failed(error) => {
                            tracing::warn!(%error, "the heartbeat failed; it goes on trying");
                        }
                    }
                }
                self.every.min(Duration::from_millis(500))
            }
        }
    }

    async fn beat_in_time(&mut self) -> Result<bool, Missed> {
        let still = self.ticks.still_for();
        if is_dead(still, self.default_timeout, self.running.any_in_time()) {
            return Err(Missed::Still(still));
        }
        let lost_after = lost_after(&self.registration);
        let within = (lost_after / 3).max(lost_after.min(Duration::from_secs(1))).min(ANSWER_MOST);
        let beaten = timeout(within, self.beat()).await.map_err(|_| {
            let within = within.as_secs_f64();
            Error::Unknown(format!("no answer within {within:.1} s"))
        })?;
        let HeartbeatReply { lost, leads, vacant, .. } = beaten?;
        let leads = leads || vacant && self.lead().await;
        if self.leadership.set_leads(leads) {
            tracing::info!(leads, "leadership of the maintenance services changed");
        }
        Ok(lost)
    }

    /// Reads the answer; the default, if it has registered again.
    async fn beat(&mut self) -> StoreResult<HeartbeatReply> {
        if self.anew.is_none() {
            let (before, sent) = (self.running.keys(), Instant::now());
            let (running, draining) = (self.slots.usage().0, self.shutdown.draining.is_cancelled());
            let worker = self.identity.worker();
            let reply = self.store.worker_heartbeat(worker, running, draining).await?;
            if reply.known {
                self.confirmed.set(sent);
                self.hear(&before, &reply);
                return Ok(reply);
            }
            tracing::warn!(
                "this instance was taken for lost; it gives up its running jobs, and registers again"
            );
            self.running.stop_all(Stop::Lost);
            self.anew = Some(WorkerId(Uuid::now_v7()));
        }
        if let Some(anew) = self.anew {
            let sent = Instant::now();
            // Registered first: the leases of a worker that nobody knows are rescued at once.
            let over = RegisterOver::Heartbeat;
            self.store.worker_register(anew, &self.registration, over).await?;
            self.identity.renew(anew);
            self.confirmed.set(sent);
            self.anew = None;
        }
        Ok(HeartbeatReply::default())
    }

    /// Does what the answer to a heartbeat says.
    fn hear(&mut self, before: &HashSet<Key>, reply: &HeartbeatReply) {
        if reply.suspects {
            self.events.wakes.wake(|pending| pending.suspects = true);
        }
        let held = self.compare(before, reply);
        let unknown: HashSet<Key> = held.difference(&self.running.keys()).copied().collect();
        self.give_back(self.orphaned.intersection(&unknown));
        self.orphaned = unknown.difference(&self.orphaned).copied().collect();
    }

    /// Asks for the leadership, which nobody has. Without an answer this instance does not lead,
    /// and lives all the same.
    async fn lead(&self) -> bool {
        if self.shutdown.draining.is_cancelled() {
            return false;
        }
        let asked = timeout(LEAD_MOST, self.store.worker_lead(self.identity.worker())).await;
        let Ok(answer) = asked else { return false };
        answer.unwrap_or_else(|error| {
            tracing::debug!(%error, "could not ask for the leadership");
            false
        })
    }

    /// Gives back jobs that are held and do not run here. It does not do so the first time that
    /// they are seen, since the answer to a claim may be on its way. Should it come after all, its
    /// lease is stale.
    fn give_back<'a>(&self, orphaned: impl Iterator<Item = &'a Key>) {
        for &(lease, id) in orphaned {
            tracing::warn!(job.id = %id, "a job is held here and unknown here: the answer to its claim was lost; it is given back");
            // A full buffer has room at another beat.
            let settlement = Settlement {
                lease,
                id,
                place: 0,
                attempt: 0,
                ending: Ending::Release,
                begun: false,
                keyed: true,
                timed: false,
            };
            // It keeps its turn, if it has one.
            let delivery = Delivery { settlement, meter: None, turn: None, room: None };
            let _ = self.settle.try_send(delivery);
        }
    }

    /// Stops handlers whose lease is gone, and those whose cancellation was asked for. Answers what
    /// is held.
    fn compare(&self, before: &HashSet<Key>, reply: &HeartbeatReply) -> HashSet<Key> {
        let held: HashSet<Key> = reply
            .held
            .iter()
            .flat_map(|held| held.ids.iter().map(|id| (held.lease, *id)))
            .collect();
        for key in before.difference(&held) {
            self.running.stop(*key, Stop::Lost);
        }
        for lease in &reply.held {
            for id in &lease.cancels {
                self.running.stop((lease.lease, *id), Stop::Cancelled);
            }
        }
        held
    }
}

fn lost_after(registration: &Registration) -> Duration {
    Duration::try_from_secs_f64(registration.lost_after_seconds).unwrap_or(Duration::MAX)
}

/// Whether a service does nothing any more: its runtime stands still, and no handler has a right to
/// keep it so.
fn is_dead(still: Duration, default_timeout: Duration, in_time: bool) -> bool {
    still > default_timeout.saturating_add(STILL_BEYOND) && !in_time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heartbeat_of_a_service_that_stands_still_is_renewed_while_an_attempt_has_time() {
        let (timeout, second) = (Duration::from_secs(900), Duration::from_secs(1));
        assert!(!is_dead(timeout + STILL_BEYOND, timeout, false));
        assert!(is_dead(timeout + STILL_BEYOND + second, timeout, false));
        assert!(!is_dead(timeout * 10, timeout, true));
    }
}
