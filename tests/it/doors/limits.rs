//! The limits and defaults that the specification tells of each field hold at every door.

use serde_json::{Map, Value, json};

use super::door::{Answer, Door, House};
use super::{idle, refused, same};

/// They say what a submission does, and a job does not show them.
const NOT_SHOWN: [&str; 2] = ["delay_seconds", "on_conflict"];

/// What becomes of a job that has this value in this field.
struct Limit {
    /// A pointer without its first `/`.
    field: String,
    value: Value,
    /// The code of the error, and where it is below the field.
    refused: Option<(&'static str, &'static str)>,
}

/// A field's schema, wherever it stands.
fn schema<'a>(specification: &'a Value, property: &'a Value) -> &'a Value {
    let to = property["$ref"].as_str().map(|to| to.trim_start_matches('#'));
    to.map_or(property, |to| specification.pointer(to).unwrap())
}

/// Fields with their schemas, and the members of those that are objects.
fn fields<'a>(specification: &'a Value, at: &str, of: &'a Value) -> Vec<(String, &'a Value)> {
    let mut all = Vec::new();
    for (name, property) in of["properties"].as_object().into_iter().flatten() {
        let (name, schema) = (format!("{at}{name}"), schema(specification, property));
        all.extend(fields(specification, &format!("{name}/"), schema));
        all.push((name, schema));
    }
    all
}

/// Values at and beyond what a schema allows.
fn limits_of(field: &str, schema: &Value) -> Vec<Limit> {
    let mut limits = Vec::new();
    let mut limit = |value: Value, refused: Option<(&'static str, &'static str)>| {
        limits.push(Limit { field: field.to_owned(), value, refused });
    };
    let number = |name: &str| schema[name].as_f64();
    let length = |of: &Value, name: &str| Some(usize::try_from(of[name].as_u64()?).unwrap());
    let is_whole = schema["type"] == "integer";
    let written = |number: f64| if is_whole { json!(number as i64) } else { json!(number) };
    for (bound, beyond) in [("minimum", -1.0), ("maximum", 1.0)] {
        if let Some(bound) = number(bound) {
            limit(written(bound), None);
            limit(written(bound + beyond), Some(("out_of_range", "")));
        }
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        let most = pattern.trim_end_matches("}$").rsplit_once(',').unwrap().1.parse().unwrap();
        for (text, fits) in
            [("a".repeat(most), true), ("a".repeat(most + 1), false), ("".into(), false)]
        {
            limit(text.into(), (!fits).then_some(("invalid_name", "")));
        }
    }
    for (nth, bound) in ["minLength", "maxLength"].into_iter().enumerate() {
        if let Some(bound) = length(schema, bound) {
            limit("é".repeat(bound).into(), None);
            let beyond = if nth == 0 { bound - 1 } else { bound + 1 };
            limit("é".repeat(beyond).into(), Some(("invalid_length", "")));
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        words.iter().for_each(|word| limit(word.clone(), None));
        limit("none of them".into(), Some(("invalid_value", "")));
    }
    if let Some(most) = length(schema, "maxItems") {
        let longest = length(&schema["items"], "maxLength").unwrap();
        let items = |count: usize, length: usize| json!(vec!["é".repeat(length); count]);
        limit(items(most, longest), None);
        limit(items(most + 1, 1), Some(("too_many", "")));
        limit(items(1, longest + 1), Some(("invalid_length", "/0")));
    }
    if !schema["default"].is_null() {
        limit(Value::Null, None);
    }
    limits
}

/// A job with this value, and with what its field needs beside it.
fn job(limit: &Limit) -> String {
    let mut job = Map::from_iter([("payload".to_owned(), json!(1))]);
    if ["on_conflict", "unique_for_seconds", "debounce_max_seconds"].contains(&&*limit.field) {
        job.insert("unique_key".into(), json!("k"));
    }
    if limit.field == "debounce_max_seconds" {
        job.insert("on_conflict".into(), json!("replace"));
    }
    let (field, value) = match limit.field.split_once('/') {
        Some((object, member)) => (object, json!({member: limit.value})),
        None => (&*limit.field, limit.value.clone()),
    };
    job.insert(field.to_owned(), value);
    Value::from(job).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_keeps_the_limits_and_defaults_of_the_specification() {
    let specification: Value =
        serde_json::from_str(reveille::internals::api::spec().json()).unwrap();
    let create = &specification["components"]["schemas"]["JobCreate"];
    let house = House::open(idle()).await;
    let owner = house.database.client().await;
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (field, schema) in fields(&specification, "", create) {
        for limit in limits_of(&field, schema) {
            for door in Door::ALL {
                let Some(answer) = house.submit(door, &job(&limit)).await else { continue };
                tried += 1;
                let value = if limit.value.is_null() { &schema["default"] } else { &limit.value };
                let holds = match (&limit.refused, &answer) {
                    (None, Answer::Accepted(jobs)) => {
                        let (kept, _) = house.kept(&jobs[0].id).await;
                        match kept.pointer(&format!("/{field}")) {
                            None => NOT_SHOWN.contains(&&*field),
                            // A job has no tags rather than an empty list of them.
                            Some(Value::Null) => same(&json!([]), value),
                            Some(is) => same(is, value),
                        }
                    }
                    (Some((code, below)), answer) => {
                        *answer == refused(&[(&format!("/{field}{below}"), code)])
                    }
                    (None, Answer::Refused(_)) => false,
                };
                let length = limit.value.to_string().len();
                wrong.extend((!holds).then(|| {
                    format!("{door:?}: {field} {:.60} ({length} bytes): {answer:?}", limit.value)
                }));
                owner.batch_execute("delete from reveille.unique_key").await.unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 100, "only {tried} were tried");
}
