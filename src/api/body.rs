//! Bodies: [`Read`] takes one in, [`Body`] sends one out. Neither builds a `serde_json::Value`, so
//! that the JSON that jobs carry stays as it was written.
//!
//! poem-openapi's own JSON payload has no limit and no deadline, and reports one mistake at a time
//! in a sentence of its own. Here the bytes are counted as they stream in, and the text is checked
//! once as a whole. The type reads itself from it, and reports all that is wrong.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
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
use super::members::Items;
use super::problem::Problem;
use super::room::{Held, Room};
use crate::job::json::{JsonFault, MAX_DEPTH, checked_within};
use crate::job::submission::FieldError;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
/// How long a body may take; [`super::edge`] puts its own terms into each request.
const DEADLINE: Duration = Duration::from_secs(30);
/// A batch is an array of objects that hold payloads.
const ENVELOPE_DEPTH: u32 = 2;
/// Larger bodies are read off the threads that serve connections: a millisecond there is a
/// millisecond for everybody.
pub(super) const BLOCKING_FROM: usize = 512 * 1024;

/// The terms for the body of a request, in its extensions.
#[derive(Debug, Clone)]
pub(crate) struct BodyTerms {
    pub within: Duration,
    pub room: Room,
}

/// A type that reads itself from the text of a body.
pub trait FromBody: Type + Sized + 'static {
    /// Bytes that the body may have.
    const LIMIT: usize = 1024 * 1024;
    /// How many lines `application/x-ndjson` may have; `None`: it is not read.
    const LINES: Option<usize> = None;

    /// Reads a text that has passed the JSON check, nested up to two levels deeper than a payload
    /// may be. `now` is the database's time.
    ///
    /// # Errors
    /// All that is wrong, with JSON pointers into the body.
    fn from_body(text: &str, now: DateTime<Utc>) -> Result<Self, Vec<FieldError>>;

    /// Reads NDJSON: the lines that are not blank, each a JSON text that has passed the check.
    /// Pointers begin with the number of the line among them, from 0, as for an array.
    ///
    /// # Errors
    /// As [`FromBody::from_body`].
    fn from_items(items: &Items<'_>, now: DateTime<Utc>) -> Result<Self, Vec<FieldError>> {
        Self::from_body(&format!("[{}]", items.first.join(",")), now)
    }
}

/// A request body, and the room that it holds until it is no longer in memory.
#[derive(Debug)]
pub struct Read<T>(pub T, pub Held);

impl<'a, T: FromBody> ApiExtractor<'a> for Read<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(meta::<T>(true))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let lines = is_lines::<T>(request)?;
        let (bytes, held) = receive(request, body.take()?, T::LIMIT).await?;
        if bytes.trim_ascii().is_empty() {
            let detail = "The body is empty. Send a JSON document.";
            return Err(Problem::bad_request("empty_body", detail).into());
        }
        Ok(Self(value(request, bytes, lines).await?, held))
    }
}

/// A request body that may be left out, or be `null`.
#[derive(Debug)]
pub(super) struct Maybe<T>(pub Option<T>);

impl<'a, T: FromBody> ApiExtractor<'a> for Maybe<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(meta::<T>(false))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let (bytes, _held) = receive(request, body.take()?, T::LIMIT).await?;
        if matches!(bytes.trim_ascii(), b"" | b"null") {
            return Ok(Self(None));
        }
        let lines = is_lines::<T>(request)?;
        Ok(Self(Some(value(request, bytes, lines).await?)))
    }
}

// NDJSON is not listed: client generators cannot handle two media types for one body.
fn meta<T: FromBody>(required: bool) -> MetaRequest {
    let content = vec![MetaMediaType { content_type: JSON, schema: T::schema_ref() }];
    MetaRequest { description: None, content, required }
}

async fn value<T: FromBody>(request: &Request, bytes: Vec<u8>, lines: bool) -> Result<T, Problem> {
    let large = bytes.len() > BLOCKING_FROM;
    let services = request.data::<Services>();
    let now = services.map_or_else(Utc::now, |services| services.store.clock.now());
    let read = move || if lines { read_lines(&bytes, now) } else { read_text(&bytes, now) };
    if large {
        tokio::task::spawn_blocking(read).await.map_err(|_| Problem::internal())?
    } else {
        read()
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
    let lines = T::LINES.is_some() && media_type == NDJSON;
    if (json || lines) && matches!(charset, None | Some("utf-8" | "utf8" | "us-ascii")) {
        return Ok(lines);
    }
    let found = if content_type.is_empty() { "no Content-Type" } else { "another Content-Type" };
    let also = if T::LINES.is_some() { " or `application/x-ndjson`" } else { "" };
    Err(Problem::unsupported_media_type(format!(
        "The request has {found}. Send UTF-8 with `Content-Type: application/json`{also}."
    )))
}

/// The bytes of the body, at most `limit`, before the deadline.
async fn receive(
    request: &Request,
    body: poem::Body,
    limit: usize,
) -> Result<(Vec<u8>, Held), Problem> {
    let mut chunks = Box::pin(body.into_bytes_stream());
    let declared =
        request.header(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    let most = declared.map_or(limit, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if most > limit {
        return Err(Problem::too_large(limit));
    }
    let terms = request.data::<BodyTerms>();
    let deadline = terms.map_or(DEADLINE, |terms| terms.within);
    let late = || Problem::request_timeout(deadline.as_secs_f64());
    let (mut bytes, mut held) = (Vec::new(), Held::default());
    let arrived = tokio::time::timeout(deadline, async {
        loop {
            let chunk = match held.lost(bytes.len(), deadline) {
                None => chunks.next().await,
                // In a box, or every submission would carry the room for it.
                Some(lost) => match select(chunks.next(), Box::pin(lost)).await {
                    Either::Left((chunk, _)) => chunk,
                    Either::Right(_) => return Err(late()),
                },
            };
            let Some(chunk) = chunk else { return Ok(()) };
            let chunk = chunk.map_err(|_| {
                Problem::bad_request(
                    "body_cut_off",
                    "The connection ended before the body did. Send it again.",
                )
            })?;
            let length = bytes.len() + chunk.len();
            if length > limit {
                return Err(Problem::too_large(limit));
            }
            if let Some(terms) = terms {
                // Half of the time, so that the rest of a body that is refused can still be
                // drained.
                let covered = held.cover(&terms.room, length, most, deadline / 2).await?;
                if length > bytes.capacity() && covered > BLOCKING_FROM {
                    // As much as is covered, rather than twice as much while the buffer grows.
                    bytes.reserve_exact(covered - bytes.len());
                }
            }
            bytes.extend_from_slice(&chunk);
        }
    });
    match arrived.await {
        Ok(Ok(())) => Ok((bytes, held)),
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err(late()),
    }
}

fn read_text<T: FromBody>(bytes: &[u8], now: DateTime<Utc>) -> Result<T, Problem> {
    let text = checked(bytes)?;
    T::from_body(text, now).map_err(Problem::invalid)
}

fn read_lines<T: FromBody>(bytes: &[u8], now: DateTime<Utc>) -> Result<T, Problem> {
    let mut lines = Items::default();
    for line in
        bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
    {
        let line = checked(line).map_err(|fault| JsonFault {
            pointer: format!("/{}{}", lines.count, fault.pointer),
            message: format!(
                "Line {} (blank ones not counted): {}",
                lines.count + 1,
                fault.message
            ),
            ..fault
        })?;
        lines.add(line, T::LINES.unwrap_or_default());
    }
    T::from_items(&lines, now).map_err(Problem::invalid)
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
