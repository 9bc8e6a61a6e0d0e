//! Bodies: [`Read`] takes one in, [`Body`] sends one out. Neither builds a `serde_json::Value`, so that the JSON that
//! jobs carry stays as it was written.
//!
//! poem-openapi's own JSON payload has no limit and no deadline, and reports one mistake at a time in a sentence of its
//! own. Here the bytes are counted as they stream in, the text is checked once as a whole, and the type reads itself
//! from it and reports all that is wrong.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use http::header;
use poem::{IntoResponse, Request, RequestBody, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{
    MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchemaRef, Registry,
};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};
use serde::Serialize;

use super::Services;
use super::problem::Problem;
use crate::job::json::{JsonFault, MAX_DEPTH, checked_within};
use crate::job::submission::FieldError;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
/// How long a body may take; [`super::edge`] puts its own figure into each request.
const DEADLINE: Duration = Duration::from_secs(30);
/// A batch is an array of objects that hold payloads.
const ENVELOPE_DEPTH: u32 = 2;
/// Larger bodies are read off the threads that serve connections: a millisecond there is a millisecond for everybody.
const BLOCKING_FROM: usize = 512 * 1024;

/// The deadline of this request's body, in its extensions.
#[derive(Debug, Clone, Copy)]
pub struct BodyDeadline(pub Duration);

/// A type that reads itself from the text of a body.
pub trait FromBody: Type + Sized + 'static {
    /// Bytes that the body may have.
    const LIMIT: usize = 1024 * 1024;
    /// Whether `application/x-ndjson` is read too, through [`FromBody::from_lines`].
    const LINES: bool = false;

    /// Reads a text that has passed the JSON check, nested up to two levels deeper than a payload may be. `now` is the
    /// database's time.
    ///
    /// # Errors
    /// All that is wrong, with JSON pointers into the body.
    fn from_body(text: &str, now: DateTime<Utc>) -> Result<Self, Vec<FieldError>>;

    /// Reads NDJSON: the lines that are not blank, each a JSON text that has passed the check. Pointers begin with the
    /// number of the line among them, from 0, as for an array.
    ///
    /// # Errors
    /// As [`FromBody::from_body`].
    fn from_lines(lines: &[&str], now: DateTime<Utc>) -> Result<Self, Vec<FieldError>> {
        Self::from_body(&format!("[{}]", lines.join(",")), now)
    }
}

/// A request body.
#[derive(Debug)]
pub struct Read<T>(pub T);

impl<'a, T: FromBody> ApiExtractor<'a> for Read<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    // NDJSON is not listed: client generators cannot handle two media types for one body.
    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: JSON, schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let lines = is_lines::<T>(request)?;
        let bytes = receive(request, body.take()?, T::LIMIT).await?;
        if bytes.trim_ascii().is_empty() {
            let detail = "The body is empty. Send a JSON document.";
            return Err(Problem::bad_request("empty_body", detail).into());
        }
        let large = bytes.len() > BLOCKING_FROM;
        let services = request.data::<Services>();
        let now = services.map_or_else(Utc::now, |services| services.store.clock.now());
        let read = move || if lines { read_lines(&bytes, now) } else { read_text(&bytes, now) };
        let value = if large {
            tokio::task::spawn_blocking(read).await.map_err(|_| Problem::internal())?
        } else {
            read()
        };
        Ok(Self(value?))
    }
}

/// Whether the body is NDJSON rather than JSON; anything else is refused.
fn is_lines<T: FromBody>(request: &Request) -> Result<bool, Problem> {
    if request
        .header(header::CONTENT_ENCODING)
        .is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity"))
    {
        let detail = "Compressed bodies are not read here. Send it without Content-Encoding.";
        return Err(Problem::unsupported_media_type(detail));
    }
    let content_type = request.content_type().unwrap_or_default().to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let charset = parts
        .find_map(|part| part.strip_prefix("charset="))
        .map(|charset| charset.trim_matches('"'));
    let json = media_type == JSON
        || media_type.starts_with("application/") && media_type.ends_with("+json");
    let lines = T::LINES && media_type == NDJSON;
    if (json || lines) && matches!(charset, None | Some("utf-8" | "utf8" | "us-ascii")) {
        return Ok(lines);
    }
    let found = if content_type.is_empty() { "no Content-Type" } else { "another Content-Type" };
    let also = if T::LINES { " or `application/x-ndjson`" } else { "" };
    Err(Problem::unsupported_media_type(format!(
        "The request has {found}. Send UTF-8 with `Content-Type: application/json`{also}."
    )))
}

/// The bytes of the body, at most `limit`, before the deadline.
async fn receive(request: &Request, body: poem::Body, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut chunks = Box::pin(body.into_bytes_stream());
    let declared =
        request.header(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(Problem::too_large(limit));
    }
    let deadline = request.data::<BodyDeadline>().map_or(DEADLINE, |deadline| deadline.0);
    let mut bytes = Vec::new();
    let arrived = tokio::time::timeout(deadline, async {
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| {
                Problem::bad_request(
                    "body_cut_off",
                    "The connection ended before the body did. Send it again.",
                )
            })?;
            if bytes.len() + chunk.len() > limit {
                return Err(Problem::too_large(limit));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(())
    });
    match arrived.await {
        Ok(Ok(())) => Ok(bytes),
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err(Problem::request_timeout(deadline.as_secs_f64())),
    }
}

fn read_text<T: FromBody>(bytes: &[u8], now: DateTime<Utc>) -> Result<T, Problem> {
    let text = checked(bytes)?;
    T::from_body(text, now).map_err(Problem::invalid)
}

fn read_lines<T: FromBody>(bytes: &[u8], now: DateTime<Utc>) -> Result<T, Problem> {
    let mut lines = Vec::new();
    for line in
        bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
    {
        lines.push(checked(line).map_err(|fault| JsonFault {
            pointer: format!("/{}{}", lines.len(), fault.pointer),
            message: format!(
                "Line {} (blank ones not counted): {}",
                lines.len() + 1,
                fault.message
            ),
            ..fault
        })?);
    }
    T::from_lines(&lines, now).map_err(Problem::invalid)
}

fn checked(bytes: &[u8]) -> Result<&str, JsonFault> {
    checked_within(bytes, MAX_DEPTH + ENVELOPE_DEPTH)
}

/// A response body, with the status 200 unless something around it says otherwise.
#[derive(Debug, Clone)]
pub struct Body<T>(pub T);

impl<T: Serialize + Type> Payload for Body<T> {
    const CONTENT_TYPE: &'static str = JSON;

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Serialize + Send> IntoResponse for Body<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(bytes) => Response::builder().content_type(JSON).body(bytes),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written as JSON");
                Problem::internal().into_response()
            }
        }
    }
}

impl<T: Serialize + Type> ApiResponse for Body<T> {
    fn meta() -> MetaResponses {
        let content = vec![MetaMediaType { content_type: JSON, schema: T::schema_ref() }];
        let answer = MetaResponse {
            description: "Done.",
            status: Some(200),
            status_range: None,
            content,
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![answer] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}
