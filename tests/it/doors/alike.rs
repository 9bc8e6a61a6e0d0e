//! Jobs with all that is odd, made by chance, through the two doors that take JSON: what one takes the other takes, and
//! keeps the same of it; what one refuses the other refuses for the same reasons.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::door::{Answer, Door, House};
use super::idle;

const CASES: usize = 250;

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    proptest::sample::select(texts).prop_map(str::to_owned)
}

/// JSON values of every type, some of them right.
fn odd() -> impl Strategy<Value = String> + Clone {
    one_of(&[
        "null",
        "true",
        "[]",
        "{}",
        "\"\"",
        "\"1\"",
        "[1]",
        "\"null\"",
        "0",
        "\"\\u0000\"",
        "\"\\udc00\"",
    ])
}

fn number() -> impl Strategy<Value = String> + Clone {
    prop_oneof![
        2 => "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?",
        1 => "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?",
        1 => one_of(&[
            "0.001", "0.0009999999999999999999999", "1e-3", "604800", "604800.00000000001", "604800.1", "-0", "-0.0",
            "-1e-400", "1e-400", "0e-400", "0e99999", "5.000", "50e-1", "9.99999999999999999999", "315360000",
            "315360000.00000000001", "1e3", "1000.0000000000000000000000000000001", "1e400", "9223372036854775808",
            "99999999999999999999", "1e131072", "1e-16384", "1e99999999999999999999", "-9223372036854775809",
        ]),
    ]
}

fn text() -> impl Strategy<Value = String> + Clone {
    let pool = one_of(&[
        "default",
        "a",
        "mail.v2",
        "Mail:x",
        "a b",
        "ä",
        "ß",
        "a\\n",
        "\\u0061",
        "\\ud83d\\ude00",
        "\\u0001",
        "\\u00e9",
        "٣",
        "ａ",
        "keep",
        "reject",
        "replace",
        "Keep",
        "\\\"",
        "\\\\",
        "/",
        "~",
        "K",
        "ı",
    ]);
    let repeated =
        (pool.clone(), proptest::sample::select(&[1_usize, 63, 64, 65, 100, 101, 255, 256][..]))
            .prop_map(|(text, count)| text.repeat(count));
    prop_oneof![pool, repeated].prop_map(|text| format!("\"{text}\""))
}

fn time() -> impl Strategy<Value = String> + Clone {
    let day = one_of(&[
        "2020-02-29",
        "2030-01-31",
        "2030-02-29",
        "1969-12-31",
        "1970-01-01",
        "0000-01-01",
        "0001-01-01",
        "9999-12-31",
        "2030-13-01",
        "2030-00-10",
        "2030-1-01",
        "+2030-01-01",
        "٢٠٣٠-01-01",
    ]);
    let between = one_of(&["T", "T", "T", "t", " ", "_", "", "  "]);
    let clock = one_of(&[
        "00:00:00", "08:30:15", "23:59:59", "23:59:60", "12:00:60", "24:00:00", "23:60:00",
        "08:30", "08:30:61", "8:30:00", "00:00:0",
    ]);
    let fraction = one_of(&[
        "",
        "",
        ".5",
        ".123456",
        ".9999999",
        ".1234567891234",
        ".",
        ",5",
        ".000000000000000000000000001",
    ]);
    let zone = one_of(&[
        "Z",
        "Z",
        "z",
        "+00:00",
        "-00:00",
        "+14:00",
        "-23:59",
        "+24:00",
        "+00:60",
        "+0100",
        "",
        " Z",
        "\u{2212}01:00",
        "+01",
        "UTC",
    ]);
    (day, between, clock, fraction, zone).prop_map(|(day, between, clock, fraction, zone)| {
        format!("\"{day}{between}{clock}{fraction}{zone}\"")
    })
}

