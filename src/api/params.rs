//! Parameters that say more about themselves than their type does.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use poem::Request;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromParameter, ParseResult, Type};
use uuid::Uuid;

use super::problem::Problem;
use super::schema::of_filter;
use super::types::described;
use crate::job::family::Family;
use crate::job::submission::KEY_CHARS_MOST;
use crate::job::{JobId, moment};
use crate::operation::{CODE_CHARS_MOST, DELAY_MOST, PURGE_DELAY};
use crate::queue::QueueName;
use crate::store::job::PAGE_MOST;

/// The most jobs of a page whose caller does not say.
pub(super) const JOBS_A_PAGE: u32 = 50;
/// The most queues of a page whose caller does not say.
pub(super) const QUEUES_A_PAGE: u32 = 100;
/// The most changes of a page of the audit whose caller does not say.
pub(super) const AUDIT_A_PAGE: u32 = 50;
/// The longest text that an entry of the audit is looked for by.
const AUDIT_CHARS_MOST: usize = 255;
/// The most operations of a page whose caller does not say.
pub(super) const OPERATIONS_A_PAGE: u32 = 50;
/// The longest that a call may wait for the end of a job.
const WAIT_MOST_SECONDS: u32 = 60;

/// A parameter that is taken as text and read by the operation. So the answer to a bad one has a
/// code of its own.
macro_rules! text {
    ($(#[$doc:meta])* $type:ident, $name:literal, $schema:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $type(pub(super) String);

        described!($type, $name, $schema);

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
    QueueText, "string_queue", of_filter("queue")
);
text!(
    /// A task's name as it stands in a path.
    TaskText, "string_task", of_filter("task")
);
text!(
    /// A JSON value.
    JsonText, "string_json", MetaSchema { min_length: Some(1), ..MetaSchema::new("string") }
);
text!(
    /// The length of a page of jobs.
    JobsLimit, "integer_limit_jobs", limit(JOBS_A_PAGE)
);
text!(
    /// The length of a page of queues.
    QueuesLimit, "integer_limit_queues", limit(QUEUES_A_PAGE)
);
text!(
    /// The length of a page of the audit.
    AuditLimit, "integer_limit_audit", limit(AUDIT_A_PAGE)
);
text!(
    /// A principal, an action or a target of the audit.
    AuditText, "string_audit", MetaSchema {
        min_length: Some(1), max_length: Some(AUDIT_CHARS_MOST), ..MetaSchema::new("string")
    }
);
text!(
    /// The length of a page of operations.
    OperationsLimit, "integer_limit_operations", limit(OPERATIONS_A_PAGE)
);
text!(
    /// An operation's id as it stands in a path.
    OperationText, "string_operation", MetaSchema::new_with_format("string", "uuid")
);
text!(
    /// The code of an error.
    CodeText, "string_code", MetaSchema {
        min_length: Some(1), max_length: Some(CODE_CHARS_MOST), ..MetaSchema::new("string")
    }
);
text!(
    /// A failure family.
    FamilyText, "string_family", MetaSchema {
        pattern: Some("^[0-9a-fA-F]{16}$".into()), ..MetaSchema::new("string")
    }
);
text!(
    /// How many seconds pass before an operation starts.
    DelayText, "number_delay", MetaSchema {
        default: Some(PURGE_DELAY.into()), minimum: Some(0.0), maximum: Some(DELAY_MOST),
        ..MetaSchema::new_with_format("number", "double")
    }
);
text!(
    /// `next_cursor` of another page. It means something to the service only.
    CursorText, "string_cursor", MetaSchema { min_length: Some(1), ..MetaSchema::new("string") }
);
text!(
    /// A switch, which `?name` alone switches on.
    SwitchText, "string_switch", MetaSchema {
        default: Some("false".into()), ..MetaSchema::new("string")
    }
);
text!(
    /// A unique key.
    KeyText, "string_key", of_filter("unique_key")
);
text!(
    /// How many seconds a call may wait.
    WaitText, "integer_wait", MetaSchema {
        minimum: Some(0.0), maximum: Some(WAIT_MOST_SECONDS.into()), ..MetaSchema::new_with_format("integer", "uint32")
    }
);
text!(
    /// A time.
    TimeText, "string_date-time", MetaSchema::new_with_format("string", "date-time")
);
text!(
    /// Preferences as they stand in `Prefer` (RFC 7240).
    PreferText, "string_prefer", MetaSchema::new("string")
);
text!(
    /// Tags of what the caller has, as they stand in `If-None-Match` (RFC 9110).
    TagsText, "string_tags", MetaSchema::new("string")
);

fn limit(usual: u32) -> MetaSchema {
    MetaSchema {
        default: Some(usual.into()),
        minimum: Some(1.0),
        maximum: Some(PAGE_MOST.into()),
        ..MetaSchema::new_with_format("integer", "uint32")
    }
}

impl SwitchText {
    pub(super) fn is_on(&self) -> bool {
        self.0 != "false" && self.0 != "0"
    }
}

impl TagsText {
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl KeyText {
    pub(super) fn key(self) -> Result<String, Problem> {
        if (1..=KEY_CHARS_MOST).contains(&self.0.chars().count()) {
            return Ok(self.0);
        }
        let rule = format!("1 to {KEY_CHARS_MOST} characters");
        Err(invalid_name("unique_key", "invalid_parameter", &rule))
    }
}

impl AuditText {
    pub(super) fn of(self, name: &str) -> Result<String, Problem> {
        if (1..=AUDIT_CHARS_MOST).contains(&self.0.chars().count()) {
            return Ok(self.0);
        }
        let rule = format!("1 to {AUDIT_CHARS_MOST} characters");
        Err(invalid_name(name, "invalid_parameter", &rule))
    }
}

impl PreferText {
    /// How long a call is to wait; `None` if that cannot be followed, too.
    pub(super) fn wait_seconds(&self) -> Option<u32> {
        wait_seconds(self.get("wait")?)
    }

    /// The value of the first preference of this name: by the standard, the others do not count.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.split(',').find_map(|preference| {
            let (known, value) = preference.split(';').next()?.split_once('=')?;
            known.trim().eq_ignore_ascii_case(name).then_some(value)
        })?;
        Some(value.trim().trim_matches('"'))
    }
}

