//! Around every request: an id, one log line, two metrics, and a problem for whatever went wrong.
//!
//! The guard against panics is here too: a handler that panics costs its own request a 500 and
//! nothing else.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method};
use metrics::{Counter, Histogram, counter, histogram};
use poem::error::ParsePathError;
use poem::{Endpoint, IntoResponse, Middleware, PathPattern, Request, Response};
use poem_openapi::error as openapi;

use super::body::BodyTerms;
use super::docs::Spec;
use super::edge::Crowded;
use super::guard::is_open;
use super::problem::Problem;
use super::request::{self, RequestInfo};
use crate::supervise::words_of;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The paths and their methods, for `Allow` and for the labels of metrics. Poem knows that a method
/// is missing but not which are there, and calls every parameter `param0`.
#[derive(Debug, Clone, Default)]
pub struct Routes(HashMap<String, Route>);

#[derive(Debug, Clone)]
struct Route {
    path: String,
    allow: String,
}

impl Routes {
    /// Those of a specification.
    pub fn of(spec: &Spec) -> Self {
        let operations = spec.operations();
        operations.fold(Self::default(), |routes, (path, method, _)| routes.with(path, &method))
    }

    /// Adds one method of a path that the specification does not have; `GET` brings `HEAD` with it.
    #[must_use]
    pub fn with(mut self, path: &str, method: &str) -> Self {
        let new = || Route { path: path.into(), allow: String::new() };
        let allow = &mut self.0.entry(shape(path)).or_insert_with(new).allow;
        for method in [method].into_iter().chain((method == "GET").then_some("HEAD")) {
            if !allow.is_empty() {
                allow.push_str(", ");
            }
            allow.push_str(method);
        }
        self
    }

    fn get(&self, pattern: &PathPattern) -> Option<&Route> {
        self.0.get(&shape(&pattern.0))
    }

    /// The name of the parameter that stands in this path of a request.
    fn parameter_in(&self, path: &str) -> Option<&str> {
        let segments = || path.trim_end_matches('/').split('/');
        let fits = |route: &&Route| {
            let ours = || route.path.split('/');
            ours().count() == segments().count()
                && ours()
                    .zip(segments())
                    .all(|(ours, theirs)| ours.starts_with('{') || ours == theirs)
        };
        self.0.values().find(fits).and_then(|route| route.parameter("param0"))
    }
}

impl Route {
    /// The name of what poem calls `param0`.
    fn parameter(&self, poems: &str) -> Option<&str> {
        let index = poems.strip_prefix("param")?.parse().ok()?;
        self.path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
            .nth(index)
    }
}

