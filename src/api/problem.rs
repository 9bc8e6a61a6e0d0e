//! Errors as RFC 9457 problems: one shape for all of them, whoever found them.
//!
//! `code` is what a program decides by and never changes; `detail` is what a person reads and says
//! what to do next. The type is `about:blank` throughout, so that `title` is the status in words
//! and nothing has to be looked up elsewhere.

use http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::Object;
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{Example, Type};
use serde::Serialize;
use uuid::Uuid;

use super::{codes, request};
use crate::job::json::JsonFault;
use crate::job::submission::FieldError;

/// More than this nobody reads, and a hostile body could ask for millions. Who collects errors
/// stops there.
pub(super) const MAX_ERRORS: usize = 10_000;

const EXAMPLE_REQUEST_ID: &str = "0199a3c0b5d27c3f8a51f0e2d4c6b8a0";

/// An answer that is an error. One pointer wide, so that a `Result` with it stays small.
#[derive(Debug, Clone)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    details: Details,
    headers: http::HeaderMap,
}

/// A problem and its remedy (RFC 9457).
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "ProblemDetails", example)]
struct Details {
    /// Always `about:blank`: `code` tells the kind of problem.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    kind: String,
    /// The HTTP status in words.
    title: String,
    /// The HTTP status.
    #[oai(validator(minimum(value = "400"), maximum(value = "599")))]
    status: u16,
    /// A stable name of what went wrong, for programs.
    code: String,
    /// The event and the next step, for people.
    detail: String,
    /// The path of the request.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// The `X-Request-Id` of the answer; the service's log has it too.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Every wrong place in the request body, or the wrong parameter.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<ProblemError>>,
    /// The job that stands in the way, for a conflict.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<Uuid>,
}

/// One wrong place in a request.
#[derive(Debug, Clone, PartialEq, Object, Serialize)]
#[oai(rename = "ProblemPlace", example, skip_serializing_if_is_none)]
pub(crate) struct ProblemError {
    /// JSON pointer (RFC 6901) into the request body; empty for the body as a whole, and for a
    /// parameter.
    pub pointer: String,
    /// The parameter that is wrong, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// A stable name of what is wrong there.
    pub code: String,
    /// The fault and the remedy.
    pub message: String,
}

impl Problem {
    /// A problem with one of the [known codes](codes::PROBLEMS).
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        debug_assert!(
            codes::is_known(status.as_u16(), code),
            "{status} {code} is missing from src/api/codes.rs"
        );
        Self::of(status, code, detail)
    }

    /// A refusal of poem's own that nothing here knows better: its code is its title.
    pub fn unlisted(status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Refused");
        let code = title.to_ascii_lowercase().replace([' ', '-'], "_").replace('\'', "");
        Self::of(status, &code, format!("{title}. See /docs."))
    }

    fn of(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let details = Details {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            code: code.into(),
            detail: detail.into(),
            instance: None,
            request_id: None,
            errors: None,
            job_id: None,
        };
        Self(Box::new(Inner { details, headers: http::HeaderMap::new() }))
    }

    /// 400: the request cannot be read at all.
    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 400 for a parameter; `errors` names it.
    pub fn parameter(name: &str, code: &str, detail: impl Into<String>) -> Self {
        let mut problem = Self::bad_request(code, detail);
        problem.0.details.errors = Some(vec![ProblemError {
            pointer: String::new(),
            parameter: Some(name.into()),
            code: code.into(),
            message: problem.0.details.detail.clone(),
        }]);
        problem
    }

    /// 401 with the challenge that RFC 6750 asks for.
    pub fn unauthorized(detail: impl Into<String>, challenge: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .header(header::WWW_AUTHENTICATE, challenge)
    }

    /// 404.
    pub fn not_found(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 405; `allow` lists the methods that the path does have.
    pub fn method_not_allowed(allow: &str) -> Self {
        let detail = if allow.is_empty() {
            "This path does not have this method. See /docs.".to_owned()
        } else {
            format!("This path does not have this method, only {allow}. See /docs.")
        };
        // RFC 9110 wants the header even when there is nothing to put in.
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
            .header(header::ALLOW, allow)
    }

    /// 408: the body did not arrive in time. The connection is of no further use.
    pub fn request_timeout(seconds: f64) -> Self {
        let detail = format!(
            "The body did not arrive within {seconds} seconds. Send it faster, or less of it."
        );
        Self::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
            .header(header::CONNECTION, "close")
    }

    /// 409.
    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 413; `limit` in bytes.
    pub fn too_large(limit: usize) -> Self {
        let detail = format!(
            "The body is larger than {limit} bytes. Send less, or put the data elsewhere and \
             send where."
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    /// 415.
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// 422 with everything that is wrong.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match &errors[..] {
            [only] => only.message.clone(),
            many if many.len() >= MAX_ERRORS => format!(
                "At least {MAX_ERRORS} things are wrong with the request; `errors` lists the first."
            ),
            many => {
                format!("{} things are wrong with the request; `errors` lists them.", many.len())
            }
        };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", detail).errors(errors)
    }

    /// 500. The cause goes to the log, never to the caller.
    pub fn internal() -> Self {
        let detail = "The service failed to answer. Its log says more under this request_id.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail)
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(code: &str, detail: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
            .header(header::RETRY_AFTER, &retry_after_seconds.to_string())
    }

    /// Adds wrong places.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        let errors = errors.into_iter().take(MAX_ERRORS).map(ProblemError::from);
        self.0.details.errors.get_or_insert_default().extend(errors);
        self
    }

    /// Names the job that stands in the way.
    #[must_use]
    pub fn job(mut self, id: impl Into<Uuid>) -> Self {
        self.0.details.job_id = Some(id.into());
        self
    }

    /// Adds a header; a value that HTTP does not allow is left out.
    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.insert(name, value);
        }
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.details.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The stable name of the problem.
    pub fn code(&self) -> &str {
        &self.0.details.code
    }
}

