//! Errors of the own PostgreSQL. Each message ends with what to do.

use std::io;
use std::path::{Path, PathBuf};

use super::binaries::{NEWEST, OLDEST};

const INSTALL: &str = "Install a PostgreSQL server (Debian, Ubuntu: `apt-get install postgresql`; \
    Fedora: `dnf install postgresql-server`; macOS: `brew install postgresql@17`), \
    or set PG_BIN_DIR to the folder that holds `initdb` and `postgres`, \
    or set DATABASE_URL to a server that runs already.";

/// Why the own PostgreSQL could not be started.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No `initdb` and `postgres` in any of the places where they are looked for.
    #[error("no PostgreSQL server was found. {INSTALL}")]
    NoBinaries,

    /// `PG_BIN_DIR` names a folder without a server that works.
    #[error("PG_BIN_DIR is {}, which holds no working PostgreSQL server: {why}. \
        Correct it, or unset it to have the usual places searched.", .dir.display())]
    WrongBinDir { dir: PathBuf, why: String },

    /// Servers were found, but of no major version that is supported.
    #[error(
        "the PostgreSQL found here is version {found}; versions {OLDEST} to {NEWEST} are supported. {INSTALL}"
    )]
    UnsupportedMajor { found: u32 },

    /// The data was written by a major version whose server is not here.
    #[error("the data in {} was written by PostgreSQL {data}, but the server found here is version {server}. \
        Install PostgreSQL {data} beside it, or set PG_BIN_DIR to its folder; to move to version {server} \
        use pg_upgrade, or pg_dump with version {data} and restore into a new data directory.", .dir.display())]
    MajorDiffers { dir: PathBuf, data: u32, server: u32 },

    /// Another service holds the lock of the data directory.
    #[error("the data directory {} is in use by another `reveille serve`{}. \
        Stop that one, or give this one a directory of its own (`--data-dir`, REVEILLE_DATA_DIR). \
        Several instances share one database through DATABASE_URL.", .dir.display(), by(.process))]
    InUse { dir: PathBuf, process: Option<u32> },

    /// A folder that should hold a cluster holds something else.
    #[error("{} is not a PostgreSQL data directory (it has no readable PG_VERSION). \
        Move it away, or choose another data directory (`--data-dir`, REVEILLE_DATA_DIR).", .0.display())]
    NotACluster(PathBuf),

    /// Started as root, and there is nobody to be instead.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody` to run it as. \
        Start reveille as an ordinary user, or create a user `postgres`."
    )]
    NoAccount,

    /// `setpriv` ties the server's life to ours; without it a server could be left behind.
    #[error(
        "the program `setpriv` is missing. Install the package `util-linux`, \
        or set DATABASE_URL to a PostgreSQL that runs already."
    )]
    NoSetpriv,

    /// The account that PostgreSQL would run as cannot get at the data or at the binaries.
    #[error("PostgreSQL must run as `{account}`, which may not enter {}, and a user namespace is not \
        permitted here either. Choose a data directory that other users may reach \
        (`--data-dir /var/lib/reveille`, REVEILLE_DATA_DIR), or start reveille as an ordinary user.", .path.display())]
    Unreachable { account: String, path: PathBuf },

    /// `initdb` failed.
    #[error(
        "initdb could not create the database cluster: {said}. Remove the cause and start again; nothing is kept of this attempt."
    )]
    Initdb { said: String },

    /// The server ended before it was ready.
    #[error("PostgreSQL did not start: {said}. The whole log is in {}.", .log.display())]
    DidNotStart { said: String, log: PathBuf },

    /// The server runs but cannot be used.
    #[error("PostgreSQL runs, but cannot be used: {said}. See {}.", .log.display())]
    Unusable { said: String, log: PathBuf },

    /// A file or a process could not be handled.
    #[error("cannot {doing} {}: {source}. Check that this account may write there and that the disk is not full, \
        or choose another data directory (`--data-dir`, REVEILLE_DATA_DIR).", .path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

impl EmbeddedError {
    /// For `map_err`: what was being done, and to which path.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

fn by(process: &Option<u32>) -> String {
    process.map_or_else(String::new, |id| format!(" (process {id})"))
}
