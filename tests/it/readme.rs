//! What the README says to paste does what it says. Its Rust is compiled by the documentation tests.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::geteuid;
use serde_json::json;
use tokio::process::Command;

use crate::harness::cluster::throw_away_dir;
use crate::harness::{Service, within};

const README: &str = include_str!("../../README.md");
const SOON: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65534;

/// The one block of code that holds these words, without the blanks that indent it.
fn block(words: &str) -> String {
    let blocks = README.split("```").skip(1).step_by(2).filter(|block| block.contains(words));
    let [block] = blocks.collect::<Vec<_>>()[..] else { panic!("not one block with {words:?}") };
    let lines: Vec<_> = block.lines().skip(1).collect();
    let indented = lines.iter().filter(|line| !line.trim().is_empty());
    let indent = indented.map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    lines.iter().map(|line| line.get(indent..).unwrap_or("").to_owned() + "\n").collect()
}

/// A folder where another user can work, with the binary in it.
fn workplace(owner: Option<u32>) -> PathBuf {
    let dir = throw_away_dir();
    fs::create_dir(&dir).unwrap();
    let program = dir.join("reveille");
    fs::copy(env!("CARGO_BIN_EXE_reveille"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    chown(&dir, owner, owner).unwrap();
    dir
}

/// A service on its own PostgreSQL in this folder.
async fn serve(dir: &Path, owner: Option<u32>) -> Service {
    let script = "cd \"$1\"; shift; exec \"$@\" ./reveille serve";
    let mut shell = Service::of(Path::new("sh"), "").arg("-c").arg(script).arg("sh");
    shell = shell.arg(dir.to_str().unwrap());
    for word in as_user(owner) {
        shell = shell.arg(&word);
    }
    shell.start().await
}

/// The words before a command that make it run as this user.
fn as_user(owner: Option<u32>) -> Vec<String> {
    let Some(uid) = owner else { return vec!["env".to_owned()] };
    let words = format!("setpriv --reuid {uid} --regid {uid} --clear-groups --");
    words.split(' ').map(str::to_owned).collect()
}

/// Where `pg_dump` and `psql` are: beside the server, or, where `PG_BIN_DIR` names a server without them, any that are as new as
/// it is.
fn clients(server: &Path) -> Option<PathBuf> {
    let wanted = major(&server.join("postgres")).expect("the server tells its version");
    let named = std::env::var_os("PG_BIN_DIR").is_some_and(|it| !it.is_empty());
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let others = versions.map(|version| version.path().join("bin"));
    let fits = |bin: &PathBuf| {
        ["pg_dump", "psql"].iter().all(|it| major(&bin.join(it)).is_some_and(|it| it >= wanted))
    };
    let found = std::iter::once(server.to_owned()).chain(others).find(fits);
    assert!(found.is_some() || named, "{} has no pg_dump", server.display());
    found
}

/// The major version of a program of PostgreSQL's, if it is there: `postgres (PostgreSQL) 15.18 (Debian …)`.
fn major(program: &Path) -> Option<u32> {
    let output = std::process::Command::new(program).arg("--version").output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let version = said.split_once("(PostgreSQL) ")?.1;
    version.split(|it: char| !it.is_ascii_digit()).next()?.parse().ok()
}

async fn moves_to_another_major(owner: Option<u32>) {
    let dir = workplace(owner);
    let mut service = serve(&dir, owner).await;
    let done = service.http().post("/jobs?wait=20", &json!({"payload": {"n": 1}})).await.body;
    assert_eq!(done["status"], "completed", "{done}");
    let later = json!({"payload": {"n": 2}, "delay_seconds": 3600});
    let later = service.http().post("/jobs", &later).await.body;
    let postmaster = fs::read_to_string(dir.join(".reveille/pg/postmaster.pid")).unwrap();
    let postmaster = postmaster.lines().next().unwrap().to_owned();
    let server = fs::read_link(format!("/proc/{postmaster}/exe")).unwrap();
    let bin = server.parent().unwrap();
    assert!(service.terminate(SOON).await.success());
    let Some(clients) = clients(bin) else {
        eprintln!("not tried: {} has no pg_dump, nor has this machine one as new", bin.display());
        return;
    };

    // Only one version is installed for the tests, and the way is the same from it to itself.
    let mut script = block("pg-old");
    let first = script.lines().next().unwrap().to_owned();
    assert!(first.starts_with("OLD=") && first.contains("NEW="), "{first}");
    let bin = bin.display();
    script = script.replacen(&first, &format!("OLD={bin} NEW={bin} sh -eu <<'END'"), 1);
    for program in ["pg_dump", "psql"] {
        let pasted = format!("\"$NEW/{program}\"");
        assert!(script.contains(&pasted), "{script}");
        script = script.replace(&pasted, &format!("\"{}\"", clients.join(program).display()));
    }
    let mut shell = Command::new("env");
    shell.args(as_user(owner)).args(["sh", "-c", &script]).current_dir(&dir).kill_on_drop(true);
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap());
    shell.env("PATH", path).env_remove("DATABASE_URL").stdin(Stdio::null());
    let output = within("the lines of the README", SOON, shell.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(dir.join(".reveille/pg-old").is_dir(), "{said}");

    let mut service = serve(&dir, owner).await;
    for (job, status, n) in [(&done, "completed", 1), (&later, "scheduled", 2)] {
        let kept = service.http().get_job(job["job_id"].as_str().unwrap()).await.body;
        assert_eq!((&kept["status"], &kept["payload"]["n"]), (&json!(status), &json!(n)), "{kept}");
    }
    let fresh = service.http().post("/jobs?wait=20", &json!({"payload": 3})).await.body;
    assert_eq!(fresh["status"], "completed");
    assert!(service.terminate(SOON).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_for_another_major_of_its_own_postgresql_work() {
    moves_to_another_major(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_for_another_major_work_for_an_ordinary_user() {
    if geteuid().is_root() {
        moves_to_another_major(Some(NOBODY)).await;
    }
}
