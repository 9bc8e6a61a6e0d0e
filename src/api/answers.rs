//! The error answers of each operation, for the specification.
//!
//! An operation returns `Result<T, Refused<Op>>`; `Op` lists the statuses that it may refuse with,
//! beside those that any operation may. There is no `default` answer, because it sits badly beside
//! a typed success in generated clients.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use poem::IntoResponse;
use poem_openapi::ApiResponse;
use poem_openapi::payload::Payload;
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};

use super::problem::Problem;

/// Statuses of every operation: no token, a name that is not allowed, a mistake of ours, the
/// database gone.
const ALWAYS: &[u16] = &[401, 421, 500, 503];
/// Statuses of an operation that changes something: a web page of another origin asks for it.
pub(crate) const CHANGE: &[u16] = &[403];
/// Statuses of an operation that reads a body through [`super::body::Read`].
pub const BODY: &[u16] = &[400, 403, 408, 413, 415, 422];

/// The refusals of an operation; written by [`refusals!`](crate::refusals).
pub trait Refuses: Send + Sync + 'static {
    /// The statuses of its refusals.
    const STATUSES: &'static [&'static [u16]];
}

/// Names operations and the statuses that they may refuse with:
/// `refusals! { pub SubmitJob: BODY, &[409]; pub GetJob: &[400, 404]; }`.
#[doc(hidden)]
#[macro_export]
macro_rules! refusals {
    ($($vis:vis $name:ident: $($statuses:expr),* ;)*) => {$(
        #[doc = concat!("Refusals of `", stringify!($name), "`.")]
        #[derive(Debug)]
        $vis struct $name;

        impl $crate::Refuses for $name {
            const STATUSES: &'static [&'static [u16]] = &[$($statuses),*];
        }
    )*};
}

/// The problem that an operation refuses with. Made by `?` from a [`Problem`] or anything that
/// becomes one.
#[derive(Debug)]
pub struct Refused<Op>(Problem, PhantomData<fn() -> Op>);

impl<Op, E: Into<Problem>> From<E> for Refused<Op> {
    fn from(error: E) -> Self {
        Self(error.into(), PhantomData)
    }
}

impl<Op: Refuses> From<Refused<Op>> for poem::Error {
    fn from(refused: Refused<Op>) -> Self {
        let status = refused.0.status().as_u16();
        debug_assert!(
            statuses::<Op>().contains(&status),
            "{status} is missing from the operation's `refusals!`"
        );
        refused.0.into()
    }
}

impl<Op: Refuses> IntoResponse for Refused<Op> {
    fn into_response(self) -> poem::Response {
        self.0.into_response()
    }
}

impl<Op: Refuses> ApiResponse for Refused<Op> {
    fn meta() -> MetaResponses {
        MetaResponses { responses: statuses::<Op>().into_iter().map(answer).collect() }
    }

    fn register(registry: &mut Registry) {
        <Problem as Payload>::register(registry);
    }
}

fn statuses<Op: Refuses>() -> BTreeSet<u16> {
    Op::STATUSES.iter().copied().chain([ALWAYS]).flatten().copied().collect()
}

fn answer(status: u16) -> MetaResponse {
    let content = MetaMediaType {
        content_type: Problem::CONTENT_TYPE,
        schema: <Problem as Payload>::schema_ref(),
    };
    let headers = match status {
        401 => {
            let about = "How to authenticate (RFC 6750).";
            vec![header("WWW-AUTHENTICATE", about, MetaSchema::new("string"))]
        }
        429 | 503 => vec![header("RETRY-AFTER", "Seconds after which to try again.", seconds())],
        _ => Vec::new(),
    };
    MetaResponse {
        description: description(status),
        status: Some(status),
        status_range: None,
        content: vec![content],
        headers,
    }
}

fn seconds() -> MetaSchema {
    MetaSchema { minimum: Some(0.0), ..MetaSchema::new_with_format("integer", "uint32") }
}

fn header(name: &str, description: &str, schema: MetaSchema) -> MetaHeader {
    MetaHeader {
        name: name.into(),
        description: Some(description.into()),
        required: true,
        deprecated: false,
        schema: MetaSchemaRef::Inline(Box::new(schema)),
    }
}

fn description(status: u16) -> &'static str {
    match status {
        400 => {
            "The request cannot be read. A parameter has the wrong form, the body is empty or \
             not JSON, or there is not exactly one Host header."
        }
        401 => "No bearer token, or an unknown one, although the service asks for one.",
        403 => {
            "A web page of another origin sent this (`cross_origin`). Only the service's own \
             pages may change something."
        }
        404 => "Nothing has this id or name.",
        408 => "The body did not arrive in time.",
        409 => {
            "The request conflicts with the current state of the job or queue. `code` says how, \
             and `job_id` names the job in the way."
        }
        412 => "`If-Match` names another state than the current one.",
        413 => "The body is too large.",
        415 => "The service does not read this content type. Send `application/json`.",
        422 => "The body is JSON, but something in it is wrong. `errors` lists every wrong place.",
        421 => {
            "The service has no tokens, and the request's Host is not one of its names \
             (`host_not_allowed`)."
        }
        429 => {
            "A bound of the service is reached. `code` says which, and Retry-After when to try \
             again."
        }
        500 => "The service failed. Its log has the `request_id`.",
        503 => {
            "The database cannot be reached, or whether it kept the change is not known \
             (`outcome_unknown`)."
        }
        _ => http::StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Refused."),
    }
}
