//! A body without end: it is refused as it streams in, and costs the service no memory.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::nothing_was_kept_and_it_goes_on;
use crate::harness::{self, Service, within};

const MIB: usize = 1 << 20;
const SOON: Duration = Duration::from_secs(30);

/// Sends 300 MiB in chunks for as long as somebody takes them, and answers what came back.
async fn flood(service: &Service, path: &str) -> String {
    let address = service.url().trim_start_matches("http://");
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    write.write_all(head.as_bytes()).await.unwrap();
    let sending = tokio::spawn(async move {
        let chunk =
            [format!("{MIB:x}\r\n").into_bytes(), vec![b' '; MIB], b"\r\n".to_vec()].concat();
        for _ in 0..300 {
            // The service may have hung up, which is its right.
            if write.write_all(&chunk).await.is_err() {
                return;
            }
        }
        let _ = write.write_all(b"0\r\n\r\n").await;
    });
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("\"body_too_large\"") {
        let mut piece = [0; 4096];
        match within("the refusal", SOON, read.read(&mut piece)).await {
            Ok(length @ 1..) => answer.extend_from_slice(&piece[..length]),
            _ => break,
        }
    }
    sending.abort();
    String::from_utf8_lossy(&answer).into_owned()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_300_mib_costs_no_memory() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    // Each path may hold what it may read, and no more.
    for (path, limit) in [("/jobs", 6 * MIB), ("/jobs/batch", 32 * MIB)] {
        let before = service.most_memory();
        let answer = flood(&service, path).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        assert!(head.starts_with("HTTP/1.1 413"), "{path}: {answer}");
        assert!(head.contains("application/problem+json"), "{path}: {head}");
        assert!(body.contains("Send less"), "{path}: {body}");
        let grown = service.most_memory().saturating_sub(before);
        eprintln!("{path}: {grown}");
        assert!(grown < limit + 16 * MIB, "{path}: the service grew by {grown} bytes");
    }
    nothing_was_kept_and_it_goes_on(&database, &service).await;
}
