//! What goes wrong is specified as well as what goes right: an example of each refusal, and its
//! codes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use reveille::internals::api::codes::{FAILURES, FIELDS, PROBLEMS, SKIPS, WAITS, is_known};
use serde_json::Value;

use super::{Operation, Validator, none, operations, specification};

fn refusals<'a>(operation: &Operation<'a>) -> Vec<(u16, &'a Value)> {
    let answers = operation.text["responses"].as_object().unwrap();
    let each = answers.iter().map(|(status, answer)| (status.parse().unwrap(), answer));
    each.filter(|(status, _)| *status >= 400).collect()
}

fn body(answer: &Value) -> (&str, &Value) {
    let content = answer["content"].as_object().unwrap();
    let (kind, body) = content.iter().next().unwrap();
    (kind, body)
}

#[test]
fn every_refusal_is_shown_by_an_example_of_its_own() {
    let specification = specification();
    let mut broken = Vec::new();
    for operation in operations(&specification) {
        for (status, answer) in refusals(&operation) {
            let mut say =
                |wrong: String| broken.push(format!("{} {status}: {wrong}", operation.name));
            let (kind, body) = body(answer);
            let example = &body["example"];
            let wrong = Validator::within(&specification, &body["schema"]).fault(example);
            wrong.into_iter().for_each(&mut say);
            if kind == "application/problem+json" {
                let code = example["code"].as_str().unwrap_or_default();
                if example["status"] != status || !is_known(status, code) {
                    say(format!("its example is {code} with {}", example["status"]));
                }
                if !of_this_path(example["instance"].as_str().unwrap_or_default(), operation.path) {
                    say(format!("its example is of {}", example["instance"]));
                }
            } else if example["status"] != "unhealthy" {
                say(format!("its example is {example}"));
            }
        }
    }
    none(broken);
}

fn of_this_path(instance: &str, path: &str) -> bool {
    let (ours, theirs) = (path.split('/'), instance.split('/'));
    ours.clone().count() == theirs.clone().count()
        && ours.zip(theirs).all(|(ours, theirs)| match ours.starts_with('{') {
            true => !theirs.is_empty() && !theirs.starts_with('{'),
            false => ours == theirs,
        })
}

/// The schema of a code stays a text: a client of today reads a code of tomorrow.
#[test]
fn the_codes_are_listed_and_stay_open() {
    let specification = specification();
    let known = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    for (schema, least) in [
        ("ProblemDetails", known(PROBLEMS.iter().map(|code| code.name).collect())),
        ("ProblemPlace", known(FIELDS.iter().map(|field| field.0).collect())),
        ("OperationSkip", known(SKIPS.iter().map(|skip| skip.0).collect())),
        ("JobWait", known(WAITS.iter().map(|wait| wait.0).collect())),
        ("JobError", known(FAILURES.iter().map(|failure| failure.0).collect())),
    ] {
        let code = &specification["components"]["schemas"][schema]["properties"]["code"];
        assert_eq!((&code["type"], code.get("enum")), (&"string".into(), None));
        let listed = code["x-extensible-enum"].as_array().unwrap();
        let listed = known(listed.iter().map(|name| name.as_str().unwrap()).collect());
        assert!(listed.is_superset(&least), "{schema}: {listed:?}");
        let about = code["description"].as_str().unwrap();
        for name in listed {
            assert!(about.contains(&format!("`{name}`")), "{schema} does not tell {name}");
        }
    }
}

const FILE: &str = "docs/errors.md";

fn page() -> String {
    let mut page = "\
# Errors

Every error answer is `application/problem+json` (RFC 9457). Decide by `code`; codes never change, and
new ones are added over time. `detail` says what to do, and `errors` lists the places that are wrong.
503 and 429 carry `Retry-After`. The service's log has the `request_id`.

## Codes of answers

| status | code | what to do |
|---|---|---|
"
    .to_owned();
    for code in PROBLEMS {
        writeln!(page, "| {} | `{}` | {} |", code.status, code.name, code.advice).unwrap();
    }
    for (title, about, rows) in [
        (
            "Codes of places in a request",
            "`errors` lists them with a JSON pointer. A wrong parameter has the code of its \
             answer.",
            FIELDS,
        ),
        (
            "Codes of a job's error",
            "`error` of a job and of an attempt has them. A handler may use codes of its own.",
            FAILURES,
        ),
        (
            "Codes of jobs that an operation passed by",
            "`skipped_jobs` of `GET /operations/{operation_id}` has them.",
            SKIPS,
        ),
        ("Codes of what a job waits for", "`waiting_for` of `GET /jobs/{job_id}` has them.", WAITS),
    ] {
        write!(page, "\n## {title}\n\n{about}\n\n| code | what happened |\n|---|---|\n").unwrap();
        for (name, advice) in rows {
            writeln!(page, "| `{name}` | {advice} |").unwrap();
        }
    }
    page
}

/// `WRITE_DOCS=1` writes it.
#[test]
fn the_documentation_lists_the_same_codes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    if std::env::var_os("WRITE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, page()).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    assert!(written == page(), "{FILE} is not what src/api/codes.rs says; WRITE_DOCS=1 writes it");
}
