//! Bodies that are too large, or wrong.

use std::sync::Mutex;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::app::Service;
use super::client::PATIENCE;
use crate::harness::eventually;
use reveille::internals::api::edge::EdgeLimits;

const CHUNKED: &str = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn a_huge_chunked_body_gets_413_and_is_not_read() {
    let service = Service::start(EdgeLimits::default()).await;
    let mut client = service.client().await;
    client.send(CHUNKED).await;
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    let mut sent = 0;
    let sending = async {
        while sent < 300 && client.stream.write_all(&chunk).await.is_ok() {
            sent += 1;
        }
    };
    timeout(PATIENCE, sending).await.expect("the service stops reading");
    // What lingers after the answer and what the kernel buffers, but not the body.
    assert!(sent < 64, "{sent} MiB were taken");
    assert_eq!(client.reply().await.problem(413), "body_too_large");
}

#[tokio::test]
async fn a_client_that_reads_late_still_sees_the_413() {
    let service = Service::start(EdgeLimits::default()).await;
    let mut client = service.client().await;
    let reply = client.post("/echo", vec![b' '; 4 << 20]).await;
    assert_eq!(reply.problem(413), "body_too_large");
    let mut client = service.client().await;
    let body = format!("{CHUNKED}400000\r\n{}\r\n0\r\n\r\n", " ".repeat(4 << 20));
    assert_eq!(client.ask(body).await.problem(413), "body_too_large");
}

#[tokio::test]
async fn a_declared_length_over_the_limit_gets_413_at_once() {
    let service = Service::start(EdgeLimits::default()).await;
    let mut client = service.client().await;
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 314572800\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(client.ask(head).await.problem(413), "body_too_large");
}

