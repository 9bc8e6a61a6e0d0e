//! The lines that README and docs/ say to paste do what they say. Documentation tests compile their Rust.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::geteuid;
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use crate::harness::cluster::throw_away_dir;
use crate::harness::{self, Service, within};

const README: &str = include_str!("../../README.md");
const SQL: &str = include_str!("../../docs/sql.md");
const UPGRADING: &str = include_str!("../../docs/upgrading.md");
const SOON: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65534;

/// The one block of code of a page that holds these words.
pub(crate) fn block(page: &str, words: &str) -> String {
    let blocks = page.split("```").skip(1).step_by(2).filter(|block| block.contains(words));
    let [block] = blocks.collect::<Vec<_>>()[..] else { panic!("not one block with {words:?}") };
    block.split_once('\n').map(|(_, lines)| lines.to_owned()).unwrap()
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
    let mut script = block(UPGRADING, "pg-old");
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
    let output = within("the lines of the page", SOON, shell.output()).await.unwrap();
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

/// README, Quick start.
#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_works_as_it_is_pasted() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let address = service.url().trim_start_matches("http://");
    let curl = block(README, "curl").replace("localhost:8000", address);
    let output = within("curl", SOON, Command::new("sh").args(["-euc", &curl]).output()).await;
    let job: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!(job["status"], "completed", "{job}");

    let row = database
        .client()
        .await
        .query_one(&block(README, "reveille.submit(task"), &[])
        .await
        .unwrap();
    let id: Uuid = row.get("job_id");
    let job = service.http().get_job(&id.to_string()).await.body;
    assert_eq!((&job["task"], &job["status"]), (&json!("echo"), &json!("scheduled")), "{job}");
}

/// docs/sql.md.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_about_sql_has_every_column_of_the_view_and_its_statements_work() {
    let database = harness::database().await;
    let client = database.client().await;
    for words in ["reveille.submit(", "reveille.submit_many('"] {
        let rows = client.query(&block(SQL, words), &[]).await.unwrap();
        assert!(rows.iter().all(|row| row.get::<_, &str>("outcome") == "created"), "{words}");
    }
    let columns = "select attname::text, col_description(attrelid, attnum) from pg_attribute
        where attrelid = 'reveille.jobs'::regclass and attnum > 0";
    let columns = client.query(columns, &[]).await.unwrap();
    let table = SQL.lines().filter_map(|line| line.strip_prefix("| `"));
    let shown: BTreeSet<&str> = table
        .filter_map(|line| line.split(" |").next())
        .flat_map(|names| names.split(", "))
        .map(|name| name.trim_matches('`'))
        .collect();
    let named: BTreeSet<&str> = columns.iter().map(|column| column.get(0)).collect();
    assert_eq!(shown, named);
}

/// Every page that README or another page points to is there.
#[test]
fn every_link_between_the_pages_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut links = 0;
    for page in pages.chain([root.join("README.md")]) {
        let text = fs::read_to_string(&page).unwrap();
        for rest in text.split("](").skip(1) {
            let link = rest.split([')', '#']).next().unwrap();
            if link.is_empty() || link.contains("://") {
                continue;
            }
            links += 1;
            let target = page.parent().unwrap().join(link);
            assert!(target.exists(), "{} points to {link}", page.display());
        }
    }
    assert!(links > 15, "{links}");
}
