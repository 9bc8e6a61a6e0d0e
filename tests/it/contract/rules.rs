//! What makes a specification good for generators of clients and for readers, beyond being valid.
//! Each rule has broken some generator, or left a reader of `/docs` without an answer.

use std::collections::HashSet;

use serde_json::Value;

use super::{Operation, Validator, none, operations, specification, visit};

#[test]
fn it_is_valid() {
    let schema = serde_json::from_str(include_str!("openapi-3.0.schema.json")).unwrap();
    none(Validator::new(schema).fault(&specification()).into_iter().collect());
}

/// poem-openapi writes a path twice when two groups of operations share it, and readers take the
/// last.
#[test]
fn no_path_is_there_twice() {
    let spec = reveille::internals::api::spec();
    let paths: Vec<&str> = spec.json().lines().filter(|line| line.starts_with("    \"/")).collect();
    assert_eq!(paths.len(), paths.iter().collect::<HashSet<_>>().len(), "{paths:?}");
    assert_eq!(paths.len(), specification()["paths"].as_object().unwrap().len());
}

#[test]
fn references_lead_somewhere() {
    let specification = specification();
    let mut lost = Vec::new();
    visit(&specification, &mut |value| {
        if let Some(to) = value["$ref"].as_str()
            && specification.pointer(to.trim_start_matches('#')).is_none()
        {
            lost.push(to.to_owned());
        }
    });
    none(lost);
}

#[test]
fn every_operation_says_what_it_is() {
    let specification = specification();
    let (mut broken, mut ids) = (Vec::new(), HashSet::new());
    for operation in operations(&specification) {
        let text = operation.text;
        let id = text["operationId"].as_str().unwrap_or_default();
        let snake = id
            .split('_')
            .all(|word| !word.is_empty() && word.chars().all(|it| it.is_ascii_lowercase()));
        let mut say = |wrong: &str| broken.push(format!("{}: {wrong}", operation.name));
        if !id.contains('_') || !snake {
            say(&format!("operationId {id:?} is not verb_noun"));
        }
        if !ids.insert(id) {
            say(&format!("operationId {id:?} is not the only one"));
        }
        if text["tags"].as_array().map_or(0, Vec::len) != 1 {
            say("it needs exactly one tag");
        }
        for (what, value) in [("summary", &text["summary"]), ("description", &text["description"])]
        {
            if value.as_str().unwrap_or_default().trim().is_empty() {
                say(&format!("no {what}"));
            }
        }
        for parameter in text["parameters"].as_array().into_iter().flatten() {
            if parameter["description"].as_str().unwrap_or_default().is_empty() {
                say(&format!("no description of the parameter {}", parameter["name"]));
            }
            let required = parameter["required"] == true;
            if parameter["in"] == "query" && required {
                say(&format!("the parameter {} is required", parameter["name"]));
            }
            // Without its value this one panics in poem-openapi.
            if parameter["explode"] == false {
                say(&format!("explode = false on {}", parameter["name"]));
            }
        }
        broken.extend(parameters_of_path(&operation));
    }
    none(broken);
}

fn parameters_of_path(operation: &Operation<'_>) -> Option<String> {
    let in_path =
        operation.path.split('/').filter_map(|it| it.strip_prefix('{')?.strip_suffix('}'));
    let named: HashSet<&str> = in_path.collect();
    let parameters = operation.text["parameters"].as_array().into_iter().flatten();
    let declared = parameters.filter(|it| it["in"] == "path").filter_map(|it| it["name"].as_str());
    let declared: HashSet<&str> = declared.collect();
    (named != declared).then(|| format!("{}: it declares {declared:?}", operation.name))
}

#[test]
fn every_answer_has_one_form() {
    let specification = specification();
    let mut broken = Vec::new();
    for operation in operations(&specification) {
        let mut say = |wrong: String| broken.push(format!("{}: {wrong}", operation.name));
        let answers = operation.answers();
        let of_success: HashSet<String> =
            answers.iter().filter(|it| it.0.starts_with('2')).map(|it| it.2.to_string()).collect();
        if of_success.len() != 1 {
            say(format!("its successes differ: {of_success:?}"));
        }
        // How the service is has the same form whether it is well or not.
        let health = operation.text["tags"][0] == "Health";
        let refusals = answers.iter().filter(|it| it.0.starts_with(['4', '5']));
        for (status, kind, schema) in refusals.filter(|_| !health) {
            if *kind != Some("application/problem+json")
                || schema["$ref"] != "#/components/schemas/ProblemDetails"
            {
                say(format!("{status} is no problem+json"));
            }
        }
        if !health && !answers.iter().any(|it| it.0.starts_with('4')) {
            say("no 4xx answer".into());
        }
        if answers.iter().any(|it| it.0 == "default") {
            say("a default answer".into());
        }
    }
    none(broken);
}

