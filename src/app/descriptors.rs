//! File descriptors: each connection takes one, and a service that has none left can neither reach
//! its database nor keep its jobs. So the limit is raised as far as the system allows, and callers
//! get only what the rest does not need.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::api::edge::PROBES;
use crate::config::Config;
use crate::store::Store;

/// For the log, the runtime, the listener, the files of handlers, and a PostgreSQL of our own.
const OWN: usize = 24;

/// Raises the limit of open files to the one that the system sets. For a process that is the
/// service alone.
pub(crate) fn raise() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft >= hard {
        return;
    }
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => tracing::info!(before = soft, now = hard, "raised the limit of open files"),
        Err(error) => {
            tracing::warn!(%error, limit = soft, "cannot raise the limit of open files");
        }
    }
}

/// How many connections of HTTP are served: `max_connections`, or what the limit of open files
/// leaves. Says so if it is less.
pub(super) fn connections(config: &Config) -> usize {
    let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return config.max_connections };
    let kept = kept(config);
    let room = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(kept).max(1);
    if room < config.max_connections {
        tracing::warn!(
            limit,
            kept,
            connections = room,
            "fewer connections are served than max_connections ({}): the limit of open files allows no more beside those \
             kept for the database. Raise it (ulimit -n, LimitNOFILE), or lower max_connections",
            config.max_connections
        );
    }
    room.min(config.max_connections)
}

/// Descriptors that callers do not get.
fn kept(config: &Config) -> usize {
    Store::connections_most(config) + PROBES + OWN
}
