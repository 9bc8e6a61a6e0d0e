//! Requests that may be repeated: the header `Idempotency-Key`, and what is answered to it.

use std::borrow::Cow;

use http::{StatusCode, header};
use poem::Request;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromParameter, ParseResult, Type};

use super::Services;
use super::body::BLOCKING_FROM;
use super::problem::Problem;
use super::security::Bearer;
use super::types::described;
use crate::caller::Principal;
use crate::job::idempotency::{CHARS_MOST, KeyFault, Repeatable, fingerprint, key};
use crate::job::submission::Submission;
use crate::job::written::Written;
use crate::submitter::{RepeatError, SubmitError};

const HEADER: &str = "Idempotency-Key";

/// The key of a request that may be repeated, for the specification. The operation reads the header
/// itself, which may be there twice.
#[derive(Debug, Clone, Copy)]
pub(super) struct RepeatText;

described!(
    RepeatText,
    "string_idempotency_key",
    MetaSchema { min_length: Some(1), max_length: Some(CHARS_MOST), ..MetaSchema::new("string") }
);

impl ParseFromParameter for RepeatText {
    fn parse_from_parameter(_: &str) -> ParseResult<Self> {
        Ok(Self)
    }

    fn parse_from_parameters<I: IntoIterator<Item = A>, A: AsRef<str>>(_: I) -> ParseResult<Self> {
        Ok(Self)
    }
}

/// The name of a request that may be repeated.
pub(super) struct Named {
    principal: String,
    path: &'static str,
    key: String,
}

impl Named {
    /// From the headers of a request to the operation at this path; `None` without the header.
    pub(super) fn of(
        request: &Request,
        asker: &Bearer,
        path: &'static str,
    ) -> Result<Option<Self>, Problem> {
        let mut values = request.headers().get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(invalid("The request has more than one of them. Send one."));
        }
        let key = key(value.as_bytes()).map_err(|fault| invalid(advice(fault)))?;
        // Callers without a token may repeat from another address, so all of them are one.
        let principal = match asker.caller().principal {
            Principal::Anonymous(_) => Principal::Anonymous(None),
            principal => principal,
        };
        Ok(Some(Self { principal: principal.to_string(), path, key }))
    }

    /// With what the request submits.
    pub(super) async fn submitting(
        self,
        jobs: Vec<Submission>,
    ) -> Result<(Repeatable, Vec<Submission>), Problem> {
        let Self { principal, path, key } = self;
        let bytes: usize = jobs.iter().map(|job| job.payload.as_str().len()).sum();
        let read = move || (fingerprint(&jobs), jobs);
        let (fingerprint, jobs) = if bytes > BLOCKING_FROM {
            tokio::task::spawn_blocking(read).await.map_err(|_| Problem::internal())?
        } else {
            read()
        };
        Ok((Repeatable { principal, path, key, fingerprint }, jobs))
    }
}

impl Services {
    /// Submits the jobs of a request that may be repeated, and answers with the value of
    /// `Idempotency-Replayed`. `refused` tells the problem of a submission.
    pub(super) async fn repeat(
        &self,
        named: Named,
        jobs: Vec<Submission>,
        refused: impl FnOnce(SubmitError) -> Problem,
    ) -> Result<(Vec<Written>, Option<String>), Problem> {
        let (request, jobs) = named.submitting(jobs).await?;
        match self.repeats.submit(request, jobs).await {
            Ok(all) => Ok((all.written, all.replayed.then(|| "true".to_owned()))),
            Err(error) => Err(error.problem(refused)),
        }
    }
}

fn advice(fault: KeyFault) -> &'static str {
    match fault {
        KeyFault::Length => "It is empty or too long.",
        KeyFault::Character => "It has a control character, or one that is not ASCII.",
        KeyFault::Quotes => {
            "It begins with a quote. Such a key ends with one, and has \\\" and \\\\ in between."
        }
    }
}

fn invalid(what: &str) -> Problem {
    let detail = format!(
        "{HEADER} must be one string of 1 to {CHARS_MOST} characters of ASCII, with or without \
         quotes, such as a UUID. {what}"
    );
    Problem::parameter(HEADER, "invalid_idempotency_key", detail)
}

/// 409 while the first request with a key is under way.
pub(super) fn busy() -> Problem {
    let detail = "The first request with this Idempotency-Key is under way. Send this one again in \
                  a second, as it is.";
    Problem::conflict("idempotency_key_busy", detail).header(header::RETRY_AFTER, "1")
}

/// 422 for a key that belongs to other content.
pub(super) fn reused() -> Problem {
    let detail = "An earlier request with this Idempotency-Key had other content, and nothing was \
                  submitted now. Use a new key for new content.";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
}

/// 429 beyond the keys that a principal may have.
pub(super) fn too_many() -> Problem {
    let detail = "A million Idempotency-Keys of this caller are kept. Nothing was submitted. Wait \
                  until some are old, or send no key.";
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_idempotency_keys", detail);
    problem.header(header::RETRY_AFTER, "60")
}

impl RepeatError {
    /// The problem that it is; `refused` tells that of a submission.
    pub(super) fn problem(self, refused: impl FnOnce(SubmitError) -> Problem) -> Problem {
        match self {
            Self::Submission(error) => refused(error),
            Self::Busy => busy(),
            Self::Reused => reused(),
            Self::Full => too_many(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_a_status_of_its_own() {
        let status = |error: RepeatError| error.problem(Problem::from).status().as_u16();
        let key_busy = RepeatError::Submission(SubmitError::KeyBusy);
        let all = [RepeatError::Busy, RepeatError::Reused, RepeatError::Full, key_busy];
        assert_eq!(all.map(status), [409, 422, 429, 503]);
    }
}
