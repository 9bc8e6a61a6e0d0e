//! Clients that take their time, and too many of them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reveille::internals::api::edge::{Accept, EdgeLimits};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{interval, timeout};

use super::app::{Service, quick};
use super::client::PATIENCE;
use crate::harness::eventually;

/// Sends `start`, then drips `drop` for ever, and checks that the connection is closed no sooner than at the deadline.
async fn is_closed(start: &[u8], drip: Option<u8>) {
    let service = Service::start(quick()).await;
    let mut client = service.client().await;
    let begun = Instant::now();
    client.send(start).await;
    if let Some(drip) = drip {
        let mut often = interval(Duration::from_millis(20));
        let dripping = async {
            while client.stream.write_all(&[drip]).await.is_ok() {
                often.tick().await;
            }
        };
        timeout(PATIENCE, dripping).await.expect("closed in time");
    } else {
        assert_eq!(client.closed().await, b"");
    }
    assert!(begun.elapsed() >= quick().head, "closed after {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_silent_socket_is_closed() {
    is_closed(b"", None).await;
}

#[tokio::test]
async fn half_a_head_is_closed() {
    is_closed(b"GET /items/2 HTTP/1.1\r\nHost: a\r\nX-Half", None).await;
}

#[tokio::test]
async fn a_dripped_head_is_closed() {
    is_closed(b"GET /items/2 HTTP/1.1\r\nX-Drip: ", Some(b'a')).await;
}

#[tokio::test]
async fn half_an_http2_preface_is_closed() {
    is_closed(b"PRI * HTTP/2.0\r\n", None).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let service = Service::start(quick()).await;
    let mut client = service.client().await;
    assert_eq!(client.get("/items/2").await.status, 200);
    let begun = Instant::now();
    assert_eq!(client.closed().await, b"");
    assert!(begun.elapsed() >= quick().idle / 2);
}

#[tokio::test]
async fn a_half_head_on_a_used_connection_is_closed_by_its_own_deadline() {
    let service = Service::start(EdgeLimits { idle: Duration::from_secs(600), ..quick() }).await;
    let mut client = service.client().await;
    assert_eq!(client.get("/items/2").await.status, 200);
    client.send("GET /ite").await;
    assert_eq!(client.closed().await, b"");
}

#[tokio::test]
async fn a_slow_body_gets_408() {
    let service = Service::start(quick()).await;
    let mut client = service.client().await;
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{\"pay";
    let reply = client.ask(head).await;
    assert_eq!(reply.problem(408), "request_timeout");
    assert_eq!(client.closed().await, b"");
}

#[tokio::test]
async fn a_request_that_is_being_answered_has_no_deadline() {
    let service = Service::start(quick()).await;
    let mut client = service.client().await;
    client.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n").await;
    service.gate.entered.notified().await;
    let mut silent = service.client().await;
    // Twice the time in which a connection that does nothing is closed.
    silent.closed().await;
    service.client().await.closed().await;
    service.gate.open.notify_one();
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn who_does_not_take_the_answer_is_dropped() {
    let patient = Duration::from_secs(600);
    let limits = EdgeLimits { connections: 1, idle: patient, ..quick() };
    let service = Service::start(limits).await;
    let mut client = service.client().await;
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // There is room for one connection only, so another is served when this one has been dropped.
    eventually("another one is served", PATIENCE, async || {
        service.client().await.get("/items/2").await.status == 200
    })
    .await;
    drop(client);
}

/// Fails like a listener in a process that has no file descriptors left, so often.
struct Exhausted {
    listener: TcpListener,
    failures: usize,
    calls: Arc<AtomicUsize>,
}

impl Accept for Exhausted {
    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        if self.calls.fetch_add(1, Ordering::SeqCst) < self.failures {
            return Err(io::Error::from_raw_os_error(24));
        }
        self.listener.accept().await
    }
}

#[tokio::test]
async fn backs_off_when_file_descriptors_run_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let exhausted = Exhausted { listener, failures: 5, calls: calls.clone() };
    let service = Service::start_with(exhausted, address, EdgeLimits::default(), Vec::new());
    assert_eq!(service.client().await.get("/items/2").await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(500), "recovered after {:?}", begun.elapsed());
    assert!(calls.load(Ordering::SeqCst) <= 7);
}
