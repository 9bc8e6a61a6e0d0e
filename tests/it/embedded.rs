//! The service's own PostgreSQL: it keeps its data, it comes back, and it is never left behind.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{env, fs};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid, getpgid};
use reveille::internals::embedded::{Embedded, EmbeddedError, Settings};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_postgres::Client;

use crate::harness::cluster::{connect, settings, throw_away_dir};
use crate::harness::{background, eventually, on_background, within};

const SOON: Duration = Duration::from_secs(10);
const NOBODY: u32 = 65534;

async fn start(dir: &Path) -> Embedded {
    Embedded::start(settings(dir)).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn refusal(settings: Settings) -> EmbeddedError {
    Embedded::start(settings).await.expect_err("PostgreSQL must not start")
}

async fn show(client: &Client, setting: &str) -> String {
    client.query_one(&format!("SHOW {setting}"), &[]).await.expect("a setting can be shown").get(0)
}

async fn write(url: &str) {
    let client = connect(url).await;
    let statement = "CREATE TABLE IF NOT EXISTS kept (id int); INSERT INTO kept VALUES (1)";
    client.batch_execute(statement).await.expect("can write");
}

async fn kept(url: &str) -> i64 {
    let row = connect(url).await.query_one("SELECT count(*) FROM kept", &[]).await;
    row.expect("what was written is there").get(0)
}

fn postmaster(server: &Embedded) -> Pid {
    Pid::from_raw(server.process_id().expect("the postmaster runs").cast_signed())
}

fn runs(pid: Pid) -> bool {
    kill(pid, None) != Err(Errno::ESRCH)
}

#[tokio::test]
async fn starts_from_nothing_durable_and_private() {
    let dir = throw_away_dir();
    let server = start(&dir).await;
    let client = connect(server.url()).await;
    for setting in
        ["fsync", "full_page_writes", "synchronous_commit", "data_checksums", "autovacuum"]
    {
        assert_eq!(show(&client, setting).await, "on", "{setting}");
    }
    assert_eq!(show(&client, "listen_addresses").await, "");
    assert_eq!(show(&client, "server_encoding").await, "UTF8");
    for private in ["run", "pg"] {
        let mode = fs::metadata(dir.join(private)).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "mode of {private}");
    }
    let pid = postmaster(&server);
    assert_eq!(getpgid(Some(pid)), Ok(pid), "Ctrl-C in a terminal would reach the server");
    server.stop().await;
    assert!(!runs(pid), "the postmaster outlived its stop");
}

