//! The remains of a dead service: a server that is still shutting down, or files that name a
//! process which is gone. The lock of the directory is ours when this runs, so nobody else can be
//! meant by them.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Tells a server that still answers on our socket to shut down; otherwise makes stale files
/// harmless.
pub(super) fn dismiss(cluster: &Path, socket_dir: &Path) {
    let pid_file = cluster.join("postmaster.pid");
    let socket = socket_dir.join(".s.PGSQL.5432");
    let text = fs::read_to_string(&pid_file).unwrap_or_default();
    let pid = text.lines().next().and_then(|line| line.trim().parse().ok()).map(Pid::from_raw);
    if UnixStream::connect(&socket).is_ok() {
        // Errors here and below show themselves when the new server refuses to start.
        pid.filter(|_| text.lines().nth(4) == socket_dir.to_str())
            .map(|pid| kill(pid, Signal::SIGINT));
        return;
    }
    let _ = fs::remove_file(socket_dir.join(".s.PGSQL.5432.lock"));
    if pid.is_some_and(|pid| !is_postgres(pid)) {
        disown(&pid_file, &text);
    }
}

/// After a reboot, and in containers nearly always, the number in `postmaster.pid` belongs to some
/// other process, and PostgreSQL would refuse to start. The file cannot simply go: its last line
/// lets PostgreSQL find out whether old backends still use the cluster. But it ignores a number
/// that is its parent's, which is ours.
fn disown(pid_file: &Path, text: &str) {
    if let Some((_, rest)) = text.split_once('\n') {
        let _ = fs::write(pid_file, format!("{}\n{rest}", process::id()));
    }
}

fn is_postgres(pid: Pid) -> bool {
    if cfg!(target_os = "linux") {
        return fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.trim() == "postgres");
    }
    true
}
