//! The table of settings. Everything else about a setting is derived from its line here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::public_url::PublicUrl;
use super::secret::{DatabaseUrl, Secret};
use super::value::{LogFormat, OnLostHeartbeat, Raw, Value, Wrong};
use crate::job::fields::QueueSettings;

/// The least and the greatest value a number may have, both included; durations in seconds.
pub(crate) type Range = (f64, f64);

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The heading it stands under in the reference.
    pub group: &'static str,
    /// Its name in `reveille.toml`.
    pub name: &'static str,
    /// Its purpose, line by line.
    pub doc: &'static [&'static str],
    /// The bounds of a number.
    pub range: Option<Range>,
    /// The kind of value that it takes, as a placeholder (`SECONDS`).
    pub kind: &'static str,
    /// Reads a value and puts it into a configuration.
    pub set: fn(&mut Config, Raw<'_>) -> Result<(), Wrong>,
    /// The value as `reveille.toml` would hold it, with secrets masked.
    pub show: fn(&Config) -> toml::Value,
}

impl Setting {
    /// Its environment variable: `REVEILLE_WORKERS` for `workers`.
    pub(crate) fn variable(&self) -> String {
        format!("REVEILLE_{}", self.name.to_uppercase())
    }

    /// Its flag without the dashes: `data-dir` for `data_dir`.
    pub(crate) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

macro_rules! settings {
    ($($group:literal {
        $($(#[doc = $doc:literal])+ $field:ident $name:literal : $type:ty = $default:expr
            $(, $least:literal to $most:literal)? ;)+
    })+) => {
        /// The settings of a service. Durations are named `*_seconds` in the file, the environment
        /// and the flags, and are a [`Duration`] here.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config {
            $($($(#[doc = $doc])+ pub $field: $type,)+)+
            /// The settings of queues: `[queue.NAME]` in the file, and nowhere else. A service
            /// applies them when it starts, as `PUT /queues/{queue}` would, once for each content.
            /// `None` says nothing. An empty map, which is `[queue]` in the file, takes away the
            /// settings that were applied before.
            pub queue_settings: Option<BTreeMap<String, QueueSettings>>,
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($($field: $default,)+)+ queue_settings: None }
            }
        }

        /// All settings, in the order of the reference.
        pub(crate) const SETTINGS: &[Setting] = &[$($(Setting {
            group: $group,
            name: $name,
            doc: &[$($doc),+],
            range: settings!(@range $($least, $most)?),
            kind: <$type as Value>::KIND,
            set: |config, raw| {
                config.$field = Value::read(raw, settings!(@range $($least, $most)?))?;
                Ok(())
            },
            show: |config| config.$field.show(),
        },)+)+];
    };
    (@range) => { None };
    (@range $least:literal, $most:literal) => { Some(($least as f64, $most as f64)) };
}

settings! {
    "The API" {
        /// Where the HTTP API listens: an IP address and a port. Port 0 lets the system choose one;
        /// the line `ready http://…` says which. Other machines are only served (0.0.0.0:8000) if
        /// auth_tokens is set or allow_remote_without_token says that this is meant.
        listen "listen": SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8000));
        /// Bearer tokens of at least 16 characters, any of which opens the API; in the environment
        /// separated by commas. None: everybody who reaches the port may do everything.
        /// Make one with: openssl rand -hex 32
        auth_tokens "auth_tokens": Vec<Secret> = Vec::new();
        /// Listen to other machines although there is no token, because something in front of the
        /// service (a proxy, a network policy) keeps strangers out.
        allow_remote_without_token "allow_remote_without_token": bool = false;
        /// Names by which the API may be asked while there is no token, beside localhost and IP
        /// addresses; in the environment separated by commas. A web page could reach a service
        /// by any other name (DNS rebinding). Empty, and allow_remote_without_token: any name.
        allowed_hosts "allowed_hosts": Vec<String> = Vec::new();
        /// Where browsers and clients reach the API, if that is not where it listens: behind a
        /// proxy, perhaps below a path, such as https://example.org/reveille. Its host is allowed,
        /// pages from there may submit, and links and the specification begin with it.
        public_url "public_url": Option<PublicUrl> = None;
        /// How many HTTP connections are served at a time, if the limit of open files allows. Of those
        /// beyond, health checks are answered still, and others get 503. Of HTTP/2 as many requests are
        /// answered beside another of their connection.
        max_connections "max_connections": usize = 4096, 1 to 1_000_000;
    }
    "The database" {
        /// The PostgreSQL (14 to 18) to use, such as postgres://user:password@host:5432/name.
        /// Also read from DATABASE_URL. Empty: the service brings up a PostgreSQL of its own.
        database_url "database_url": Option<DatabaseUrl> = None;
        /// A direct connection to the same database, for LISTEN and for migrations, where database_url
        /// leads to a PgBouncer. Empty: database_url is used for everything.
        listen_database_url "listen_database_url": Option<DatabaseUrl> = None;
        /// Whether database_url leads to a PgBouncer in transaction mode: then no session settings
        /// are sent and statements are not prepared. Somewhat slower; wrong results never.
        pooler "pooler": bool = false;
        /// How many connections read and operate (GET, cancel, pause). A few more are opened for
        /// submissions, claims, outcomes and LISTEN, whatever this says.
        pool_size "pool_size": u32 = 4, 1 to 200;
        /// Whether to bring the schema up to date at the start. If not, run `reveille migrate` first.
        migrate "migrate": bool = true;
        /// Where the service keeps its own PostgreSQL when there is no database_url.
        data_dir "data_dir": PathBuf = PathBuf::from("./.reveille");
        /// The folder with `initdb` and `postgres`, for that PostgreSQL. Also read from PG_BIN_DIR. Empty:
        /// the newest version (14 to 18) that lies where packages put it.
        pg_bin_dir "pg_bin_dir": Option<PathBuf> = None;
    }
    "Running jobs" {
        /// How many jobs this instance runs at a time. 0: none, it only serves the API.
        workers "workers": usize = 64, 0 to 10_000;
        /// The queues whose jobs this instance runs; in the environment separated by commas.
        /// Empty: all of them. The API serves every queue all the same.
        queues "queues": Vec<String> = Vec::new();
        /// How often to look for jobs that no notification told of. This is the fallback, not the way
        /// jobs are found: a smaller value costs queries and gains nothing while LISTEN works.
        poll_interval "poll_interval_seconds": Duration = Duration::from_secs(5), 0.1 to 60;
        /// How long one attempt may take, where neither the job nor its task says.
        default_timeout "default_timeout_seconds": Duration = Duration::from_secs(900), 0.1 to 604_800;
        /// How long running jobs may go on after SIGTERM before they are cancelled and given back.
        /// A supervisor of the process (systemd, Docker, Kubernetes) must not kill it sooner.
        shutdown_grace "shutdown_grace_seconds": Duration = Duration::from_secs(25), 0 to 86_400;
        /// How long requests are still answered after SIGTERM, beside the grace period: not more than
        /// it, and without a value no longer than it. Meanwhile /readyz says 503, so that balancers turn
        /// away before the port is closed. 0 after Ctrl-C, and where only this machine is listened to.
        shutdown_delay "shutdown_delay_seconds": Duration = Duration::from_secs(5), 0 to 3600;
    }
    "Noticing death" {
        /// How often an instance says that it is alive.
        heartbeat "heartbeat_seconds": Duration = Duration::from_secs(3), 0.05 to 60;
        /// After how long a silence its jobs are given to others: at least three heartbeats.
        lost_after "lost_after_seconds": Duration = Duration::from_secs(10), 0.15 to 3600;
        /// The fate of running jobs while the instance cannot say that it is alive. stop tells them to
        /// stop; run lets them go on, so that they may run twice. They are stopped a second before others
        /// may run them, or a fifth of lost_after_seconds if that is less.
        on_lost_heartbeat "on_lost_heartbeat": OnLostHeartbeat = OnLostHeartbeat::Stop;
        /// How many times a job may take its process down before it fails as `worker_lost`.
        crash_budget "crash_budget": u32 = 3, 3 to 100;
    }
    "Keeping" {
        /// How long completed jobs can be looked up; 7 days.
        keep_completed "keep_completed_seconds": Duration = Duration::from_secs(604_800), 1 to 3_153_600_000_u32;
        /// How long failed and cancelled jobs can be looked up and retried; 30 days.
        keep_failed "keep_failed_seconds": Duration = Duration::from_secs(2_592_000), 1 to 3_153_600_000_u32;
        /// How long a request with an Idempotency-Key can be repeated and is answered as at first; a day.
        keep_idempotency "idempotency_keep_seconds": Duration = Duration::from_secs(86_400), 1 to 2_592_000;
    }
    "Sight" {
        /// Which log lines are written, as a filter: a level (off, error, warn, info, debug, trace), or
        /// levels by target, such as info,reveille=debug. Targets without a level have error.
        log "log": String = "info".to_owned();
        /// How they are written: text, json, or auto, which is text on a terminal and json otherwise.
        log_format "log_format": LogFormat = LogFormat::Auto;
        /// The name of this instance in logs and in GET /instances. Empty: the name of the host.
        instance_name "instance_name": String = String::new();
    }
}