#[tokio::test]
async fn data_survives_a_stop() {
    let dir = throw_away_dir();
    let server = start(&dir).await;
    write(server.url()).await;
    server.stop().await;
    let server = start(&dir).await;
    assert_eq!(kept(server.url()).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn comes_back_by_itself_when_the_postmaster_is_killed() {
    let dir = throw_away_dir();
    let mut server = start(&dir).await;
    let url = server.url().to_owned();
    let pid = postmaster(&server);
    let keeping = background().spawn(async move { server.keep_up().await });
    for rows in 1..=2 {
        write(&url).await;
        let before = fs::read_to_string(dir.join("pg/postmaster.pid")).expect("the server runs");
        let pid = before.lines().next().and_then(|it| it.parse().ok()).expect("a process id");
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the postmaster can be killed");
        eventually("the server is back", Duration::from_secs(30), || async {
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_ok()
                && fs::read_to_string(dir.join("pg/postmaster.pid")).is_ok_and(|now| now != before)
        })
        .await;
        assert_eq!(kept(&url).await, rows);
    }
    assert!(!runs(pid), "the first postmaster is still there");
    keeping.abort();
}

#[tokio::test]
async fn a_server_that_hangs_is_not_waited_for() {
    let dir = throw_away_dir();
    let server = start(&dir).await;
    write(server.url()).await;
    let pid = postmaster(&server);
    kill(pid, Signal::SIGSTOP).expect("the postmaster can be stopped");
    within("the end of a hanging server", Duration::from_secs(9), server.stop()).await;
    assert!(!runs(pid), "the postmaster outlived its stop");
    let server = start(&dir).await;
    assert_eq!(kept(server.url()).await, 1);
}

#[tokio::test]
async fn a_second_service_on_the_same_data_is_refused() {
    let dir = throw_away_dir();
    let first = start(&dir).await;
    let error = refusal(settings(&dir)).await.to_string();
    let process = format!("(process {})", std::process::id());
    for part in ["in use by another `reveille serve`", &process, "REVEILLE_DATA_DIR"] {
        assert!(error.contains(part), "{part:?} is missing in: {error}");
    }
    write(first.url()).await;
    first.stop().await;
    start(&dir).await.stop().await;
}

#[tokio::test]
async fn a_half_made_cluster_does_not_count() {
    let dir = throw_away_dir();
    fs::create_dir_all(dir.join("pg.new/base")).expect("can be made");
    fs::write(dir.join("pg.new/PG_VERSION"), "15\n").expect("can be written");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).expect("can be set");
    start(&dir).await.stop().await;
    assert!(!dir.join("pg.new").exists(), "pg.new is still there");
}

#[tokio::test]
async fn files_that_name_a_stranger_s_process_do_not_stop_it() {
    let dir = throw_away_dir();
    let mut server = start(&dir).await;
    write(server.url()).await;
    kill(postmaster(&server), Signal::SIGKILL).expect("the postmaster can be killed");
    within("the postmaster's end", SOON, server.died()).await.expect("is noticed");
    drop(server);
    // After a reboot, or in a container, another process of the same account has the number.
    let uid = fs::metadata(dir.join("pg")).expect("is there").uid().to_string();
    let mut stranger = Command::new("setpriv");
    if geteuid().is_root() {
        stranger.args(["--reuid", &uid, "--clear-groups"]);
    }
    stranger.args(["--", "sleep", "1000"]).kill_on_drop(true);
    let stranger = stranger.spawn().expect("can be started");
    let pid = stranger.id().expect("runs");
    for file in ["pg/postmaster.pid", "run/.s.PGSQL.5432.lock"] {
        let text = fs::read_to_string(dir.join(file)).expect("is left by a killed postmaster");
        let rest = text.split_once('\n').expect("has lines").1;
        fs::write(dir.join(file), format!("{pid}\n{rest}")).expect("can be written");
    }
    let start_at = Instant::now();
    let server = start(&dir).await;
    assert!(start_at.elapsed() < SOON, "it took {:?}", start_at.elapsed());
    assert_eq!(kept(server.url()).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_long_path_gets_a_short_socket() {
    let dir = throw_away_dir().join("x".repeat(90)).join("it's \"quoted\", and long");
    let server = start(&dir).await;
    assert!(!server.url().contains("xxx"), "{}", server.url());
    write(server.url()).await;
    server.stop().await;
    fs::remove_dir_all(dir).expect("can be removed");
}

#[tokio::test]
async fn a_path_may_hold_any_character() {
    let dir = throw_away_dir().join("it's a \"path\" \\ ü");
    let server = start(&dir).await;
    assert!(server.url().contains("a \"path\""), "{}", server.url());
    write(server.url()).await;
    server.stop().await;
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let empty = throw_away_dir();
    let no_binaries = refusal(settings(&empty).bin_dir(Path::new("/nowhere"))).await;
    assert!(no_binaries.to_string().contains("PG_BIN_DIR is /nowhere"), "{no_binaries}");

    let old = throw_away_dir();
    fs::create_dir_all(old.join("pg")).expect("can be made");
    let no_cluster = refusal(settings(&old)).await;
    assert!(no_cluster.to_string().contains("Move it away"), "{no_cluster}");
    fs::write(old.join("pg/PG_VERSION"), "13\n").expect("can be written");
    let other_major = refusal(settings(&old)).await;
    assert!(other_major.to_string().contains("Install PostgreSQL 13 beside it"), "{other_major}");

    let misconfigured = throw_away_dir();
    let begun_at = Instant::now();
    let nonsense = refusal(settings(&misconfigured).server("shared_buffers", "nonsense")).await;
    assert!(
        nonsense.to_string().contains("invalid value for parameter \"shared_buffers\""),
        "{nonsense}"
    );
    assert!(
        begun_at.elapsed() < Duration::from_secs(20),
        "it was retried for {:?}",
        begun_at.elapsed()
    );
}

#[tokio::test]
async fn a_killed_service_leaves_no_server_behind_and_loses_nothing() {
    let dir = throw_away_dir();
    let mut postmasters = Vec::new();
    for _ in 0..20 {
        // The next one starts while the server of the one before may still be shutting down.
        let mut service = Process::serving(&dir, None).await;
        write(&service.url).await;
        service.child.kill().await.expect("can be killed");
        postmasters.push(service.postmaster);
    }
    for pid in postmasters {
        eventually("a killed service's server ends", SOON, || async { !runs(pid) }).await;
    }
    let server = start(&dir).await;
    assert_eq!(kept(server.url()).await, 20);
    server.stop().await;
}

#[tokio::test]
async fn works_for_an_ordinary_user() {
    if !geteuid().is_root() {
        return; // Then every other test shows it.
    }
    let dir = throw_away_dir();
    fs::create_dir(&dir).expect("can be made");
    chown(&dir, Some(NOBODY), Some(NOBODY)).expect("root may give folders away");
    let mut service = Process::serving(&dir.join("data"), Some(NOBODY)).await;
    write(&service.url).await;
    let owner = fs::metadata(dir.join("data/pg")).expect("is there").uid();
    assert_eq!(owner, NOBODY);
    service.child.kill().await.expect("can be killed");
    eventually("its server ends", SOON, || async { !runs(service.postmaster) }).await;
    // Root takes the cluster over as its owner, and leaves it usable for the owner.
    let server = start(&dir.join("data")).await;
    assert_eq!(kept(server.url()).await, 1);
    server.stop().await;
    assert_eq!(fs::metadata(dir.join("data/pg")).expect("is there").uid(), NOBODY);
}

#[tokio::test]
async fn root_may_keep_data_where_nobody_else_may_go() {
    if !geteuid().is_root() {
        return; // Only root has the difficulty.
    }
    let dir = throw_away_dir();
    fs::create_dir(&dir).expect("can be made");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("can be set");
    let data = dir.join("data");
    match Embedded::start(settings(&data)).await {
        Ok(server) => {
            write(server.url()).await;
            server.stop().await;
        }
        // Containers may forbid user namespaces.
        Err(error @ EmbeddedError::Unreachable { .. }) => {
            assert!(error.to_string().contains("REVEILLE_DATA_DIR"), "{error}");
            return;
        }
        Err(error) => panic!("{error}"),
    }
    let mut service = Process::serving(&data, None).await;
    assert_eq!(kept(&service.url).await, 1);
    service.child.kill().await.expect("can be killed");
    eventually("its server ends", SOON, || async { !runs(service.postmaster) }).await;
    // Moved to where others may go, it becomes theirs.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o711)).expect("can be set");
    let server = start(&data).await;
    assert_eq!(kept(server.url()).await, 1);
    server.stop().await;
}

/// A process that runs PostgreSQL as the service does: this very test binary, started once more.
struct Process {
    child: Child,
    url: String,
    postmaster: Pid,
}

const DATA_DIR: &str = "REVEILLE_TEST_DATA_DIR";

/// Not a test, but what [`Process`] runs.
#[tokio::test]
#[ignore = "started by other tests"]
async fn process() {
    let dir = env::var_os(DATA_DIR).expect("is set by the test");
    let server = start(Path::new(&dir)).await;
    eprintln!("serving {} {}", postmaster(&server), server.url());
    std::future::pending::<()>().await;
}

impl Process {
    async fn serving(dir: &Path, uid: Option<u32>) -> Self {
        let program = test_binary(uid.map(|_| dir));
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(uid) = uid {
            command.args([
                "--reuid",
                &uid.to_string(),
                "--regid",
                &uid.to_string(),
                "--clear-groups",
            ]);
        }
        command.arg("--").arg(program).args([
            "--exact",
            "embedded::process",
            "--ignored",
            "--nocapture",
        ]);
        command
            .env(DATA_DIR, dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let spawn = async move { command.kill_on_drop(true).spawn().expect("can be started") };
        let mut child = on_background(spawn).await;
        let mut lines = BufReader::new(child.stderr.take().expect("is piped")).lines();
        let serving = async {
            let mut said = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(rest) = line.strip_prefix("serving ") {
                    return rest.to_owned();
                }
                said.push_str(&line);
            }
            panic!("it ended before it served: {said}");
        };
        let line = within("the process serves", Duration::from_secs(60), serving).await;
        let (pid, url) = line.split_once(' ').expect("an id and a URL");
        Self { child, url: url.into(), postmaster: Pid::from_raw(pid.parse().expect("a number")) }
    }
}

/// This binary; or a copy beside that folder, since another user may not be able to enter where this one lies.
fn test_binary(beside: Option<&Path>) -> PathBuf {
    let this = env::current_exe().expect("this process has a program");
    let Some(dir) = beside else { return this };
    let copy = dir.with_extension("program");
    fs::copy(&this, &copy).expect("can be copied");
    copy
}
