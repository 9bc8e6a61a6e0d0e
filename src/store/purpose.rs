//! The purposes of connections. Purposes do not share what can run out. Slow readers take no
//! connection from claims, a database that keeps submissions waiting takes none from outcomes, and
//! probes have one of their own.
//!
//! An instance opens `pool_size` + 11 connections at most:
//!
//! | purpose | connections | for |
//! |---|---|---|
//! | people | `pool_size` | reading and operating: GET, cancel, retry, pause |
//! | submissions | 3 | POST, and word to the other instances |
//! | outcomes | 2 | settlements, progress |
//! | claims | 1 | what the dispatcher asks |
//! | heartbeat | 1 | what keeps leases, and the leadership |
//! | upkeep | 1 | registration, rescue, pruning, partitions, depths of queues |
//! | probes | 1 | `/health`, `/readyz` |
//! | listener | 1 | LISTEN |
//! | direct | 1 | at a time: migrations, removal of partitions, a look at sessions that do not answer |
//!
//! A request to cancel a statement goes over a connection that PostgreSQL does not count as a
//! session; one is made at a time.

use std::time::Duration;

/// The purpose of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Questions of the dispatcher. A crash may forget a claim: its lease is random, and the job
    /// still waits.
    Claims,
    /// Heartbeats, which a crash may forget too.
    Heartbeat,
    /// Settlements, which it may not.
    Outcomes,
    /// Submissions, which it may not either.
    Submissions,
    /// Reading and operating, for people.
    People,
    /// Upkeep of the house.
    Upkeep,
    /// Whether the database would take a job.
    Probes,
}

/// Connections beside those of the pools: the listener's, and a direct one.
const ALONE: u32 = 2;

/// Connections beside those for people.
pub(crate) const BESIDE_PEOPLE: u32 = {
    let (mut sum, mut nth) = (ALONE, 0);
    while nth < Purpose::ALL.len() {
        sum += Purpose::ALL[nth].fixed();
        nth += 1;
    }
    sum
};

/// Plans that hold whatever the planner believes.
const PINNED: &str = "-c jit=off -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off \
                      -c enable_hashjoin=off -c enable_mergejoin=off";

/// Plans for what is asked: one for every list would have to read all jobs. Cancelling and the like
/// need their index before ANALYZE has ever run, too.
const CUSTOM: &str = "-c jit=off -c plan_cache_mode=force_custom_plan -c enable_seqscan=off -c enable_bitmapscan=on \
                      -c enable_hashjoin=off -c enable_mergejoin=off";

impl Purpose {
    pub(super) const ALL: [Self; 7] = [
        Self::Claims,
        Self::Heartbeat,
        Self::Outcomes,
        Self::Submissions,
        Self::People,
        Self::Upkeep,
        Self::Probes,
    ];

    /// How many connections it has whatever is configured.
    const fn fixed(self) -> u32 {
        match self {
            Self::People => 0,
            Self::Submissions => 3,
            Self::Outcomes => 2,
            Self::Claims | Self::Heartbeat | Self::Upkeep | Self::Probes => 1,
        }
    }

    /// How many connections it has.
    pub(super) fn connections(self, pool_size: u32) -> u32 {
        if self == Self::People { pool_size } else { self.fixed() }
    }

    /// The name of its pool in metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Claims => "relaxed",
            Self::Heartbeat => "heartbeat",
            Self::Outcomes => "outcomes",
            Self::Submissions => "hot",
            Self::People => "cold",
            Self::Upkeep => "upkeep",
            Self::Probes => "probes",
        }
    }

    /// How long an answer is waited for here, whatever the network does. For people, upkeep and
    /// probes that is somewhat longer than the server works on it. A later heartbeat, claim,
    /// outcome or submission is of no use to its caller.
    pub(super) fn within(self) -> Duration {
        Duration::from_secs(match self {
            Self::Claims => 10,
            Self::Heartbeat => 5,
            Self::Outcomes | Self::Submissions => 15,
            Self::People => 12,
            Self::Upkeep => 40,
            Self::Probes => 2,
        })
    }

    /// How long a call waits for a connection before it says that the database cannot be reached.
    pub(super) fn patience(self) -> Duration {
        Duration::from_millis(if self == Self::Upkeep { 5_000 } else { 1_500 })
    }

    /// Whether a statement may be cancelled when nobody waits for its answer any more. While a
    /// synchronous standby is missing, a cancellation makes COMMIT succeed, so nothing is cancelled
    /// that may be acknowledged by a second look.
    pub(super) fn may_cancel(self) -> bool {
        !matches!(self, Self::Outcomes | Self::Submissions)
    }

    /// The settings of its sessions, in the form of libpq's `options`.
    pub fn settings(self) -> String {
        let settings = match self {
            Self::Claims | Self::Heartbeat | Self::Upkeep => {
                "-c synchronous_commit=off -c lock_timeout=2000 -c statement_timeout=30000"
            }
            Self::Outcomes | Self::Submissions => "-c lock_timeout=1000 -c statement_timeout=60000",
            Self::People => "-c lock_timeout=1500 -c statement_timeout=10000",
            Self::Probes => "-c lock_timeout=1500 -c statement_timeout=1500",
        };
        let plans = if self == Self::People { CUSTOM } else { PINNED };
        format!("{plans} {settings}")
    }
}

/// The settings of [`Purpose::settings`] one by one, for a session that served another purpose
/// before.
pub(super) fn names_and_values(settings: &str) -> (Vec<&str>, Vec<&str>) {
    let pairs = settings.split("-c ").filter_map(|pair| pair.trim().split_once('='));
    pairs.unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_turns_from_submissions_to_people_and_back_leaves_no_setting_behind() {
        let of = |purpose: Purpose| {
            let settings = purpose.settings();
            let (names, values) = names_and_values(&settings);
            let known: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            (known, values.len())
        };
        let (submissions, people) = (of(Purpose::Submissions), of(Purpose::People));
        assert_eq!(submissions, people);
        assert_eq!(people.1, 8);
        assert!(people.0.iter().any(|name| name == "plan_cache_mode"), "{people:?}");
    }

    #[test]
    fn an_instance_takes_fifteen_connections_by_default_as_the_page_says() {
        let config = crate::config::Config::default();
        assert_eq!(config.pool_size + BESIDE_PEOPLE, 15);
        let page = include_str!("../../docs/running.md");
        assert!(page.contains("An instance takes up to fifteen connections"));
    }
}
