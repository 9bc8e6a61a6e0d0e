//! Answers that are lost between COMMIT and the caller.

use std::net::SocketAddr;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{jobs, kept, noop, until_answered};
use crate::harness::look::{assert_one_place, value};
use crate::harness::{self, Service, eventually, scaled};

/// Callers at a time.
const AT_A_TIME: usize = 100;

fn key(nth: usize) -> String {
    format!("k{nth}")
}

fn body(nth: usize) -> Value {
    match nth % 3 {
        0 => json!({"task": "noop", "payload": nth, "unique_key": format!("u{nth}")}),
        _ => noop(nth),
    }
}

/// Sends a job and reads nothing. The connection is reset when this is dropped.
async fn send_unread(address: SocketAddr, key: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_zero_linger().unwrap();
    let head = format!(
        "POST /jobs HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Each caller is cut off after its COMMIT, or at any moment before, and asks the other instance.
#[tokio::test(flavor = "multi_thread")]
async fn life_5c4_a_hundred_whose_answer_was_lost_and_who_ask_elsewhere_have_a_hundred_jobs() {
    let many = scaled(100, 10_000);
    for seed in harness::seeds(3, 3) {
        let database = harness::database().await;
        let (first, other) =
            tokio::join!(Service::start(database.url()), Service::start(database.url()));
        let address: SocketAddr = first.url().trim_start_matches("http://").parse().unwrap();
        let (client, http) = (database.client().await, other.http());
        let written = "select count(*) from reveille.idempotency where key = any ($1)";
        let written = client.prepare(written).await.unwrap();
        let mut dice = StdRng::seed_from_u64(seed);
        let mut ids = Vec::new();
        for from in (0..many).step_by(AT_A_TIME) {
            let wave: Vec<usize> = (from..many.min(from + AT_A_TIME)).collect();
            // Some are cut off earlier, each after so many turns of this process.
            let early: Vec<Option<u32>> = wave
                .iter()
                .map(|_| dice.random_bool(0.3).then(|| dice.random_range(0..20)))
                .collect();
            let sent = wave.iter().zip(&early).map(async |(&nth, early)| {
                let stream = send_unread(address, &key(nth), &body(nth).to_string()).await;
                for _ in 0..early.unwrap_or_default() {
                    tokio::task::yield_now().await;
                }
                early.is_none().then_some((key(nth), stream))
            });
            let sent: Vec<_> = join_all(sent).await.into_iter().flatten().collect();
            let (keys, streams): (Vec<String>, Vec<TcpStream>) = sent.into_iter().unzip();
            eventually("they are committed", super::SOON, async || {
                let row = client.query_one(&written, &[&keys]).await.unwrap();
                row.get::<_, i64>(0) == keys.len() as i64
            })
            .await;
            drop(streams);
            let again =
                wave.iter().map(async |&nth| until_answered(&http, &key(nth), &body(nth)).await);
            for (nth, reply) in wave.iter().zip(join_all(again).await) {
                let is = (reply.status, &reply.body["outcome"]);
                assert_eq!(is, (201, &json!("created")), "seed {seed}, {nth}");
                ids.push(reply.id());
            }
        }
        ids.sort_unstable();
        ids.dedup();
        let all = i64::try_from(many).unwrap();
        assert_eq!((ids.len(), jobs(&client).await), (many, all), "seed {seed}");
        let payloads = "select count(distinct payload) from reveille.job";
        assert_eq!(value::<i64>(&client, payloads).await, all);
        assert_eq!(kept(&client).await, all);
        assert_one_place(&client).await;
    }
}

/// The service itself does not know whether it was kept: its connection to the database was cut.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_commit_was_not_confirmed_finds_its_own_answer() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let service =
        Service::on(proxy.url()).env("REVEILLE_LISTEN_DATABASE_URL", database.url()).start().await;
    let (client, http) = (database.client().await, service.http());
    let forms = [
        ("/jobs", noop(1)),
        ("/jobs", json!({"payload": 2, "unique_key": "u", "on_conflict": "reject"})),
        ("/jobs/batch", json!([noop(3), noop(4)])),
    ];
    for (nth, (path, body)) in forms.iter().enumerate() {
        let key = format!("k{nth}");
        proxy.lose_answer_to("submit_once");
        let answer = super::post(&http, path, &key, body).await;
        proxy.lost(nth + 1).await;
        assert_eq!((answer.status, answer.replayed), (201, false), "{answer:?}");
        let again = super::post(&http, path, &key, body).await;
        assert!(again.replayed, "{again:?}");
        assert_eq!(again.as_first(), answer);
    }
    assert_eq!((jobs(&client).await, kept(&client).await), (4, 3));
    assert_one_place(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_5c7_a_process_that_is_killed_in_mid_request_leaves_no_key_behind() {
    let database = harness::database().await;
    let client = database.client().await;
    let other = Service::start(database.url()).await;
    for (round, seed) in (0_i64..).zip(harness::seeds(4, 20)) {
        let mut victim = Service::start(database.url()).await;
        let http = victim.http();
        let mut dice = StdRng::seed_from_u64(seed);
        let sending: Vec<_> = (0..20)
            .map(|nth| {
                let http = http.clone();
                let request =
                    super::request(&http, "/jobs", &format!("{seed}-{nth}"), noop(nth).to_string());
                tokio::spawn(super::sent(request))
            })
            .collect();
        let before = round * 20;
        let some = before + dice.random_range(0..20);
        eventually("some are written", super::SOON, async || jobs(&client).await >= some).await;
        victim.kill9().await;
        for answer in sending {
            let _ = answer.await.unwrap();
        }
        let again = (0..20).map(|nth| {
            let (http, key) = (other.http(), format!("{seed}-{nth}"));
            async move { until_answered(&http, &key, &noop(nth)).await }
        });
        for reply in join_all(again).await {
            assert_eq!(reply.status, 201, "{reply:?}");
        }
        assert_eq!(jobs(&client).await, before + 20, "seed {seed}");
    }
    assert_one_place(&client).await;
}
