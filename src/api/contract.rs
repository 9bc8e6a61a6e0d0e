//! The finished specification: this module adds to the document of poem-openapi what that cannot
//! say.
//!
//! It adds an example for every error answer, and an empty list of security where no token is asked
//! for. It adds the known codes, and whole numbers as the bounds of integers. The document keeps
//! its order, since `/docs` and the generated clients follow it; that is why it is a value of YAML.

use chrono::Utc;
use serde_yaml::{Mapping, Value};

use super::body::FromBody;
use super::failure::{database_unavailable, of_batch};
use super::health::{Health, HealthStatus, Readiness};
use super::jobs::refused;
use super::jobs::view::example_id;
use super::operations::{self, ended, no_operation};
use super::params::{invalid_cursor, invalid_job_id, invalid_queue, no_job};
use super::problem::Problem;
use super::queues::{changed_meanwhile, no_queue};
use super::redrive::RedriveBody;
use super::repeats::too_many;
use super::tasks::no_task;
use super::{browsers, codes};
use crate::auth::Unauthorized;
use crate::job::JobId;
use crate::job::json::Json;
use crate::job::state::Status;
use crate::job::submission::FieldError;
use crate::queue::QueueName;
use crate::submitter::SubmitError;

const MEDIA_TYPE: &str = "application/problem+json";

/// The document of poem-openapi, as JSON, and what it cannot say.
pub(super) fn finished(spec: &str) -> Value {
    let read = serde_json::from_str(spec);
    let mut document: Value = read.expect("the document was written as JSON");
    let paths = document.get_mut("paths").and_then(Value::as_mapping_mut);
    for (path, operations) in paths.into_iter().flatten() {
        let path = path.as_str().unwrap_or_default().to_owned();
        for (_, operation) in operations.as_mapping_mut().into_iter().flatten() {
            if let Some(operation) = operation.as_mapping_mut() {
                finish(&path, operation);
            }
        }
    }
    let of_problems = codes::PROBLEMS.iter().map(|code| code.name).collect();
    list_codes(&mut document, "ProblemDetails", of_problems);
    list_codes(&mut document, "ProblemPlace", codes::of_places().into_iter().collect());
    list_codes(&mut document, "OperationSkip", codes::SKIPS.iter().map(|code| code.0).collect());
    list_codes(&mut document, "JobWait", codes::WAITS.iter().map(|code| code.0).collect());
    list_codes(&mut document, "JobError", codes::FAILURES.iter().map(|code| code.0).collect());
    whole_numbers(&mut document);
    document
}

fn finish(path: &str, operation: &mut Mapping) {
    // An absent list means the same, but readers take it for a forgotten one.
    if !operation.contains_key("security") {
        operation.insert("security".into(), Value::Sequence(Vec::new()));
    }
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let shown = path.replace("{job_id}", &example_id().to_string());
    let shown = shown.replace("{operation_id}", &operations::example_id().to_string());
    let shown = shown.replace("{queue}", "mail").replace("{name}", "slepe");
    let answers = operation.get_mut("responses").and_then(Value::as_mapping_mut);
    for (status, answer) in answers.into_iter().flatten() {
        let status: u16 = status.as_str().and_then(|it| it.parse().ok()).unwrap_or_default();
        let content = answer.get_mut("content").and_then(Value::as_mapping_mut);
        for (media_type, body) in content.into_iter().flatten() {
            let example = if media_type.as_str() == Some(MEDIA_TYPE) {
                refusal(&id, status).map(|problem| serde_yaml::to_value(problem.shown(&shown)))
            } else {
                unhealthy(&id, status)
            };
            if let (Some(Ok(example)), Some(body)) = (example, body.as_mapping_mut()) {
                body.insert("example".into(), example);
            }
        }
    }
}