impl IdText {
    pub(super) fn job(&self) -> Result<JobId, Problem> {
        Uuid::parse_str(&self.0).map(JobId).map_err(|_| invalid_job_id())
    }
}

/// 400 for a job's id that is not a UUID.
pub(super) fn invalid_job_id() -> Problem {
    let detail = "A job's id is a UUID, such as 0199a3c0-b5d2-7c3f-8a51-f0e2d4c6b8a0. Take it \
                  from the answer to the submission.";
    Problem::parameter("job_id", "invalid_job_id", detail)
}

impl OperationText {
    pub(super) fn operation(&self) -> Result<Uuid, Problem> {
        Uuid::parse_str(&self.0).map_err(|_| {
            let detail = "An operation's id is a UUID. Take it from GET /operations.";
            Problem::parameter("operation_id", "invalid_parameter", detail)
        })
    }
}

impl CodeText {
    pub(super) fn code(self) -> Result<String, Problem> {
        if (1..=CODE_CHARS_MOST).contains(&self.0.chars().count()) {
            return Ok(self.0);
        }
        let rule = format!("1 to {CODE_CHARS_MOST} characters");
        Err(invalid_name("code", "invalid_parameter", &rule))
    }
}

impl FamilyText {
    pub(super) fn family(&self) -> Result<Family, Problem> {
        let wrong = || invalid_name("family", "invalid_parameter", Family::RULE);
        Family::parse(&self.0).ok_or_else(wrong)
    }
}

impl DelayText {
    pub(super) fn seconds(&self) -> Result<f64, Problem> {
        let seconds = self.0.parse().ok().filter(|seconds| (0.0..=DELAY_MOST).contains(seconds));
        seconds.ok_or_else(|| {
            let detail = format!("delay_seconds must be a number from 0 to {DELAY_MOST}.");
            Problem::parameter("delay_seconds", "invalid_parameter", detail)
        })
    }
}

impl QueueText {
    pub(super) fn queue(&self) -> Result<QueueName, Problem> {
        QueueName::new(&self.0).ok_or_else(invalid_queue)
    }
}

