//! `GET /` in a browser: a page that links to what a person may look at. Programs ask for the API,
//! and to them this path stays what it was.
//!
//! The page says nothing that the open documentation does not say, so it asks for no token. Its
//! links are relative, so that they stay behind a proxy's prefix.

use futures_util::future::{Either, ready};
use http::{HeaderMap, HeaderValue, Method, header};
use hyper::body::Bytes;
use poem::{Endpoint, Middleware, PathPattern, Request, Response};

use super::docs;

const PAGE: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    "<title>Reveille</title>\n<link rel=\"icon\" href=\"data:,\">\n",
    "<style>\nbody { font: 1rem/1.6 system-ui, sans-serif; margin: 4rem auto; max-width: 36rem; ",
    "padding: 0 1rem; }\ndt { font-weight: 600; margin-top: 1rem; }\ndd { margin: 0; }\n",
    ":root { color-scheme: light dark; }\n</style>\n</head>\n<body>\n<h1>Reveille</h1>\n",
    "<p>A push-driven PostgreSQL job queue with a REST API. This is release ",
    env!("CARGO_PKG_VERSION"),
    ".</p>\n<dl>\n",
    "<dt><a href=\"docs\">Documentation</a></dt>\n",
    "<dd>Every call, to read and to try.</dd>\n",
    "<dt><a href=\"openapi.json\">OpenAPI document</a></dt>\n",
    "<dd>For client generators; <a href=\"openapi.yaml\">as YAML</a> too.</dd>\n",
    "<dt><a href=\"readyz?verbose\">Health</a></dt>\n",
    "<dd>Whether the service accepts and runs jobs, check by check.</dd>\n",
    "<dt><a href=\"metrics\">Metrics</a></dt>\n",
    "<dd>For Prometheus. If the service has tokens, they need one.</dd>\n",
    "</dl>\n</body>\n</html>\n",
);

/// Answers browsers that ask for the root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Welcome;

impl<E: Endpoint<Output = Response>> Middleware<E> for Welcome {
    type Output = Welcoming<E>;

    fn transform(&self, inner: E) -> Welcoming<E> {
        Welcoming(inner)
    }
}

/// An endpoint whose root browsers can read.
pub(super) struct Welcoming<E>(E);

impl<E: Endpoint<Output = Response>> Endpoint for Welcoming<E> {
    type Output = Response;

    // Not an `async fn`: each of those around a request holds a copy of it.
    fn call(&self, request: Request) -> impl Future<Output = poem::Result<Response>> + Send {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if reads && request.uri().path() == "/" && asks_for_html(request.headers()) {
            Either::Right(ready(Ok(page())))
        } else {
            Either::Left(self.0.call(request))
        }
    }
}

fn page() -> Response {
    let mut response = docs::page(Bytes::from_static(PAGE.as_bytes()));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response.set_data(PathPattern("/".into()));
    response
}

/// Whether `Accept` names HTML, as browsers do. `*/*`, as other programs send it, does not.
fn asks_for_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
    accepted.flat_map(|line| line.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let html = parts.next().is_some_and(|range| range.eq_ignore_ascii_case("text/html"));
        html && !parts.any(|weight| ["q=0", "q=0.0", "q=0.00", "q=0.000"].contains(&weight))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn html_is_asked_for_by_its_name() {
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json, Text/HTML;q=0.1", true),
            ("*/*", false),
            ("text/*", false),
            ("text/html; q=0, */*", false),
            ("application/json", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(asks_for_html(&headers), expected, "{accept}");
        }
        assert!(!asks_for_html(&HeaderMap::new()));
    }
}
