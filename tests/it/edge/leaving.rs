//! Stopping: what is being answered is answered, the rest ends, and nothing holds the service for ever.

use std::time::{Duration, Instant};

use reveille::internals::api::edge::EdgeLimits;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::app::Service;
use super::client::{Client, PATIENCE};

const GATE: &str = "GET /gate HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn stop_finishes_what_has_begun() {
    let service = Service::start(EdgeLimits::default()).await;
    let mut idle = service.client().await;
    assert_eq!(idle.get("/items/2").await.status, 200);
    let mut slow = service.client().await;
    slow.send(GATE).await;
    service.gate.entered.notified().await;

    service.stop.cancel();
    let begun = Instant::now();
    assert_eq!(idle.closed().await, b"");
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "an idle connection took {:?}",
        begun.elapsed()
    );
    assert!(TcpStream::connect(service.address).await.is_err(), "still accepts");
    assert!(!service.ended.is_finished());

    service.gate.open.notify_one();
    let reply = slow.reply().await;
    assert_eq!(
        (reply.status, reply.headers.get("connection").map(String::as_str)),
        (200, Some("close"))
    );
    timeout(PATIENCE, service.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn while_it_is_leaving_all_is_answered_and_each_answer_ends_its_connection() {
    let service = Service::start(EdgeLimits::default()).await;
    let mut before = service.client().await;
    assert_eq!(before.get("/items/2").await.headers.get("connection"), None);
    service.leaving.cancel();
    for mut client in [before, service.client().await] {
        let reply = client.get("/items/2").await;
        assert_eq!((reply.status, &*reply.headers["connection"]), (200, "close"));
        assert_eq!(client.closed().await, b"");
    }
    assert!(!service.ended.is_finished());
}

#[tokio::test]
async fn force_drops_whatever_is_left() {
    let service = Service::start(EdgeLimits::default()).await;
    let mut half = service.client().await;
    half.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{").await;
    let mut slow = service.client().await;
    slow.send(GATE).await;
    service.gate.entered.notified().await;
    service.stop.cancel();
    assert!(timeout(Duration::from_millis(200), slow.more()).await.is_err());
    service.force.cancel();
    timeout(Duration::from_secs(1), service.ended).await.expect("ends at force").unwrap();
    assert_eq!((slow.closed().await, half.closed().await), (vec![], vec![]));
}

#[tokio::test]
async fn half_a_head_does_not_hold_a_stop() {
    let service = Service::start(EdgeLimits::default()).await;
    let mut half = service.client().await;
    assert_eq!(half.get("/items/2").await.status, 200);
    half.send("GET /gate HTT").await;
    let mut first = service.client().await;
    first.send("GE").await;
    let mut whole = service.client().await;
    assert_eq!(whole.get("/items/2").await.status, 200);
    service.stop.cancel();
    timeout(Duration::from_secs(3), service.ended).await.expect("ends by itself").unwrap();
}

/// An HTTP/2 client that knows what it needs to: the preface, and one request for `/`.
mod http2 {
    use super::*;

    const HEADERS: u8 = 1;
    const GOAWAY: u8 = 7;

    async fn begin(client: &mut Client) {
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        // GET (0x82), http (0x86), / (0x84), authority "a", as static entries of HPACK; ends headers and stream.
        let request = [0, 0, 6, HEADERS, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 1, b'a'];
        client
            .send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings, &request].concat())
            .await;
    }

    #[tokio::test]
    async fn is_spoken_and_left_with_a_goodbye() {
        let service = Service::start(EdgeLimits::default()).await;
        let mut client = service.client().await;
        begin(&mut client).await;
        let answered = async {
            while !frames(client.peek()).contains(&HEADERS) {
                assert_ne!(client.more().await, 0);
            }
        };
        timeout(PATIENCE, answered).await.unwrap();
        service.stop.cancel();
        assert!(frames(&client.closed().await).contains(&GOAWAY));
        timeout(PATIENCE, service.ended).await.unwrap().unwrap();
    }

    /// The types of the frames that are there as a whole.
    fn frames(mut bytes: &[u8]) -> Vec<u8> {
        let mut types = Vec::new();
        while let [a, b, c, kind, ..] = *bytes {
            let Some(rest) = bytes.get(9 + u32::from_be_bytes([0, a, b, c]) as usize..) else {
                break;
            };
            types.push(kind);
            bytes = rest;
        }
        types
    }
}
