//! The second answer is the first.

use std::process::Stdio;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{SOON, job, jobs, kept, noop, post, request, sent};
use crate::harness::look::{becomes, metric, submit, value};
use crate::harness::{self, Service, eventually, scaled, within};

#[tokio::test(flavor = "multi_thread")]
async fn life_5c1_a_repeated_request_is_answered_as_the_first_also_when_its_job_has_ended() {
    let database = harness::database().await;
    let (first, other) =
        tokio::join!(Service::start(database.url()), Service::start(database.url()));
    let client = database.client().await;
    let (here, there) = (first.http(), other.http());
    let body = json!({"payload": {"task": "a b"}});
    let answer = job(&here, "order-7", &body).await;
    assert_eq!((answer.status, answer.replayed), (201, false), "{answer:?}");
    assert_eq!(answer.location, Some(format!("jobs/{}", answer.id())));
    becomes(&client, &answer.id(), "completed", SOON).await;
    for http in [&here, &there] {
        let again = job(http, "order-7", &body).await;
        assert!(again.replayed, "{again:?}");
        assert_eq!(again.as_first(), answer);
    }
    assert_eq!((jobs(&client).await, kept(&client).await), (1, 1));
    // A repetition waits anew, and is told how the job stands.
    let waited = sent(request(&there, "/jobs?wait=10", "order-7", body.to_string())).await.unwrap();
    assert_eq!((waited.status, &waited.body["status"]), (201, &json!("completed")));
    assert!(waited.replayed && waited.id() == answer.id());

    let later = json!({"task": "noop", "payload": 1, "delay_seconds": 0.05});
    let answer = job(&here, "later", &later).await;
    assert_eq!(answer.body["status"], "scheduled");
    becomes(&client, &answer.id(), "completed", SOON).await;
    assert_eq!(job(&there, "later", &later).await.as_first(), answer);

    for (outcome, count) in [("stored", 2.0), ("replayed", 1.0)] {
        let name = format!("reveille_idempotent_requests_total{{outcome=\"{outcome}\"}}");
        assert!((metric(&first, &name).await - count).abs() < 0.1, "{outcome}");
    }
    let name = "reveille_jobs_submitted_total{door=\"http\",outcome=\"created\"}";
    assert!((metric(&other, name).await).abs() < 0.1, "a replay submits nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn life_5c2_the_same_values_are_a_replay_and_others_are_refused() {
    const TOKENS: [&str; 2] = ["first-0123456789abcdef", "second-0123456789abcdef"];
    let database = harness::database().await;
    let client = database.client().await;
    let service =
        Service::on(database.url()).env("REVEILLE_AUTH_TOKENS", &TOKENS.join(",")).start().await;
    let http = service.http();
    let post = async |token: &str, path: &str, body: &str| {
        sent(request(&http, path, "k", body.to_owned()).bearer_auth(token)).await.unwrap()
    };
    let text = r#"{"payload": {"a": 1.50, "b": ["é", null]}, "queue": "q", "tags": ["t"]}"#;
    let first = post(TOKENS[0], "/jobs", text).await;
    assert_eq!(first.status, 201, "{first:?}");
    for same in [
        r#"{"tags":["t"],"queue":"q","payload":{"b":["\u00e9",null],"a":15e-1}}"#,
        r#"{"payload": {"a": 1.5, "b": ["é", null]}, "queue": "q", "tags": ["t"], "priority": null, "run_at": null}"#,
    ] {
        let again = post(TOKENS[0], "/jobs", same).await;
        assert!(again.replayed && again.id() == first.id(), "{same}: {again:?}");
    }
    for other in [
        r#"{"payload": {"a": 1.51, "b": ["é", null]}, "queue": "q", "tags": ["t"]}"#,
        r#"{"payload": {"a": 1.50, "b": [null, "é"]}, "queue": "q", "tags": ["t"]}"#,
        r#"{"payload": {"a": 1.50, "b": ["é", null]}, "queue": "r", "tags": ["t"]}"#,
        r#"{"payload": {"a": 1.50, "b": ["é", null]}, "queue": "q", "tags": ["t"], "delay_seconds": 1}"#,
    ] {
        let refused = post(TOKENS[0], "/jobs", other).await;
        let code = &refused.body["code"];
        assert_eq!((refused.status, code), (422, &json!("idempotency_key_reused")), "{other}");
    }
    // Another path, and another caller, are others.
    let batch = post(TOKENS[0], "/jobs/batch", &format!("[{text}]")).await;
    assert_eq!((batch.status, batch.replayed), (201, false), "{batch:?}");
    let other = post(TOKENS[1], "/jobs", text).await;
    assert_eq!((other.status, other.replayed), (201, false), "{other:?}");
    assert_eq!((jobs(&client).await, kept(&client).await), (3, 3));
}

/// The key of each seed comes with a window of its own in which nothing is answered yet.
#[tokio::test(flavor = "multi_thread")]
async fn life_5c3_of_fifty_at_once_over_two_instances_one_submits() {
    let database = harness::database().await;
    let (first, other) =
        tokio::join!(Service::start(database.url()), Service::start(database.url()));
    let client = database.client().await;
    for seed in 0..6 {
        let key = format!("k{seed}");
        let body = if seed % 2 == 0 {
            noop(seed)
        } else {
            json!({"task": "noop", "payload": seed, "unique_key": key, "on_conflict": "reject"})
        };
        let callers = (0..50).map(|nth| {
            let http = if nth % 2 == 0 { first.http() } else { other.http() };
            let (key, body) = (key.clone(), body.clone());
            async move { job(&http, &key, &body).await }
        });
        let replies = join_all(callers).await;
        let mut submitted = 0;
        for reply in &replies {
            match reply.status {
                201 => submitted += usize::from(!reply.replayed),
                409 => {
                    assert_eq!(reply.body["code"], "idempotency_key_busy", "{reply:?}");
                    assert_eq!(reply.retry_after.as_deref(), Some("1"));
                }
                _ => panic!("{reply:?}"),
            }
        }
        assert_eq!((submitted, jobs(&client).await), (1, seed + 1));
    }
}

/// A transaction has the key and does not end: it may be another instance that is stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_held_is_answered_at_once_and_holds_up_no_other() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let mut client = database.client().await;
    let http = service.http();
    job(&http, "warm", &noop(0)).await;
    let open = client.transaction().await.unwrap();
    let take = "insert into reveille.idempotency (principal, path, key, fingerprint, ids, statuses, outcomes)
        select principal, path, 'held', '', '{}', '{}', '{}' from reveille.idempotency";
    assert_eq!(open.execute(take, &[]).await.unwrap(), 1);
    for round in 0..5 {
        let names = ["held".to_owned(), format!("a{round}"), format!("z{round}")];
        let bodies = [noop("held"), noop(round), noop(round)];
        let replies =
            join_all(names.iter().zip(&bodies).map(|(key, body)| job(&http, key, body))).await;
        let statuses: Vec<u16> = replies.iter().map(|it| it.status).collect();
        assert_eq!(statuses, [409, 201, 201], "{replies:?}");
    }
    let plain = http.post("/jobs", &noop(1)).await;
    assert_eq!(plain.status, 201);
    open.rollback().await.unwrap();
    assert_eq!(job(&http, "held", &noop("held")).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_5c5_what_submitted_nothing_is_not_kept() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let (client, http) = (database.client().await, service.http());
    assert_eq!(job(&http, "a", &json!({"payload": 1, "priority": 99})).await.status, 422);
    assert_eq!(job(&http, "a", &noop(1)).await.status, 201);

    let holder = submit(&client, "task => 'noop', payload => '1', unique_key => 'u'").await;
    let reject = json!({"payload": 1, "unique_key": "u", "on_conflict": "reject"});
    for _ in 0..2 {
        let refused = job(&http, "b", &reject).await;
        assert_eq!((refused.status, refused.id()), (409, holder.clone()), "{refused:?}");
        assert_eq!(refused.body["code"], "unique_key_conflict");
    }
    let batch = json!([noop(1), reject]);
    let refused = post(&http, "/jobs/batch", "b", &batch).await;
    assert_eq!(refused.body["errors"][0]["pointer"], "/1/unique_key", "{refused:?}");
    assert_eq!((jobs(&client).await, kept(&client).await), (2, 1));

    http.post(&format!("/jobs/{holder}/cancel"), &json!({})).await;
    for (path, body) in [("/jobs", &reject), ("/jobs/batch", &json!([noop(1), noop(2)]))] {
        let answer = post(&http, path, "b", body).await;
        assert_eq!((answer.status, answer.replayed), (201, false), "{answer:?}");
    }
    assert_eq!((jobs(&client).await, kept(&client).await), (5, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn life_5c8_an_answer_is_kept_for_a_while_and_then_the_request_submits_anew() {
    let database = harness::database().await;
    let (keep, most) = scaled((1.0, 5.0), (2.0, 2.5));
    let service = Service::on(database.url())
        .env("REVEILLE_IDEMPOTENCY_KEEP_SECONDS", &keep.to_string())
        .start()
        .await;
    let (client, http) = (database.client().await, service.http());
    let first = job(&http, "k", &noop(1)).await;
    let anew = async {
        loop {
            let again = job(&http, "k", &noop(1)).await;
            assert_eq!(again.status, 201, "{again:?}");
            if !again.replayed {
                break again;
            }
            assert_eq!(again.as_first(), first);
        }
    };
    let second = within("the request submits anew", SOON, anew).await;
    let apart = format!(
        "select extract(epoch from reveille.uuid7_time('{}') - reveille.uuid7_time('{}'))::float8",
        second.id(),
        first.id()
    );
    let apart = value::<f64>(&client, &apart).await;
    assert!((keep - 0.05..most).contains(&apart), "{apart}");
    eventually("the leader forgets it", SOON * 2, async || kept(&client).await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_5c9_a_large_batch_is_replayed_with_the_same_ids_in_their_order() {
    let database = harness::database().await;
    let (first, other) = tokio::join!(
        Service::on(database.url()).env("REVEILLE_WORKERS", "0").start(),
        Service::on(database.url()).env("REVEILLE_WORKERS", "0").start()
    );
    let client = database.client().await;
    let one = |nth: usize| match nth % 10 {
        0 => json!({"payload": nth, "delay_seconds": 600}),
        1 => json!({"payload": nth, "unique_key": format!("k{}", nth / 20)}),
        _ => json!({"payload": nth}),
    };
    let many = scaled(2_000, 10_000);
    let batch: Value = (0..many).map(one).collect();
    let answer = post(&first.http(), "/jobs/batch", "k", &batch).await;
    assert_eq!((answer.status, answer.replayed), (201, false));
    let begun = std::time::Instant::now();
    let again = post(&other.http(), "/jobs/batch", "k", &batch).await;
    let took = begun.elapsed().as_secs_f64();
    harness::figure("life_5c9", &format!("{many} jobs were replayed in {took:.2} s"));
    assert!(took <= scaled(5.0, 1.0), "{took}");
    assert!(again.replayed);
    assert_eq!(again.as_first(), answer);
    assert_eq!(
        (jobs(&client).await, kept(&client).await),
        (i64::try_from(many - many / 20).unwrap(), 1)
    );
    let mut less = batch.clone();
    less.as_array_mut().unwrap().pop();
    assert_eq!(post(&first.http(), "/jobs/batch", "k", &less).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_5c10_beside_a_unique_key_each_key_has_its_own_first_answer() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    let keyed = json!({"payload": 1, "unique_key": "u"});
    let created = job(&http, "a", &keyed).await;
    assert_eq!((created.status, &created.body["outcome"]), (201, &json!("created")));
    let existing = job(&http, "b", &keyed).await;
    assert_eq!((existing.status, &existing.body["outcome"]), (200, &json!("existing")));
    assert_eq!(existing.id(), created.id());
    for (key, first) in [("a", &created), ("b", &existing)] {
        let again = job(&http, key, &keyed).await;
        assert!(again.replayed, "{again:?}");
        assert_eq!(again.as_first(), *first);
    }
    let replace = json!({"payload": 2, "unique_key": "u", "on_conflict": "replace"});
    for (replayed, payload) in [(false, 2), (true, 3)] {
        let answer = job(&http, "c", &replace).await;
        assert_eq!((answer.status, &answer.body["outcome"]), (201, &json!("replaced")));
        assert_eq!(answer.replayed, replayed);
        let is = http.get_job(&created.id()).await.body["payload"].clone();
        assert_eq!(is, payload, "a replay replaces nothing");
        http.post("/jobs", &json!({"payload": 3, "unique_key": "u", "on_conflict": "replace"}))
            .await;
    }
}

/// The submission waits as one without the header does, and leaves its round.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_unique_key_keeps_nobody_else_waiting_and_is_no_answer_that_is_kept() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let (mut client, http) = (database.client().await, service.http());
    let open = client.transaction().await.unwrap();
    open.batch_execute("select reveille.submit(payload => '1', unique_key => 'u')").await.unwrap();
    let keyed = json!({"payload": 2, "unique_key": "u"});
    let others = async {
        for nth in 0..10 {
            let begun = std::time::Instant::now();
            assert_eq!(job(&http, &format!("o{nth}"), &noop(nth)).await.status, 201);
            assert!(begun.elapsed().as_millis() < 1500, "{:?}", begun.elapsed());
        }
    };
    let both = json!([noop(1), keyed]);
    let (busy, list, ()) =
        tokio::join!(job(&http, "k", &keyed), post(&http, "/jobs/batch", "k", &both), others);
    for reply in [busy, list] {
        assert_eq!((reply.status, &reply.body["code"]), (503, &json!("unique_key_busy")));
    }
    let held = job(&http, "k", &keyed);
    let (answer, ()) = tokio::join!(held, async { open.commit().await.unwrap() });
    assert_eq!((answer.status, &answer.body["outcome"]), (200, &json!("existing")), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_repeats_a_submission() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let submit = async |payload: &'static str| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_reveille"));
        command.args(["submit", "noop", "--quiet", "--idempotency-key", "k", "--payload", payload]);
        let output = command.env("REVEILLE_URL", service.url()).stdin(Stdio::null()).output().await;
        let output = output.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let first = submit("1").await;
    assert_eq!(first.0, Some(0), "{}", first.1);
    assert_eq!(submit("1").await, first);
    let (code, said) = submit("2").await;
    assert!(code != Some(0) && said.contains("Use a new key"), "{said}");
}
