//! The cluster on disk: making it, and the command that serves it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Settings;
use super::account::{self, Account};
use super::binaries::Binaries;
use super::directory::{Directory, hand_over};
use super::error::EmbeddedError;

/// Goes to the end of `postgresql.conf` when the cluster is made; from then on the file is its
/// owner's to edit.
const DEFAULTS: &str = "
# Written by reveille when it made this cluster. Edit as you like; what reveille relies on (the socket, durability,
# where the log goes) is given on the server's command line and is not taken from here.
max_connections = 100
shared_buffers = 128MB
max_wal_size = 2GB
autovacuum = on
log_checkpoints = off
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
";

/// A cluster that is ready to be served.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) directory: Directory,
    pub(super) socket_dir: PathBuf,
    account: Account,
    binaries: Binaries,
    settings: Vec<(String, String)>,
}

impl Cluster {
    /// Everything that comes before the server: the lock, the binaries, the account, and the
    /// cluster if there is none.
    pub(super) fn prepare(settings: Settings) -> Result<Self, EmbeddedError> {
        let directory = Directory::open(&settings.data_dir)?;
        account::check_setpriv()?;
        let cluster = directory.cluster();
        let binaries = Binaries::find(settings.bin_dir.as_deref(), directory.major()?, &cluster)?;
        let account =
            Account::choose(&cluster)?.that_reaches(directory.root(), &binaries.postgres())?;
        let socket_dir = directory.socket_dir(account.owner())?;
        let it = Self { directory, socket_dir, account, binaries, settings: settings.server };
        if cluster.exists() {
            it.account.owner().map_or(Ok(()), |owner| hand_over(&cluster, owner))?;
        } else {
            it.create()?;
        }
        Ok(it)
    }

    /// The server, to be run in the foreground.
    pub(super) fn command(&self) -> Result<Command, EmbeddedError> {
        let mut command = self.account.command(&self.binaries.postgres());
        let socket_dirs =
            format!("\"{}\"", self.socket_dir.display().to_string().replace('"', "\"\""));
        command.arg("-D").arg(self.directory.cluster());
        let fixed = [
            ("listen_addresses", ""),
            ("port", "5432"),
            ("unix_socket_directories", &socket_dirs),
            ("unix_socket_permissions", "0700"),
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("synchronous_commit", "on"),
            ("logging_collector", "off"),
            ("log_destination", "stderr"),
            ("log_line_prefix", "%m [%p] "),
            ("lc_messages", "C"),
        ];
        let own = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in fixed.into_iter().chain(own) {
            command.args(["-c", &format!("{name}={value}")]);
        }
        let log = self.directory.log()?;
        let second = log
            .try_clone()
            .map_err(EmbeddedError::io("open the log", &self.directory.log_path()))?;
        command.stdout(log).stderr(second);
        Ok(command)
    }

    fn create(&self) -> Result<(), EmbeddedError> {
        tracing::info!(version = self.binaries.major, dir = %self.directory.root().display(), "creating a PostgreSQL cluster");
        let fresh = self.initdb("C.UTF-8").or_else(|error| match error {
            // Not every system has C.UTF-8, which is C with a notion of letters beyond ASCII.
            EmbeddedError::Initdb { said } if said.contains("locale") => self.initdb("C"),
            other => Err(other),
        })?;
        let conf = fresh.join("postgresql.conf");
        let mut file = OpenOptions::new()
            .append(true)
            .open(&conf)
            .map_err(EmbeddedError::io("open", &conf))?;
        let written = file.write_all(DEFAULTS.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(EmbeddedError::io("write to", &conf))?;
        fs::rename(&fresh, self.directory.cluster())
            .map_err(EmbeddedError::io("rename", &fresh))?;
        sync(self.directory.root())
    }

    fn initdb(&self, locale: &str) -> Result<PathBuf, EmbeddedError> {
        let fresh = self.directory.fresh_cluster(self.account.owner())?;
        let initdb = self.binaries.initdb();
        let mut command = self.account.command(&initdb);
        command.arg("-D").arg(&fresh).arg(format!("--locale={locale}"));
        command.args([
            "--username=reveille",
            "--encoding=UTF8",
            "--data-checksums",
            "--no-instructions",
        ]);
        // Only who may enter the socket's folder gets to the server, and nobody through the
        // network.
        command.args(["--auth-local=trust", "--auth-host=reject"]);
        let output = command.output().map_err(EmbeddedError::io("run", &initdb))?;
        if output.status.success() {
            return Ok(fresh);
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        Err(EmbeddedError::Initdb { said })
    }
}

fn sync(dir: &Path) -> Result<(), EmbeddedError> {
    fs::File::open(dir).and_then(|it| it.sync_all()).map_err(EmbeddedError::io("write out", dir))
}