fn payload() -> impl Strategy<Value = String> + Clone {
    let leaf = prop_oneof![number(), text(), odd(), one_of(&["1e1399", "1e1400", "1e-1399"])];
    leaf.prop_recursive(3, 12, 4, |inner| {
        // Of doubled names SQL sees only the last member.
        let members = proptest::collection::btree_map(
            one_of(&["task", "a", "b/c", "\\u00e9"]),
            inner.clone(),
            0..3,
        );
        prop_oneof![
            proptest::collection::vec(inner, 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            members.prop_map(|members| {
                let members: Vec<String> =
                    members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// An object with some of the fields that this schema has.
fn object(schemas: &Value, of: &Value) -> impl Strategy<Value = String> + use<> {
    let fields = of["properties"].as_object().expect("an object");
    let fields: Vec<_> = fields.iter().map(|(name, schema)| field(schemas, name, schema)).collect();
    fields.prop_map(|fields| {
        let fields: Vec<String> = fields.into_iter().flatten().collect();
        format!("{{{}}}", fields.join(", "))
    })
}

/// A member of this name, or none: with a value that is right, one of the right type, or any.
fn field(schemas: &Value, name: &str, schema: &Value) -> BoxedStrategy<Option<String>> {
    let named = schema["$ref"].as_str().and_then(|to| to.rsplit('/').next());
    let schema = named.map_or(schema, |name| &schemas[name]);
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let bounds = || ["minimum", "maximum"].map(|bound| schema[bound].to_string()).to_vec();
    let (right, value) = match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("array"), _) => (texts(&["[]", "[\"t\", \"é\"]"]), list().boxed()),
        (Some("string"), Some("date-time")) => {
            let right = ["\"2020-01-01T00:00:00Z\"", "\"2030-01-31 08:00:00.5+01:00\""];
            (texts(&right), time().boxed())
        }
        (Some("string"), _) => match schema["enum"].as_array() {
            Some(words) => (words.iter().map(Value::to_string).collect(), text().boxed()),
            None => (texts(&["\"a.b\""]), text().boxed()),
        },
        (Some("object"), _) => (texts(&["{}"]), object(schemas, schema).boxed()),
        (Some("integer"), _) => {
            let spelled = ["9.0", "0.1e1"].map(str::to_owned).to_vec();
            ([bounds(), spelled].concat(), number().boxed())
        }
        (Some("number"), _) => {
            let spelled = ["1.5", "604800.00000000001"].map(str::to_owned).to_vec();
            ([bounds(), spelled].concat(), number().boxed())
        }
        _ => {
            let member = proptest::option::weighted(0.95, payload());
            let name = name.to_owned();
            return member.prop_map(move |it| it.map(|it| format!("\"{name}\": {it}"))).boxed();
        }
    };
    let value = prop_oneof![6 => proptest::sample::select(right), 5 => value, 1 => odd()];
    let member = proptest::option::weighted(0.3, value);
    let name = name.to_owned();
    member.prop_map(move |it| it.map(|it| format!("\"{name}\": {it}"))).boxed()
}

fn list() -> impl Strategy<Value = String> + Clone {
    proptest::collection::vec(prop_oneof![4 => text(), 1 => odd(), 1 => number()], 0..5)
        .prop_map(|tags| format!("[{}]", tags.join(",")))
}

/// What SQL's `jsonb` refuses before a function of ours sees it.
fn is_unkeepable(faults: &[(String, String)]) -> bool {
    let words = ["nul_character", "lone_surrogate", "number_out_of_range"];
    faults.iter().any(|(_, code)| words.contains(&&**code))
}

/// Faults, but not where in the payload: of several there each door tells the first that it meets.
fn places(faults: &[(String, String)]) -> Vec<(&str, &str)> {
    faults
        .iter()
        .map(|(at, code)| (if at.starts_with("/payload") { "/payload" } else { at }, &**code))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_chance_makes_is_the_same_job_through_every_door_or_none() {
    let house = House::open(idle()).await;
    let owner = house.database.client().await;
    let specification: Value =
        serde_json::from_str(reveille::internals::api::spec().json()).unwrap();
    let schemas = &specification["components"]["schemas"];
    let jobs = object(schemas, &schemas["JobCreate"]);
    let mut runner = TestRunner::deterministic();
    let (mut taken, mut wrong) = (0, Vec::new());
    for _ in 0..CASES {
        let job = jobs.new_tree(&mut runner).unwrap().current();
        let mut answers = Vec::new();
        for door in [Door::Http, Door::SqlMany] {
            answers.push(house.submit(door, &job).await.unwrap());
            owner.batch_execute("delete from reveille.unique_key").await.unwrap();
        }
        let difference = match &answers[..] {
            [Answer::Accepted(http), Answer::Accepted(sql)] => {
                taken += 1;
                let kept = [house.kept(&http[0].id).await, house.kept(&sql[0].id).await];
                let alike = kept.clone().map(|(mut kept, payload)| {
                    // The moment of the submission is in these.
                    kept["delay"].take();
                    if !job.contains("\"run_at\": \"") {
                        kept["run_at"].take();
                    }
                    (kept, payload)
                });
                // A short delay may be over already.
                let differs = http[0].status != sql[0].status && !job.contains("delay_seconds");
                (differs || alike[0] != alike[1]).then(|| format!("{kept:?} {http:?} {sql:?}"))
            }
            [Answer::Refused(http), Answer::Refused(sql)] => {
                let before =
                    matches!(&sql[..], [(at, code)] if at.is_empty() && code.starts_with("22"));
                let alike = places(http) == places(sql) || before && is_unkeepable(http);
                (!alike).then(|| format!("{http:?} and {sql:?}"))
            }
            differ => Some(format!("{differ:?}")),
        };
        wrong.extend(difference.map(|is| format!("{job}: {is}")));
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(taken > CASES / 20, "only {taken} were taken: this proves little");
}
