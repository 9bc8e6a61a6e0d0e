//! What the check of JSON lets through, PostgreSQL keeps, value for value: the two must not disagree, or a submission that
//! was checked fails in the database, and its neighbours with it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use reveille::internals::job::json;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::harness;

const CASES: usize = 400;

/// Values with all that is odd about JSON: large and exact numbers, escapes, odd characters, depth.
fn text() -> impl Strategy<Value = String> {
    let string = prop_oneof![
        "\"[^\\x00-\\x1f\"\\\\]{0,12}\"",
        Just(r#""\ud83d\ude00\u0001\t\/\b""#.to_owned()),
        Just(r#""\u0000""#.to_owned()),
        Just(r#""\ud800""#.to_owned()),
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?",
        "-?[0-9][eE][+-]?[0-9]{4,7}",
        "-?0(\\.0{1,5})?([eE][+-]?[0-9]{1,3})?",
        string,
    ];
    leaf.prop_recursive(5, 30, 5, |inner| {
        let member =
            ("\"[a-c]{0,2}\"", inner.clone()).prop_map(|(name, value)| format!("{name}:{value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..5)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            proptest::collection::vec(member, 0..5)
                .prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_check_accepts_the_database_keeps() {
    let database = harness::database().await;
    let client = database.client().await;
    // Back as text: the value as it was kept, and whether it equals what PostgreSQL itself makes of the text.
    let kept = client.prepare("select ($1::text::jsonb)::text").await.unwrap();
    let mut runner = TestRunner::new(Config::default());
    let mut accepted = 0;
    for _ in 0..CASES {
        let text = text().new_tree(&mut runner).unwrap().current();
        let answer = client.query_one(&kept, &[&text]).await;
        match (json::checked(text.as_bytes()), answer) {
            (Ok(checked), Ok(row)) => {
                accepted += 1;
                let kept: &str = row.get(0);
                assert_same(&text, kept);
                // Of members of one name only the last is kept, and all of them count.
                let length = without_blanks(kept);
                assert!(checked.written >= length, "{text} is {length} bytes");
                if !has_doubles(&text) {
                    assert_eq!(checked.written, length, "{text} came back as {kept}");
                }
            }
            (Ok(_), Err(error)) => {
                panic!("the check accepts {text}, PostgreSQL does not: {error:?}")
            }
            (Err(_), _) => {}
        }
    }
    assert!(accepted > CASES / 4, "only {accepted} were accepted: this proves little");
}

/// The bytes of what `jsonb` has written, but for its blanks between tokens.
fn without_blanks(kept: &str) -> usize {
    let (mut count, mut quoted, mut escaped) = (0, false, false);
    for byte in kept.bytes() {
        count += usize::from(quoted || byte != b' ');
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
    }
    count
}

fn has_doubles(json: &str) -> bool {
    match json.trim().as_bytes()[0] {
        b'{' => {
            let members: Members = parse(json);
            let names: BTreeSet<&String> = members.0.iter().map(|(name, _)| name).collect();
            names.len() < members.0.len() || members.0.iter().any(|it| has_doubles(it.1.get()))
        }
        b'[' => parse::<Vec<&RawValue>>(json).iter().any(|item| has_doubles(item.get())),
        _ => false,
    }
}

/// The members of an object, each of them.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Equal as values; of several members of a name the last counts. Numbers are compared by their digits, since doubles
/// would hide what was rounded.
fn assert_same(sent: &str, kept: &str) {
    assert_eq!(Tree::of(sent), Tree::of(kept), "{sent} came back as {kept}");
}

#[derive(Debug, PartialEq)]
enum Tree {
    Word(String),
    /// Whether it is negative, its digits without zeros around them, and the power of ten behind them.
    Number(bool, String, i64),
    Text(String),
    Array(Vec<Tree>),
    Object(BTreeMap<String, Tree>),
}

impl Tree {
    fn of(json: &str) -> Self {
        let json = json.trim();
        match json.as_bytes()[0] {
            b'{' => {
                let members: BTreeMap<String, &RawValue> = parse(json);
                Self::Object(members.into_iter().map(|it| (it.0, Self::of(it.1.get()))).collect())
            }
            b'[' => {
                let items: Vec<&RawValue> = parse(json);
                Self::Array(items.into_iter().map(|it| Self::of(it.get())).collect())
            }
            b'"' => Self::Text(parse(json)),
            b'n' | b't' | b'f' => Self::Word(json.to_owned()),
            _ => Self::number(json),
        }
    }

    fn number(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
        let digits = digits.trim_start_matches('0');
        let short = digits.trim_end_matches('0');
        if short.is_empty() {
            return Self::Number(false, String::new(), 0);
        }
        let moved = digits.len() as i64 - short.len() as i64 - fraction.len() as i64;
        let exponent: i64 = exponent.parse().expect("an exponent");
        Self::Number(text.starts_with('-'), short.to_owned(), exponent + moved)
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> T {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
}
