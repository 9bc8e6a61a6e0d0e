//! What is said of bad input: HTTP and SQL name the same places with the same words.

use serde_json::Value;

use super::door::House;
use super::idle;
use crate::harness::http::answer;

/// Jobs that no door takes, each with the place and a word of the advice.
const BAD: &[(&str, &str, &str)] = &[
    (
        r#"{"payload": 1, "retry": {"base_seconds": 5, "max_seconds": 1}}"#,
        "/retry/max_seconds",
        "must not be less than retry.base_seconds",
    ),
    (r#"{"payload": 1, "retry": {"jitter": 2}}"#, "/retry/jitter", "from 0 to 1"),
    (r#"{"payload": 1, "retry": {"jitter": -0.1}}"#, "/retry/jitter", "from 0 to 1"),
    (r#"{"payload": 1, "retry": {"factor": 0}}"#, "/retry/factor", "from 1 to 100"),
    (r#"{"payload": 1, "retry": {"strategy": "cubic"}}"#, "/retry/strategy", "exponential"),
    (r#"{"payload": 1, "max_attempts": 0}"#, "/max_attempts", "from 1 to 1000"),
    (
        r#"{"payload": 1, "deadline_seconds": 1, "timeout_seconds": 2}"#,
        "/deadline_seconds",
        "raise it, or lower the other",
    ),
    (
        r#"{"payload": 1, "deadline_seconds": 5, "run_at": "2030-01-01T00:00:00Z"}"#,
        "/run_at",
        "or let the job start earlier",
    ),
    (
        r#"{"payload": 1, "queue_ttl_seconds": 5, "run_at": "2030-01-01T00:00:00Z"}"#,
        "/run_at",
        "or let the job start earlier",
    ),
    (
        r#"{"payload": 1, "unique_for_seconds": 0, "unique_key": "k"}"#,
        "/unique_for_seconds",
        "from 1 to 2592000",
    ),
    (r#"{"payload": 1, "unique_for_seconds": 5}"#, "/unique_for_seconds", "give both, or neither"),
    (
        r#"{"payload": 1, "debounce_max_seconds": 5, "unique_key": "k"}"#,
        "/debounce_max_seconds",
        "on_conflict to be replace",
    ),
];

/// Pointers, codes and messages.
fn told(faults: &Value, place: &str) -> Vec<[String; 3]> {
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap_or_default().to_owned();
    let all = faults.as_array().unwrap_or_else(|| panic!("{faults}")).iter();
    all.map(|fault| {
        let pointer = text(fault, "pointer");
        let pointer = pointer.strip_prefix(place).unwrap_or(&pointer).to_owned();
        [pointer, text(fault, "code"), text(fault, "message")]
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_bad_input_http_and_sql_say_the_same_and_what_to_do() {
    let house = House::open(idle()).await;
    let mut wrong = Vec::new();
    for (job, pointer, advice) in BAD {
        let request =
            house.http.request("POST", "/jobs").header("content-type", "application/json");
        let problem = answer(request.body(*job)).await;
        assert_eq!(problem.status, 422, "{job}: {problem:?}");
        let by_http = told(&problem.body["errors"], "");
        let list = format!("[{job}]");
        let many = "select from reveille.submit_many($1::text::jsonb)";
        let error = house.guest.query(many, &[&list]).await.expect_err(job);
        let error = error.as_db_error().unwrap();
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{error:?}");
        let detail: Value = serde_json::from_str(error.detail().unwrap()).unwrap();
        let by_sql = told(&detail, "/0");
        let [[at, _, message]] = &by_http[..] else { panic!("{job}: {by_http:?}") };
        if at != pointer || !message.contains(advice) || by_sql != by_http {
            wrong.push(format!("{job}\n  {by_http:?}\n  {by_sql:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
