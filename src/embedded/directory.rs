//! The data directory: its lock, the cluster in it, its log, and the folder of the socket.
//!
//! ```text
//! .reveille/lock          held while a service uses the directory; says which process
//!          /pg            the cluster; made as pg.new and renamed, so that a half-made one never counts
//!          /postgres.log  what the server says; the one before it in postgres.log.1
//!          /run           the socket (in the system's folder for temporary files if this path is too long)
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process;

use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use super::error::EmbeddedError;
use crate::config;

/// The shortest limit of a socket's path among the systems that we run on (Linux has 107 bytes,
/// macOS 103).
const SOCKET_PATH_LIMIT: usize = 103;

/// A log longer than this is put aside when the server starts.
const LOG_LIMIT: u64 = 16 << 20;

/// A data directory that nobody else uses, for as long as this value lives.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    lock: File,
}

impl Drop for Directory {
    /// Closing the file is not enough: a process that this one forks meanwhile shares the lock
    /// until its exec.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

impl Directory {
    /// Creates the directory if need be, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, EmbeddedError> {
        let fresh = !path.exists();
        fs::create_dir_all(path).map_err(EmbeddedError::io("create the directory", path))?;
        if fresh {
            // Root lets another user run the server, who must get to the cluster; only the cluster
            // itself is secret.
            let mode = if geteuid().is_root() { 0o711 } else { 0o700 };
            let set = fs::set_permissions(path, Permissions::from_mode(mode));
            set.map_err(EmbeddedError::io("set the permissions of", path))?;
        }
        let root = path.canonicalize().map_err(EmbeddedError::io("enter the directory", path))?;
        if root.to_str().is_none() {
            let source = std::io::Error::other("the path is not valid UTF-8");
            return Err(EmbeddedError::Io { doing: "use the directory", path: root, source });
        }
        let lock = lock(&root)?;
        Ok(Self { root, lock })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.root.join("pg")
    }

    /// Where a cluster is made before it counts. The remains of an interrupted attempt are removed.
    pub(super) fn fresh_cluster(
        &self,
        owner: Option<(u32, u32)>,
    ) -> Result<PathBuf, EmbeddedError> {
        let path = self.root.join("pg.new");
        if path.exists() {
            fs::remove_dir_all(&path).map_err(EmbeddedError::io("remove the half-made", &path))?;
        }
        private_dir(&path, owner)?;
        Ok(path)
    }

    /// The folder of the socket, which only the server's account and root may enter.
    pub(super) fn socket_dir(&self, owner: Option<(u32, u32)>) -> Result<PathBuf, EmbeddedError> {
        let path = socket_dir_for(&self.root);
        private_dir(&path, owner)?;
        Ok(path)
    }

    /// The major version of the cluster, if there is one.
    pub(super) fn major(&self) -> Result<Option<u32>, EmbeddedError> {
        let cluster = self.cluster();
        if !cluster.exists() {
            return Ok(None);
        }
        let version = fs::read_to_string(cluster.join("PG_VERSION")).ok();
        let major = version.and_then(|it| it.trim().parse().ok());
        major.map(Some).ok_or(EmbeddedError::NotACluster(cluster))
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    /// Opens the log for the server to write to; a long one is put aside first.
    pub(super) fn log(&self) -> Result<File, EmbeddedError> {
        let path = self.log_path();
        if fs::metadata(&path).is_ok_and(|it| it.len() > LOG_LIMIT) {
            fs::rename(&path, path.with_extension("log.1"))
                .map_err(EmbeddedError::io("put aside the log", &path))?;
        }
        let log = OpenOptions::new().create(true).append(true).open(&path);
        log.map_err(EmbeddedError::io("open the log", &path))
    }

    /// The log of the server since it had that length, in one line: its complaints, or its last
    /// words.
    pub(super) fn logged_since(&self, length: u64) -> String {
        let mut text = Vec::new();
        if let Ok(mut log) = File::open(self.log_path()) {
            // A log that cannot be read only makes a message poorer.
            let _ = log
                .seek(SeekFrom::Start(length))
                .and_then(|_| log.take(1 << 20).read_to_end(&mut text));
        }
        complaints(&String::from_utf8_lossy(&text))
    }
}

/// Gives a cluster to another owner, its top folder last, so that an interrupted change is taken up
/// again.
pub(super) fn hand_over(path: &Path, (uid, gid): (u32, u32)) -> Result<(), EmbeddedError> {
    let is = fs::symlink_metadata(path).map_err(EmbeddedError::io("look at", path))?;
    if is.uid() == uid {
        return Ok(());
    }
    hand_over_all(path, uid, gid).map_err(EmbeddedError::io("change the owner of", path))
}

fn hand_over_all(path: &Path, uid: u32, gid: u32) -> std::io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            hand_over_all(&entry?.path(), uid, gid)?;
        }
    }
    lchown(path, Some(uid), Some(gid))
}

