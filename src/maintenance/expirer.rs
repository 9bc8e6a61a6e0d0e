//! The expirer: ends waiting jobs whose time is over, in paused queues too. A job that a worker
//! holds is ended by its worker.
//!
//! Its timer is exact: it sleeps until the first job is to be looked at. It is told of a job that
//! is to be looked at earlier. A notice is sent at the commit, and what was in flight beside it is
//! seen by another look soon after.
//!
//! Jobs that have a limit of their queue are not noted anywhere. While a queue has such a limit,
//! its waiting jobs are looked at once a second.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::LeaderService;
use crate::events::{Events, Left, Notice};
use crate::settling::log_failed;
use crate::settling::meter::out_of_time;
use crate::store::expiry::Expired;
use crate::store::{Result, Store};

/// How long it rests at most, and after a failure or a pass that ended jobs.
const REST_MOST: Duration = Duration::from_secs(60);
const REST_SOON: Duration = Duration::from_secs(1);
/// While a transaction holds what is due: it was passed by, and is not to be asked for without
/// rest.
const REST_HELD: Duration = Duration::from_millis(100);

pub(crate) struct Expirer {
    store: Store,
    events: Events,
    /// How long it rests at most while nothing can be heard.
    poll: Duration,
    rest: Mutex<Duration>,
}

impl Expirer {
    pub(crate) fn new(store: Store, events: Events, poll: Duration) -> Self {
        Self { store, events, poll, rest: Mutex::new(REST_SOON) }
    }

    fn set_rest(&self, rest: Duration) {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = rest;
    }

    /// Tells those who wait for the jobs, and whoever reads the log.
    async fn tell(&self, expired: Vec<Expired>) {
        for Expired { id, queue, task, failure } in &expired {
            out_of_time(&failure.code, queue);
            log_failed(*id, failure, Some(task), Some(queue));
        }
        let ended: Vec<_> = expired.into_iter().map(|job| job.id).collect();
        self.events.leftovers.add(Left { ended: ended.clone(), ..Left::default() });
        self.events.ends.ended(ended.iter().copied());
        // Without it callers at the other instances look when their time is over.
        if let Err(error) = self.store.news_notify(&Notice::of_ended(ended).to_string()).await {
            tracing::debug!(%error, "the others were not told of jobs whose time is over");
        }
    }
}

impl LeaderService for Expirer {
    const FAILED: &'static str = "jobs whose time is over could not be ended";

    fn every(&self) -> Duration {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its rest ends early when it is told of a job.
    async fn rest(&self) {
        tokio::select! {
            () = tokio::time::sleep(self.every()) => {}
            () = self.events.expiries.notified() => {}
        }
    }

    async fn run_once(&self) -> Result<()> {
        self.set_rest(REST_SOON);
        let mut expired = self.store.expiry_expire().await?;
        let of_queues = self.events.defaults.any_limited();
        let begun = Instant::now();
        if of_queues {
            expired.extend(self.store.expiry_expire_defaults().await?);
        }
        // A look at whole queues is not exact, and takes a twentieth of the time at most.
        let rest_of_queues = (begun.elapsed() * 20).max(REST_SOON);
        let any = !expired.is_empty();
        if any {
            self.tell(expired).await;
            self.store.dead_letters_sort().await?;
        }
        let heard = self.events.listening.load(Ordering::Relaxed);
        let most = if heard { REST_MOST } else { self.poll };
        let most = if of_queues { most.min(rest_of_queues) } else { most };
        let next = self.store.expiry_next().await?.unwrap_or(REST_MOST).min(most);
        self.set_rest(match any {
            true => next.min(REST_SOON),
            false if next.is_zero() => REST_HELD,
            false => next,
        });
        Ok(())
    }
}
