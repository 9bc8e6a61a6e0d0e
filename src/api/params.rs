//! Parameters that say more about themselves than their type does.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseFromParameter, ParseResult, Type};
use uuid::Uuid;

use super::problem::Problem;
use crate::job::JobId;

/// A job's id as it stands in a path; [`IdText::job`] reads it, so that the answer to a bad one has a code of its own.
#[derive(Debug, Clone)]
pub struct IdText(String);

impl IdText {
    pub fn job(&self) -> Result<JobId, Problem> {
        Uuid::parse_str(&self.0).map(JobId).map_err(|_| {
            let detail = "A job's id is a UUID, such as 0199a3c0-b5d2-7c3f-8a51-f0e2d4c6b8a0. Take it from the answer to the submission.";
            Problem::bad_request("invalid_job_id", detail)
        })
    }
}

impl Type for IdText {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_uuid".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "uuid")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::empty())
    }
}

impl ParseFromParameter for IdText {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        Ok(Self(value.to_owned()))
    }
}

/// 404 for a job.
pub fn no_job(id: JobId) -> Problem {
    let detail = format!(
        "There is no job {id}. Its retention may be over, or it was deleted, or never submitted here."
    );
    Problem::not_found("job_not_found", detail)
}
