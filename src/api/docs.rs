//! The documentation: Swagger UI with everything in one page, so that it works without the
//! Internet, and the specification beside it.

use hyper::body::Bytes;
use poem::endpoint::{BoxEndpoint, make_sync};
use poem::{Body, EndpointExt, Response, Route, get};
use poem_openapi::{OpenApi, OpenApiService, Webhook};
use serde_yaml::Value;

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

/// The specification of a service: built once, and written as it is served and committed.
pub struct Spec {
    document: Value,
    json: String,
    yaml: String,
}

impl Spec {
    /// Of this service.
    pub fn of<T: OpenApi, W: Webhook>(service: &OpenApiService<T, W>) -> Self {
        let document = contract::finished(&service.spec());
        let json = serde_json::to_string_pretty(&document);
        let json = with_line_break(json.expect("the keys of the document are strings"));
        let yaml = serde_yaml::to_string(&document);
        let yaml = with_line_break(yaml.expect("the document has no tags and no bytes"));
        Self { document, json, yaml }
    }

    /// As JSON: ends with a line break.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// As YAML.
    pub fn yaml(&self) -> &str {
        &self.yaml
    }

    /// Each operation, with its path and its method in upper case.
    pub(super) fn operations(&self) -> impl Iterator<Item = (&str, String, &Value)> {
        let paths = self.document.get("paths").and_then(Value::as_mapping);
        paths.into_iter().flatten().flat_map(|(path, operations)| {
            let operations = operations.as_mapping().into_iter().flatten();
            operations.filter_map(move |(method, operation)| {
                Some((path.as_str()?, method.as_str()?.to_ascii_uppercase(), operation))
            })
        })
    }

    /// Adds `/docs`, `/openapi.json` and `/openapi.yaml` to `route`.
    pub fn add_to(&self, route: Route) -> Route {
        let page = Bytes::from(self.page());
        route
            .at("/docs", file(HTML, page.clone()))
            .at("/docs/", file(HTML, page))
            .at("/openapi.json", file("application/json", self.json.clone().into()))
            .at("/openapi.yaml", file("application/yaml", self.yaml.clone().into()))
    }

    /// Swagger UI of this specification. It is made of one without operations, whose own is quick
    /// to build.
    fn page(&self) -> String {
        // Without an icon of its own, a browser asks for one that is not there, and reports it as
        // an error of the page.
        let icon = "<head><link rel=\"icon\" href=\"data:,\">";
        let empty = OpenApiService::new((), "", "");
        let page = empty.swagger_ui_html().replacen(&empty.spec(), &self.json, 1);
        let page = page.replacen("<head>", icon, 1);
        page.replacen(CALLS, &format!("{TO_HERE}\n    {CALLS}"), 1)
    }
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