#[tokio::test]
async fn takes_bodies_up_to_their_limit_in_both_framings() {
    let service = Service::start(EdgeLimits::default()).await;
    let mut client = service.client().await;
    let reply =
        client.ask(format!("{CHUNKED}a\r\n{{\"payload\"\r\n6\r\n:1.10}}\r\n0\r\n\r\n")).await;
    assert_eq!(
        (reply.status, &*String::from_utf8_lossy(&reply.body)),
        (200, r#"{"payload":1.10}"#)
    );
    let full = format!("{{\"payload\":\"{}\"}}", "x".repeat((1 << 20) - 14));
    assert_eq!(full.len(), 1 << 20);
    assert_eq!(client.post("/echo", &full).await.status, 200);
    assert_eq!(client.post("/echo", full + " ").await.status, 413);
    let mut client = service.client().await;
    let batch =
        format!("[{}{{\"payload\":1}}]", "{\"payload\":\"a job of a batch\"},".repeat(100_000));
    assert_eq!(client.post("/batch", batch).await.json()["count"], 100_001);
}

#[tokio::test]
async fn large_bodies_wait_for_room_and_no_others_do() {
    const MIB: usize = 1 << 20;
    let body = Duration::from_secs(8);
    let service = Service::start(EdgeLimits { bodies: MIB, body, ..EdgeLimits::default() }).await;
    let large = format!("[{}]", " ".repeat(MIB - 2));
    // All that is not there yet is the bracket at the end.
    let mut first = service.client().await;
    let head = format!(
        "POST /batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {MIB}\r\n\r\n"
    );
    first.send(head + &large[..MIB - 1]).await;
    let refused = Mutex::new(None);
    eventually("the first has its room", Duration::from_secs(9), async || {
        let mut second = service.client().await;
        let (answer, ()) = tokio::join!(second.post("/batch", &large), async {
            let mut client = service.client().await;
            for length in [10, 200_000] {
                let payload = format!(r#"{{"payload":"{}"}}"#, "x".repeat(length));
                assert_eq!(client.post("/echo", payload).await.status, 200);
            }
        });
        let full = answer.status != 200;
        *refused.lock().unwrap() = Some(answer);
        full
    })
    .await;
    let refused = refused.into_inner().unwrap().unwrap();
    assert_eq!(refused.problem(503), "too_many_bodies");
    assert_eq!(refused.headers["retry-after"], "1");
    drop(first);
    // The first has hung up, and left its room to who comes now.
    assert_eq!(service.client().await.post("/batch", &large).await.status, 200);
}

/// The room is taken for all that was declared, of which little comes.
#[tokio::test]
async fn a_large_body_that_stands_still_leaves_its_room_to_others() {
    const MIB: usize = 1 << 20;
    let limits = EdgeLimits { bodies: 8 * MIB, body: PATIENCE, ..EdgeLimits::default() };
    let service = Service::start(limits).await;
    let mut first = service.client().await;
    let head = format!(
        "POST /batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        8 * MIB
    );
    first.send(head + &" ".repeat(600 << 10)).await;
    let large = format!("[{}]", " ".repeat(MIB - 2));
    let mut second = service.client().await;
    let (refused, answer) = tokio::join!(first.reply(), second.post("/batch", &large));
    assert_eq!(refused.problem(408), "request_timeout");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

#[tokio::test]
async fn large_answers_that_nobody_takes_have_bounded_room_and_hold_up_no_others() {
    const MIB: usize = 1 << 20;
    let service = Service::start(EdgeLimits { bodies: 40 * MIB, ..EdgeLimits::default() }).await;
    // Each has 16 MiB, of which the kernel keeps a part. A third has no room.
    let (mut slow, mut gone) = (service.client().await, service.client().await);
    for client in [&mut slow, &mut gone] {
        client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.stream.readable().await.unwrap();
    }
    let mut another = service.client().await;
    let refused = another.get("/large").await;
    assert_eq!(refused.problem(503), "too_many_bodies");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(another.get("/items/2").await.status, 200);
    let large = format!(r#"{{"payload":"{}"}}"#, "x".repeat(100_000));
    assert_eq!(another.post("/echo", large).await.status, 200, "no read");
    drop(gone);
    eventually("its room is free", PATIENCE, async || {
        service.client().await.get("/large").await.status == 200
    })
    .await;
    let whole = slow.reply().await;
    assert_eq!((whole.status, whole.body.len()), (200, 16 * MIB + 2));
}

#[tokio::test]
async fn keeps_json_as_it_was_written() {
    let service = Service::start(EdgeLimits::default()).await;
    let body = r#"{"payload":{"b":123456789012345678901234567890,"a":[1.10,1e2,"🎉\ud83c\udf89"],"a":-0}}"#;
    let reply = service.client().await.post("/echo", body).await;
    assert_eq!(String::from_utf8_lossy(&reply.body), body);
}

#[tokio::test]
async fn bad_bodies_get_4xx_that_say_where() {
    let deep =
        |n: usize| format!("{{\"payload\":{}{}}}", "[".repeat(n), "]".repeat(n)).into_bytes();
    let utf16: Vec<u8> = "{\"payload\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: Vec<(Vec<u8>, u16, &str, &str)> = vec![
        (b"".into(), 400, "empty_body", ""),
        (b" \n".into(), 400, "empty_body", ""),
        (b"\xEF\xBB\xBF{\"payload\":1}".into(), 400, "byte_order_mark", ""),
        ([b"\xFF\xFE", &utf16[..]].concat(), 400, "invalid_utf8", ""),
        (utf16, 400, "invalid_json", ""),
        (b"{\"payload\":\"\xFF\"}".into(), 400, "invalid_utf8", "/payload"),
        (b"{\"payload\":1} 2".into(), 400, "trailing_data", ""),
        (b"{\"payload\":[1,}".into(), 400, "invalid_json", "/payload/1"),
        (deep(65), 422, "too_deep", "/0/0/0/0"),
        (deep(100_000), 422, "too_deep", ""),
        (br#"{"payload":{"a":"\u0000"}}"#.into(), 422, "nul_character", "/payload/a"),
        (br#"{"payload":"\ud800"}"#.into(), 422, "lone_surrogate", "/payload"),
        (b"{\"payload\":1e400000}".into(), 422, "number_out_of_range", "/payload"),
        (b"{\"payload\":1,\"priorty\":1}".into(), 422, "unknown_field", "/priorty"),
        (b"{\"payload\":1,\"priority\":\"1\"}".into(), 422, "wrong_type", "/priority"),
        (b"{\"priority\":1}".into(), 422, "required", "/payload"),
        (b"[1]".into(), 422, "wrong_type", ""),
        (b"\"x\"".into(), 422, "wrong_type", ""),
    ];
    let service = Service::start(EdgeLimits::default()).await;
    let mut client = service.client().await;
    for (body, status, code, pointer) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let reply = client.post("/echo", &body).await;
        let found = reply.problem(status);
        let problem = reply.json();
        assert_eq!(found, if status == 422 { "validation_failed" } else { code }, "{shown}");
        if code != "empty_body" {
            assert_eq!(problem["errors"][0]["code"], code, "{shown}");
            assert!(
                problem["errors"][0]["pointer"].as_str().unwrap().ends_with(pointer),
                "{shown}: {problem}"
            );
        }
    }
    assert_eq!(client.post("/echo", deep(64)).await.status, 200);
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let service = Service::start(EdgeLimits::default()).await;
    let mut client = service.client().await;
    let reply = client.post("/batch", r#"[{"payload":1},{"priority":true,"paylod":1}]"#).await;
    reply.problem(422);
    let pointers: Vec<_> = reply.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].to_string())
        .collect();
    assert_eq!(pointers, [r#""/1/payload""#, r#""/1/priority""#, r#""/1/paylod""#]);
}

#[tokio::test]
async fn reads_ndjson_where_it_is_expected() {
    let service = Service::start(EdgeLimits::default()).await;
    let mut client = service.client().await;
    let lines = "{\"payload\":1}\r\n\n{\"payload\":2}\n";
    assert_eq!(client.post_as("/batch", "application/x-ndjson", lines).await.json()["count"], 2);
    let reply =
        client.post_as("/batch", "application/x-ndjson", "{\"payload\":1}\n{\"payload\":\n").await;
    assert_eq!(reply.problem(400), "invalid_json");
    assert_eq!(reply.json()["errors"][0]["pointer"], "/1/payload");
    assert_eq!(
        client.post_as("/echo", "application/x-ndjson", lines).await.problem(415),
        "unsupported_media_type"
    );
}

#[tokio::test]
async fn other_content_types_get_415() {
    let service = Service::start(EdgeLimits::default()).await;
    let mut client = service.client().await;
    let ok = r#"{"payload":1}"#;
    for good in
        ["application/json; charset=UTF-8", "application/merge-patch+json", "Application/JSON"]
    {
        assert_eq!(client.post_as("/echo", good, ok).await.status, 200, "{good}");
    }
    for bad in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "json",
    ] {
        assert_eq!(
            client.post_as("/echo", bad, ok).await.problem(415),
            "unsupported_media_type",
            "{bad}"
        );
    }
    let compressed = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(client.ask(compressed).await.problem(415), "unsupported_media_type");
    let mut client = service.client().await;
    let none = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(client.ask(none).await.problem(415), "unsupported_media_type");
}

/// The client writes all of its body before it reads, as many do.
#[tokio::test]
async fn an_answer_that_is_given_before_the_body_was_read_arrives() {
    let open = Service::start(EdgeLimits::default()).await;
    let guarded = Service::start_guarded().await;
    let body = vec![b' '; 3 << 20];
    let json = "application/json";
    for (service, path, kind, status) in [
        (&guarded, "/echo", json, 401),
        (&open, "/nowhere", json, 404),
        (&open, "/items/2", json, 405),
        (&open, "/echo", "text/plain", 415),
        (&open, "/echo", json, 413),
    ] {
        for nth in 0..40 {
            let mut client = service.client().await;
            assert_eq!(client.post_as(path, kind, &body).await.status, status, "{path}, {nth}");
            // What is left of the body is out of the way of the next request.
            assert_ne!(client.get("/nowhere").await.status, 200);
        }
    }
    // The largest body that any call takes.
    let batch = vec![b' '; 32 << 20];
    let mut client = guarded.client().await;
    assert_eq!(client.post("/batch", batch).await.problem(401), "unauthorized");
}
