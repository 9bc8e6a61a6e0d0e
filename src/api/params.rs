//! Parameters that say more about themselves than their type does.

use std::borrow::Cow;

use poem::Request;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseFromParameter, ParseResult, Type};
use uuid::Uuid;

use super::problem::Problem;
use crate::job::JobId;
use crate::queue::QueueName;

/// A parameter that is taken as text, and read by the operation, so that the answer to a bad one has a code of its own.
macro_rules! text {
    ($(#[$doc:meta])* $type:ident, $name:literal, $schema:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $type(String);

        impl Type for $type {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                $name.into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Inline(Box::new($schema))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::empty())
            }
        }

        impl ParseFromParameter for $type {
            fn parse_from_parameter(value: &str) -> ParseResult<Self> {
                Ok(Self(value.to_owned()))
            }

            // Several lines of a header are one with commas (RFC 9110).
            fn parse_from_parameters<I: IntoIterator<Item = A>, A: AsRef<str>>(
                values: I,
            ) -> ParseResult<Self> {
                let values: Vec<A> = values.into_iter().collect();
                let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
                Self::parse_from_parameter(&values.join(", "))
            }
        }
    };
}
text!(
    /// A job's id as it stands in a path.
    IdText, "string_uuid", MetaSchema::new_with_format("string", "uuid")
);
text!(
    /// A queue's name as it stands in a path.
    QueueText, "string_queue", MetaSchema {
        pattern: Some("^[a-z0-9_.-]{1,64}$".into()),
        ..MetaSchema::new("string")
    }
);
text!(
    /// Preferences as they stand in `Prefer` (RFC 7240).
    PreferText, "string_prefer", MetaSchema::new("string")
);

impl PreferText {
    /// The value of the first preference of this name: by the standard, the others do not count.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.split(',').find_map(|preference| {
            let (known, value) = preference.split(';').next()?.split_once('=')?;
            known.trim().eq_ignore_ascii_case(name).then_some(value)
        })?;
        Some(value.trim().trim_matches('"'))
    }
}

impl IdText {
    pub fn job(&self) -> Result<JobId, Problem> {
        Uuid::parse_str(&self.0).map(JobId).map_err(|_| {
            let detail = "A job's id is a UUID, such as 0199a3c0-b5d2-7c3f-8a51-f0e2d4c6b8a0. Take it from the answer to the submission.";
            Problem::bad_request("invalid_job_id", detail)
        })
    }
}

impl QueueText {
    pub fn queue(&self) -> Result<QueueName, Problem> {
        QueueName::new(&self.0).ok_or_else(|| {
            let detail = format!(
                "A queue's name is {}. GET /queues lists those that there are.",
                QueueName::RULE
            );
            Problem::bad_request("invalid_queue_name", detail)
        })
    }
}

/// How many items a page is to have: 1 to 200, or what is usual for such a list.
pub fn page_limit(limit: Option<u32>, usual: u32) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(usual);
    if (1..=200).contains(&limit) {
        return Ok(limit);
    }
    let detail = "limit is a number from 1 to 200. Follow next_cursor for more.";
    Err(Problem::bad_request("invalid_limit", detail))
}

/// The `Link` to the next page of the list that `request` asks for (RFC 8288).
pub fn next_link(request: &Request, cursor: Option<&str>) -> Option<String> {
    let cursor = cursor?;
    let query = request.uri().query().unwrap_or_default();
    let mut link = format!("<{}?", request.uri().path());
    for pair in query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("cursor=")) {
        link.push_str(pair);
        link.push('&');
    }
    link.push_str(&format!("cursor={cursor}>; rel=\"next\""));
    Some(link)
}

/// 400 for a cursor that no list has given.
pub fn invalid_cursor() -> Problem {
    let detail = "This is no cursor of a list. Pass next_cursor of the page before as it is, or leave it out.";
    Problem::bad_request("invalid_cursor", detail)
}

/// 404 for a job.
pub fn no_job(id: JobId) -> Problem {
    let detail = format!(
        "There is no job {id}. Its retention may be over, or it was deleted, or never submitted here."
    );
    Problem::not_found("job_not_found", detail)
}