/// The form that `/jobs/{job_id}` of the specification and `/jobs/:param0` of poem have in common.
fn shape(path: &str) -> String {
    let segments =
        path.split('/').map(|segment| if segment.starts_with([':', '{']) { ":" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// The middleware; it belongs outside of everything else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observe(Arc<Routes>);

impl Observe {
    pub(crate) fn new(routes: Routes) -> Self {
        Self(Arc::new(routes))
    }
}

impl<E: Endpoint> Middleware<E> for Observe {
    type Output = Observed<E>;

    fn transform(&self, inner: E) -> Self::Output {
        Observed { inner, routes: self.0.clone(), figures: RwLock::default() }
    }
}

/// An endpoint that [`Observe`] observes; it answers always.
pub(crate) struct Observed<E> {
    inner: E,
    routes: Arc<Routes>,
    figures: RwLock<HashMap<Labels, Arc<Figures>>>,
}

/// Method, pattern of the route, and status.
type Labels = (&'static str, Arc<str>, u16);

/// The metrics of one method and route with one status.
struct Figures {
    route: String,
    requests: Counter,
    seconds: Histogram,
}

impl Figures {
    fn new(method: &'static str, route: String, status: u16) -> Self {
        let requests = counter!(
            "reveille_http_requests_total", "method" => method, "route" => route.clone(),
            "status" => status.to_string()
        );
        let seconds = histogram!(
            "reveille_http_request_duration_seconds", "method" => method, "route" => route.clone()
        );
        Self { route, requests, seconds }
    }
}

impl<E: Endpoint> Endpoint for Observed<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let start = Instant::now();
        let info = RequestInfo { id: request_id(&request), path: request.uri().path().into() };
        let method = request.method().clone();
        // A change is told in any case.
        let terms = request.extensions().get::<BodyTerms>().filter(|_| method == Method::GET);
        let room = terms.map(|terms| terms.room.clone());
        let refused = request.extensions().get::<Crowded>().is_some() && !is_open(&info.path);
        // In a box, because whatever holds a future holds room for all of it.
        let inner =
            Box::pin(AssertUnwindSafe(async { self.inner.call(request).await }).catch_unwind());
        let answer = async {
            if refused {
                return too_many().into_response();
            }
            match inner.await {
                Ok(Ok(output)) => match room {
                    Some(room) => room.hold(output.into_response()),
                    None => output.into_response(),
                },
                Ok(Err(error)) => self.explain(error, &info.path),
                Err(panic) => {
                    tracing::error!(request.id = %info.id, panic = words_of(&*panic), "a request's handler panicked");
                    Problem::internal().into_response()
                }
            }
        };
        let mut response = request::within(info.clone(), answer).await;
        if let Ok(id) = HeaderValue::from_str(&info.id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        self.record(&info, &method, &response, start);
        Ok(response)
    }
}

impl<E> Observed<E> {
    /// Errors that are an answer already stay as they are; the others are poem's own, and become
    /// problems.
    fn explain(&self, error: poem::Error, path: &str) -> Response {
        if error.is_from_response() {
            return error.into_response();
        }
        // The router decodes what stands in the path before it knows a route.
        if error.is::<ParsePathError>() {
            return not_utf8(self.routes.parameter_in(path).unwrap_or("path")).into_response();
        }
        let pattern = error.data::<PathPattern>().cloned();
        let route = pattern.as_ref().and_then(|pattern| self.routes.get(pattern));
        let mut response = problem(&error, route).into_response();
        if let Some(pattern) = pattern {
            response.set_data(pattern);
        }
        response
    }

    fn record(&self, info: &RequestInfo, method: &Method, response: &Response, start: Instant) {
        let duration = start.elapsed();
        let status = response.status().as_u16();
        let figures = self.figures(method_label(method), response.data(), status);
        tracing::debug!(
            http.method = %method, http.route = figures.route, http.path = %info.path, http.status = status,
            duration_ms = duration.as_secs_f64() * 1e3, request.id = %info.id, "request"
        );
        figures.requests.increment(1);
        figures.seconds.record(duration.as_secs_f64());
    }

    /// Labels are bounded: the route rather than the path, and no methods that a client invents.
    /// Looking a metric up by its labels costs several allocations, so that is done once for each
    /// combination.
    fn figures(
        &self,
        method: &'static str,
        route: Option<&PathPattern>,
        status: u16,
    ) -> Arc<Figures> {
        let pattern = route.map(|pattern| pattern.0.clone()).unwrap_or_default();
        let key = (method, pattern, status);
        let known = self.figures.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        known.unwrap_or_else(|| {
            let figures = Arc::new(Figures::new(method, self.label(route), status));
            let mut all = self.figures.write().unwrap_or_else(PoisonError::into_inner);
            all.entry(key).or_insert(figures).clone()
        })
    }

    fn label(&self, route: Option<&PathPattern>) -> String {
        match route {
            Some(pattern) if !pattern.0.is_empty() => self
                .routes
                .get(pattern)
                .map_or_else(|| pattern.0.to_string(), |route| route.path.clone()),
            _ => "unmatched".into(),
        }
    }
}

/// Places beyond `max_connections` are for probes.
fn too_many() -> Problem {
    let detail = "All connections of this service are in use, or all streams that those of HTTP/2 \
                  have together. Try again; its operator may raise max_connections.";
    Problem::unavailable("too_many_connections", detail, 1)
}

fn not_utf8(name: &str) -> Problem {
    let detail = format!(
        "The path parameter `{name}` is not UTF-8 once its %XX are decoded. Encode it as UTF-8."
    );
    Problem::parameter(name, "invalid_parameter", detail)
}

fn problem(error: &poem::Error, route: Option<&Route>) -> Problem {
    if let Some(openapi::ParseParamError { name, reason }) = error.downcast_ref() {
        let detail = parameter("query or header parameter", name, reason);
        return Problem::parameter(name, "invalid_parameter", detail);
    }
    if let Some(openapi::ParsePathError { name, reason }) = error.downcast_ref() {
        let name = route.and_then(|route| route.parameter(name)).unwrap_or(name);
        let detail = parameter("path parameter", name, reason);
        return Problem::parameter(name, "invalid_parameter", detail);
    }
    match error.status().as_u16() {
        404 => Problem::not_found(
            "path_not_found",
            "There is nothing at this path. See /docs for what there is.",
        ),
        405 => Problem::method_not_allowed(route.map_or("", |route| &route.allow)),
        415 => Problem::unsupported_media_type("Send `Content-Type: application/json`."),
        400 => Problem::bad_request("bad_request", error.to_string()),
        401..500 => Problem::unlisted(error.status()),
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_route_by_the_shape_of_its_path() {
        let routes = Routes::of(&super::super::spec()).with("/metrics", "GET");
        let find = |pattern: &str| routes.get(&PathPattern(pattern.into())).unwrap();
        assert_eq!(find("/jobs/:param0").path, "/jobs/{job_id}");
        assert_eq!(find("/jobs/:param0").parameter("param0"), Some("job_id"));
        assert_eq!(find("/jobs/:param0").allow, "GET, HEAD, DELETE");
        assert_eq!(find("/metrics").allow, "GET, HEAD");
        assert!(routes.get(&PathPattern("/jobs/:a/nothing".into())).is_none());
    }

    #[test]
    fn keeps_what_a_caller_can_use_of_poems_reasons() {
        let reason = r#"failed to parse "integer_uint32": invalid digit found in string"#;
        let detail = parameter("query or header parameter", "limit", reason);
        assert!(
            detail.starts_with("The query or header parameter `limit` is not valid: invalid digit"),
            "{detail}"
        );
    }
}
