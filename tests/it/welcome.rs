//! `GET /` in a browser, and for everybody else.

use crate::harness::http::Http;
use crate::harness::{self, Service};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn root(http: &Http, method: &str, accept: &str) -> (u16, String, String) {
    let answer = http.request(method, "/").header("accept", accept).send().await.unwrap();
    let status = answer.status().as_u16();
    let headers = format!("{:?}", answer.headers());
    (status, headers, answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_finds_the_way_from_the_root_without_a_token() {
    let database = harness::database().await;
    let service = Service::on(database.url())
        .env("REVEILLE_WORKERS", "0")
        .env("REVEILLE_AUTH_TOKENS", TOKEN)
        .start()
        .await;
    let http = service.http();
    let (status, headers, page) = root(&http, "GET", BROWSER).await;
    assert_eq!(status, 200, "{page}");
    assert!(headers.contains("\"text/html; charset=utf-8\"") && headers.contains("\"accept\""));
    let docs = http.request("GET", "/docs").send().await.unwrap();
    for name in ["content-security-policy", "x-content-type-options", "cache-control"] {
        let value = format!("{:?}: {:?}", name, docs.headers()[name]);
        assert!(headers.contains(&value), "{value} is missing from {headers}");
    }
    // Each link leads somewhere, and stays behind a proxy's prefix.
    let links: Vec<&str> =
        page.split("<a href=\"").skip(1).map(|it| it.split('"').next().unwrap()).collect();
    assert!(["docs", "readyz?verbose", "metrics"].iter().all(|it| links.contains(it)), "{links:?}");
    for link in links {
        let answer =
            http.request("GET", &format!("/{link}")).bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{link}");
    }
    let (status, _, page) = root(&http, "HEAD", BROWSER).await;
    assert_eq!((status, page.as_str()), (200, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_asks_for_the_root_is_told_that_nothing_is_there() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    for (method, accept) in
        [("GET", "*/*"), ("GET", "application/json"), ("GET", "text/html;q=0"), ("POST", BROWSER)]
    {
        let (status, _, body) = root(&http, method, accept).await;
        assert_eq!(status, 404, "{method} {accept}: {body}");
        assert!(body.contains("\"path_not_found\""), "{body}");
    }
    // With tokens a program is asked for one first, as everywhere.
    let service = Service::on(database.url())
        .env("REVEILLE_WORKERS", "0")
        .env("REVEILLE_AUTH_TOKENS", TOKEN)
        .start()
        .await;
    assert_eq!(root(&service.http(), "GET", "*/*").await.0, 401);
}
