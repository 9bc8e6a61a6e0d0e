//! The port answers before the database does.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::net::TcpSocket;

use crate::harness::http::{Http, answer};
use crate::harness::proxy::Mode;
use crate::harness::{self, Service, eventually, within};

const SOON: Duration = Duration::from_secs(20);
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// An address that nobody else gets while the socket lives: the line that tells the service's own comes only when
/// it is ready. On Linux one socket may listen beside another that is bound only, if both reuse addresses.
fn kept_address() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_down_at_the_start_the_port_answers_and_the_api_says_why_not() {
    let database = harness::database().await;
    for mode in [Mode::Reset, Mode::Blackhole] {
        let proxy = database.proxy().await;
        proxy.set(mode);
        let (_kept, address) = kept_address();
        let service = Service::on(proxy.url())
            .env("REVEILLE_LISTEN", &address)
            .env("REVEILLE_AUTH_TOKENS", TOKEN)
            .spawn()
            .await;
        let http = Http::new(&format!("http://{address}"));
        eventually("the port is bound", SOON, async || {
            http.request("GET", "/livez").send().await.is_ok()
        })
        .await;
        let livez = http.get("/livez").await;
        assert_eq!((livez.status, livez.body), (200, json!({"status": "healthy"})));
        assert_eq!(http.get("/health").await.status, 503);
        let readyz = http.get("/readyz").await;
        assert_eq!((readyz.status, &readyz.body["checks"][0]["name"]), (503, &json!("database")));
        assert_eq!(http.post_job(&json!({"payload": 1})).await.status, 401);
        for (method, path) in [("POST", "/jobs"), ("GET", "/jobs"), ("GET", "/metrics")] {
            let request = http.request(method, path).json(&json!({"payload": 1}));
            let response = request.bearer_auth(TOKEN).send().await.unwrap();
            assert_eq!(response.status().as_u16(), 503, "{method} {path}");
            assert_eq!(response.headers()["retry-after"], "1");
            let body: serde_json::Value = response.json().await.unwrap();
            assert_eq!(body["code"], "database_unavailable", "{method} {path}");
        }
        assert_eq!(service.stdout(), "", "it says that it is ready");

        proxy.set(Mode::Pass);
        eventually("it is ready", SOON, async || service.stdout().contains("ready http")).await;
        assert_eq!(http.get("/readyz").await.status, 200);
        let submit = http.request("POST", "/jobs").json(&json!({"payload": 1}));
        assert_eq!(answer(submit.bearer_auth(TOKEN)).await.status, 201);
        let metrics = http.request("GET", "/metrics").bearer_auth(TOKEN).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let counted = |it: &&str| it.contains("/livez") && it.contains("_requests_total");
        assert!(metrics.lines().any(|it| counted(&it)), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_waits_for_its_database_leaves_when_it_is_told_to() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    proxy.set(Mode::Blackhole);
    let (_kept, address) = kept_address();
    let mut service = Service::on(proxy.url()).env("REVEILLE_LISTEN", &address).spawn().await;
    // The first moment at which somebody can know that the process is there.
    let bound = async {
        while std::net::TcpStream::connect(&address).is_err() {
            tokio::task::yield_now().await;
        }
    };
    within("the port is bound", SOON, bound).await;
    service.signal(Signal::SIGTERM);
    let status = service.ended(Duration::from_secs(5)).await;
    assert!(status.success(), "{status}");
}