/// 400 for a queue's name in a path.
pub(super) fn invalid_queue() -> Problem {
    let detail =
        format!("A queue's name is {}. GET /queues lists those that there are.", QueueName::RULE);
    Problem::parameter("queue", "invalid_queue_name", detail)
}

impl WaitText {
    pub(super) fn seconds(&self) -> Result<u32, Problem> {
        wait_seconds(&self.0).ok_or_else(|| {
            let detail = format!(
                "wait must be a whole number of seconds from 0 to {WAIT_MOST_SECONDS}. Ask again \
                 after that."
            );
            Problem::parameter("wait", "invalid_wait", detail)
        })
    }
}

fn wait_seconds(text: &str) -> Option<u32> {
    text.parse().ok().filter(|seconds| *seconds <= WAIT_MOST_SECONDS)
}

impl TimeText {
    /// The time by RFC 3339. In a query a `+` that is not written `%2B` is a blank, so a blank
    /// before an offset is a `+`.
    pub(super) fn time(&self, name: &str) -> Result<DateTime<Utc>, Problem> {
        let offset = |text: &str| text.len() == 5 && text.as_bytes()[2] == b':';
        let with_plus = match self.0.rsplit_once(' ') {
            Some((moment, zone)) if offset(zone) => format!("{moment}+{zone}"),
            _ => self.0.clone(),
        };
        moment::parse(&with_plus).ok_or_else(|| {
            let detail =
                format!("{name} must be {}. Write the + of an offset as %2B.", moment::RULE);
            Problem::parameter(name, "invalid_parameter", detail)
        })
    }
}

/// 400 for a name that nothing here can have.
pub(super) fn invalid_name(name: &str, code: &str, rule: &str) -> Problem {
    let detail = format!("`{name}` must be {rule}. Leave the parameter out for any.");
    Problem::parameter(name, code, detail)
}

/// The most items of a page: as the caller says, from 1 to 200, else `usual`.
pub(super) fn page_limit(limit: Option<String>, usual: u32) -> Result<u32, Problem> {
    let Some(text) = limit else { return Ok(usual) };
    let limit = text.parse().ok().filter(|limit| (1..=PAGE_MOST).contains(limit));
    limit.ok_or_else(|| {
        let detail = format!(
            "limit must be a whole number from 1 to {PAGE_MOST}. Follow next_cursor for more."
        );
        Problem::parameter("limit", "invalid_limit", detail)
    })
}

/// The `Link` to the next page of the list that `request` asks for (RFC 8288). Relative to that
/// request unless the public URL is known, so that it stays behind a proxy's prefix.
pub(super) fn next_link(
    request: &Request,
    public: Option<&str>,
    cursor: Option<&str>,
) -> Option<String> {
    let cursor = cursor?;
    let query = request.uri().query().unwrap_or_default();
    let mut link = match public {
        Some(url) => format!("<{url}{}?", request.uri().path()),
        None => "<?".to_owned(),
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("cursor=")) {
        link.push_str(pair);
        link.push('&');
    }
    link.push_str(&format!("cursor={cursor}>; rel=\"next\""));
    Some(link)
}

/// 400 for a cursor that no list has given.
pub(super) fn invalid_cursor() -> Problem {
    let detail = "cursor is not one that a list has given. Pass next_cursor of the page before \
                  as it is, or leave it out.";
    Problem::parameter("cursor", "invalid_cursor", detail)
}

/// 404 for a job.
pub(super) fn no_job(id: JobId) -> Problem {
    let detail = format!(
        "There is no job {id}. Its retention may be over, or it was deleted, or never submitted \
         here."
    );
    Problem::not_found("job_not_found", detail)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_that_became_a_blank_is_understood() {
        let time = |text: &str| TimeText(text.into()).time("created_after");
        let utc = time("2030-01-31T08:00:00Z").unwrap();
        for text in
            ["2030-01-31T09:00:00 01:00", "2030-01-31T09:00:00+01:00", "2030-01-31 08:00:00Z"]
        {
            assert_eq!(time(text).unwrap(), utc, "{text}");
        }
        for text in ["", "2030-01-31", "2030-01-31 08:00", "2030-01-31T08:00:00", "tomorrow"] {
            assert!(format!("{:?}", time(text).unwrap_err()).contains("%2B"), "{text}");
        }
    }
}
