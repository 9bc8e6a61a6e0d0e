//! Retry policies that every door takes or refuses, and what is kept of them.

use serde_json::Value;

use super::door::{Answer, Door, House};
use super::{idle, refused};
use crate::harness;

/// A job with this `retry`.
fn job(retry: &str) -> String {
    format!(r#"{{"payload": 1, "retry": {retry}}}"#)
}

/// What a refusal names, with what the policy is.
const REFUSED: &[(&str, &[(&str, &str)])] = &[
    (r#"{"base_seconds": 5, "max_seconds": 1}"#, &[("/retry/max_seconds", "out_of_range")]),
    (r#"{"jitter": 2}"#, &[("/retry/jitter", "out_of_range")]),
    (r#"{"jitter": -0.1}"#, &[("/retry/jitter", "out_of_range")]),
    (r#"{"factor": 0}"#, &[("/retry/factor", "out_of_range")]),
    (r#"{"factor": 101}"#, &[("/retry/factor", "out_of_range")]),
    (r#"{"strategy": "cubic"}"#, &[("/retry/strategy", "invalid_value")]),
    (r#"{"strategy": "fixed", "factor": 2}"#, &[("/retry/factor", "conflicting_fields")]),
    (r#"{"strategy": "linear", "factor": 2}"#, &[("/retry/factor", "conflicting_fields")]),
    (r#"{"strategy": "linear", "factor": 0}"#, &[("/retry/factor", "out_of_range")]),
    (r#"{"base_seconds": 604801}"#, &[("/retry/base_seconds", "out_of_range")]),
    (r#"{"max_seconds": 2592001}"#, &[("/retry/max_seconds", "out_of_range")]),
    (
        r#"{"strategy": 1, "factor": "2", "jitter": []}"#,
        &[
            ("/retry/factor", "wrong_type"),
            ("/retry/jitter", "wrong_type"),
            ("/retry/strategy", "wrong_type"),
        ],
    ),
    (
        r#"{"base_seconds": "x", "max_seconds": 0, "facter/": 1}"#,
        &[("/retry/base_seconds", "wrong_type"), ("/retry/facter~1", "unknown_field")],
    ),
    ("[]", &[("/retry", "wrong_type")]),
    (r#""fixed""#, &[("/retry", "wrong_type")]),
];

/// What is kept of the policies that are sound.
const KEPT: &[(&str, &str)] = &[
    ("{}", "{}"),
    (r#"{"strategy": null, "jitter": null}"#, "{}"),
    (
        r#"{"strategy": "fixed", "base_seconds": 3.0}"#,
        r#"{"strategy": "fixed", "base_seconds": 3}"#,
    ),
    (r#"{"max_seconds": 1}"#, r#"{"max_seconds": 1}"#),
    (r#"{"base_seconds": 86400}"#, r#"{"base_seconds": 86400}"#),
    (r#"{"base_seconds": 1, "max_seconds": 1}"#, r#"{"base_seconds": 1, "max_seconds": 1}"#),
    (
        r#"{"base_seconds": 1e-400, "jitter": 0.12345678}"#,
        r#"{"base_seconds": 0, "jitter": 0.123457}"#,
    ),
    (
        r#"{"base_seconds": 0.10000000000000000000001, "max_seconds": 0.1}"#,
        r#"{"base_seconds": 0.1, "max_seconds": 0.1}"#,
    ),
    (
        r#"{"strategy": "exponential", "factor": 1.5, "base_seconds": 0.5, "max_seconds": 60, "jitter": 1}"#,
        r#"{"strategy": "exponential", "factor": 1.5, "base_seconds": 0.5, "max_seconds": 60, "jitter": 1}"#,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn life_1c8_a_policy_that_makes_no_sense_is_refused_alike_by_every_door() {
    let house = House::open(idle()).await;
    let mut wrong = Vec::new();
    let attempts = r#"{"payload": 1, "max_attempts": 0, "retry": {"jitter": 2}}"#.to_owned();
    let both: &[_] = &[("/max_attempts", "out_of_range"), ("/retry/jitter", "out_of_range")];
    let one = REFUSED.iter().map(|(retry, faults)| (job(retry), *faults));
    for (job, faults) in one.chain([(attempts, both)]) {
        let mut asked = 0;
        for door in Door::ALL {
            let Some(answer) = house.submit(door, &job).await else { continue };
            asked += 1;
            if answer != refused(faults) {
                wrong.push(format!("{door:?}: {job}: {answer:?}"));
            }
        }
        // Rust's types do not hold all of them.
        assert!(asked >= 3, "{job}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(house.count("reveille.job").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_kept_with_one_spelling_whatever_the_door() {
    let house = House::open(idle()).await;
    let (mut wrong, mut rust) = (Vec::new(), 0);
    for (retry, kept) in KEPT {
        let expected: Value = serde_json::from_str(kept).unwrap();
        for door in Door::ALL {
            let Some(answer) = house.submit(door, &job(retry)).await else { continue };
            rust += usize::from(door == Door::Rust);
            let Answer::Accepted(jobs) = &answer else {
                wrong.push(format!("{door:?}: {retry}: {answer:?}"));
                continue;
            };
            let is = house.kept(&jobs[0].id).await.0["retry"].take();
            if is != expected {
                wrong.push(format!("{door:?}: {retry}: {is}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rust >= 4, "{rust}");
    for door in Door::ALL {
        let answer = house.submit(door, &job("null")).await.unwrap();
        let kept = house.kept(&answer.accepted()[0].id).await.0;
        assert_eq!(kept.get("retry"), None, "{door:?}");
    }
    let none = house.count("reveille.job where settings = '{}'").await;
    assert_eq!(none, 0, "a job without settings keeps none");
}

/// A call for each job would cost a plain one more than all its other checks.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_sql_are_checked_and_kept_without_a_call_for_each_of_them() {
    let database = harness::database().await;
    let client = database.client().await;
    let explain =
        "explain (verbose) select reveille.job_settings(e.job), reveille.job_is_sound(e.job)
        from jsonb_array_elements('[]') e (job)";
    let plan = client.query(explain, &[]).await.unwrap();
    let plan: Vec<&str> = plan.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("'retry'"), "{plan}");
    for function in ["job_settings(", "job_is_sound("] {
        assert!(!plan.contains(function), "{plan}");
    }
}
