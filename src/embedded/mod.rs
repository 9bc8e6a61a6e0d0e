//! The service's own PostgreSQL, for whoever has none.
//!
//! The server is a direct child, never a daemon. On Linux the kernel interrupts it when the service
//! dies, however it dies, and PostgreSQL shuts down in some twenty milliseconds. `pg_ctl` and the
//! crates built upon it leave an orphan, and run with `fsync` off. The cost is a thread
//! ([`keeper`]) and a dependency on `setpriv`. Elsewhere than on Linux a killed service leaves its
//! server behind; the next start finds it on its socket and ends it first.
//!
//! It listens on a Unix socket in a folder with mode 0700, and on no port. So there is no password
//! to keep and nothing to clash with. Durability is on, whatever `postgresql.conf` says.

mod account;
mod binaries;
mod cluster;
mod directory;
mod error;
mod keeper;
mod leftovers;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use cluster::Cluster;
use keeper::{Keeper, State};

use crate::config::Config;

pub use error::EmbeddedError;

/// The database in it that the service uses, and the superuser, which the service is not.
const NAME: &str = "reveille";

/// How long the processes of a server that was killed may take to let go of its memory.
const LET_GO: Duration = Duration::from_secs(30);

/// How long a server that is up may refuse us for a reason other than that it is still recovering.
const REFUSALS: Duration = Duration::from_secs(30);

/// Between two looks at a server that is starting, and between two tries to start one.
const LOOK: Duration = Duration::from_millis(20);
const AGAIN: Duration = Duration::from_millis(200);

/// A server that goes down again sooner than this is started with growing pauses.
const STEADY: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How to run the own PostgreSQL.
#[derive(Debug, Clone)]
pub struct Settings {
    data_dir: PathBuf,
    bin_dir: Option<PathBuf>,
    server: Vec<(String, String)>,
}

impl Settings {
    /// Data in this folder, binaries from the usual places.
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), bin_dir: None, server: Vec::new() }
    }

    /// As a service with this configuration runs it.
    pub fn of(config: &Config) -> Self {
        Self { bin_dir: config.pg_bin_dir.clone(), ..Self::new(&config.data_dir) }
    }

    /// Binaries from this folder.
    #[must_use]
    pub fn bin_dir(mut self, bin_dir: &Path) -> Self {
        self.bin_dir = Some(bin_dir.to_owned());
        self
    }

    /// A setting for the server's command line. It wins over everything, durability included: for
    /// tests.
    #[must_use]
    pub fn server(mut self, name: &str, value: &str) -> Self {
        self.server.push((name.into(), value.into()));
        self
    }
}

/// A running PostgreSQL of our own. Dropping it tells the server to shut down without waiting for
/// it.
#[derive(Debug)]
pub struct Embedded {
    // The order matters: the keeper's drop ends the server before the lock of the directory goes.
    keeper: Keeper,
    cluster: Cluster,
    url: String,
    started_at: Instant,
}

impl Embedded {
    /// Starts the server on its data directory, which is created if need be, and waits until it can
    /// be used.
    ///
    /// # Errors
    /// See [`EmbeddedError`]; each message says what to do.
    pub async fn start(settings: Settings) -> Result<Self, EmbeddedError> {
        let data_dir = settings.data_dir.clone();
        let started = Keeper::start(move || Cluster::prepare(settings)).await;
        let (cluster, keeper) =
            started.map_err(EmbeddedError::io("start a thread for", &data_dir))??;
        let url = connection_string(&cluster.socket_dir, NAME, NAME);
        let mut it = Self { keeper, cluster, url, started_at: Instant::now() };
        it.launch().await?;
        Ok(it)
    }

    /// How its superuser connects, in the form `host=… user=… dbname=…`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How another role connects.
    pub fn url_as(&self, role: &str) -> String {
        connection_string(&self.cluster.socket_dir, role, NAME)
    }

