//! More connections than are served: probes are answered, others refused, and nobody holds a place for probes.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reveille::internals::api::edge::{EdgeLimits, PROBES};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::app::{Service, quick};
use super::client::{Client, PATIENCE};

const LAST: &str = "GET /items/2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const GATE: &str = "GET /gate HTTP/1.1\r\nHost: a\r\n\r\n";

/// A service whose one connection is taken by a request that is being answered.
async fn full(limits: EdgeLimits) -> (Service, Client) {
    let service = Service::start(EdgeLimits { connections: 1, ..limits }).await;
    let mut first = service.client().await;
    first.send(GATE).await;
    service.gate.entered.notified().await;
    (service, first)
}

#[tokio::test]
async fn a_probe_is_answered_when_all_connections_are_in_use_and_others_are_refused() {
    let (service, mut first) = full(EdgeLimits::default()).await;
    for _ in 0..2 * PROBES {
        let mut probe = service.client().await;
        let reply = probe.get("/livez").await;
        // It got as far as the routes, of which this small service has none for probes.
        assert_eq!(reply.problem(404), "path_not_found");
        assert_eq!(reply.headers["connection"], "close");
        assert_eq!(probe.closed().await, b"");
        let mut other = service.client().await;
        let reply = other.post("/echo", r#"{"payload":1}"#).await;
        assert_eq!(reply.problem(503), "too_many_connections");
        assert_eq!((&*reply.headers["connection"], &*reply.headers["retry-after"]), ("close", "1"));
        assert_eq!(other.closed().await, b"");
    }
    service.gate.open.notify_one();
    assert_eq!(first.reply().await.status, 200);
}

#[tokio::test]
async fn a_place_that_came_free_is_taken_by_who_is_there_already() {
    let (service, mut first) = full(EdgeLimits::default()).await;
    let mut second = service.client().await;
    second.send("GET /items/2 HTTP/1.1\r\n").await;
    // It is in, and so the service waits for the next connection already.
    assert_eq!(service.client().await.get("/items/2").await.problem(503), "too_many_connections");
    first.send(LAST).await;
    service.gate.open.notify_one();
    assert_eq!((first.reply().await.status, first.reply().await.status), (200, 200));
    assert_eq!(first.closed().await, b"");
    second.send("Host: a\r\n\r\n").await;
    assert_eq!(second.reply().await.status, 200);
    // It is a connection as any other now.
    assert_eq!(second.get("/items/2").await.status, 200);
}

#[tokio::test]
async fn callers_who_come_one_after_the_other_need_one_place() {
    let service = Service::start(EdgeLimits { connections: 1, ..EdgeLimits::default() }).await;
    for nth in 0..6 {
        let mut client = service.client().await;
        assert_eq!(client.ask(LAST).await.status, 200, "{nth}");
        assert_eq!(client.closed().await, b"");
    }
}

#[tokio::test]
async fn a_connection_of_http2_does_not_hold_the_place_of_a_probe() {
    let (service, first) = full(EdgeLimits::default()).await;
    let stream = TcpStream::connect(service.address).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    // It asks again as soon as it is answered, and so is never idle.
    let asking = async {
        let mut statuses = Vec::new();
        loop {
            let request = http::Request::get("http://a/livez").body(Empty::<Bytes>::new()).unwrap();
            let Ok(()) = sender.ready().await else { return statuses };
            let Ok(answer) = sender.send_request(request).await else { return statuses };
            statuses.push(answer.status().as_u16());
        }
    };
    let statuses = timeout(PATIENCE, asking).await.expect("the connection ends");
    // It got as far as the routes, of which this small service has none for probes.
    assert_eq!(statuses.first(), Some(&404));
    timeout(PATIENCE, connection).await.expect("the connection ends").unwrap().unwrap();
    drop(first);
}

#[tokio::test]
async fn connections_of_http2_have_no_more_requests_together_than_there_may_be_connections() {
    let service = Service::start(EdgeLimits { connections: 2, ..EdgeLimits::default() }).await;
    let mut senders = Vec::new();
    for _ in 0..2 {
        let io = TokioIo::new(TcpStream::connect(service.address).await.unwrap());
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        senders.push(sender);
    }
    let ask = |nth: usize, path: &str| {
        let uri = format!("http://a{path}");
        let request = http::Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
        let answer = senders[nth].clone().send_request(request);
        async move { timeout(PATIENCE, answer).await.expect("an answer").unwrap().status().as_u16() }
    };
    // One of each connection, and two beside them.
    let mut held = Vec::new();
    for nth in [0, 0, 1, 1] {
        held.push(tokio::spawn(ask(nth, "/gate")));
        service.gate.entered.notified().await;
    }
    assert_eq!((ask(0, "/items/2").await, ask(1, "/items/2").await), (503, 503));
    // It got as far as the routes, of which this small service has none for probes.
    assert_eq!(ask(1, "/livez").await, 404);
    let opening = async {
        loop {
            service.gate.open.notify_waiters();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        statuses = join_all(held) => assert!(statuses.into_iter().all(|it| it.unwrap() == 200)),
        () = opening => {}
    }
    assert_eq!((ask(0, "/items/2").await, ask(1, "/items/2").await), (200, 200));
}

#[tokio::test]
async fn silent_connections_do_not_hold_the_places_of_probes() {
    let (service, first) = full(EdgeLimits { idle: Duration::from_secs(60), ..quick() }).await;
    let mut silent = Vec::new();
    for nth in 0..PROBES {
        let mut client = service.client().await;
        client.send(if nth % 2 == 0 { "" } else { "GET /livez HTTP/1.1\r\nHost" }).await;
        silent.push(client);
    }
    let begun = Instant::now();
    assert_eq!(service.client().await.get("/livez").await.status, 404);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    for mut client in silent {
        assert_eq!(client.closed().await, b"");
    }
    drop(first);
}

#[tokio::test]
async fn a_body_that_is_dripped_does_not_hold_the_place_of_a_probe() {
    let (service, first) = full(EdgeLimits::default()).await;
    let mut client = service.client().await;
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    assert_eq!(client.ask(head).await.problem(503), "too_many_connections");
    let closed = timeout(Duration::from_secs(4), client.closed()).await;
    assert_eq!(closed.expect("the connection is closed"), b"");
    drop(first);
}
