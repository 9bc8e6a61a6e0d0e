//! The specification is the contract: it is valid, generators get on with it, and the service keeps
//! it.
//!
//! `openapi-3.0.schema.json` is the OpenAPI Initiative's own schema of a specification
//! (https://spec.openapis.org/oas/3.0/schema/2021-09-28, Apache License 2.0).

mod answers;
mod errors;
mod names;
mod rules;

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use serde_json::{Value, json};

fn specification() -> Value {
    serde_json::from_str(reveille::internals::api::spec().json()).unwrap()
}

/// A schema to hold values against.
struct Validator {
    schemas: Schemas,
    whole: SchemaIndex,
}

impl Validator {
    fn new(schema: Value) -> Self {
        // OpenAPI 3.0 grew out of draft 4, and its own schema is written in it.
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.set_default_draft(Draft::V4);
        compiler.add_resource("http://localhost/schema", schema).unwrap();
        let whole = compiler.compile("http://localhost/schema", &mut schemas);
        Self { whole: whole.unwrap_or_else(|error| panic!("{error:#}")), schemas }
    }

    /// One of a specification's schemas, whose references lead into the specification.
    fn within(specification: &Value, schema: &Value) -> Self {
        Self::new(json!({"allOf": [schema], "components": specification["components"]}))
    }

    /// What is wrong with `value`, if anything is.
    fn fault(&self, value: &Value) -> Option<String> {
        self.schemas.validate(value, self.whole).err().map(|error| format!("{error:#}"))
    }
}

/// An operation with its place.
struct Operation<'a> {
    name: String,
    path: &'a str,
    text: &'a Value,
}

fn operations(specification: &Value) -> Vec<Operation<'_>> {
    let paths = specification["paths"].as_object().unwrap().iter();
    let each = paths.flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(move |(method, text)| Operation {
            name: format!("{} {path}", method.to_uppercase()),
            path,
            text,
        })
    });
    each.collect()
}

/// Everything in a document, itself first.
fn visit(value: &Value, look: &mut impl FnMut(&Value)) {
    look(value);
    match value {
        Value::Array(items) => items.iter().for_each(|it| visit(it, look)),
        Value::Object(members) => members.values().for_each(|it| visit(it, look)),
        _ => {}
    }
}

fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "the specification breaks its rules:\n  {}", faults.join("\n  "));
}

impl Operation<'_> {
    /// Each answer: its status, its media type (none: it has no body), and the schema of that.
    fn answers(&self) -> Vec<(&str, Option<&str>, &Value)> {
        let mut found = Vec::new();
        for (status, answer) in self.text["responses"].as_object().unwrap() {
            match answer["content"].as_object().filter(|it| !it.is_empty()) {
                None => found.push((status.as_str(), None, &Value::Null)),
                Some(content) => {
                    found.extend(content.iter().map(|(kind, body)| {
                        (status.as_str(), Some(kind.as_str()), &body["schema"])
                    }))
                }
            }
        }
        found
    }
}
