//! A submission as it comes in over HTTP: described by [`JobCreate`], read member by member, and
//! checked by the rule book.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::Type;

use super::body::FromBody;
use super::fields::{Fields, kind};
use super::members::Items;
use super::problem::MAX_ERRORS;
use super::schema::JobCreate;
use super::types::described;
use crate::job::fields::{self, NAMES, NewJob, Together};
use crate::job::submission::{BATCH_MOST, FieldError, PAYLOAD_BYTES_MOST, Submission, TOO_MANY};

/// One submission, checked.
#[derive(Debug)]
pub(super) struct SubmissionBody(pub Submission);

/// A batch of them.
#[derive(Debug)]
pub(super) struct BatchBody(pub Vec<Submission>);

described!(SubmissionBody as JobCreate);
described!(BatchBody as Vec<JobCreate>);

impl FromBody for SubmissionBody {
    // A payload counts as it is written out, and six bytes of `\u0041` are one then. Blanks do not
    // count at all, and the other fields need room too.
    const LIMIT: usize = 6 * PAYLOAD_BYTES_MOST + 16 * 1024;

    fn from_body(text: &str, now: DateTime<Utc>) -> Result<Self, Vec<FieldError>> {
        read(text, "", now).map(Self)
    }
}

impl FromBody for BatchBody {
    const LIMIT: usize = 32 * 1024 * 1024;
    const LINES: Option<usize> = Some(BATCH_MOST);

    fn from_body(text: &str, now: DateTime<Utc>) -> Result<Self, Vec<FieldError>> {
        let Some(items) = Items::of(text, BATCH_MOST) else {
            let message = format!("Expected an array of jobs, found {}.", kind(text));
            return Err(vec![FieldError::new("", "wrong_type", message)]);
        };
        Self::from_items(&items, now)
    }

    fn from_items(items: &Items<'_>, now: DateTime<Utc>) -> Result<Self, Vec<FieldError>> {
        if !(1..=BATCH_MOST).contains(&items.count) {
            let message = format!(
                "A batch has 1 to {BATCH_MOST} jobs, this one {}. Split a longer list into several calls.",
                items.count
            );
            return Err(vec![FieldError::new("", "batch_size", message)]);
        }
        let mut jobs = Vec::with_capacity(items.count);
        let mut errors = Vec::new();
        for (nth, text) in items.first.iter().enumerate() {
            match read(text, &format!("/{nth}"), now) {
                // Of a batch that is refused nothing is kept.
                Ok(job) if errors.is_empty() => jobs.push(job),
                Ok(_) => {}
                Err(more) => errors.extend(more),
            }
            if errors.len() >= MAX_ERRORS {
                break;
            }
        }
        if errors.is_empty() { Ok(Self(jobs)) } else { Err(errors) }
    }
}

/// The submission in `text`, or everything that is wrong with it: what cannot be read, and what the
/// rule book says of the rest.
fn read(text: &str, at: &str, now: DateTime<Utc>) -> Result<Submission, Vec<FieldError>> {
    let mut members = Fields::parse(text, at, NAMES).map_err(|error| vec![error])?;
    let job = NewJob::read(&mut members);
    // A field that could not be read is absent to the rule book. Which fields go together is told
    // here, of all that are there.
    let together = fields::together(&members);
    let mut errors = members.finish();
    let unread: Vec<String> = errors.iter().map(|error| error.pointer.clone()).collect();
    let told = |pointer: &str| {
        unread.iter().any(|one| {
            one.strip_prefix(pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    match job.check_with(together, now) {
        Ok(submission) if errors.is_empty() => return Ok(submission),
        Ok(_) => {}
        Err(more) => errors.extend(more.into_iter().filter_map(|error| {
            let pointer = format!("{at}{}", error.pointer);
            let also = error.code == TOO_MANY || Together::CODES.contains(&error.code);
            (also || !told(&pointer)).then_some(FieldError { pointer, ..error })
        })),
    }
    Err(errors)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MOST_TAGS: usize = 20;

    #[test]
    fn of_more_tags_than_a_job_may_have_the_first_are_told_and_the_others_counted() {
        let refused = |tag: &str| {
            let body = format!(r#"{{"payload":1,"tags":[{}]}}"#, vec![tag; 60_000].join(","));
            let errors = SubmissionBody::from_body(&body, Utc::now()).unwrap_err();
            errors.into_iter().map(|error| (error.pointer, error.code)).collect::<Vec<_>>()
        };
        for (tag, code) in [("1", "wrong_type"), ("\"\"", "invalid_length")] {
            let mut expected: Vec<_> =
                (0..MOST_TAGS).map(|nth| (format!("/tags/{nth}"), code)).collect();
            expected.push(("/tags".into(), "too_many"));
            let mut found = refused(tag);
            found.sort();
            expected.sort();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_batch_is_read_until_it_has_the_most_errors_that_are_told() {
        let wrong = r#"{"payload":1,"tags":[1,1,1,1,1,1,1,1,1,1]}"#;
        let body = format!("[{}]", vec![wrong; BATCH_MOST].join(","));
        let errors = BatchBody::from_body(&body, Utc::now()).unwrap_err();
        assert_eq!(errors.len(), MAX_ERRORS);
        let told = format!("{:?}", crate::api::problem::Problem::invalid(errors));
        assert!(told.contains("At least 10000 things are wrong"));
        let line = Items { first: vec!["{}"], count: BATCH_MOST + 1 };
        let errors = BatchBody::from_items(&line, Utc::now()).unwrap_err();
        assert!(errors.len() == 1 && errors[0].message.contains("this one 10001"), "{errors:?}");
    }
}
