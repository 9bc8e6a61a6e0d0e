//! All SQL, one function for each file under `sql/`; nothing above this level knows a table.
//!
//! Four pools by purpose, because durability and plans are settings of a session:
//! - `relaxed` claims and sends heartbeats, with `synchronous_commit = off`: a claim that a crash forgets is harmless, since
//!   a lease is random and the job still waits;
//! - `hot` submits and settles, flushed, with a lock timeout;
//! - `cold` reads and operates for people, with a statement timeout, and a plan of its own for each call;
//! - `upkeep` prunes and measures, on one connection, so that neither takes one from jobs or people.
//!
//! All but `cold` pin their plans: the planner cannot know what a LATERAL limit or a CTE will give, and would hash the whole
//! backlog (16 ms instead of 0.6 ms for 100 of 50,000 jobs).

pub mod attempt;
mod clock;
pub(crate) mod connect;
pub mod doctor;
mod error;
mod health;
pub mod ids;
pub mod job;
pub mod job_list;
pub mod key;
pub mod lease;
pub mod listen;
pub mod migrate;
pub mod partition;
pub mod prune;
pub mod queue;
pub mod queue_depth;
mod row;
mod session;
pub mod submission;
pub mod task;
pub mod trust;
#[cfg(feature = "faults")]
mod unfenced;
mod value;
pub mod worker;

use std::time::Duration;

use bb8::{Pool, PooledConnection};
use tokio::time::Instant;

pub use clock::Clock;
pub use connect::Target;
pub use error::{Error, Result};
use row::Row;
use session::{Manager, Parameters, Sql, pool, take};
pub use value::Failure;

use crate::config::Config;

/// Plans that hold whatever the planner believes.
const PINNED: &str = "-c jit=off -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off \
                      -c enable_hashjoin=off -c enable_mergejoin=off";

/// Plans for what is asked: one for every list would have to read all jobs.
const COLD: &str = "-c jit=off -c plan_cache_mode=force_custom_plan -c lock_timeout=1500 -c statement_timeout=10000";

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Claims and heartbeats, which a crash may forget.
    Relaxed,
    /// Submissions and outcomes, which it may not.
    Hot,
    /// Reading and operating, for people.
    Cold,
}

impl Purpose {
    /// The settings of its sessions, in the form of libpq's `options`.
    pub fn settings(self) -> String {
        match self {
            Self::Relaxed => format!(
                "{PINNED} -c synchronous_commit=off -c lock_timeout=2000 -c statement_timeout=30000"
            ),
            Self::Hot => format!("{PINNED} -c lock_timeout=1000 -c statement_timeout=60000"),
            Self::Cold => COLD.to_owned(),
        }
    }
}

/// How long a call waits for a connection before it says that the database cannot be reached.
const PATIENCE: Duration = Duration::from_millis(1_500);

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
pub struct Store {
    relaxed: Pool<Manager>,
    hot: Pool<Manager>,
    cold: Pool<Manager>,
    upkeep: Pool<Manager>,
    /// The database's clock, which decides what is due.
    pub clock: Clock,
}

impl Store {
    /// Opens the pools; connections are made when they are needed.
    pub async fn open(config: &Config, target: &Target) -> Result<Self> {
        let pool = |purpose: Purpose, size| {
            let target = if config.pooler {
                target.clone()
            } else {
                target.with_options(&purpose.settings())
            };
            pool(target, size, PATIENCE, config.pooler)
        };
        Ok(Self {
            relaxed: pool(Purpose::Relaxed, 2).await?,
            hot: pool(Purpose::Hot, 6).await?,
            cold: pool(Purpose::Cold, config.pool_size).await?,
            upkeep: pool(Purpose::Relaxed, 1).await?,
            clock: Clock::default(),
        })
    }

    /// The most connections of an instance, those beside the pools (LISTEN, migrations) included.
    pub fn connections_most(config: &Config) -> usize {
        config.pool_size as usize + 11
    }

    async fn relaxed(&self, sql: &'static Sql, parameters: Parameters<'_>) -> Result<Vec<Row>> {
        take(&self.relaxed).await?.query(sql, parameters).await
    }

    async fn hot(&self, sql: &'static Sql, parameters: Parameters<'_>) -> Result<Vec<Row>> {
        take(&self.hot).await?.query(sql, parameters).await
    }

    /// As [`Store::hot`], but answers by `deadline`: `Unavailable` if nothing was sent by then, `Unknown` if it was.
    async fn hot_by(
        &self,
        deadline: Instant,
        sql: &'static Sql,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>> {
        let mut session = self.take_hot_by(deadline).await?;
        match tokio::time::timeout_at(deadline, session.query(sql, parameters)).await {
            Ok(result) => result,
            Err(_) => Err(session.abandon()),
        }
    }

    async fn take_hot_by(&self, deadline: Instant) -> Result<PooledConnection<'_, Manager>> {
        let taken = tokio::time::timeout_at(deadline, take(&self.hot)).await;
        taken.map_err(|_| Error::Unavailable("no connection was free in time".into()))?
    }

    async fn cold(&self, sql: &'static Sql, parameters: Parameters<'_>) -> Result<Vec<Row>> {
        take(&self.cold).await?.query(sql, parameters).await
    }

    async fn upkeep(&self, sql: &'static Sql, parameters: Parameters<'_>) -> Result<Vec<Row>> {
        take(&self.upkeep).await?.query(sql, parameters).await
    }

    /// How the pools stand.
    pub fn pools(&self) -> [PoolState; 4] {
        let (relaxed, hot) = (("relaxed", &self.relaxed), ("hot", &self.hot));
        [relaxed, hot, ("cold", &self.cold), ("upkeep", &self.upkeep)].map(|(name, pool)| {
            let state = pool.state();
            PoolState {
                name,
                connections: state.connections,
                idle: state.idle_connections,
                waits: state.statistics.get_waited,
                waited: state.statistics.get_wait_time,
                timeouts: state.statistics.get_timed_out,
            }
        })
    }
}
