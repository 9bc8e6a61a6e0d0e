//! The heartbeat: one row says that this process lives, and renews all of its leases at once. The answer says which leases
//! are still held; a handler whose lease is missing there is stopped, or a claim that a crash of the database forgot would
//! run twice in one process. The other way round, a job that is held there and unknown here, because the answer to its claim
//! was lost, is given back, or it would be held for as long as this process lives.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use uuid::Uuid;

use super::Identity;
use super::running::{Key, Running, Stop};
use super::slots::Slots;
use crate::events::{Duties, Events};
use crate::job::WorkerId;
use crate::shutdown::Shutdown;
use crate::store::lease::{Ending, Settlement};
use crate::store::worker::{Pulse, Registration};
use crate::store::{Result, Store};

pub(super) struct Heartbeat {
    pub(super) store: Store,
    pub(super) identity: Identity,
    pub(super) registration: Registration,
    pub(super) running: Running,
    pub(super) slots: Arc<Slots>,
    pub(super) events: Events,
    pub(super) duties: Duties,
    pub(super) every: Duration,
    pub(super) settle: mpsc::Sender<Settlement>,
    pub(super) shutdown: Shutdown,
}

impl Heartbeat {
    pub(super) async fn run(self) {
        let mut connected_since = Some(Instant::now());
        let mut adrift = HashSet::new();
        loop {
            match self.beat(&mut adrift).await {
                Ok(lost) => {
                    // After an outage of ours the others may only have had no chance to be heard.
                    let since = *connected_since.get_or_insert_with(Instant::now);
                    if lost && since.elapsed().as_secs_f64() >= self.registration.lost_after_seconds
                    {
                        self.duties.call_to_rescue();
                    }
                }
                Err(error) => {
                    if connected_since.take().is_some() {
                        tracing::warn!(%error, "the heartbeat failed; it goes on trying");
                    }
                }
            }
            let pause = if connected_since.is_some() {
                self.every
            } else {
                self.every.min(Duration::from_millis(500))
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shutdown.stopping.cancelled() => return,
            }
        }
    }

    /// Whether somebody is to be rescued.
    async fn beat(&self, adrift: &mut HashSet<Key>) -> Result<bool> {
        let before = self.running.keys();
        let draining = self.shutdown.draining.is_cancelled();
        let pulse = self
            .store
            .worker_heartbeat(self.identity.worker(), self.slots.usage().0, draining)
            .await?;
        if !pulse.known {
            tracing::warn!(
                "this instance was taken for lost; what it was running is given up, and it registers anew"
            );
            self.running.stop_all(Stop::Lost);
            // Registered first: the leases of a worker that nobody knows are rescued at once.
            let anew = WorkerId(Uuid::now_v7());
            self.store.worker_register(anew, &self.registration).await?;
            self.identity.renew(anew);
            return Ok(false);
        }
        if self.duties.set_leads(pulse.leads) {
            tracing::info!(leads = pulse.leads, "leadership of the maintenance services changed");
        }
        if pulse.suspects {
            self.events.wakes.wake(|pending| pending.suspects = true);
        }
        let held = self.compare(&before, &pulse);
        let unknown: HashSet<Key> = held.difference(&self.running.keys()).copied().collect();
        self.give_back(adrift.intersection(&unknown));
        *adrift = unknown.difference(adrift).copied().collect();
        Ok(pulse.lost)
    }

    /// Gives back jobs that are held and do not run here: not the first time that they are seen, since the answer to a claim
    /// may be on its way. Should it come after all, its lease is stale.
    fn give_back<'a>(&self, adrift: impl Iterator<Item = &'a Key>) {
        for &(lease, id) in adrift {
            tracing::warn!(job.id = %id, "a job is held here and unknown here: the answer to its claim was lost; it is given back");
            // A full buffer has room at another beat.
            let _ = self.settle.try_send(Settlement {
                lease,
                id,
                place: 0,
                ending: Ending::Release,
                keyed: true,
                meter: None,
            });
        }
    }

    /// Stops handlers whose lease is gone, and those whose cancellation was asked for. Answers what is held.
    fn compare(&self, before: &HashSet<Key>, pulse: &Pulse) -> HashSet<Key> {
        let held: HashSet<Key> = pulse
            .held
            .iter()
            .flat_map(|held| held.ids.iter().map(|id| (held.lease, *id)))
            .collect();
        for key in before.difference(&held) {
            self.running.stop(*key, Stop::Lost);
        }
        for lease in &pulse.held {
            for id in &lease.cancels {
                self.running.stop((lease.lease, *id), Stop::Cancelled);
            }
        }
        held
    }
}