/// How an operation refuses with this status: one of the answers that it gives.
fn refusal(operation: &str, status: u16) -> Option<Problem> {
    let id = JobId(example_id());
    Some(match (status, operation) {
        (400, "submit_job" | "submit_jobs") => Json::parse(br#"{"payload": "#).err()?.into(),
        (400, "list_jobs" | "list_queues" | "list_operations" | "list_audit") => invalid_cursor(),
        (400, "get_queue" | "put_queue" | "patch_queue" | "delete_queue_settings") => {
            invalid_queue()
        }
        (400, "pause_queue" | "resume_queue" | "purge_queue") => invalid_queue(),
        (400, "get_job" | "list_attempts" | "cancel_job" | "retry_job" | "delete_job") => {
            invalid_job_id()
        }
        (400, _) => browsers::no_host(),
        (401, _) => Unauthorized::Missing.into(),
        (403, _) => browsers::cross_origin(),
        (404, "get_operation" | "stop_operation") => no_operation(operations::example_id()),
        (409, "stop_operation") => ended("completed"),
        (
            404,
            "get_queue" | "patch_queue" | "delete_queue_settings" | "resume_queue" | "purge_queue",
        ) => no_queue(&QueueName::new("mail")?),
        (404, "get_task") => no_task("slepe", &["echo", "sleep"]),
        (404, _) => no_job(id),
        (408, _) => Problem::request_timeout(30.0),
        (409, "cancel_job") => refused::already_final(id, Status::Completed),
        (409, "retry_job") => refused::not_final(id),
        (409, "delete_job") => refused::processing(id),
        (409, "submit_jobs") => of_batch(SubmitError::Conflict(vec![(1, id)])),
        (409, _) => SubmitError::Conflict(vec![(0, id)]).into(),
        (412, _) => changed_meanwhile(&QueueName::new("mail")?),
        (413, _) => Problem::too_large(32 * 1024 * 1024),
        (415, _) => Problem::unsupported_media_type("Send `Content-Type: application/json`."),
        (421, _) => browsers::not_allowed("jobs.example.org"),
        (422, "redrive_dead_letters") => {
            Problem::invalid(RedriveBody::from_body("{}", Utc::now()).err()?)
        }
        (422, "submit_jobs") => Problem::invalid(vec![wrong_priority("/1/priority")]),
        (422, "pause_queue") => {
            let message = "give until or seconds, not both";
            Problem::invalid(vec![FieldError::new("/seconds", "conflicting_fields", message)])
        }
        (422, _) => Problem::invalid(vec![wrong_priority("/priority")]),
        (429, _) => too_many(),
        (500, _) => Problem::internal(),
        (503, _) => database_unavailable(),
        _ => return None,
    })
}

fn wrong_priority(pointer: &str) -> FieldError {
    FieldError::new(pointer, "out_of_range", "priority must be from 0 (first) to 9")
}

/// How a probe answers when the service is not well.
fn unhealthy(operation: &str, status: u16) -> Option<serde_yaml::Result<Value>> {
    match (status, operation) {
        (503, "get_readyz") => Some(serde_yaml::to_value(Readiness::starting())),
        (503, _) => Some(serde_yaml::to_value(Health { status: HealthStatus::Unhealthy })),
        _ => None,
    }
}

/// Names the codes that there are today beside the schema of a code.
fn list_codes(document: &mut Value, schema: &str, names: Vec<&str>) {
    let schemas = document.get_mut("components").and_then(|it| it.get_mut("schemas"));
    let code = schemas.and_then(|it| it.get_mut(schema)?.get_mut("properties")?.get_mut("code"));
    let Some(code) = code.and_then(Value::as_mapping_mut) else { return };
    let about = code.get("description").and_then(Value::as_str).unwrap_or_default();
    let listed = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let about = format!("{about} Codes are added over time. Known: {listed}.");
    code.insert("description".into(), about.into());
    let names = names.into_iter().map(Value::from).collect();
    code.insert("x-extensible-enum".into(), Value::Sequence(names));
}

/// poem-openapi writes every bound as a number with a fraction; that of an integer has none.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Sequence(items) => items.iter_mut().for_each(whole_numbers),
        Value::Mapping(members) => {
            if members.get("type").and_then(Value::as_str) == Some("integer") {
                for name in ["minimum", "maximum"] {
                    if let Some(bound) = members.get(name).and_then(Value::as_f64) {
                        #[expect(clippy::cast_possible_truncation, reason = "an integer's bound")]
                        members.insert(name.into(), (bound as i64).into());
                    }
                }
            }
            members.values_mut().for_each(whole_numbers);
        }
        _ => {}
    }
}
