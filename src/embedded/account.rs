//! Who the server runs as. PostgreSQL refuses to be root, so root becomes somebody else.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{User, geteuid};

use super::error::EmbeddedError;
use crate::config;

/// The account under which `initdb` and `postgres` run.
#[derive(Debug, Clone)]
pub(super) enum Account {
    /// We are an ordinary user; so is the server.
    Own,
    /// We are root; the server becomes this user, who owns the data.
    Other { uid: u32, gid: u32, name: String },
    /// We are root, and no other user can reach the data (it lies below `/root`, say). The server
    /// stays root outside and is `nobody` in a user namespace of its own: no capabilities, and
    /// files that belong to root.
    Namespace,
}

impl Account {
    /// Chooses who to be, given a cluster that may exist already: its owner, else `postgres`, else
    /// `nobody`.
    pub(super) fn choose(cluster: &Path) -> Result<Self, EmbeddedError> {
        if !geteuid().is_root() {
            return Ok(Self::Own);
        }
        let owner = fs::metadata(cluster).ok().filter(|it| it.uid() != 0);
        if let Some(it) = owner {
            let name = User::from_uid(it.uid().into())
                .ok()
                .flatten()
                .map_or(it.uid().to_string(), |user| user.name);
            return Ok(Self::Other { uid: it.uid(), gid: it.gid(), name });
        }
        let user =
            ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).ok().flatten());
        let user = user.ok_or(EmbeddedError::NoAccount)?;
        Ok(Self::Other { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name })
    }

    /// Falls back to a user namespace if this account cannot enter the folder or run the server.
    pub(super) fn that_reaches(self, dir: &Path, postgres: &Path) -> Result<Self, EmbeddedError> {
        let Self::Other { name, .. } = &self else { return Ok(self) };
        let unreachable =
            [(dir, self.enters(dir)), (postgres, self.runs(postgres))].into_iter().find(|it| !it.1);
        let Some((path, _)) = unreachable else { return Ok(self) };
        let path = path.to_owned();
        if cfg!(target_os = "linux")
            && Self::Namespace.enters(dir)
            && Self::Namespace.runs(postgres)
        {
            return Ok(Self::Namespace);
        }
        Err(EmbeddedError::Unreachable { account: name.clone(), path })
    }

    /// Who the files must belong to; nothing to change when we are an ordinary user.
    pub(super) fn owner(&self) -> Option<(u32, u32)> {
        match self {
            Self::Own => None,
            Self::Other { uid, gid, .. } => Some((*uid, *gid)),
            Self::Namespace => Some((0, 0)),
        }
    }

    /// A command that runs as this account, with a plain environment. It has a process group of its
    /// own, so that Ctrl-C in a terminal does not reach it. It gets SIGINT when the *thread* that
    /// spawns it ends.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = self.bare(program);
        command.process_group(0).current_dir("/").stdin(Stdio::null());
        command.env_clear().env("LC_ALL", "C");
        command.envs(config::inherited(&["PATH", "LD_LIBRARY_PATH", "TMPDIR"]));
        command
    }

    #[cfg(target_os = "linux")]
    fn bare(&self, program: &Path) -> Command {
        let mut command =
            Command::new(if matches!(self, Self::Namespace) { "unshare" } else { "setpriv" });
        if matches!(self, Self::Namespace) {
            command.args(["--user", "--map-user=65534", "--map-group=65534", "--", "setpriv"]);
        }
        command.args(["--pdeathsig", "INT"]);
        if let Self::Other { uid, gid, .. } = self {
            command.args([
                "--reuid",
                &uid.to_string(),
                "--regid",
                &gid.to_string(),
                "--clear-groups",
            ]);
        }
        command.arg("--").arg(program);
        command
    }

    /// Elsewhere nothing ties the server's life to ours; what a killed service left behind is ended
    /// at the next start.
    #[cfg(not(target_os = "linux"))]
    fn bare(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }

    fn enters(&self, dir: &Path) -> bool {
        succeeds(self.command(Path::new("test")).arg("-x").arg(dir))
    }

    fn runs(&self, postgres: &Path) -> bool {
        succeeds(self.command(postgres).arg("--version"))
    }
}

/// Whether the program that ties lives together is here.
pub(super) fn check_setpriv() -> Result<(), EmbeddedError> {
    if cfg!(target_os = "linux") && !succeeds(Command::new("setpriv").arg("--version")) {
        return Err(EmbeddedError::NoSetpriv);
    }
    Ok(())
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