    /// The postmaster's process id, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        match self.keeper.state() {
            State::Running(pid) => Some(pid.as_raw().cast_unsigned()),
            State::NotYet | State::Ended(_) => None,
        }
    }

    /// Waits for the server to end by itself, which it never should.
    ///
    /// # Errors
    /// If the thread that keeps the server has gone.
    pub async fn died(&mut self) -> Result<ExitStatus, EmbeddedError> {
        let ended = self.keeper.ended().await;
        ended.map_err(EmbeddedError::io("wait for the server of", self.cluster.directory.root()))
    }

    /// Starts a server that has died again, and waits until it has recovered.
    ///
    /// # Errors
    /// See [`EmbeddedError`]. It may be tried again.
    pub async fn restart(&mut self) -> Result<(), EmbeddedError> {
        if let State::Running(pid) = self.keeper.state()
            && self.usable(pid).await?
        {
            return Ok(());
        }
        self.launch().await
    }

    /// Starts the server again each time it dies, for ever: to be raced with the service's
    /// shutdown.
    pub async fn keep_up(&mut self) {
        let mut pause = Duration::ZERO;
        loop {
            match self.died().await {
                Ok(status) => {
                    tracing::error!(%status, "PostgreSQL ended unexpectedly; starting it again")
                }
                Err(error) => {
                    tracing::error!(%error, "PostgreSQL ended unexpectedly; starting it again")
                }
            }
            if self.started_at.elapsed() > STEADY {
                pause = Duration::ZERO;
            }
            sleep(pause).await;
            while let Err(error) = self.restart().await {
                tracing::error!(%error, "PostgreSQL could not be started again; trying on");
                pause = longer(pause);
                sleep(pause).await;
            }
            pause = longer(pause);
            tracing::info!("PostgreSQL is up again");
        }
    }

    /// Shuts the server down: clients are cut off, data is written out. Takes at most some seven
    /// seconds; should the server need longer than that, it is killed, and recovers at its next
    /// start. Nothing committed is lost.
    pub async fn stop(self) {
        for (signal, patience) in [(Signal::SIGINT, 5), (Signal::SIGQUIT, 1), (Signal::SIGKILL, 1)]
        {
            if !matches!(self.keeper.state(), State::Running(_)) {
                break;
            }
            self.keeper.signal(signal);
            if timeout(Duration::from_secs(patience), self.keeper.ended()).await.is_err() {
                tracing::warn!(?signal, "PostgreSQL has not ended");
            }
        }
        // The folder may lie among the system's temporary files; it is made again at the next
        // start.
        let _ = std::fs::remove_dir(&self.cluster.socket_dir);
    }

    /// Starts the server. While processes of the one before hold on to its memory, that is refused;
    /// so try for a while.
    async fn launch(&mut self) -> Result<(), EmbeddedError> {
        let give_up_at = Instant::now() + LET_GO;
        loop {
            leftovers::dismiss(&self.cluster.directory.cluster(), &self.cluster.socket_dir);
            let command = self.cluster.command()?;
            let log = self.cluster.directory.log_path();
            let logged = std::fs::metadata(&log).map_or(0, |it| it.len());
            let spawned = self.keeper.spawn(command);
            let pid = spawned
                .map_err(EmbeddedError::io("start the server of", self.cluster.directory.root()))?;
            if self.usable(pid).await? {
                self.started_at = Instant::now();
                return Ok(());
            }
            let said = self.cluster.directory.logged_since(logged);
            if !passes_by_itself(&said) || Instant::now() > give_up_at {
                return Err(EmbeddedError::DidNotStart { said, log });
            }
            sleep(AGAIN).await;
        }
    }

    /// Waits until the database can be used; false if the server ended before. A recovery may take
    /// its time.
    async fn usable(&self, pid: Pid) -> Result<bool, EmbeddedError> {
        let mut give_up_at = Instant::now() + REFUSALS;
        loop {
            let looked = self.look(pid).await;
            if !matches!(self.keeper.state(), State::Running(_)) {
                return Ok(false);
            }
            match looked {
                Look::Usable => return Ok(true),
                Look::Recovering => give_up_at = Instant::now() + REFUSALS,
                Look::Refused(said) if Instant::now() > give_up_at => {
                    return Err(EmbeddedError::Unusable {
                        said,
                        log: self.cluster.directory.log_path(),
                    });
                }
                Look::Refused(_) => {}
            }
            sleep(LOOK).await;
        }
    }

    async fn look(&self, pid: Pid) -> Look {
        // A server that was here before us may answer too; only what our child wrote into this file
        // counts.
        let pid_file =
            std::fs::read_to_string(self.cluster.directory.cluster().join("postmaster.pid"));
        if pid_file.unwrap_or_default().lines().next() != Some(&pid.to_string()) {
            return Look::Refused("it has not written its postmaster.pid".into());
        }
        let query = format!("CREATE DATABASE {NAME}");
        let looked = match run(&self.url, "SELECT 1").await {
            Err(error) if error.code() == Some(&SqlState::INVALID_CATALOG_NAME) => {
                run(&connection_string(&self.cluster.socket_dir, NAME, "postgres"), &query).await
            }
            other => other,
        };
        match looked {
            Ok(()) => Look::Usable,
            Err(error) if error.code() == Some(&SqlState::CANNOT_CONNECT_NOW) => Look::Recovering,
            Err(error) => Look::Refused(
                error.as_db_error().map_or_else(|| error.to_string(), |it| it.message().into()),
            ),
        }
    }
}

enum Look {
    Usable,
    Recovering,
    Refused(String),
}

async fn run(url: &str, query: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let (done, _) = tokio::join!(
        async {
            let done = client.batch_execute(query).await;
            drop(client);
            done
        },
        connection
    );
    done
}

fn connection_string(socket_dir: &Path, role: &str, database: &str) -> String {
    let host = socket_dir.display().to_string().replace('\\', r"\\").replace('\'', r"\'");
    format!("host='{host}' user={role} dbname={database}")
}

/// Whether a refusal to start comes from what is left of a server that was killed.
fn passes_by_itself(said: &str) -> bool {
    said.contains("lock file") || said.contains("pre-existing shared memory block")
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).clamp(AGAIN, LONGEST_PAUSE)
}
