//! `reveille doctor`: what it passes works, what `serve` refuses it fails, and its advice mends what it finds.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::harness::{self, background, within};

const SOON: Duration = Duration::from_secs(60);

/// Runs a command with nothing in its environment but these variables; its exit status and both outputs.
async fn run(line: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
    command.args(line).env_clear().envs(environment.iter().copied());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = within(&line.join(" "), SOON, command.output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Name, status, and what was found and advised, of everything that is not as it should be. The tests' server runs
/// with `fsync` off, which is not of interest.
async fn findings(environment: &[(&str, &str)]) -> Vec<(String, String, String)> {
    let (_, out, said) = run(&["doctor", "--json"], environment).await;
    let found: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{said}"));
    let checks = found["checks"].as_array().unwrap().iter();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
    let troubles = checks.filter(|check| check["status"] != "ok" && check["name"] != "fsync");
    troubles
        .map(|check| {
            let words = format!("{} → {}", text(check, "found"), text(check, "change"));
            (text(check, "name"), text(check, "status"), words)
        })
        .collect()
}

/// Something between client and server: it hands on what it likes.
async fn standing_between<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> String
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    background().spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            background().spawn(serve(client));
        }
    });
    port.to_string()
}

/// The first packet of a session, with its length; asks for encryption are refused.
async fn startup(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    loop {
        let length = client.read_u32().await?;
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        client.read_exact(&mut body).await?;
        if body.starts_with(&[0, 3]) {
            return Ok([length.to_be_bytes().as_slice(), &body].concat());
        }
        client.write_all(b"N").await?;
    }
}

