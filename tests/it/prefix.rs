//! Behind a proxy that serves the API below a path: nothing that is answered leads out of it.

use std::time::Duration;

use reqwest::Url;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::http::Http;
use crate::harness::{self, Service, within};

const PREFIX: &str = "/reveille";

/// A proxy that takes the prefix away, and answers everything else by itself.
async fn proxy(service: &Service) -> String {
    let behind = service.url().trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let front = format!("http://{}{PREFIX}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, behind.clone()));
        }
    });
    front
}

async fn serve(client: TcpStream, behind: String) {
    let mut client = BufReader::new(client);
    let mut line = String::new();
    client.read_line(&mut line).await.unwrap();
    let Some((method, path)) = line.split_once(&format!(" {PREFIX}/")) else {
        client.write_all(b"HTTP/1.1 418 Outside\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        return;
    };
    let mut service = TcpStream::connect(behind).await.unwrap();
    let start = format!("{method} /{path}Connection: close\r\n");
    service.write_all(start.as_bytes()).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut service).await;
}

/// Where a link of an answer leads to.
fn lead(from: &str, to: &str) -> String {
    Url::parse(from).unwrap().join(to).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_path_every_link_leads_to_what_it_names() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let front = proxy(&service).await;
    let http = Http::new(&front);
    for nth in 0..2 {
        let submitted = http.request("POST", "/jobs").json(&json!({"payload": nth})).send().await;
        let submitted = submitted.unwrap();
        assert_eq!(submitted.status(), 201);
        let location = submitted.headers()["location"].to_str().unwrap();
        let job = reqwest::get(lead(&format!("{front}/jobs"), location)).await.unwrap();
        assert_eq!(job.status(), 200, "{location}");
    }
    let asked = format!("{front}/jobs?limit=1");
    let page = reqwest::get(&asked).await.unwrap();
    let link = page.headers()["link"].to_str().unwrap().to_owned();
    let next = link.trim_start_matches('<').split('>').next().unwrap();
    let next = reqwest::get(lead(&asked, next)).await.unwrap();
    let next: Value = next.json().await.unwrap();
    assert_eq!((&next["data"][0]["queue"], next.get("next_cursor")), (&json!("default"), None));

    let docs = reqwest::get(format!("{front}/docs")).await.unwrap().text().await.unwrap();
    // The page tries its calls beside itself: it says so before it hands its specification on.
    let (before, calls) = docs.split_once("SwaggerUIBundle({").unwrap();
    let said = before.trim_end().lines().next_back().unwrap();
    assert!(said.contains("spec.servers = [{url: window.location.pathname.replace"), "{said}");
    assert!(calls.contains("spec: spec"));
    let spec = http.get("/openapi.json").await.body;
    assert_eq!(spec["servers"], json!([{"url": "/"}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_public_url_links_and_the_specification_begin_with_it() {
    let database = harness::database().await;
    let public = "https://front.example/reveille";
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0");
    let service = service.env("REVEILLE_PUBLIC_URL", public).start().await;
    let http = service.http();
    for nth in 0..2 {
        let request = http.request("POST", "/jobs").json(&json!({"payload": nth}));
        let submitted = within("an answer", Duration::from_secs(10), request.send()).await.unwrap();
        let location = submitted.headers()["location"].to_str().unwrap().to_owned();
        let job: Value = submitted.json().await.unwrap();
        assert_eq!(location, format!("{public}/jobs/{}", job["job_id"].as_str().unwrap()));
    }
    let page = http.request("GET", "/jobs?limit=1&queue=default").send().await.unwrap();
    let link = page.headers()["link"].to_str().unwrap().to_owned();
    assert!(link.starts_with(&format!("<{public}/jobs?limit=1&queue=default&cursor=")), "{link}");
    assert_eq!(http.get("/openapi.json").await.body["servers"], json!([{"url": public}]));
}
