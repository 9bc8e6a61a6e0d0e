//! `GET`, `PUT`, `PATCH` and `DELETE /queues/{queue}`, and the same on the command line.

use serde_json::{Value, json};
use tokio::process::Command;

use super::{AT_ONCE, SOON, call, gives_priority, put, slow_poll, two};
use crate::harness::look::value;
use crate::harness::{self, Service, within};

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_set_changed_and_taken_away_with_where_they_come_from() {
    let database = harness::database().await;
    let service = slow_poll(&database).env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    assert_eq!(call(&http, "GET", "mail", None, None).await.status, 404);
    let retry = json!({"strategy": "fixed", "base_seconds": 30});
    let settings = json!({"priority": 2, "max_attempts": 3, "retry": retry});
    let made = call(&http, "PUT", "mail", Some(&settings), None).await;
    assert_eq!((made.status, &made.body["settings"]), (201, &settings), "{}", made.body);
    let sources = json!({"priority": "api", "max_attempts": "api", "retry": "api",
        "timeout_seconds": "default", "keep_completed_seconds": "default",
        "keep_failed_seconds": "default"});
    for (name, source) in sources.as_object().unwrap() {
        assert_eq!(&made.body["sources"][name], source, "{name}");
    }
    let read = call(&http, "GET", "mail", None, None).await;
    assert_eq!((read.status, &read.body, &read.tag), (200, &made.body, &made.tag));
    let listed = http.get("/queues").await.body;
    assert_eq!(listed["data"][0]["settings"], settings);

    // Null takes away, an object is replaced as a whole, and the rest stays.
    let patch = json!({"max_attempts": null, "retry": {"base_seconds": 1}, "timeout_seconds": 5.0});
    let patched = call(&http, "PATCH", "mail", Some(&patch), Some(&made.tag)).await;
    let expected = json!({"priority": 2, "timeout_seconds": 5, "retry": {"base_seconds": 1}});
    assert_eq!((patched.status, &patched.body["settings"]), (200, &expected), "{}", patched.body);
    assert_ne!(patched.tag, made.tag);
    let replaced = put(&http, "mail", &json!({"keep_failed_seconds": 60})).await;
    assert_eq!(replaced.status, 200);
    assert_eq!(replaced.body["settings"], json!({"keep_failed_seconds": 60}));
    assert_eq!(call(&http, "DELETE", "mail", None, Some(&replaced.tag)).await.status, 204);
    let gone = call(&http, "GET", "mail", None, None).await;
    assert_eq!((gone.status, &gone.body["settings"]), (200, &json!({})));
    let client = database.client().await;
    let actions = "select string_agg(action, ' ' order by id) from reveille.audit where target = 'queue mail'";
    let actions: String = value(&client, actions).await;
    assert_eq!(actions, "put_queue patch_queue put_queue delete_queue_settings");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_tag_changes_nothing() {
    let database = harness::database().await;
    let service = slow_poll(&database).env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    let unknown = call(&http, "PUT", "mail", Some(&json!({"priority": 1})), Some("*")).await;
    assert_eq!((unknown.status, &unknown.body["code"]), (412, &json!("precondition_failed")));
    assert_eq!(call(&http, "GET", "mail", None, None).await.status, 404);
    let stale = put(&http, "mail", &json!({"priority": 1})).await.tag;
    let fresh = put(&http, "mail", &json!({"priority": 2})).await;
    for (method, body) in [
        ("PUT", Some(json!({"priority": 3}))),
        ("PATCH", Some(json!({"priority": 3}))),
        ("DELETE", None),
    ] {
        let refused = call(&http, method, "mail", body.as_ref(), Some(&stale)).await;
        assert_eq!((refused.status, &refused.body["code"]), (412, &json!("precondition_failed")));
        let advice = refused.body["detail"].as_str().unwrap();
        assert!(advice.contains("GET /queues/mail"), "{advice}");
    }
    let left = call(&http, "GET", "mail", None, None).await;
    assert_eq!((&left.body["settings"], &left.tag), (&json!({"priority": 2}), &fresh.tag));
    // Counts and pauses are not what the tag is about.
    http.post_job(&json!({"payload": 1, "queue": "mail"})).await;
    http.post("/queues/mail/pause", &json!({})).await;
    let body = json!({"priority": 4});
    let both = format!("\"other\", {}", fresh.tag);
    assert_eq!(call(&http, "PATCH", "mail", Some(&body), Some(&both)).await.status, 200);
    assert_eq!(call(&http, "PUT", "mail", Some(&body), Some("*")).await.status, 200);
}

/// Each changes a setting of its own: without the look at what was read one would undo the other.
#[tokio::test(flavor = "multi_thread")]
async fn two_who_change_a_queue_at_once_both_count() {
    let database = harness::database().await;
    let services = two(&database).await;
    let [one, other] = [services[0].http(), services[1].http()];
    for round in 1..=30_i64 {
        let queue = format!("q{round}");
        let (priority, attempts) = (json!({"priority": 7}), json!({"max_attempts": round}));
        put(&one, &queue, &json!({"timeout_seconds": 9})).await;
        let (left, right) = tokio::join!(
            call(&one, "PATCH", &queue, Some(&priority), None),
            call(&other, "PATCH", &queue, Some(&attempts), None),
        );
        assert_eq!((left.status, right.status), (200, 200));
        let both = call(&one, "GET", &queue, None, None).await.body;
        let expected = json!({"timeout_seconds": 9, "priority": 7, "max_attempts": round});
        assert_eq!(both["settings"], expected, "round {round}");
    }
    // Of two who have read the same one is told.
    let read = call(&one, "GET", "q1", None, None).await.tag;
    let (first, second) = (json!({"priority": 1}), json!({"priority": 2}));
    let (left, right) = tokio::join!(
        call(&one, "PUT", "q1", Some(&first), Some(&read)),
        call(&other, "PUT", "q1", Some(&second), Some(&read)),
    );
    let mut statuses = [left.status, right.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_settings_are_refused_with_their_places() {
    let database = harness::database().await;
    let service = slow_poll(&database).env("REVEILLE_KEEP_COMPLETED_SECONDS", "3600");
    let service = service.env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    put(&http, "mail", &json!({"priority": 1})).await;
    for (body, expected) in [
        (
            json!({"priority": 10, "max_attempts": 0}),
            &["/max_attempts out_of_range", "/priority out_of_range"][..],
        ),
        (json!({"priority": "high"}), &["/priority wrong_type"]),
        (
            json!({"timeout_seconds": 0, "tiemout_seconds": 1}),
            &["/tiemout_seconds unknown_field", "/timeout_seconds out_of_range"],
        ),
        (
            json!({"retry": {"base_seconds": 5, "max_seconds": 1}}),
            &["/retry/max_seconds out_of_range"],
        ),
        (
            json!({"retry": {"jitter": 2, "strategy": "cubic"}}),
            &["/retry/jitter out_of_range", "/retry/strategy invalid_value"],
        ),
        (
            json!({"retry": {"factor": 0, "facter": 2}}),
            &["/retry/factor out_of_range", "/retry/facter unknown_field"],
        ),
        (json!({"keep_completed_seconds": 3601}), &["/keep_completed_seconds out_of_range"]),
        (json!({"keep_failed_seconds": 0}), &["/keep_failed_seconds out_of_range"]),
        (json!([]), &[" wrong_type"]),
    ] {
        for method in ["PUT", "PATCH"] {
            let refused = call(&http, method, "mail", Some(&body), None).await;
            assert_eq!(
                (refused.status, &refused.body["code"]),
                (422, &json!("validation_failed")),
                "{body}"
            );
            let place = |it: &Value| {
                format!("{} {}", it["pointer"].as_str().unwrap(), it["code"].as_str().unwrap())
            };
            let mut told: Vec<String> =
                refused.body["errors"].as_array().unwrap().iter().map(place).collect();
            told.sort();
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(told, expected, "{method} {body}");
        }
    }
    let left = call(&http, "GET", "mail", None, None).await.body;
    assert_eq!(left["settings"], json!({"priority": 1}));
    for method in ["PATCH", "DELETE"] {
        let body = (method == "PATCH").then(|| json!({}));
        assert_eq!(
            call(&http, method, "nobody", body.as_ref(), None).await.status,
            404,
            "{method}"
        );
    }
    assert_eq!(
        call(&http, "PUT", "Mail", Some(&json!({})), None).await.body["code"],
        "invalid_queue_name"
    );
}

async fn reveille(service: &Service, line: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
    command.args(line).args(["--url", service.url()]).kill_on_drop(true);
    let output = within("the command", SOON, command.output()).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_sets_shows_and_takes_away() {
    let database = harness::database().await;
    let service = slow_poll(&database).env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    let (code, _, said) = reveille(&service, &["queues", "set", "mail", "--priority", "5"]).await;
    assert_eq!(code, Some(0), "it is made: {said}");
    let made = call(&http, "GET", "mail", None, None).await.body;
    assert_eq!(made["settings"], json!({"priority": 5}));
    let only_new = http.request("PUT", "/queues/mail").header("If-None-Match", "*");
    let refused = only_new.json(&json!({"priority": 6})).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 412);
    assert_eq!(call(&http, "GET", "mail", None, None).await.body, made);
    let only_new = http.request("PUT", "/queues/new").header("If-None-Match", "*");
    let new = only_new.json(&json!({"priority": 6})).send().await.unwrap();
    assert_eq!(new.status().as_u16(), 201);
    let set = [
        "queues",
        "set",
        "mail",
        "--priority",
        "1",
        "--timeout",
        "1m",
        "--retry",
        r#"{"strategy":"fixed"}"#,
    ];
    let (code, out, said) = reveille(&service, &set).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains(r#""timeout_seconds":60"#), "{out}");
    let (_, out, _) = reveille(&service, &["queues", "get", "mail", "--json"]).await;
    let queue: Value = serde_json::from_str(&out).unwrap();
    let settings = json!({"priority": 1, "timeout_seconds": 60, "retry": {"strategy": "fixed"}});
    assert_eq!(queue["settings"], settings);
    assert_eq!(reveille(&service, &["queues", "unset", "mail", "retry"]).await.0, Some(0));
    let left = call(&http, "GET", "mail", None, None).await.body;
    assert_eq!(left["settings"], json!({"priority": 1, "timeout_seconds": 60}));
    assert_eq!(reveille(&service, &["queues", "unset", "mail"]).await.0, Some(0));
    assert_eq!(call(&http, "GET", "mail", None, None).await.body["settings"], json!({}));
    let (code, _, said) = reveille(&service, &["queues", "set", "mail", "--priority", "11"]).await;
    assert_eq!(code, Some(2), "{said}");
    for line in [&["queues", "set", "mail"][..], &["queues", "unset", "mail", "colour"]] {
        assert_eq!(reveille(&service, line).await.0, Some(2), "{line:?}");
    }
}

/// An instance that did not look in between has seen later times than those to come.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_seen_at_once_although_the_clock_of_the_server_was_set_back() {
    let database = harness::database().await;
    let client = database.client().await;
    let [one, other] = two(&database).await;
    put(&one.http(), "mail", &json!({"priority": 2})).await;
    gives_priority(&other.http(), "mail", 2, AT_ONCE).await;
    let ahead =
        "update reveille.queue set settings_at = now() + interval '30 days' where name = 'mail';
        update reveille.settings_clock set at = now() + interval '30 days'";
    client.batch_execute(ahead).await.unwrap();
    call(&one.http(), "PATCH", "mail", Some(&json!({"priority": 3})), None).await;
    gives_priority(&other.http(), "mail", 3, AT_ONCE).await;
    put(&one.http(), "post", &json!({"priority": 1})).await;
    gives_priority(&other.http(), "post", 1, AT_ONCE).await;
    // A queue that was forgotten and is made anew.
    call(&one.http(), "DELETE", "mail", None, None).await;
    gives_priority(&other.http(), "mail", 5, AT_ONCE).await;
    client.batch_execute("delete from reveille.queue where name = 'mail'").await.unwrap();
    put(&one.http(), "mail", &json!({"priority": 4})).await;
    gives_priority(&other.http(), "mail", 4, AT_ONCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retention_that_the_service_no_longer_allows_refuses_no_other_change() {
    let database = harness::database().await;
    let service = slow_poll(&database).start().await;
    put(&service.http(), "mail", &json!({"keep_completed_seconds": 7200})).await;
    let lower = slow_poll(&database).env("REVEILLE_KEEP_COMPLETED_SECONDS", "3600").start().await;
    let http = lower.http();
    let changed = call(&http, "PATCH", "mail", Some(&json!({"priority": 1})), None).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let own = json!({"keep_completed_seconds": 7200});
    for method in ["PATCH", "PUT"] {
        assert_eq!(call(&http, method, "mail", Some(&own), None).await.status, 422, "{method}");
    }
    let null = json!({"keep_completed_seconds": null});
    assert_eq!(call(&http, "PATCH", "mail", Some(&null), None).await.status, 200);
}

/// The first change finds the other listening, the second while it hears nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_holds_on_every_instance_at_once_and_by_the_poll_where_nothing_is_heard() {
    let database = harness::database().await;
    let [one, other] = two(&database).await;
    put(&one.http(), "mail", &json!({"priority": 2})).await;
    gives_priority(&one.http(), "mail", 2, std::time::Duration::ZERO).await;
    gives_priority(&other.http(), "mail", 2, AT_ONCE).await;
    call(&one.http(), "DELETE", "mail", None, None).await;
    gives_priority(&other.http(), "mail", 5, AT_ONCE).await;
    let client = database.client().await;
    // As a change whose notice was lost.
    let quietly = "update reveille.queue set settings = '{\"priority\": 8}', settings_at = clock_timestamp() where name = 'mail'";
    client.batch_execute(quietly).await.unwrap();
    let polls = Service::on(database.url()).env("REVEILLE_POLL_INTERVAL_SECONDS", "0.5");
    let polls = polls.start().await;
    gives_priority(&polls.http(), "mail", 8, SOON).await;
    client.batch_execute(&quietly.replace('8', "9")).await.unwrap();
    gives_priority(&polls.http(), "mail", 9, SOON).await;
}