fn lock(root: &Path) -> Result<File, EmbeddedError> {
    let path = root.join("lock");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = file.map_err(EmbeddedError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            let process =
                file.read_to_string(&mut process).ok().and_then(|_| process.trim().parse().ok());
            return Err(EmbeddedError::InUse { dir: root.to_owned(), process });
        }
        Err(TryLockError::Error(source)) => {
            return Err(EmbeddedError::Io { doing: "lock", path, source });
        }
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", process::id()));
    written.map_err(EmbeddedError::io("write to", &path))?;
    Ok(file)
}

/// `run` in the data directory, where a socket's path fits. A path may be too long, or hold a
/// comma, which separates hosts in a connection string. Then it is a folder of its own in the
/// system's folder for temporary files. Its name is always the same, so that a server left behind
/// is found.
fn socket_dir_for(root: &Path) -> PathBuf {
    let digest = Sha256::digest(format!("{} {}", geteuid(), root.display()));
    let digest: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let short = format!("reveille-{digest}");
    let last_resort = Path::new("/tmp").join(&short);
    let choices = [root.join("run"), config::temporary_folder().join(&short)];
    choices.into_iter().find(|dir| may_hold_a_socket(dir)).unwrap_or(last_resort)
}

fn may_hold_a_socket(dir: &Path) -> bool {
    let path = dir.join(".s.PGSQL.5432").display().to_string();
    path.len() <= SOCKET_PATH_LIMIT && !path.contains(',')
}

/// Makes a folder with mode 0700, or takes one that is there already if it is nobody else's.
fn private_dir(path: &Path, owner: Option<(u32, u32)>) -> Result<(), EmbeddedError> {
    if let Err(error) = DirBuilder::new().mode(0o700).create(path) {
        let is = fs::symlink_metadata(path)
            .map_err(|_| error)
            .map_err(EmbeddedError::io("create", path))?;
        let ours = is.uid() == geteuid().as_raw() || geteuid().is_root();
        if !is.is_dir() || !ours {
            let source = std::io::Error::other("it is there already and belongs to somebody else");
            return Err(EmbeddedError::Io { doing: "use", path: path.to_owned(), source });
        }
    }
    let set = fs::set_permissions(path, Permissions::from_mode(0o700));
    set.map_err(EmbeddedError::io("set the permissions of", path))?;
    owner
        .map_or(Ok(()), |it| lchown(path, Some(it.0), Some(it.1)))
        .map_err(EmbeddedError::io("change the owner of", path))
}

fn complaints(log: &str) -> String {
    let matters = |line: &&str| {
        ["FATAL:", "PANIC:", "DETAIL:", "HINT:", "error:"].iter().any(|it| line.contains(it))
    };
    let mut lines: Vec<&str> = log.lines().filter(matters).collect();
    if lines.is_empty() {
        lines = log.lines().collect();
    }
    let last = lines.split_off(lines.len().saturating_sub(6));
    if last.is_empty() { "it said nothing".into() } else { last.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_get_a_short_socket_folder() {
        let long = Path::new("/srv").join("x".repeat(120));
        let dir = socket_dir_for(&long);
        assert!(
            dir.join(".s.PGSQL.5432").as_os_str().len() <= SOCKET_PATH_LIMIT,
            "{}",
            dir.display()
        );
        assert_eq!(dir, socket_dir_for(&long));
        assert_eq!(socket_dir_for(Path::new("/srv/x")), Path::new("/srv/x/run"));
        assert!(!socket_dir_for(Path::new("/srv/x,y")).display().to_string().contains(','));
    }

    #[test]
    fn complaints_come_before_chatter() {
        let log = "LOG:  starting\nFATAL:  no memory\nHINT:  Buy some.\nLOG:  shut down\n";
        assert_eq!(complaints(log), "FATAL:  no memory; HINT:  Buy some.");
        assert_eq!(complaints("what now"), "what now");
        assert_eq!(complaints(""), "it said nothing");
    }
}