async fn refuse(client: &mut TcpStream, state: &str, message: &str) -> std::io::Result<()> {
    let fields = format!("SFATAL\0VFATAL\0C{state}\0M{message}\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap();
    client.write_all(&[b"E".as_slice(), &length.to_be_bytes(), fields.as_bytes()].concat()).await
}

/// A server that refuses every session with this SQLSTATE.
async fn refusing(state: &'static str, message: &'static str) -> String {
    let port = standing_between(move |mut client| async move {
        startup(&mut client).await?;
        refuse(&mut client, state, message).await
    })
    .await;
    format!("postgres://me:hush@127.0.0.1:{port}/jobs")
}

/// Refuses the settings of a session, as a PgBouncer does, and hands on everything else.
async fn pooler(url: &str) -> String {
    let config: tokio_postgres::Config = url.parse().unwrap();
    let address = match config.get_hosts() {
        [tokio_postgres::config::Host::Tcp(host)] => (host.clone(), config.get_ports()[0]),
        other => panic!("{other:?}"),
    };
    let port = standing_between(move |mut client| {
        let address = address.clone();
        async move {
            let start = startup(&mut client).await?;
            if start.split(|byte| *byte == 0).any(|word| word == b"options") {
                let message = "unsupported startup parameter: options";
                return refuse(&mut client, "08P01", message).await;
            }
            let mut server = TcpStream::connect(address).await?;
            server.write_all(&start).await?;
            copy_bidirectional(&mut client, &mut server).await.map(drop)
        }
    })
    .await;
    let (user, name) = (config.get_user().unwrap(), config.get_dbname().unwrap());
    format!("postgres://{user}@127.0.0.1:{port}/{name}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_set_up_of_the_page_passes_before_and_after_the_first_start() {
    let database = harness::database().await;
    let owner = database.client().await;
    let config: tokio_postgres::Config = database.url().parse().unwrap();
    let role = format!("owner_of_{}", config.get_dbname().unwrap());
    let prepare = format!(
        "drop schema reveille cascade; create role {role} login;
         create schema reveille authorization {role}"
    );
    owner.batch_execute(&prepare).await.unwrap();
    let user = format!("user={}", config.get_user().unwrap());
    let url = database.url().replace(&user, &format!("user={role}"));
    let environment = [("DATABASE_URL", url.as_str())];
    owner.batch_execute(&format!("create role stranger_of_{role} login")).await.unwrap();
    let stranger = url.replace(&role, &format!("stranger_of_{role}"));
    owner.batch_execute("alter schema reveille rename to elsewhere").await.unwrap();
    let found = findings(&[("DATABASE_URL", &stranger)]).await;
    let [(_, warned, schema), (_, failed, privileges)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((warned.as_str(), schema.as_str()), ("warn", "not there yet → "));
    assert!(failed == "fail" && privileges.contains("→ let an owner"), "{privileges}");
    owner.batch_execute("alter schema elsewhere rename to reveille").await.unwrap();
    let before = findings(&environment).await;
    assert_eq!(before.len(), 1, "{before:?}");
    assert_eq!((before[0].0.as_str(), before[0].1.as_str()), ("schema", "warn"), "{before:?}");
    let (code, _, said) = run(&["migrate"], &environment).await;
    assert_eq!(code, Some(0), "{said}");
    let after = findings(&environment).await;
    assert!(after.is_empty(), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_blamed_on_the_network() {
    for (state, message, word) in [
        ("28P01", "Passwort-Authentifizierung fehlgeschlagen", "password"),
        ("28000", "no pg_hba.conf entry", "pg_hba.conf"),
        ("3D000", "database \"jobs\" does not exist", "database"),
        ("42501", "permission denied for database \"jobs\"", "connect"),
    ] {
        let url = refusing(state, message).await;
        let found = findings(&[("DATABASE_URL", &url)]).await;
        let [(name, status, words)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((name.as_str(), status.as_str()), ("connection", "fail"));
        let (said, advice) = words.split_once('→').unwrap();
        assert!(said.contains(message), "{words}");
        assert!(words.to_lowercase().contains(word), "{words}");
        assert!(!advice.contains("firewall") && !words.contains("hush"), "{words}");
    }
    let nobody = "postgres://me:hush@127.0.0.1:1/jobs";
    let found = findings(&[("DATABASE_URL", nobody)]).await;
    assert!(found[0].2.contains("firewall"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_serve_refuses_behind_a_pooler_fails_and_nothing_is_advised_that_is_set() {
    let database = harness::database().await;
    let path = format!(
        "alter role reveille in database {} set search_path = pg_catalog, pg_temp",
        database.name()
    );
    database.client().await.batch_execute(&path).await.unwrap();
    let direct = database.tcp_url().await;
    let pooled = pooler(&direct).await;
    let database_url = ("DATABASE_URL", pooled.as_str());
    let set = ("REVEILLE_POOLER", "true");
    let unset = ("REVEILLE_POOLER", "false");
    let by_itself = ("REVEILLE_LISTEN_DATABASE_URL", direct.as_str());
    let by_pooler = ("REVEILLE_LISTEN_DATABASE_URL", pooled.as_str());
    for (environment, failing, advised, not_advised) in [
        (vec![database_url, unset], "connection", "set pooler = true, and listen_database_url", ""),
        (vec![database_url, unset, by_itself], "connection", "set pooler = true", "listen"),
        (vec![database_url, set], "schema changes", "set listen_database_url", "pooler = true"),
        (vec![database_url, set, by_pooler], "schema changes", "name PostgreSQL itself", "set lis"),
    ] {
        let found = findings(&environment).await;
        let failed: Vec<_> = found.iter().filter(|finding| finding.1 == "fail").collect();
        let (_, _, words) = failed
            .iter()
            .find(|finding| finding.0 == failing)
            .unwrap_or_else(|| panic!("{environment:?}: {found:?}"));
        let advice = words.split_once('→').unwrap().1;
        assert!(advice.contains(advised), "{advice}");
        assert!(not_advised.is_empty() || !advice.contains(not_advised), "{advice}");
        let (code, out, said) = run(&["serve", "--listen", "127.0.0.1:0"], &environment).await;
        assert_eq!((code, out.as_str()), (Some(1), ""), "{environment:?}: {said}");
    }
    // As docs/running.md has it: nothing fails.
    let found = findings(&[database_url, set, by_itself]).await;
    assert!(found.iter().all(|finding| finding.1 != "fail"), "{found:?}");
    // Without a way around the pooler, but with a schema that somebody else looks after.
    let found = findings(&[database_url, set, ("REVEILLE_MIGRATE", "false")]).await;
    assert!(found.iter().all(|finding| finding.1 != "fail"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_path_that_is_missing_behind_a_pooler_fails_first_and_its_advice_mends_it() {
    let database = harness::database().await;
    let direct = database.tcp_url().await;
    let pooled = pooler(&direct).await;
    let environment = [
        ("DATABASE_URL", pooled.as_str()),
        ("REVEILLE_POOLER", "true"),
        ("REVEILLE_LISTEN_DATABASE_URL", direct.as_str()),
    ];
    let found = findings(&environment).await;
    // Nothing else is asked before it is mended: the questions could call what others made.
    let [(name, status, words)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((name.as_str(), status.as_str()), ("search path", "fail"));
    let (code, out, said) = run(&["serve", "--listen", "127.0.0.1:0"], &environment).await;
    assert_eq!((code, out.as_str()), (Some(1), ""), "{said}");
    let advised = words.split('`').nth(1).unwrap();
    assert!(said.contains(advised), "{said}");
    database.client().await.batch_execute(advised).await.unwrap();
    let found = findings(&environment).await;
    assert!(found.iter().all(|finding| finding.1 != "fail"), "{found:?}");
}
