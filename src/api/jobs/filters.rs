//! The parameters of a list of jobs that may be repeated: any of the statuses, queues and tasks,
//! and all of the tags. All but tags, which may hold commas, may also be written as one with
//! commas.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromParameter, ParseResult, Type};

use super::super::params::invalid_name;
use super::super::problem::Problem;
use super::super::schema::of_filter;
use super::super::types::described;
use super::answers::Include;
use crate::job::state::Status;
use crate::queue::{QueueName, TaskName};

macro_rules! list {
    ($(#[$doc:meta])* $type:ident, $name:literal, $item:expr, $register:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $type(Vec<String>);

        described!($type, $name.into(), array($item), $register);

        impl ParseFromParameter for $type {
            fn parse_from_parameter(value: &str) -> ParseResult<Self> {
                Ok(Self(vec![value.to_owned()]))
            }

            fn parse_from_parameters<I: IntoIterator<Item = A>, A: AsRef<str>>(
                values: I,
            ) -> ParseResult<Self> {
                Ok(Self(values.into_iter().map(|value| value.as_ref().to_owned()).collect()))
            }
        }
    };
}
list!(
    /// Names of queues.
    Queues, "array_queue", inline(of_filter("queue")), |_: &mut Registry| {}
);
list!(
    /// Names of tasks.
    Tasks, "array_task", inline(of_filter("task")), |_: &mut Registry| {}
);
list!(
    /// Tags.
    Tags, "array_tag", inline(of_filter("tags")), |_: &mut Registry| {}
);
list!(
    /// Statuses.
    Statuses, "array_status", Status::schema_ref(), Status::register
);
list!(
    /// Parts that are read beside the rest.
    Includes, "array_include", Include::schema_ref(), Include::register
);

fn array(items: MetaSchemaRef) -> MetaSchemaRef {
    inline(MetaSchema { items: Some(Box::new(items)), ..MetaSchema::new("array") })
}

fn inline(schema: MetaSchema) -> MetaSchemaRef {
    MetaSchemaRef::Inline(Box::new(schema))
}

fn pieces(values: &[String]) -> impl Iterator<Item = &str> {
    values.iter().flat_map(|value| value.split(',')).map(str::trim)
}

impl Statuses {
    pub(super) fn read(list: Option<Self>) -> Result<Vec<Status>, Problem> {
        let list = list.map_or_else(Vec::new, |list| list.0);
        let read = |piece: &str| {
            Status::parse(piece).ok_or_else(|| {
                unknown("status", piece, &Status::ALL.map(Status::as_str).join(", "))
            })
        };
        pieces(&list).map(read).collect()
    }
}

/// The parts that a list has beside the rest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Beside {
    pub payloads: bool,
    pub results: bool,
}

impl Includes {
    pub(super) fn read(list: Option<Self>) -> Result<Beside, Problem> {
        let list = list.map_or_else(Vec::new, |list| list.0);
        let mut beside = Beside::default();
        for piece in pieces(&list) {
            match piece {
                "payload" => beside.payloads = true,
                "result" => beside.results = true,
                _ => return Err(unknown("include", piece, "payload, result")),
            }
        }
        Ok(beside)
    }
}

impl Queues {
    pub(crate) fn read(list: Option<Self>) -> Result<Vec<String>, Problem> {
        let list = list.map_or_else(Vec::new, |list| list.0);
        let wrong = || invalid_name("queue", "invalid_queue_name", QueueName::RULE);
        names(&list, QueueName::fits, wrong)
    }
}

impl Tasks {
    pub(crate) fn read(list: Option<Self>) -> Result<Vec<String>, Problem> {
        let list = list.map_or_else(Vec::new, |list| list.0);
        let wrong = || invalid_name("task", "invalid_parameter", TaskName::RULE);
        names(&list, TaskName::fits, wrong)
    }
}

/// The names in a list, each of which must fit.
fn names(
    list: &[String],
    fits: fn(&str) -> bool,
    wrong: impl Fn() -> Problem,
) -> Result<Vec<String>, Problem> {
    let read = |name: &str| if fits(name) { Ok(name.to_owned()) } else { Err(wrong()) };
    pieces(list).map(read).collect()
}

impl Tags {
    pub(super) fn read(list: Option<Self>) -> Result<Vec<String>, Problem> {
        let list = list.map_or_else(Vec::new, |list| list.0);
        if list.iter().any(String::is_empty) {
            return Err(invalid_name("tag", "invalid_parameter", "1 to 64 characters"));
        }
        Ok(list)
    }
}

fn unknown(name: &str, piece: &str, known: &str) -> Problem {
    let piece: String = piece.chars().take(100).collect();
    let detail = format!(
        "{name} must be one or more of {known}, and `{piece}` is not. Repeat the parameter or separate them by commas."
    );
    Problem::parameter(name, "invalid_parameter", detail)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_repeated_or_have_commas() {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let statuses = Statuses::read(Some(Statuses(texts(&["failed, queued", "completed"]))));
        assert_eq!(statuses.unwrap(), [Status::Failed, Status::Queued, Status::Completed]);
        assert_eq!(Queues::read(Some(Queues(texts(&["a,b", "c"])))).unwrap(), ["a", "b", "c"]);
        assert_eq!(Tags::read(Some(Tags(texts(&["a,b", "c"])))).unwrap(), ["a,b", "c"]);
        let both = Beside { payloads: true, results: true };
        assert_eq!(Includes::read(Some(Includes(texts(&["payload,result"])))).unwrap(), both);
        for wrong in ["", "a,,b", "A"] {
            let problem = Queues::read(Some(Queues(texts(&[wrong])))).unwrap_err();
            assert_eq!(problem.code(), "invalid_queue_name");
        }
        assert!(Queues::read(None).unwrap().is_empty());
    }
}
