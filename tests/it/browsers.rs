//! Web pages of strangers, as a browser sends their requests: by a name that leads here, and from another origin.

use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::look::value;
use crate::harness::service::ServiceBuilder;
use crate::harness::{self, Service, TestDatabase, within};

const SOON: Duration = Duration::from_secs(10);
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn without_workers(database: &TestDatabase) -> ServiceBuilder {
    Service::on(database.url()).env("REVEILLE_WORKERS", "0")
}

fn address(service: &Service) -> String {
    service.url().trim_start_matches("http://").replace("0.0.0.0", "127.0.0.1")
}

/// Sends these lines as a request, without a body, and gives the status and the rest of the answer.
async fn send(service: &Service, lines: &[&str]) -> (u16, String) {
    let text = lines.join("\r\n");
    let request = format!("{text}\r\nConnection: close\r\n\r\n");
    let asked = async {
        let mut stream = TcpStream::connect(address(service)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = within(&format!("an answer to {text:?}"), SOON, asked).await;
    let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
    (status.unwrap_or_else(|| panic!("{text:?}: {answer}")), answer)
}

async fn get(service: &Service, path: &str, host: &str) -> (u16, String) {
    send(service, &[&format!("GET {path} HTTP/1.1"), &format!("Host: {host}")]).await
}

/// Pauses a queue with these headers beside the right Host.
async fn pause(service: &Service, queue: &str, headers: &[&str]) -> u16 {
    let start = format!("POST /queues/{queue}/pause HTTP/1.1");
    let host = format!("Host: {}", address(service));
    let lines: Vec<&str> = [start.as_str(), &host, "Content-Length: 0"]
        .into_iter()
        .chain(headers.iter().copied())
        .collect();
    send(service, &lines).await.0
}

/// The status of a GET over HTTP/2 with this `:authority`.
async fn get_by_http2(service: &Service, authority: &str) -> u16 {
    let stream = TcpStream::connect(address(service)).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let uri = format!("http://{authority}/jobs");
    let request = http::Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
    let answer = within("an answer", SOON, sender.send_request(request)).await;
    answer.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_name_leads_here_reads_nothing_where_there_is_no_token() {
    let database = harness::database().await;
    let service = without_workers(&database).start().await;
    let here = address(&service);
    let port = here.rsplit(':').next().unwrap();
    for path in ["/jobs?include=payload", "/queues", "/tasks", "/docs", "/openapi.json", "/nowhere"]
    {
        let (status, answer) = get(&service, path, &format!("evil.example:{port}")).await;
        assert!(status == 421 && answer.contains("\"host_not_allowed\""), "{path}: {answer}");
        assert!(answer.contains("allowed_hosts") && answer.contains("evil.example"), "{answer}");
    }
    for name in [&here, "localhost", "app.localhost:8000", "[::1]:8000", "192.168.7.7"] {
        assert_eq!(get(&service, "/jobs", name).await.0, 200, "{name}");
    }
    for path in ["/livez", "/readyz", "/health", "/metrics"] {
        assert_eq!(get(&service, path, "reveille.prod.svc:80").await.0, 200, "{path}");
    }
    // A name in the target counts like the one in the header.
    let whole = ["GET http://evil.example/jobs HTTP/1.1", "Host: localhost"];
    assert_eq!(send(&service, &whole).await.0, 421);
    assert_eq!(send(&service, &["GET /jobs HTTP/1.0"]).await.0, 200);
    assert_eq!(send(&service, &["GET /jobs HTTP/1.0", "Host: evil.example"]).await.0, 421);
    assert_eq!(get_by_http2(&service, "localhost").await, 200);
    assert_eq!(get_by_http2(&service, "evil.example").await, 421);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_changes_nothing_with_or_without_a_token() {
    let database = harness::database().await;
    let client = database.client().await;
    let bearer = format!("Authorization: Bearer {TOKEN}");
    for tokens in ["", TOKEN] {
        let service = without_workers(&database).env("REVEILLE_AUTH_TOKENS", tokens).start().await;
        let own = format!("Origin: http://{}", address(&service));
        let foreign: [&[&str]; 7] = [
            &["Sec-Fetch-Site: cross-site", "Origin: http://evil.example"],
            &["Sec-Fetch-Site: same-site", &own],
            &["Sec-Fetch-Site: cross-site"],
            &["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"],
            &["Origin: http://evil.example"],
            &["Origin: http://127.0.0.1:1"],
            &["Origin: null"],
        ];
        for headers in foreign {
            let headers: Vec<&str> = headers.iter().copied().chain([bearer.as_str()]).collect();
            assert_eq!(pause(&service, "mail", &headers).await, 403, "{headers:?}");
        }
        let paused = "select count(*) from reveille.queue where paused_at is not null";
        assert_eq!(value::<i64>(&client, paused).await, 0);
        for (method, path) in [
            ("POST", "/jobs"),
            ("POST", "/jobs/batch"),
            ("POST", "/jobs/01900000-0000-7000-8000-000000000000/cancel"),
            ("POST", "/jobs/01900000-0000-7000-8000-000000000000/retry"),
            ("DELETE", "/jobs/01900000-0000-7000-8000-000000000000"),
            ("POST", "/queues/mail/resume"),
        ] {
            let start = format!("{method} {path} HTTP/1.1");
            let host = format!("Host: {}", address(&service));
            let lines = [start.as_str(), &host, "Sec-Fetch-Site: cross-site", &bearer];
            let (status, answer) = send(&service, &lines).await;
            assert!(status == 403 && answer.contains("\"cross_origin\""), "{answer}");
        }
        // The last one is a program, the first is how Swagger UI on our own page asks.
        let known: [&[&str]; 4] =
            [&["Sec-Fetch-Site: same-origin", &own], &["Sec-Fetch-Site: none"], &[&own], &[]];
        for headers in known {
            let headers: Vec<&str> = headers.iter().copied().chain([bearer.as_str()]).collect();
            assert_eq!(pause(&service, "own", &headers).await, 200, "{headers:?}");
        }
        // Reading changes nothing, and the page is not shown the answer.
        let read = ["GET /livez HTTP/1.1", "Host: localhost", "Sec-Fetch-Site: cross-site"];
        assert_eq!(send(&service, &read).await.0, 200);
        client.batch_execute("delete from reveille.queue").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_hosts_and_the_public_url_are_answered() {
    let database = harness::database().await;
    let service = without_workers(&database)
        .env("REVEILLE_ALLOWED_HOSTS", "jobs.internal, Other.Example.")
        .env("REVEILLE_PUBLIC_URL", "https://front.example/reveille")
        .start()
        .await;
    for name in ["jobs.internal:8000", "other.example", "front.example", "localhost"] {
        assert_eq!(get(&service, "/jobs", name).await.0, 200, "{name}");
    }
    assert_eq!(get(&service, "/jobs", "evil.example").await.0, 421);
    assert_eq!(pause(&service, "mail", &["Origin: https://front.example"]).await, 200);
    assert_eq!(pause(&service, "mail", &["Origin: http://front.example"]).await, 403);
    // The dot that may end a name does not count.
    let dotted = without_workers(&database).env("REVEILLE_PUBLIC_URL", "https://front.example./r");
    let service = dotted.start().await;
    for name in ["front.example", "front.example.:443"] {
        assert_eq!(get(&service, "/jobs", name).await.0, 200, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_service_for_other_machines_answers_any_name_and_warns() {
    let database = harness::database().await;
    let open = || {
        let service = without_workers(&database).env("REVEILLE_LISTEN", "0.0.0.0:0");
        service.env("REVEILLE_ALLOW_REMOTE_WITHOUT_TOKEN", "true")
    };
    let service = open().start().await;
    service.logged("allowed_hosts is empty", SOON).await;
    assert_eq!(get(&service, "/jobs", "jobs.internal").await.0, 200);
    assert_eq!(pause(&service, "mail", &["Sec-Fetch-Site: cross-site"]).await, 403);
    let service = open().env("REVEILLE_ALLOWED_HOSTS", "jobs.internal").start().await;
    assert_eq!(get(&service, "/jobs", "jobs.internal").await.0, 200);
    assert_eq!(get(&service, "/jobs", "evil.example").await.0, 421);
    assert!(!service.stderr().contains("allowed_hosts is empty"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_names_exactly_one_host() {
    let database = harness::database().await;
    let service = without_workers(&database).start().await;
    for lines in [
        &["GET /livez HTTP/1.1"][..],
        &["GET /livez HTTP/1.1", "Host: localhost", "Host: localhost"],
        &["GET /jobs HTTP/1.1", "Host: localhost", "Host: evil.example"],
        &["GET /jobs HTTP/1.0", "Host: localhost", "Host: evil.example"],
    ] {
        let (status, answer) = send(&service, lines).await;
        assert!(status == 400 && answer.contains("\"invalid_host\""), "{lines:?}: {answer}");
    }
}
