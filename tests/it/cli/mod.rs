//! What the binary alone can show, without a service or a database.

mod people;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

/// The binary in an empty directory with an empty environment.
fn reveille(directory: &tempfile::TempDir, environment: &[(&str, &str)], line: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reveille"))
        .args(line)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn run(environment: &[(&str, &str)], line: &[&str]) -> (Option<i32>, String, String) {
    let output = reveille(&tempfile::tempdir().unwrap(), environment, line);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_command_explains_itself_with_examples() {
    let (code, help, _) = run(&[], &["--help"]);
    assert_eq!(code, Some(0));
    let commands = help.split_once("Commands:").unwrap().1.split_once("Options:").unwrap().0;
    let names: Vec<_> =
        commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() >= 16, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        let (code, help, _) = run(&[], &[name, "--help"]);
        assert_eq!(code, Some(0), "{name}");
        assert!(help.contains("Examples:"), "{name}: {help}");
    }
}

#[test]
fn without_a_command_it_says_what_there_is() {
    let (code, _, said) = run(&[], &[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("serve") && said.contains("Exit status"), "{said}");
}

#[test]
fn the_settings_in_force_are_shown_with_their_origins() {
    let directory = tempfile::tempdir().unwrap();
    let file = "workers = 5\ndatabase_url = 'postgres://me:hush@db/jobs'";
    std::fs::write(directory.path().join("reveille.toml"), file).unwrap();
    let environment =
        [("REVEILLE_CRASH_BUDGET", "7"), ("REVEILLE_AUTH_TOKENS", "hush-hush-hush-hush")];
    let line = ["config", "--json", "--poll-interval-seconds", "0.5"];
    let output = reveille(&directory, &environment, &line);
    assert!(output.status.success());
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for (setting, value, source) in [
        ("workers", "5", "reveille.toml"),
        ("crash_budget", "7", "REVEILLE_CRASH_BUDGET"),
        ("poll_interval_seconds", "0.5", "--poll-interval-seconds"),
        ("pooler", "false", "default"),
        ("database_url", "\"postgres://me:***@db:5432/jobs\"", "reveille.toml"),
        ("auth_tokens", "[\"***\"]", "REVEILLE_AUTH_TOKENS"),
    ] {
        assert_eq!(shown[setting]["value"].to_string(), value, "{setting}");
        assert_eq!(shown[setting]["source"], source, "{setting}");
    }

    let table = String::from_utf8(reveille(&directory, &environment, &["config"]).stdout).unwrap();
    assert!(table.starts_with("SETTING") && !table.contains("hush"), "{table}");
}

#[test]
fn the_reference_that_is_printed_is_the_committed_one_and_can_be_used() {
    let directory = tempfile::tempdir().unwrap();
    let output = reveille(&directory, &[], &["config", "--default"]);
    let committed = include_bytes!("../../../src/config/default.toml");
    assert_eq!(output.stdout, committed);
    let file = directory.path().join("other.toml");
    std::fs::write(&file, committed).unwrap();
    let environment = [("REVEILLE_CONFIG", file.to_str().unwrap())];
    assert!(reveille(&directory, &environment, &["config"]).status.success());
}

#[test]
fn mistakes_are_reported_together_with_what_to_write() {
    let environment = [("REVEILLE_WROKERS", "1"), ("REVEILLE_LISTEN", "0.0.0.0:8000")];
    let (code, out, said) = run(&environment, &["serve", "--pool-size=0"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    for expected in [
        "REVEILLE_WROKERS is not a setting; did you mean REVEILLE_WORKERS?",
        "listen (from REVEILLE_LISTEN) 0.0.0.0:8000 would let everybody in",
        "pool_size (from --pool-size) 0 is out of range; write a whole number from 1 to 200",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = run(&[], &["completions", shell]);
        assert_eq!(code, Some(0));
        assert!(script.contains("doctor") && script.contains("poll-interval-seconds"), "{shell}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_reveille"))
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(said, "");
}

const JOB: &str = "0198c5f2-7a10-7cc3-8d4e-2f6b1a9e0c55";

/// A stand-in for the service, which answers one request after the other and returns what was
/// asked.
fn answering(
    answers: Vec<(&'static str, String)>,
) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let one = |(status, body): (&str, String)| {
            let mut reader = BufReader::new(listener.accept().unwrap().0);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                reader.read_line(&mut head).unwrap();
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut sent = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            reader.read_exact(&mut sent).unwrap();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
            head + &String::from_utf8(sent).unwrap()
        };
        answers.into_iter().map(one).collect()
    });
    (url, asked)
}

fn job(status: &str) -> String {
    format!(r#"{{"job_id":"{JOB}","status":"{status}","payload":{{"n":1.10}}}}"#)
}

#[test]
fn submitting_and_waiting_tells_how_it_ended() {
    for (end, expected) in [("completed", 0), ("failed", 3), ("cancelled", 3)] {
        let (url, asked) = answering(vec![
            ("201 Created", job("queued")),
            ("200 OK", job("processing")),
            ("200 OK", job(end)),
        ]);
        let environment = [("REVEILLE_URL", url.as_str()), ("REVEILLE_TOKEN", "t0ken")];
        let line = ["submit", "echo", "--payload", r#"{"n":1.10}"#, "--wait"];
        let (code, out, said) = run(&environment, &line);
        assert_eq!(code, Some(expected), "{said}");
        assert!(out.contains(&format!("status   {end}")) && out.contains(r#"{"n":1.10}"#), "{out}");
        let asked = asked.join().unwrap();
        assert!(asked[0].starts_with("POST /jobs ") && asked[0].contains("Bearer t0ken"));
        assert!(asked[0].ends_with(r#"{"payload":{"n":1.10},"task":"echo"}"#), "{}", asked[0]);
        assert!(asked[1].starts_with(&format!("GET /jobs/{JOB}?wait=60 ")), "{}", asked[1]);
    }
}

#[test]
fn waiting_ends_when_the_time_is_up() {
    let (url, asked) = answering(vec![("200 OK", job("queued"))]);
    let line = ["wait", JOB, "--timeout", "0", "--json", "--url", &url];
    let (code, out, _) = run(&[], &line);
    assert_eq!(code, Some(4));
    assert_eq!(out.trim_end(), job("queued"));
    asked.join().unwrap();
}

#[test]
fn all_pages_are_followed() {
    let page = |cursor: &str| format!(r#"{{"data":[{}],"next_cursor":{cursor}}}"#, job("queued"));
    let (url, asked) = answering(vec![("200 OK", page("\"c1\"")), ("200 OK", page("null"))]);
    let line = ["list", "--status", "queued", "--all", "--url", &url];
    let (code, out, _) = run(&[], &line);
    assert_eq!(code, Some(0));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert!(lines[0].starts_with("JOB ID") && lines[1] == lines[2]);
    let asked = asked.join().unwrap();
    assert!(asked[0].starts_with("GET /jobs?status=queued&limit=200 "), "{}", asked[0]);
    assert!(asked[1].contains("cursor=c1"), "{}", asked[1]);
}

#[test]
fn a_refusal_is_told_in_words() {
    let problem = r#"{"title":"There is no such job","status":404,"detail":"Check the id.","code":"job_not_found"}"#;
    let (url, asked) = answering(vec![("404 Not Found", problem.to_owned())]);
    let (code, out, said) = run(&[], &["get", JOB, "--url", &url]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(said, "error: There is no such job: Check the id.\n");
    asked.join().unwrap();
}

#[test]
fn a_refusal_is_told_once() {
    let sentence = "queue must be a name.";
    let problem = format!(
        r#"{{"title":"Bad Request","status":400,"detail":"{sentence}",
            "errors":[{{"pointer":"","parameter":"queue","code":"x","message":"{sentence}"}}]}}"#
    );
    let (url, asked) = answering(vec![("400 Bad Request", problem)]);
    let (code, _, said) = run(&[], &["list", "--queue", "Mail", "--url", &url]);
    assert_eq!((code, said.as_str()), (Some(2), "error: Bad Request: queue must be a name.\n"));
    asked.join().unwrap();
}

#[test]
fn a_time_that_is_none_is_explained() {
    for flag in ["--created-after", "--created-before"] {
        let (code, _, said) = run(&[], &["list", flag, "x"]);
        assert_eq!(code, Some(2));
        assert!(said.contains("must be an RFC 3339 time with a zone"), "{said}");
    }
    let (url, asked) = answering(vec![("200 OK", r#"{"data":[]}"#.to_owned())]);
    let line = ["list", "--created-after", "2030-01-31 09:00:00+01:00", "--url", &url];
    assert_eq!(run(&[], &line).0, Some(0));
    let asked = asked.join().unwrap().remove(0);
    assert!(asked.contains("created_after=2030-01-31T08%3A00%3A00%2B00%3A00"), "{asked}");
}

#[test]
fn no_password_in_a_url_is_printed() {
    let (url, asked) = answering(vec![("502 Bad Gateway", "<html>".to_owned())]);
    let with_password = url.replace("http://", "http://me:hush@");
    let line = ["get", JOB, "--url", &with_password];
    let mut said = vec![run(&[], &line).2];
    asked.join().unwrap();
    // Now nothing listens there any more.
    said.push(run(&[], &line).2);
    for wrong in ["me:hush@127.0.0.1", "http://me:hush@", "ftp://me:hush@h"] {
        said.push(run(&[("REVEILLE_URL", wrong)], &["get", JOB]).2);
        said.push(run(&[("REVEILLE_PUBLIC_URL", wrong)], &["config"]).2);
        said.push(run(&[("REVEILLE_ALLOWED_HOSTS", wrong)], &["config"]).2);
    }
    for said in said {
        assert!(said.starts_with("error: ") && !said.contains("hush"), "{said}");
    }
}

#[test]
fn health_is_one_word_or_an_error() {
    let (url, asked) = answering(vec![("200 OK", "{}".to_owned())]);
    let listen = url.trim_start_matches("http://");
    let (code, out, said) = run(&[("REVEILLE_LISTEN", listen)], &["health"]);
    assert_eq!((code, out.as_str()), (Some(0), "ready\n"), "{said}");
    assert!(asked.join().unwrap()[0].starts_with("GET /readyz "));

    let (code, _, said) = run(&[("REVEILLE_LISTEN", listen)], &["health"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot reach"), "{said}");
}
