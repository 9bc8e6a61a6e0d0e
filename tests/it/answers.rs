//! What goes with an answer: preferences, entity tags, links, and a word about parameters that there are not.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::harness::http::Http;
use crate::harness::look::value;
use crate::harness::{self, Service};

/// A status, the headers and a JSON body, `null` for one that is none.
async fn full(request: reqwest::RequestBuilder) -> (u16, HeaderMap, Value) {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.unwrap();
    (status, headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn submission(http: &Http, job: &Value) -> reqwest::RequestBuilder {
    http.request("POST", "/jobs").json(job)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_waits_answers_with_the_end_or_with_the_state_of_then() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let http = service.http();
    let echo = json!({"payload": {"a": 1}});
    let (status, headers, body) = full(submission(&http, &echo).header("prefer", "wait=20")).await;
    assert_eq!((status, headers["preference-applied"].to_str().unwrap()), (201, "wait=20"));
    assert_eq!((&body["status"], &body["result"]), (&json!("completed"), &json!({"a": 1})));
    assert_eq!(headers["location"], format!("jobs/{}", body["job_id"].as_str().unwrap()));

    let flaky = json!({"task": "flaky", "payload": {"failures": 1}, "max_attempts": 1});
    let (status, headers, body) = full(http.request("POST", "/jobs?wait=20").json(&flaky)).await;
    assert_eq!((status, headers.get("preference-applied")), (201, None));
    assert_eq!(
        (&body["status"], &body["error"]["code"]),
        (&json!("failed"), &json!("handler_error"))
    );

    let sleep = json!({"task": "sleep", "payload": {"seconds": 60}});
    let (status, _, body) = full(submission(&http, &sleep).header("prefer", "wait=0")).await;
    assert_eq!((status, body.get("result")), (202, None));
    let job = body["job_id"].as_str().unwrap();
    let request = http.request("GET", &format!("/jobs/{job}")).header("prefer", "wait=1");
    let (status, headers, body) = full(request).await;
    assert_eq!((status, headers["preference-applied"].to_str().unwrap()), (200, "wait=1"));
    assert_eq!(body["status"], "processing");

    for request in [
        http.request("POST", "/jobs?wait=61").json(&echo),
        http.request("GET", &format!("/jobs/{job}?wait=61")),
    ] {
        let (status, _, body) = full(request).await;
        assert_eq!((status, &body["code"]), (400, &json!("invalid_wait")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_gave_null_shows_it_and_one_that_gave_nothing_does_not() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let http = service.http();
    let noop = json!({"task": "noop", "payload": null});
    let (_, _, body) = full(submission(&http, &noop).header("prefer", "wait=20")).await;
    assert_eq!((&body["status"], body.get("result")), (&json!("completed"), Some(&Value::Null)));
    let later = json!({"task": "noop", "payload": null, "delay_seconds": 600});
    let waiting = http.post("/jobs", &later).await;
    assert_eq!(waiting.status, 201);
    let listed = http.get("/jobs?include=result").await.body;
    let results: Vec<_> =
        listed["data"].as_array().unwrap().iter().map(|job| job.get("result")).collect();
    assert_eq!(results, [None, Some(&Value::Null)]);
    let listed = http.get("/jobs").await.body;
    assert!(listed["data"].as_array().unwrap().iter().all(|job| job.get("result").is_none()));
    let column = "select count(*) from reveille.outcome where result is null";
    assert_eq!(value::<i64>(&database.client().await, column).await, 1, "it takes no room");
}

/// RFC 7240: a preference that cannot be followed is no error, and preferences may come in several lines.
#[tokio::test(flavor = "multi_thread")]
async fn a_preference_is_followed_wherever_it_stands_or_ignored() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let http = service.http();
    let echo = json!({"payload": 1});
    let lines =
        submission(&http, &echo).header("prefer", "respond-async").header("prefer", "wait=20");
    let (status, headers, _) = full(lines).await;
    assert_eq!((status, headers["preference-applied"].to_str().unwrap()), (201, "wait=20"));
    for prefer in ["wait=61", "wait=soon"] {
        let (status, headers, body) = full(submission(&http, &echo).header("prefer", prefer)).await;
        assert_eq!((status, headers.get("preference-applied")), (201, None), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_character_that_postgresql_does_not_have_is_refused_in_paths_and_queries() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    for path in [
        "/jobs?queue=%00",
        "/jobs?task=a%00",
        "/jobs?tag=%00",
        "/jobs?unique_key=%00",
        "/tasks/a%00",
    ] {
        let answer = service.http().get(path).await;
        assert_eq!((answer.status, &answer.body["code"]), (400, &json!("nul_character")), "{path}");
    }
    assert_eq!(service.http().get("/jobs?unique_key=%2500").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_as_it_was_is_not_sent_again() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let http = service.http();
    let job = json!({"payload": 1, "delay_seconds": 600});
    let id = http.post("/jobs", &job).await.body["job_id"].as_str().unwrap().to_owned();
    let path = format!("/jobs/{id}");
    let (_, headers, _) = full(http.request("GET", &path)).await;
    let tag = headers["etag"].clone();
    let again = http.request("GET", &path).header("if-none-match", &tag);
    let (status, headers, body) = full(again).await;
    assert_eq!((status, &headers["etag"], body), (304, &tag, Value::Null));
    // Several lines of the header are one list.
    let lines = http.request("GET", &path).header("if-none-match", "\"another\"");
    assert_eq!(full(lines.header("if-none-match", &tag)).await.0, 304);

    // That it waits for a paused queue is told beside the job, and is no part of it.
    http.post("/queues/default/pause", &json!({})).await;
    let warned = http.request("GET", &path).header("if-none-match", &tag);
    assert_eq!(full(warned).await.0, 304);
    let (_, headers, body) = full(http.request("GET", &path)).await;
    assert!(body["warnings"][0].is_string() && headers["etag"] == tag, "{body}");
    assert!(tag.to_str().unwrap().starts_with("W/"), "{tag:?}");

    http.post(&format!("{path}/cancel"), &json!({})).await;
    let changed = http.request("GET", &path).header("if-none-match", &tag);
    let (status, headers, body) = full(changed).await;
    assert_eq!((status, &body["status"]), (200, &json!("cancelled")));
    assert_ne!(headers["etag"], tag);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_links_to_its_next_page() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let http = service.http();
    let jobs: Vec<Value> =
        (0..3).map(|n| json!({"payload": n, "delay_seconds": 600, "tags": ["a b"]})).collect();
    http.post("/jobs/batch", &json!(jobs)).await;
    let (mut path, mut seen) = ("/jobs?tag=a%20b&limit=1".to_owned(), 0);
    loop {
        let (status, headers, body) = full(http.request("GET", &path)).await;
        assert_eq!((status, body["data"].as_array().unwrap().len()), (200, 1));
        seen += 1;
        let Some(link) = headers.get("link") else { break };
        let link = link.to_str().unwrap();
        let link = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
        assert!(link.starts_with("?tag=a%20b&limit=1&cursor="), "{link}");
        path = format!("/jobs{link}");
    }
    assert_eq!(seen, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_is_misspelt_is_told_and_a_batch_is_warned_of_what_waits() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let http = service.http();
    let refused = http.get("/jobs?stauts=failed").await;
    assert_eq!((refused.status, &refused.body["code"]), (400, &json!("unknown_parameter")));
    assert!(refused.body["request_id"].is_string(), "{}", refused.body);
    assert_eq!(refused.body["instance"], "/jobs");
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("`stauts`") && detail.contains("`status`"), "{detail}");
    assert_eq!(http.get("/health?from=balancer").await.status, 200);
    assert_eq!(http.get("/nowhere?x=1").await.body["code"], "path_not_found");

    let jobs =
        json!([{"payload": 1}, {"payload": 1, "task": "ehco"}, {"payload": 1, "task": "ehco"}]);
    let jobs = http.post("/jobs/batch", &jobs).await.body["jobs"].clone();
    assert_eq!(jobs[0]["warnings"], json!([]));
    let warning = jobs[1]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("Did you mean `echo`?"), "{warning}");
    assert_eq!(jobs[2]["warnings"], jobs[1]["warnings"]);
}