/// A request without a Host header, or with two, is refused whatever it asks for.
#[test]
fn every_operation_may_refuse_a_request_for_its_host() {
    let specification = specification();
    let mut broken = Vec::new();
    for operation in operations(&specification) {
        if !operation.text["responses"]["400"]["description"].to_string().contains("Host header") {
            broken.push(operation.name);
        }
    }
    none(broken);
}

#[test]
fn every_schema_is_described_and_shown() {
    let specification = specification();
    let schemas = specification["components"]["schemas"].as_object().unwrap();
    let mut broken = Vec::new();
    for (name, schema) in schemas {
        if schema["description"].as_str().unwrap_or_default().is_empty() {
            broken.push(format!("{name} has no description"));
        }
        if schemas.contains_key(&format!("New{name}")) {
            broken.push(format!("New{name} beside {name}: generators make one name of both"));
        }
        for (property, of) in schema["properties"].as_object().into_iter().flatten() {
            // A reference stands alone, and is described where it leads to.
            if of.get("$ref").is_none() && of["description"].as_str().unwrap_or_default().is_empty()
            {
                broken.push(format!("{name}.{property} has no description"));
            }
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            if schema["properties"].get(required.as_str().unwrap()).is_none() {
                broken.push(format!("{name} requires {required}, which it does not have"));
            }
        }
        match &schema["example"] {
            Value::Null if schema["type"] == "object" && is_sent(&specification, name) => {
                broken.push(format!("{name} has no example"));
            }
            Value::Null => {}
            example => {
                let wrong = Validator::within(&specification, schema).fault(example);
                broken.extend(wrong.map(|it| format!("the example of {name}: {it}")));
            }
        }
    }
    none(broken);
}

/// Whether it is a whole body, of a request or of an answer.
fn is_sent(specification: &Value, name: &str) -> bool {
    let to = format!("#/components/schemas/{name}");
    let mut sent = false;
    visit(&specification["paths"], &mut |value| sent |= value["$ref"] == to.as_str());
    sent
}

/// A client that was told of null, or of one of several types, chokes or makes a type that nobody
/// can use. `allOf` comes of a doc comment on a field whose type is a schema of its own: leave the
/// comment to that type.
#[test]
fn nothing_is_null_or_one_of_several() {
    let mut broken = Vec::new();
    visit(&specification(), &mut |value| {
        for word in ["nullable", "allOf", "oneOf", "anyOf", "discriminator"] {
            if value.get(word).is_some() {
                broken.push(format!("{word} in {value}"));
            }
        }
    });
    none(broken);
}

#[test]
fn every_number_has_bounds_and_every_list_of_parameters_its_items_too() {
    let specification = specification();
    let mut broken = Vec::new();
    visit(&specification, &mut |value| {
        let number = ["integer", "number"].iter().any(|it| value["type"] == *it);
        if number && value["minimum"].is_null() {
            broken.push(format!("no minimum in {value}"));
        }
        if value["type"] == "integer" && value["minimum"].is_f64() {
            broken.push(format!("a bound with a fraction in {value}"));
        }
    });
    for operation in operations(&specification) {
        for parameter in operation.text["parameters"].as_array().into_iter().flatten() {
            let schema = &parameter["schema"];
            let one = if schema["type"] == "array" { &schema["items"] } else { schema };
            let words = ["$ref", "format", "pattern", "minLength", "default"];
            if !words.iter().any(|word| one.get(word).is_some()) && parameter["in"] != "header" {
                broken.push(format!("{}: {} has no bounds", operation.name, parameter["name"]));
            }
        }
    }
    none(broken);
}

/// Readers take an absent list for a forgotten one.
#[test]
fn every_operation_says_whether_it_asks_for_a_token() {
    let mut broken = Vec::new();
    for operation in operations(&specification()) {
        let schemes = operation.text["security"].as_array();
        let probe = operation.text["tags"][0] == "Health";
        if schemes.is_none_or(|schemes| schemes.is_empty() != probe) {
            broken.push(operation.name);
        }
    }
    none(broken);
}

#[test]
fn servers_are_relative_to_the_document() {
    assert_eq!(specification()["servers"], serde_json::json!([{"url": "/"}]));
}
