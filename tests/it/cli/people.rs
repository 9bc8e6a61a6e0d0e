//! The command line as people and scripts use it: words for times, several jobs, JSON, exit
//! statuses.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{JOB, answering, job, run};

const OTHER: &str = "0198c5f2-7a10-7cc3-8d4e-2f6b1a9e0c56";
const CONFLICT: &str =
    r#"{"title":"Conflict","status":409,"code":"job_processing","detail":"Cancel it."}"#;

#[test]
fn several_jobs_are_steered_and_one_that_is_refused_stops_none() {
    for (verb, method, ending) in
        [("cancel", "POST", "/cancel"), ("retry", "POST", "/retry"), ("delete", "DELETE", "")]
    {
        let last = if verb == "delete" { String::new() } else { job("queued") };
        let (url, asked) = answering(vec![("409 Conflict", CONFLICT.to_owned()), ("200 OK", last)]);
        let (code, out, said) = run(&[], &[verb, JOB, OTHER, "--url", &url]);
        assert_eq!(code, Some(1), "{verb}: {said}");
        assert!(out.starts_with(OTHER) && out.lines().count() == 1, "{verb}: {out}");
        assert_eq!(said, format!("error: {JOB}: Conflict: Cancel it.\n"));
        for (asked, id) in asked.join().unwrap().iter().zip([JOB, OTHER]) {
            assert!(asked.starts_with(&format!("{method} /jobs/{id}{ending} ")), "{asked}");
        }
    }
}

#[test]
fn where_answers_are_json_problems_are_too() {
    let (url, asked) = answering(vec![("409 Conflict", CONFLICT.to_owned())]);
    let (code, out, said) = run(&[], &["delete", JOB, "--json", "--url", &url]);
    asked.join().unwrap();
    assert_eq!((code, out.as_str(), said.trim_end()), (Some(1), "", CONFLICT));
    // Nothing listens there any more.
    let get = ["get", JOB, "--json", "--url", &url];
    let wrong = ["get", JOB, "--json", "--url", "ftp://x"];
    for (line, expected, code) in [(get, 1, "unreachable"), (wrong, 2, "usage")] {
        let (status, out, said) = run(&[], &line);
        let problem: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((status, out.as_str(), &problem["code"]), (Some(expected), "", &code.into()));
        assert!(problem["detail"].as_str().unwrap().len() > 20, "{said}");
    }
    // Of several jobs each problem has its line, and a warning stands in the answer alone.
    let problems =
        vec![("409 Conflict", CONFLICT.to_owned()), ("409 Conflict", CONFLICT.to_owned())];
    let (url, asked) = answering(problems);
    let (_, _, said) = run(&[], &["retry", JOB, OTHER, "--json", "--url", &url]);
    assert_eq!(said, format!("{CONFLICT}\n{CONFLICT}\n"));
    asked.join().unwrap();
    let warned = job("queued").replace("{\"job_id", r#"{"warnings":["nobody serves it"],"job_id"#);
    let (url, asked) = answering(vec![("201 Created", warned)]);
    let (code, out, said) = run(&[], &["submit", "x", "--json", "--url", &url]);
    assert!(code == Some(0) && out.contains("nobody serves it") && said.is_empty(), "{said}");
    asked.join().unwrap();
    let (url, asked) = answering(vec![("502 Bad Gateway", "<html>\n".to_owned())]);
    let (_, _, said) = run(&[], &["list", "--json", "--url", &url]);
    let problem: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&502.into(), &"unexpected_answer".into()));
    asked.join().unwrap();
}

