//! The documentation: Swagger UI with everything in one page, so that it works without the
//! Internet, and the specification beside it.

use hyper::body::Bytes;
use poem::endpoint::{BoxEndpoint, make_sync};
use poem::{Body, EndpointExt, Response, Route, get};
use poem_openapi::{OpenApi, OpenApiService, Webhook};

use super::contract;

const HTML: &str = "text/html; charset=utf-8";

/// The page brings its scripts and styles with it and may talk to this service only.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; \
                      font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where the page begins to use the specification that it brings with it.
const CALLS: &str = "SwaggerUIBundle({";
/// The page tries its calls beside itself, so that they stay behind a proxy's prefix.
const TO_HERE: &str =
    r#"spec.servers = [{url: window.location.pathname.replace(/\/docs\/?$/, "") || "/"}];"#;

/// Adds `/docs`, `/openapi.json` and `/openapi.yaml` to `route`.
pub fn add<T: OpenApi, W: Webhook>(route: Route, service: &OpenApiService<T, W>) -> Route {
    // Without an icon of its own, a browser asks for one that is not there, and reports it as an
    // error of the page.
    let icon = "<head><link rel=\"icon\" href=\"data:,\">";
    let page = service.swagger_ui_html().replacen(&service.spec(), &json(service), 1);
    let page = page.replacen("<head>", icon, 1);
    let page = Bytes::from(page.replacen(CALLS, &format!("{TO_HERE}\n    {CALLS}"), 1));
    route
        .at("/docs", file(HTML, page.clone()))
        .at("/docs/", file(HTML, page))
        .at("/openapi.json", file("application/json", json(service).into()))
        .at("/openapi.yaml", file("application/yaml", yaml(service).into()))
}

/// The specification as JSON, as it is served and committed: ends with a line break.
pub fn json<T: OpenApi, W: Webhook>(service: &OpenApiService<T, W>) -> String {
    let written = serde_json::to_string_pretty(&contract::finished(&service.spec()));
    with_line_break(written.expect("the keys of the document are strings"))
}

/// The specification as YAML, as it is served and committed.
pub fn yaml<T: OpenApi, W: Webhook>(service: &OpenApiService<T, W>) -> String {
    let written = serde_yaml::to_string(&contract::finished(&service.spec()));
    with_line_break(written.expect("the document has no tags and no bytes"))
}

fn with_line_break(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn file(content_type: &'static str, bytes: Bytes) -> BoxEndpoint<'static, Response> {
    let answer = make_sync(move |_| sheltered(content_type, bytes.clone()));
    get(answer).map_to_response().boxed()
}

/// A page of this service.
pub(super) fn page(html: Bytes) -> Response {
    sheltered(HTML, html)
}

/// An answer for a browser, which may load nothing else because of it.
fn sheltered(content_type: &str, bytes: Bytes) -> Response {
    Response::builder()
        .content_type(content_type)
        .header("cache-control", "no-cache")
        .header("content-security-policy", POLICY)
        .header("x-content-type-options", "nosniff")
        .body(Body::from_bytes(bytes))
}
