//! Who did what: each change of an operator is noted with who made it, and nothing else is.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use reveille::Config;
use reveille::internals::caller::Caller;
use reveille::internals::queue::QueueName;
use reveille::internals::store::{Store, Target};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::harness::http::answer;
use crate::harness::look::value;
use crate::harness::{self, Service, eventually, within};

const SOON: Duration = Duration::from_secs(10);
const COUNT: &str = "select count(*) from reveille.audit";
const TOKENS: [&str; 2] =
    ["first-0123456789abcdef0123456789abcdef", "second-0123456789abcdef0123456789abcd"];

/// Six thousand entries of the last hour, the newest with the highest number. The oldest ten are of
/// their own action.
const FILL: &str = "
insert into reveille.audit (id, at, principal, action, target)
select reveille.uuid7(reveille.uuid7_ticks(now() - interval '1 hour'), 0, n * 4096),
  now() - interval '1 hour' + n * interval '1 ms', 'role r' || n % 2,
  case when n <= 10 then 'rare' else 'often' end, 'queue q' || n
from generate_series(1, 6000) n";

/// The whole audit, the newest first.
async fn entries(service: &Service, token: Option<&str>, query: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let request = service.http().request("GET", &format!("/audit?{query}{cursor}"));
        let page = answer(match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
        .await;
        assert_eq!(page.status, 200, "{}", page.body);
        all.extend(page.body["data"].as_array().unwrap().iter().cloned());
        match page.body.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// Principal, action and target of each.
fn said(entries: &[Value]) -> Vec<[&str; 3]> {
    let names = ["principal", "action", "target"];
    entries.iter().map(|it| names.map(|name| it[name].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_noted_with_its_token_and_its_request() {
    let database = harness::database().await;
    let service =
        Service::on(database.url()).env("REVEILLE_AUTH_TOKENS", &TOKENS.join(",")).start().await;
    let change = async |verb: &str, token: &str, id: &str| {
        let request = service.http().request("POST", &format!("/queues/mail/{verb}"));
        let changed = answer(request.bearer_auth(token).header("x-request-id", id)).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
    };
    change("pause", TOKENS[0], "one").await;
    change("resume", TOKENS[1], "two").await;
    let found = entries(&service, Some(TOKENS[0]), "").await;
    // printf %s TOKEN | sha256sum | cut -c1-8
    assert_eq!(
        said(&found),
        [
            ["token 7b533b9e", "resume_queue", "queue mail"],
            ["token 7d418a4c", "pause_queue", "queue mail"]
        ]
    );
    assert_eq!((&found[0]["request_id"], &found[1]["request_id"]), (&json!("two"), &json!("one")));
    assert!(found[0].get("reason").is_none() && found[0]["at"].is_string(), "{found:?}");
    for (query, requests) in [
        ("principal=token%207b533b9e", &["two"][..]),
        ("action=pause_queue", &["one"]),
        ("target=queue+mail", &["two", "one"]),
        ("target=mail", &[]),
        ("action=pause_queue&principal=token%207b533b9e", &[]),
    ] {
        let found = entries(&service, Some(TOKENS[1]), query).await;
        let ids: Vec<_> = found.iter().map(|it| it["request_id"].as_str().unwrap()).collect();
        assert_eq!(ids, requests, "{query}");
    }
    service.logged("the queue is paused", SOON).await;
    let log = service.stderr();
    assert!(log.contains("token 7d418a4c") && !log.contains("0123456789abcdef"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tokens_the_address_is_noted_and_of_the_library_the_role() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = Service::start(database.url()).await;
    assert_eq!(service.http().post("/queues/mail/pause", &json!({})).await.status, 200);
    // A token that nobody asks for says nothing.
    let request = service.http().request("POST", "/queues/post/pause");
    assert_eq!(answer(request.bearer_auth(TOKENS[0])).await.status, 200);
    let target = Target::parse(database.url()).unwrap();
    let store = Store::open(&Config::default(), &target).await.unwrap();
    let (name, caller) = (QueueName::new("mail").unwrap(), Caller::of_library());
    assert!(store.queue_resume(&name, &caller).await.unwrap());
    assert!(!store.queue_resume(&name, &caller).await.unwrap(), "it is not paused any more");
    let role = format!("role {}", value::<String>(&client, "select session_user::text").await);
    let found = entries(&service, None, "").await;
    assert_eq!(
        said(&found),
        [
            [role.as_str(), "resume_queue", "queue mail"],
            ["anonymous 127.0.0.1", "pause_queue", "queue post"],
            ["anonymous 127.0.0.1", "pause_queue", "queue mail"]
        ]
    );
    assert!(found[0].get("request_id").is_none(), "{found:?}");
    assert!(found[1]["request_id"].is_string(), "{found:?}");
}

/// A trigger that refuses whatever is written to this table, at the end of the transaction.
async fn refuse(client: &Client, table: &str) {
    let trigger = format!(
        "create or replace function public.refuse() returns trigger language plpgsql as
           $$ begin raise exception 'no'; end $$;
         create constraint trigger refuse after insert or update on reveille.{table}
           deferrable initially deferred for each row execute function public.refuse()"
    );
    client.batch_execute(&trigger).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_and_its_entry_are_both_there_or_neither() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = Service::start(database.url()).await;
    let change = async |path: &str| service.http().post(path, &json!({})).await.status;
    assert_eq!(change("/queues/A/pause").await, 400);
    assert_eq!(change("/queues/mail/resume").await, 404);
    refuse(&client, "queue").await;
    assert_eq!(change("/queues/mail/pause").await, 500);
    assert_eq!(value::<i64>(&client, COUNT).await, 0, "nothing was changed");
    client.batch_execute("drop trigger refuse on reveille.queue").await.unwrap();
    for _ in 0..2 {
        assert_eq!(change("/queues/mail/pause").await, 200);
    }
    assert_eq!(value::<i64>(&client, COUNT).await, 1, "the second pause changed nothing");
    refuse(&client, "audit").await;
    assert_eq!(change("/queues/mail/resume").await, 500);
    assert_eq!(service.http().get("/queues/mail").await.body["paused"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_finds_all_of_its_entries_however_far_apart_they_lie() {
    let database = harness::database().await;
    database.client().await.batch_execute(FILL).await.unwrap();
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let all = entries(&service, None, "limit=200").await;
    let targets: HashSet<_> = all.iter().map(|it| it["target"].as_str().unwrap()).collect();
    assert_eq!((all.len(), targets.len(), said(&all)[0][2]), (6000, 6000, "queue q6000"));
    // One call looks at 5,000 others at most.
    let first = service.http().get("/audit?action=rare").await.body;
    assert_eq!(first["data"], json!([]));
    assert!(first["next_cursor"].is_string(), "{first}");
    let rare = entries(&service, None, "action=rare&limit=3").await;
    let targets: Vec<_> = said(&rare).iter().map(|it| it[2]).collect();
    let expected: Vec<_> = (1..=10).rev().map(|nth| format!("queue q{nth}")).collect();
    assert_eq!(targets, expected);
    assert_eq!(entries(&service, None, "action=rare&principal=role%20r1").await.len(), 5);
    // The bounds are those of the moment: of this one and later, and before that one.
    let bound = |nth: usize| all[6000 - nth]["at"].as_str().unwrap().replace('+', "%2B");
    let between = format!("after={}&before={}&limit=200", bound(101), bound(201));
    let found = entries(&service, None, &between).await;
    assert_eq!((said(&found)[0][2], found.len()), ("queue q200", 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_kept_for_ninety_days() {
    let database = harness::database().await;
    let client = database.client().await;
    // More than one transaction takes; and one that is a minute too young.
    let old = |ago: &str, count: u32| {
        format!(
            "insert into reveille.audit (id, at, principal, action, target)
             select reveille.uuid7(reveille.uuid7_ticks(at), 0, n), at, 'role a', 'pause_queue', '{ago}'
             from (select now() - interval '90 days' + interval '{ago}') a (at), generate_series(1, {count}) n"
        )
    };
    client.batch_execute(&old("-1 minute", 2500)).await.unwrap();
    client.batch_execute(&old("1 minute", 1)).await.unwrap();
    let _service = Service::start(database.url()).await;
    eventually("the old ones are forgotten", SOON, async || {
        value::<i64>(&client, COUNT).await == 1
    })
    .await;
    let kept: String = value(&client, "select target from reveille.audit").await;
    assert_eq!(kept, "1 minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_lists_them() {
    let database = harness::database().await;
    database.client().await.batch_execute(FILL).await.unwrap();
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    assert_eq!(service.http().post("/queues/mail/pause", &json!({})).await.status, 200);
    let run = async |line: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
        command.args([&["audit", "--url", service.url()], line].concat());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        let output = within("the list", SOON, output).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = run(&["--target", "queue mail", "--after", "1h ago", "--limit", "1"]).await;
    let line = shown.lines().nth(1).unwrap();
    let words: Vec<_> = line.split_whitespace().skip(1).collect();
    assert_eq!(words, ["anonymous", "127.0.0.1", "pause_queue", "queue", "mail", "-"]);
    let rare = run(&["--action", "rare", "--principal", "role r1", "--all", "--json"]).await;
    let rare: Vec<Value> = rare.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(rare.len(), 5);
    assert!(rare.iter().all(|it| it["principal"] == "role r1"), "{rare:?}");
}

/// Every operation of the API that is an action of an operator, with a token and a request of its own.
#[tokio::test(flavor = "multi_thread")]
async fn each_action_is_noted_by_the_name_of_its_operation() {
    let database = harness::database().await;
    let service =
        Service::on(database.url()).env("REVEILLE_AUTH_TOKENS", &TOKENS.join(",")).start().await;
    let later = json!({"all": true, "delay_seconds": 3600});
    let mut expected = Vec::new();
    let mut operation = String::new();
    for (nth, (method, path, body, action)) in [
        ("PUT", "/queues/mail", json!({"priority": 3}), "put_queue"),
        ("PATCH", "/queues/mail", json!({"priority": 4}), "patch_queue"),
        ("DELETE", "/queues/mail", Value::Null, "delete_queue_settings"),
        ("POST", "/queues/mail/pause", json!({"reason": "it moves"}), "pause_queue"),
        ("POST", "/queues/mail/resume", Value::Null, "resume_queue"),
        ("POST", "/queues/mail/purge?delay_seconds=3600", Value::Null, "purge_queue"),
        ("POST", "/dead-letters/redrive", later, "redrive_dead_letters"),
        ("DELETE", "/operations/", Value::Null, "stop_operation"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = if path.ends_with('/') { format!("{path}{operation}") } else { path.to_owned() };
        let (token, id) = (TOKENS[nth % 2], format!("request-{nth}"));
        let mut request = service.http().request(method, &path);
        if !body.is_null() {
            request = request.json(&body);
        }
        let done = answer(request.bearer_auth(token).header("x-request-id", &id)).await;
        assert!((200..300).contains(&done.status), "{method} {path}: {done:?}");
        if let Some(id) = done.body["operation"]["id"].as_str() {
            operation = id.to_owned();
        }
        let by = ["token 7d418a4c", "token 7b533b9e"][nth % 2];
        expected.push((by.to_owned(), action.to_owned(), id));
    }
    let mut found = entries(&service, Some(TOKENS[0]), "").await;
    found.reverse();
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    let noted = |it: &Value| (text(it, "principal"), text(it, "action"), text(it, "request_id"));
    assert_eq!(found.iter().map(noted).collect::<Vec<_>>(), expected, "{found:?}");
    assert_eq!(found[3]["reason"], "it moves");
    let purge = ["target", "reason"].map(|name| text(&found[5], name));
    assert!(purge[0] == "queue mail" && purge[1].starts_with("operation "), "{purge:?}");
    // The one who asked for an operation and the one who stopped it are found by the same target.
    for nth in [6, 7] {
        assert_eq!(found[nth]["target"], json!(format!("operation {operation}")));
    }
    assert_eq!(found[6]["reason"], "all failed jobs");
}