#[test]
fn what_is_written_wrongly_ends_with_status_two() {
    for line in [
        &["get", "17"][..],
        &["wait", JOB, "--timeout", "5x"],
        &["wait", JOB, "--timeout", "-1"],
        &["list", "--created-after", "someday"],
        &["list", "--nothing"],
        &["delete"],
        &["submit", "echo", "--payload", "{"],
    ] {
        assert_eq!(run(&[], line).0, Some(2), "{line:?}");
    }
    let problem = |status| format!(r#"{{"title":"No","status":{status},"code":"x","detail":"y"}}"#);
    for (status, expected) in
        [("400 Bad Request", 2), ("422 Unprocessable", 2), ("404 Not Found", 1)]
    {
        let (url, asked) = answering(vec![(status, problem(&status[..3]))]);
        assert_eq!(run(&[], &["list", "--url", &url]).0, Some(expected), "{status}");
        asked.join().unwrap();
    }
}

#[test]
fn times_and_durations_are_written_as_people_write_them() {
    let day = || (chrono::Utc::now() - chrono::TimeDelta::days(1)).format("%Y-%m-%d").to_string();
    let (url, asked) = answering(vec![("200 OK", r#"{"data":[]}"#.to_owned())]);
    let before = day();
    let line =
        ["list", "--created-after", "yesterday", "--created-before", "2h ago", "--url", &url];
    assert_eq!(run(&[("TZ", "UTC")], &line).0, Some(0));
    let asked = asked.join().unwrap().remove(0);
    let expected = [before, day()].map(|day| format!("created_after={day}T00%3A00%3A00%2B00%3A00"));
    assert!(expected.iter().any(|it| asked.contains(it)), "{asked}");
    assert!(asked.contains("created_before="), "{asked}");

    let (url, asked) = answering(vec![("200 OK", job("completed"))]);
    let (code, _, said) = run(&[], &["wait", JOB, "--timeout", "1m30s", "--url", &url]);
    assert_eq!(code, Some(0), "{said}");
    assert!(asked.join().unwrap()[0].contains("?wait=60 "));
}

#[test]
fn filters_that_are_repeated_are_sent_repeated() {
    let (url, asked) = answering(vec![("200 OK", r#"{"data":[]}"#.to_owned())]);
    let line = ["list", "--status", "failed,queued", "--tag", "a", "--tag", "b,c", "--url", &url];
    assert_eq!(run(&[], &line).0, Some(0));
    let asked = asked.join().unwrap().remove(0);
    assert!(asked.starts_with("GET /jobs?status=failed%2Cqueued&tag=a&tag=b%2Cc "), "{asked}");
}

/// Whatever fields a release adds or leaves out: scripts cut columns by their number.
#[test]
fn listings_have_fixed_columns() {
    for (line, body, heads, row) in [
        (
            &["queues"][..],
            r#"{"new":1,"name":"mail","paused":false,"counts":{"queued":3,"processing":2,"scheduled":1}}"#,
            "QUEUE PAUSED SCHEDULED QUEUED PROCESSING WAITING SINCE PAUSED UNTIL PAUSE REASON",
            "mail false 1 3 2 - - -",
        ),
        (
            &["get", JOB, "--attempts"],
            r#"{"attempt":1,"started_at":"2026-11-24T08:00:00.25+00:00","run_seconds":0.5}"#,
            "ATTEMPT OUTCOME STARTED RUN SECONDS WORKER ERROR MESSAGE",
            "1 - 2026-11-24T08:00:00Z 0.5 - - -",
        ),
        (
            &["instances"],
            r#"{"name":"web-1","alive":true,"leader":true,"running":3,"slots":64,"version":"0.1.0"}"#,
            "INSTANCE ALIVE LEADER DRAINING RUNNING SLOTS VERSION STARTED HEARTBEAT",
            "web-1 true true - 3 64 0.1.0 - -",
        ),
        (
            &["audit"],
            r#"{"at":"2026-11-24T08:00:00.25Z","principal":"token 1a2b3c4d","action":"pause_queue","target":"queue mail"}"#,
            "AT PRINCIPAL ACTION TARGET REASON",
            "2026-11-24T08:00:00Z token 1a2b3c4d pause_queue queue mail -",
        ),
        (
            &["tasks"],
            r#"{"name":"echo","workers":2,"description":"Says it."}"#,
            "TASK WORKERS ATTEMPTS DESCRIPTION",
            "echo 2 - Says it.",
        ),
    ] {
        let (url, asked) = answering(vec![("200 OK", format!(r#"{{"data":[{body}]}}"#))]);
        let (code, out, said) = run(&[], &[line, &["--url", &url]].concat());
        assert_eq!(code, Some(0), "{said}");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(out.lines().map(words).collect::<Vec<_>>(), [heads, row], "{line:?}");
        asked.join().unwrap();
    }
}

#[test]
fn the_help_of_a_command_shows_its_own_flags_first_and_those_of_all_apart() {
    for (name, own) in [("list", "--created-after"), ("wait", "--timeout"), ("delete", "<JOB_ID>")]
    {
        let (_, help, _) = run(&[], &[name, "--help"]);
        let heading = "Options of every command that asks a service:";
        let flags = help.split("Examples:").next().unwrap();
        let (first, rest) = flags.split_once(heading).unwrap_or_else(|| panic!("{help}"));
        assert!(first.contains(own) && !first.contains("--url") && !first.contains("--json "));
        assert!(rest.contains("--url") && rest.contains("--json") && !rest.contains(own), "{help}");
        assert!(!help.contains("--listen"), "{help}");
    }
}

/// One table says it all, and the documentation has it too.
#[test]
fn the_exit_statuses_stand_in_the_help_and_in_the_documentation() {
    let statuses = |help: &str| {
        let (_, rows) = help.split_once("Exit status:\n").unwrap();
        let row =
            |row: &str| row.trim().split_once("  ").map(|(a, b)| (a.to_owned(), b.to_owned()));
        rows.lines().map_while(row).collect::<Vec<_>>()
    };
    let all = statuses(&run(&[], &["--help"]).1);
    assert_eq!(
        all.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(),
        ["0", "1", "2", "3", "4", "70"]
    );
    for command in ["wait", "submit"] {
        assert_eq!(statuses(&run(&[], &[command, "--help"]).1), all, "{command}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/command-line.md");
    let page = fs::read_to_string(path).unwrap();
    for (status, meaning) in all {
        let row = format!("| {status} | {} |", meaning.trim());
        assert!(page.contains(&row), "docs/command-line.md has no line {row}");
    }
}