impl Problem {
    /// The body of an answer to a request for this path, for the specification.
    pub(super) fn shown(self, path: &str) -> impl Serialize {
        let mut details = self.0.details;
        details.instance = Some(path.to_owned());
        details.request_id = Some(EXAMPLE_REQUEST_ID.to_owned());
        details
    }
}

impl From<FieldError> for ProblemError {
    fn from(error: FieldError) -> Self {
        let FieldError { pointer, code, message } = error;
        debug_assert!(codes::is_known_place(code), "{code} is missing from src/api/codes.rs");
        Self { pointer, parameter: None, code: code.into(), message }
    }
}

impl From<JsonFault> for FieldError {
    fn from(fault: JsonFault) -> Self {
        Self { pointer: fault.pointer, code: fault.code, message: fault.message }
    }
}

/// 400 for what is no JSON, 422 for JSON that cannot be kept.
impl From<JsonFault> for Problem {
    fn from(fault: JsonFault) -> Self {
        if fault.is_syntax() {
            Self::bad_request(fault.code, fault.message.clone()).errors(vec![fault.into()])
        } else {
            Self::invalid(vec![fault.into()])
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        if let Some(info) = request::current() {
            self.0.details.instance = Some(info.path.to_string());
            self.0.details.request_id = Some(info.id.to_string());
        }
        let body = serde_json::to_vec(&self.0.details).unwrap_or_default();
        let mut response =
            Response::builder().status(self.status()).content_type(Self::CONTENT_TYPE).body(body);
        response.headers_mut().extend(self.0.headers);
        response
    }
}

impl From<Problem> for poem::Error {
    fn from(problem: Problem) -> Self {
        let detail = problem.0.details.detail.clone();
        let mut error = Self::from_response(problem.into_response());
        error.set_error_message(detail);
        error
    }
}

/// A variant of a derived `ApiResponse` can hold a `Problem` as it is; the specification gets the
/// right media type.
impl Payload for Problem {
    const CONTENT_TYPE: &'static str = "application/problem+json";

    fn schema_ref() -> MetaSchemaRef {
        <Details as Type>::schema_ref()
    }

    fn register(registry: &mut Registry) {
        <Details as Type>::register(registry);
    }
}

impl Example for Details {
    fn example() -> Self {
        let mut details = Problem::invalid(vec![FieldError {
            pointer: "/priority".into(),
            code: "out_of_range",
            message: "`priority` must be from 0 (first) to 9.".into(),
        }])
        .0
        .details;
        details.instance = Some("/jobs".into());
        details.request_id = Some(EXAMPLE_REQUEST_ID.into());
        details
    }
}

impl Example for ProblemError {
    fn example() -> Self {
        Self {
            pointer: "/queue".into(),
            parameter: None,
            code: "invalid_name".into(),
            message: "`queue` must be 1 to 64 of `a-z 0-9 _ - .`".into(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_problem_json_with_the_request_in_it() {
        let info = request::RequestInfo { id: "abc".into(), path: "/jobs".into() };
        let problem =
            Problem::unavailable("database_unavailable", "Try again.", 2).job(Uuid::nil());
        let response =
            request::within(info, async { poem::Error::from(problem).into_response() }).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.header("retry-after"), Some("2"));
        assert_eq!(response.content_type(), Some("application/problem+json"));
        let body: serde_json::Value = response.into_body().into_json().await.unwrap();
        let expected = serde_json::json!({
            "type": "about:blank", "title": "Service Unavailable", "status": 503, "code": "database_unavailable",
            "detail": "Try again.", "instance": "/jobs", "request_id": "abc", "job_id": Uuid::nil(),
        });
        assert_eq!(body, expected);
    }
}
