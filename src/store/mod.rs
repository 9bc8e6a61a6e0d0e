//! All SQL, one function for each file under `sql/`; nothing above this level knows a table.
//!
//! Connections are pooled by [`Purpose`], so that what is slow for one is not for another. The
//! statements of all purposes but `People` have pinned plans. The planner cannot know what a
//! LATERAL limit or a CTE will give, and would hash the whole backlog (16 ms instead of 0.6).

pub(crate) mod attempt;
#[allow(missing_docs, reason = "public for the tests of this repository alone")]
pub(crate) mod audit;
mod clock;
pub(crate) mod connect;
pub(crate) mod dead_letter;
pub(crate) mod defaults;
mod disk;
pub(crate) mod doctor;
#[allow(missing_docs, reason = "public for the tests of this repository alone")]
mod error;
pub(crate) mod expiry;
#[cfg(test)]
mod fields;
pub(crate) mod functions;
pub(crate) mod gate;
#[allow(missing_docs, reason = "public for the tests of this repository alone")]
mod health;
#[cfg(feature = "service")]
mod idempotency;
pub(crate) mod job;
pub(crate) mod key;
#[allow(missing_docs, reason = "public for the tests of this repository alone")]
pub(crate) mod lease;
#[allow(missing_docs, reason = "public for the tests of this repository alone")]
pub(crate) mod migrate;
mod migrations;
pub(crate) mod news;
pub(crate) mod operation;
pub(crate) mod partition;
pub(crate) mod progress;
mod purpose;
pub(crate) mod queue;
pub(crate) mod ready;
mod refusal;
mod row;
mod session;
mod stray;
pub(crate) mod task;
mod tls;
pub(crate) mod trust;
mod value;
pub(crate) mod worker;

use std::future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use clock::Clock;
pub use connect::Target;
pub use error::Error;
pub(crate) use error::{Result, with_sources};
pub use health::Database;
pub(crate) use health::Health;
pub(crate) use purpose::BESIDE_PEOPLE;
pub use purpose::Purpose;
use session::Connections;
use stray::Strays;

use crate::config::Config;

/// How a pool of connections stands.
#[derive(Clone, Copy, Debug)]
pub struct PoolState {
    pub name: &'static str,
    pub connections: u32,
    pub idle: u32,
    /// How often a connection had to be waited for, for how long in all, and how often in vain.
    pub waits: u64,
    pub waited: Duration,
    pub timeouts: u64,
}

/// The database. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

/// Shared by the clones of a [`Store`]. Each submission has one, and seven pools have many
/// addresses and settings to copy (three quarters of the cost of a submission to a client).
pub struct Shared {
    claims: Connections,
    heartbeat: Connections,
    outcomes: Connections,
    submissions: Connections,
    people: Connections,
    upkeep: Connections,
    probes: Connections,
    strays: Strays,
    asked: health::Asked,
    /// Whether submissions find the disk of the database full.
    pub disk: disk::Disk,
    /// The database's clock, which decides what is due.
    pub clock: Clock,
}

impl Deref for Store {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Store {
    /// Opens the pools; connections are made when they are needed.
    ///
    /// # Errors
    /// When the database cannot be reached, or refuses sessions with the service's settings.
    pub async fn open(config: &Config, target: &Target) -> Result<Self> {
        let strays = Strays::new(target.clone());
        let open = |purpose: Purpose| {
            let (size, pooler) = (purpose.connections(config.pool_size), config.pooler);
            let target = target_of(target, pooler, purpose);
            Connections::new(purpose, size, target, pooler, strays.clone())
        };
        let store = Self::over(&strays, open).await?;
        // A pool only says that time ran out; what really keeps it from connecting is found out
        // here.
        target_of(target, config.pooler, Purpose::Claims).connect().await?;
        Ok(store)
    }

    /// For a client without a service: over this many connections, for whatever it asks.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn open_for_client(target: &Target, connections: u32) -> Result<Self> {
        let (purpose, strays) = (Purpose::Submissions, Strays::new(target.clone()));
        let own = target_of(target, false, purpose);
        let shared = Connections::new(purpose, connections, own, false, strays.clone()).await?;
        let open = |purpose| {
            let people = purpose == Purpose::People;
            future::ready(Ok(if people { shared.shared_with(purpose) } else { shared.clone() }))
        };
        let store = Self::over(&strays, open).await?;
        store.clock_read(Instant::now() + Purpose::Submissions.patience()).await?;
        Ok(store)
    }

    async fn over<F>(strays: &Strays, open: impl Fn(Purpose) -> F) -> Result<Self>
    where
        F: Future<Output = Result<Connections>>,
    {
        let shared = Shared {
            claims: open(Purpose::Claims).await?,
            heartbeat: open(Purpose::Heartbeat).await?,
            outcomes: open(Purpose::Outcomes).await?,
            submissions: open(Purpose::Submissions).await?,
            people: open(Purpose::People).await?,
            upkeep: open(Purpose::Upkeep).await?,
            probes: open(Purpose::Probes).await?,
            strays: strays.clone(),
            asked: health::Asked::default(),
            disk: disk::Disk::default(),
            clock: Clock::default(),
        };
        Ok(Self(Arc::new(shared)))
    }

    /// The most connections of an instance, those beside the pools (LISTEN, migrations) included.
    pub fn connections_most(config: &Config) -> usize {
        (config.pool_size + BESIDE_PEOPLE) as usize
    }

    /// The most connections that submissions have.
    pub fn submissions_most(&self) -> usize {
        self.submissions.size as usize
    }

    /// How the pools stand.
    pub fn pools(&self) -> [PoolState; 7] {
        let all = [
            &self.claims,
            &self.heartbeat,
            &self.outcomes,
            &self.submissions,
            &self.people,
            &self.upkeep,
            &self.probes,
        ];
        all.map(|connections| {
            let state = connections.pool.state();
            PoolState {
                name: connections.purpose.label(),
                connections: state.connections,
                idle: state.idle_connections,
                waits: state.statistics.get_waited,
                waited: state.statistics.get_wait_time,
                timeouts: state.statistics.get_timed_out,
            }
        })
    }
}

/// Where connections of this purpose lead, and with which settings.
fn target_of(target: &Target, pooler: bool, purpose: Purpose) -> Target {
    if pooler { target.clone() } else { target.with_options(&purpose.settings()) }
}
