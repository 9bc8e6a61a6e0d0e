//! A service with tokens: nothing but its health and its documentation is open to strangers.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::http::{Answer, answer};
use crate::harness::{self, Service, within};

const TOKENS: [&str; 2] =
    ["first-0123456789abcdef0123456789abcdef", "second-0123456789abcdef0123456789abcd"];

async fn with_token(service: &Service, method: &str, path: &str, token: Option<&str>) -> Answer {
    let mut request = service.http().request(method, path).json(&json!({"payload": 1}));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    answer(request).await
}

/// Each operation of the specification, with something in the place of its parameters; and whether it asks for a token.
fn operations(spec: &Value) -> Vec<(String, String, bool)> {
    let mut all = Vec::new();
    for (path, item) in spec["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path = path.replace("{job_id}", "01900000-0000-7000-8000-000000000000");
            let path = path.split('{').next().unwrap().to_owned()
                + if path.contains('{') { "some" } else { "" }
                + path.split('}').nth(1).unwrap_or_default();
            let asks = operation["security"].as_array().is_some_and(|kinds| !kinds.is_empty());
            all.push((method.to_uppercase(), path, asks));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_that_the_specification_protects_needs_one() {
    let database = harness::database().await;
    let service =
        Service::on(database.url()).env("REVEILLE_AUTH_TOKENS", &TOKENS.join(",")).start().await;
    let spec = service.http().get("/openapi.json").await.body;
    let operations = operations(&spec);
    assert!(operations.iter().filter(|(_, _, asks)| *asks).count() > 10);
    for (method, path, asks) in &operations {
        let stranger = with_token(&service, method, path, None).await;
        assert_eq!(stranger.status == 401, *asks, "{method} {path}: {stranger:?}");
        if *asks {
            assert_eq!(stranger.body["code"], "unauthorized", "{method} {path}");
            let wrong = with_token(&service, method, path, Some("first")).await;
            assert_eq!(wrong.status, 401, "{method} {path}");
        }
        for token in TOKENS {
            let known = with_token(&service, method, path, Some(token)).await;
            assert_ne!(known.status, 401, "{method} {path}: {known:?}");
        }
    }
    assert_eq!(with_token(&service, "GET", "/metrics", None).await.status, 401);
    assert!(!service.stderr().contains("0123456789abcdef"), "a token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_one_other_machines_are_not_served() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
    command.args(["serve", "--listen", "0.0.0.0:0"]).env_remove("REVEILLE_AUTH_TOKENS");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let refused = within("it refuses", Duration::from_secs(10), command.output()).await.unwrap();
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("auth_tokens"), "{said}");
}

/// The command that the service prints for people, as a shell with this token would run it.
async fn printed_command(service: &Service, token: &str) -> Vec<String> {
    service.logged("curl -s", Duration::from_secs(10)).await;
    let log = service.stderr();
    let line = log.lines().find(|line| line.contains("curl -s")).unwrap();
    let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}; {}", line.trim());
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("REVEILLE_TOKEN", token).kill_on_drop(true);
    let output = within("the shell", Duration::from_secs(10), shell.output()).await.unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    words.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_command_works_when_pasted_and_holds_no_token() {
    let database = harness::database().await;
    for tokens in [None, Some(TOKENS.join(","))] {
        let service = Service::on(database.url()).env("REVEILLE_LOG_FORMAT", "text");
        let service = match &tokens {
            Some(tokens) => service.env("REVEILLE_AUTH_TOKENS", tokens),
            None => service,
        };
        let service = service.start().await;
        let words = printed_command(&service, TOKENS[1]).await;
        let behind = |flag: &str| {
            let flags = words.iter().zip(&words[1..]).filter(|(word, _)| *word == flag);
            flags.map(|(_, value)| value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(words[..2], ["-s".to_owned(), format!("{}/jobs", service.url())]);
        let mut request = service.http().request("POST", "/jobs").body(behind("-d").remove(0));
        for header in behind("-H") {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let answer = answer(request).await;
        assert_eq!(answer.status, 201, "{words:?}: {answer:?}");
        assert!(!service.stderr().contains("0123456789abcdef"), "a token is in the log");
    }
}
