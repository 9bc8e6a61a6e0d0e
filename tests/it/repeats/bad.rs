//! Keys that are none.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{job, jobs, kept, noop};
use crate::harness::{self, Service};

/// Sends a job with these lines in its head, as they are.
async fn raw(address: SocketAddr, lines: &[u8]) -> (String, Value) {
    let body = br#"{"payload": 1}"#;
    let head = format!(
        "POST /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[head.as_bytes(), lines, b"\r\n", body].concat()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn life_5c6_a_key_that_breaks_its_rule_is_refused_with_advice_and_quotes_are_none() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let (client, http) = (database.client().await, service.http());
    let address: SocketAddr = service.url().trim_start_matches("http://").parse().unwrap();
    let long = "k".repeat(256);
    let refused: [&[u8]; 9] = [
        b"Idempotency-Key: \r\n",
        b"Idempotency-Key: \"\"\r\n",
        &[b"Idempotency-Key: ", long.as_bytes(), b"\r\n"].concat(),
        b"Idempotency-Key: a\tb\r\n",
        b"Idempotency-Key: \xc3\xa9\r\n",
        b"Idempotency-Key: \"a\r\n",
        b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n",
        b"Idempotency-Key: a\r\nidempotency-key: a\r\n",
        b"Idempotency-Key: a\r\nIdempotency-Key: \xff\r\n",
    ];
    for lines in refused {
        let (head, problem) = raw(address, lines).await;
        let text = String::from_utf8_lossy(lines);
        assert!(head.starts_with("HTTP/1.1 400 "), "{text}: {head}");
        assert!(head.contains("application/problem+json"), "{text}: {head}");
        assert_eq!(problem["code"], "invalid_idempotency_key", "{text}: {problem}");
        assert_eq!(problem["errors"][0]["parameter"], "Idempotency-Key", "{text}");
        assert!(problem["detail"].as_str().unwrap().contains("such as a UUID"), "{problem}");
    }
    // Hyper refuses what no header may have.
    for control in [0x01, 0x00, 0x7f] {
        let lines = [b"Idempotency-Key: a", &[control][..], b"b\r\n"].concat();
        assert!(raw(address, &lines).await.0.starts_with("HTTP/1.1 400"), "{control}");
    }
    assert_eq!((jobs(&client).await, kept(&client).await), (0, 0));

    let first = job(&http, "abc", &noop(1)).await;
    let quoted = job(&http, "\"abc\"", &noop(1)).await;
    assert!(first.status == 201 && quoted.replayed && quoted.id() == first.id());
    let longest = "k".repeat(255);
    assert_eq!(job(&http, &longest, &noop(1)).await.status, 201);
    assert_eq!(job(&http, &format!("\"{longest}\""), &noop(1)).await.status, 201);
    assert_eq!(kept(&client).await, 2);
}
