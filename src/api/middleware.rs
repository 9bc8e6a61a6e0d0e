//! Around every request: an id, one log line, two metrics, and a problem for whatever went wrong.
//!
//! The guard against panics is here too: a handler that panics costs its own request a 500 and nothing else.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method};
use poem::{Endpoint, IntoResponse, Middleware, PathPattern, Request, Response};
use poem_openapi::error as openapi;

use super::problem::Problem;
use super::request::{self, RequestInfo};
use crate::auth::Unauthorized;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The methods of each path, for `Allow`: poem knows that a method is missing, but not which are there.
#[derive(Debug, Clone, Default)]
pub struct Methods(HashMap<String, String>);

impl Methods {
    /// From an OpenAPI document as JSON.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn from_spec(spec: &str) -> serde_json::Result<Self> {
        let spec: serde_json::Value = serde_json::from_str(spec)?;
        let mut methods = Self::default();
        for (path, operations) in spec["paths"].as_object().into_iter().flatten() {
            for method in
                operations.as_object().into_iter().flat_map(|operations| operations.keys())
            {
                methods.add(path, &method.to_ascii_uppercase());
            }
        }
        Ok(methods)
    }

    /// Adds one method of a path; `GET` brings `HEAD` with it.
    pub fn add(&mut self, path: &str, method: &str) {
        let allow = self.0.entry(pattern(path)).or_default();
        for method in [method].into_iter().chain((method == "GET").then_some("HEAD")) {
            if !allow.is_empty() {
                allow.push_str(", ");
            }
            allow.push_str(method);
        }
    }
}

/// A path of the specification (`/jobs/{id}`) as poem's pattern of it (`/jobs/:id`).
fn pattern(path: &str) -> String {
    path.replace('{', ":").replace('}', "")
}

/// The middleware; it belongs outside of everything else.
#[derive(Debug, Clone, Default)]
pub struct Observe(Arc<Methods>);

impl Observe {
    pub fn new(methods: Methods) -> Self {
        Self(Arc::new(methods))
    }
}

impl<E: Endpoint> Middleware<E> for Observe {
    type Output = Observed<E>;

    fn transform(&self, inner: E) -> Self::Output {
        Observed { inner, methods: self.0.clone() }
    }
}

/// What [`Observe`] makes of an endpoint; it answers always.
pub struct Observed<E> {
    inner: E,
    methods: Arc<Methods>,
}

impl<E: Endpoint> Endpoint for Observed<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let start = Instant::now();
        let info = RequestInfo { id: request_id(&request), path: request.uri().path().into() };
        let method = request.method().clone();
        let answer = async {
            match AssertUnwindSafe(self.inner.call(request)).catch_unwind().await {
                Ok(Ok(output)) => output.into_response(),
                Ok(Err(error)) => self.explain(error),
                Err(panic) => {
                    tracing::error!(request.id = %info.id, panic = panic_text(&*panic), "a request's handler panicked");
                    Problem::internal().into_response()
                }
            }
        };
        let mut response = request::within(info.clone(), answer).await;
        if let Ok(id) = HeaderValue::from_str(&info.id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        record(&info, &method, &response, start);
        Ok(response)
    }
}

impl<E> Observed<E> {
    /// Errors that are an answer already stay as they are; the others are poem's own, and become problems.
    fn explain(&self, error: poem::Error) -> Response {
        if error.is_from_response() {
            return error.into_response();
        }
        let pattern = error.data::<PathPattern>().cloned();
        let allow = pattern.as_ref().and_then(|pattern| self.methods.0.get(&*pattern.0));
        let mut response = problem(&error, allow.map_or("", String::as_str)).into_response();
        if let Some(pattern) = pattern {
            response.set_data(pattern);
        }
        response
    }
}

fn problem(error: &poem::Error, allow: &str) -> Problem {
    if let Some(unauthorized) = error.downcast_ref::<Unauthorized>() {
        return Problem::unauthorized(unauthorized.to_string(), unauthorized.challenge());
    }
    if let Some(openapi::ParseParamError { name, reason }) = error.downcast_ref() {
        return Problem::bad_request(
            "invalid_parameter",
            parameter("query or header parameter", name, reason),
        );
    }
    if let Some(openapi::ParsePathError { name, reason }) = error.downcast_ref() {
        return Problem::bad_request(
            "invalid_parameter",
            parameter("path parameter", name, reason),
        );
    }
    match error.status().as_u16() {
        404 => Problem::not_found(
            "path_not_found",
            "There is nothing at this path. See /docs for what there is.",
        ),
        405 => Problem::method_not_allowed(allow),
        415 => Problem::unsupported_media_type("Send `Content-Type: application/json`."),
        status @ 400..500 => {
            let title = error.status().canonical_reason().unwrap_or("Refused");
            let code = title.to_ascii_lowercase().replace([' ', '-'], "_").replace('\'', "");
            let detail =
                if status == 400 { error.to_string() } else { format!("{title}. See /docs.") };
            Problem::new(error.status(), &code, detail)
        }
        _ => {
            tracing::error!(%error, "a request failed in a way that nothing here explains");
            Problem::internal()
        }
    }
}

/// poem-openapi's reason names its Rust type; the part behind it is what a caller can use.
fn parameter(kind: &str, name: &str, reason: &str) -> String {
    let reason = reason
        .strip_prefix("failed to parse ")
        .and_then(|rest| rest.split_once(": "))
        .map_or(reason, |r| r.1);
    format!(
        "The {kind} `{name}` is not valid: {}. See /docs for its form.",
        reason.trim_end_matches('.')
    )
}

/// The caller's id if it can stand in a log line and a header as it is, else a new one.
fn request_id(request: &Request) -> Arc<str> {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let usable = |id: &&str| {
        (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
    };
    given.filter(usable).map_or_else(|| uuid::Uuid::now_v7().simple().to_string().into(), Arc::from)
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Labels are bounded: the pattern of the route rather than the path, and no methods that a client invents.
fn record(info: &RequestInfo, method: &Method, response: &Response, start: Instant) {
    let duration = start.elapsed();
    let route = response
        .data::<PathPattern>()
        .map_or_else(|| "unmatched".into(), |pattern| pattern.0.to_string());
    let status = response.status().as_u16();
    tracing::debug!(
        http.method = %method, http.route = route, http.path = %info.path, http.status = status,
        duration_ms = duration.as_secs_f64() * 1e3, request.id = %info.id, "request"
    );
    let method = method_label(method);
    metrics::counter!(
        "reveille_http_requests_total", "method" => method, "route" => route.clone(), "status" => status.to_string()
    )
    .increment(1);
    metrics::histogram!("reveille_http_request_duration_seconds", "method" => method, "route" => route)
        .record(duration.as_secs_f64());
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
