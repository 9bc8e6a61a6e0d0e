//! Parameters of queries: each error in words that say what is expected, nothing ignored, and lists as they are decided.

use serde_json::{Value, json};

use crate::harness::http::Http;
use crate::harness::{self, Service};

async fn ids(http: &Http, query: &str) -> Vec<u64> {
    let page = http.get(&format!("/jobs?include=payload&limit=200&{query}")).await;
    assert_eq!(page.status, 200, "{query}: {}", page.body);
    let jobs = page.body["data"].as_array().unwrap();
    jobs.iter().map(|job| job["payload"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_statuses_queues_and_tasks_are_any_of_them_and_repeated_tags_all() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_QUEUES", "none").start().await;
    let http = service.http();
    let jobs = json!([
        {"payload": 0, "queue": "a", "tags": ["x"]},
        {"payload": 1, "queue": "b", "tags": ["x", "y"], "delay_seconds": 600},
        {"payload": 2, "queue": "c", "tags": ["x", "y", "a,b"], "task": "noop"},
        {"payload": 3, "queue": "a", "task": "noop", "unique_key": "k"},
    ]);
    let submitted = http.post("/jobs/batch", &jobs).await;
    assert_eq!(submitted.status, 201, "{}", submitted.body);
    let last = submitted.body["jobs"][3]["job_id"].as_str().unwrap();
    http.post(&format!("/jobs/{last}/cancel"), &json!({})).await;
    for (query, expected) in [
        ("", &[3, 2, 1, 0][..]),
        ("status=cancelled&status=scheduled", &[3, 1]),
        ("status=cancelled,queued", &[3, 2, 0]),
        ("status=queued,%20scheduled", &[2, 1, 0]),
        ("status=failed&status=cancelled", &[3]),
        ("status=processing,completed,cancelled", &[3]),
        ("status=processing,completed", &[]),
        ("queue=a&queue=b", &[3, 1, 0]),
        ("queue=a,c&status=queued", &[2, 0]),
        ("task=noop,echo&queue=c", &[2]),
        ("task=noop", &[3, 2]),
        ("tag=x", &[2, 1, 0]),
        ("tag=x&tag=y", &[2, 1]),
        ("tag=y&tag=a,b", &[2]),
        ("tag=y&status=queued,cancelled", &[2]),
        ("unique_key=k&status=cancelled,queued", &[3]),
    ] {
        assert_eq!(ids(&http, query).await, expected, "{query}");
    }
    let both = http.get("/jobs?include=payload,result").await;
    let repeated = http.get("/jobs?include=payload&include=result").await;
    assert_eq!((both.status, &both.body), (200, &repeated.body));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused_in_words_and_by_the_name_of_the_parameter() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    let job = "/jobs/01900000-0000-7000-8000-000000000000";
    for (path, parameter, code, said) in [
        ("/jobs?limit=1&limit=100", "limit", "repeated_parameter", "Send it once"),
        ("/jobs?unique_key=a&unique_key=b", "unique_key", "repeated_parameter", "Send it once"),
        ("/jobs?cursor=x&cursor=y", "cursor", "repeated_parameter", "Send it once"),
        ("/jobs?stauts=failed", "stauts", "unknown_parameter", "`status`"),
        ("/jobs?status=done", "status", "invalid_parameter", "completed, failed, cancelled"),
        ("/jobs?status=", "status", "invalid_parameter", "scheduled, queued"),
        ("/jobs?queue=", "queue", "invalid_queue_name", "1 to 64 of"),
        ("/jobs?queue=a,,b", "queue", "invalid_queue_name", "1 to 64 of"),
        ("/jobs?task=two%20words", "task", "invalid_parameter", "1 to 100 of"),
        ("/jobs?tag=", "tag", "invalid_parameter", "1 to 64 characters"),
        ("/jobs?unique_key=", "unique_key", "invalid_parameter", "1 to 255 characters"),
        (
            "/jobs?created_after=tomorrow",
            "created_after",
            "invalid_parameter",
            "2030-01-31T08:00:00Z",
        ),
        ("/jobs?created_before=2030-01-31", "created_before", "invalid_parameter", "%2B"),
        ("/jobs?limit=many", "limit", "invalid_limit", "from 1 to 200"),
        ("/jobs?limit=-1", "limit", "invalid_limit", "from 1 to 200"),
        ("/jobs?limit=", "limit", "invalid_limit", "from 1 to 200"),
        ("/queues?limit=201", "limit", "invalid_limit", "from 1 to 200"),
        ("/jobs?cursor=x", "cursor", "invalid_cursor", "next_cursor"),
        ("/jobs?include=everything", "include", "invalid_parameter", "payload, result"),
        ("/jobs?payload_contains=%7B", "payload_contains", "invalid_payload_contains", "JSON"),
        (&format!("{job}?wait=soon"), "wait", "invalid_wait", "from 0 to 60"),
        (&format!("{job}?wait=1&wait=2"), "wait", "repeated_parameter", "Send it once"),
        ("/jobs/seven", "job_id", "invalid_job_id", "UUID"),
        ("/queues/Mail", "queue", "invalid_queue_name", "1 to 64 of `a-z 0-9 _ - .`. "),
        ("/queues/%ff", "queue", "invalid_parameter", "Encode it as UTF-8"),
        ("/jobs/%ff/attempts", "job_id", "invalid_parameter", "Encode it as UTF-8"),
        ("/jobs?tag=a%00", "tag", "nul_character", "%00"),
        ("/queues/a%00", "queue", "nul_character", "%00"),
    ] {
        let answer = http.get(path).await;
        let Value::Object(body) = &answer.body else { panic!("{path}: {answer:?}") };
        assert_eq!((answer.status, &body["code"]), (400, &json!(code)), "{path}: {body:?}");
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains(said), "{path}: {detail}");
        assert!(!detail.contains("invalid digit") && !detail.contains("input"), "{detail}");
        let error = &body["errors"][0];
        assert_eq!((&error["parameter"], &error["pointer"]), (&json!(parameter), &json!("")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_with_an_offset_whose_plus_became_a_blank_is_understood() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    http.post_job(&json!({"payload": 0})).await;
    for zone in ["+01:00", "%2B01:00", "Z", "-01:00"] {
        assert_eq!(ids(&http, &format!("created_after=2020-01-31T09:00:00{zone}")).await, [0]);
        assert_eq!(ids(&http, &format!("created_before=2020-01-31T09:00:00{zone}")).await.len(), 0);
    }
}
