//! Names of schemas become names of types in every language, beside those that are there already.

use std::collections::HashSet;

use super::{none, operations, specification};

/// A list that was named before there was a rule: the answers to a batch.
const NAMED_EARLIER: &str = "SubmittedBatch";

/// Endings that generators give to types of their own: `ListJobsRequest`, `JobsApi`.
const ENDINGS: &[&str] =
    &["Request", "Response", "Api", "Params", "Exception", "Client", "Enum", "AllOf", "OneOf"];

/// Types of two words that generated clients bring with them, or that their languages open.
const TAKEN: &[&str] = &[
    "ApiError",
    "BaseApi",
    "ModelNone",
    "RequiredError",
    "ResponseError",
    "ResponseContent",
    "ServerConfiguration",
    "FetchError",
    "ProblemDetail",
    "ThreadPool",
    "TimeUnit",
    "HashMap",
];

fn words(name: &str) -> usize {
    name.chars().filter(char::is_ascii_uppercase).count()
}

/// `Task`, `Job`, `Queue`, `Include`: each is a type or a word of some language. Two words are not.
#[test]
fn every_schema_has_a_name_that_no_language_has() {
    let specification = specification();
    let mut broken = Vec::new();
    let mut seen = HashSet::new();
    for name in specification["components"]["schemas"].as_object().unwrap().keys() {
        if words(name) < 2 || TAKEN.contains(&name.as_str()) {
            broken.push(format!("{name} is a name that languages have"));
        }
        if let Some(ending) = ENDINGS.iter().find(|ending| name.ends_with(**ending)) {
            broken.push(format!("{name} ends in {ending}, as types of generators do"));
        }
        // Some generators drop the capitals, others the last letter of a plural.
        if !seen.insert(name.to_lowercase().trim_end_matches('s').to_owned()) {
            broken.push(format!("{name} differs from another by its capitals or its number only"));
        }
    }
    // Rust's generator makes `SubmitJobError` of an operation.
    for operation in operations(&specification) {
        let id = operation.text["operationId"].as_str().unwrap().replace('_', "") + "error";
        if seen.contains(&id) {
            broken.push(format!("{id} is what a generator makes of {}", operation.name));
        }
    }
    none(broken);
}

#[test]
fn every_list_is_named_data() {
    let specification = specification();
    let mut broken = Vec::new();
    for operation in operations(&specification) {
        let id = operation.text["operationId"].as_str().unwrap();
        for (_, _, schema) in operation.answers().into_iter().filter(|it| it.0 == "200") {
            let to = schema["$ref"].as_str().unwrap().trim_start_matches('#');
            let properties = &specification.pointer(to).unwrap()["properties"];
            if id.starts_with("list_") != (properties["data"]["type"] == "array") {
                broken.push(format!("{id} answers {}", schema["$ref"]));
            }
        }
    }
    let batch = &specification["components"]["schemas"][NAMED_EARLIER]["properties"];
    assert_eq!(batch["jobs"]["type"], "array");
    none(broken);
}
