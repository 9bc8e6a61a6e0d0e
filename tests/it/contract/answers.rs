//! What the service answers is what the specification says.

use serde_json::{Value, json};

use super::{Operation, Validator, operations, specification};
use crate::harness::{self, Service};

/// Calls operations of a service, and holds each answer against the specification.
struct Caller {
    service: Service,
    specification: Value,
}

impl Caller {
    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let http = self.service.http();
        let mut request = http.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16().to_string();
        let kind = response.headers().get("content-type").map(|it| it.to_str().unwrap().to_owned());
        let bytes = response.bytes().await.unwrap();
        let value: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);

        let all = operations(&self.specification);
        let operation =
            all.iter().find(|it| it.name.starts_with(&format!("{method} ")) && fits(it, path));
        let operation = operation.unwrap_or_else(|| panic!("{method} {path} is not specified"));
        let answers = operation.answers();
        let answer = answers.iter().find(|it| it.0 == status);
        let (_, specified, schema) =
            answer.unwrap_or_else(|| panic!("{method} {path}: {status} is not specified: {value}"));
        let media_type = kind.as_deref().and_then(|it| it.split(';').next());
        assert_eq!(media_type, *specified, "{method} {path}: {status} {value}");
        if specified.is_some() {
            let wrong = Validator::within(&self.specification, schema).fault(&value);
            assert_eq!(wrong, None, "{method} {path}: {status} {value}");
        }
        let unspecified = undeclared(&self.specification, schema, &value);
        assert!(
            unspecified.is_empty(),
            "{method} {path} answers {unspecified:?} beyond its schema"
        );
        value
    }
}

fn fits(operation: &Operation<'_>, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (wanted, given) = (operation.path.split('/'), path.split('/'));
    wanted.clone().count() == given.clone().count()
        && wanted.zip(given).all(|(wanted, given)| wanted == given || wanted.starts_with('{'))
}

/// Members of the answer that its schema does not have, one level deep.
fn undeclared(specification: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let Some(to) = schema["$ref"].as_str() else { return Vec::new() };
    let schema = specification.pointer(to.trim_start_matches('#')).unwrap();
    let members = value.as_object().into_iter().flatten().map(|(name, _)| name);
    members.filter(|name| schema["properties"].get(name.as_str()).is_none()).cloned().collect()
}

/// Whoever reads the example tries it.
#[tokio::test(flavor = "multi_thread")]
async fn the_examples_are_what_the_service_answers() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let it = Caller { service, specification: specification() };
    let example = |name: &str| it.specification["components"]["schemas"][name]["example"].clone();
    let job = it.call("POST", "/jobs?wait=20", Some(&example("JobCreate"))).await;
    let job = it.call("GET", &format!("/jobs/{}", job["job_id"].as_str().unwrap()), None).await;
    for (name, value) in example("JobDetails").as_object().unwrap() {
        // Ids, times and hosts are others each time.
        if name != "job_id" && name != "worker" && !name.ends_with("_at") {
            assert_eq!(job[name], *value, "{name}");
        }
    }
    let task = it.call("GET", "/tasks/sleep", None).await;
    for name in ["description", "served", "max_attempts", "retry", "example"] {
        assert_eq!(task[name], example("TaskDetails")[name], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_a_limit_is_as_long_as_specified() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let specification = specification();
    let job = |nth: usize| json!({"payload": null, "queue": format!("q{nth}")});
    let jobs: Vec<_> = (0..120).map(job).collect();
    assert_eq!(service.http().post("/jobs/batch", &json!(jobs)).await.status, 201);
    for path in ["/jobs", "/queues"] {
        let parameters = specification["paths"][path]["get"]["parameters"].as_array().unwrap();
        let limit = parameters.iter().find(|it| it["name"] == "limit").unwrap();
        let page = service.http().get(path).await.body;
        let length = page["data"].as_array().unwrap().len();
        assert_eq!(limit["schema"]["default"], json!(length), "{path}");
        let most = limit["schema"]["maximum"].as_u64().unwrap();
        let beyond = service.http().get(&format!("{path}?limit={}", most + 1)).await;
        assert_eq!(beyond.status, 400, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_specified() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let it = Caller { service, specification: specification() };

    let job = json!({"task": "echo", "payload": [1], "tags": ["a"], "unique_key": "k"});
    let job = it.call("POST", "/jobs?wait=20", Some(&job)).await;
    let done = format!("/jobs/{}", job["job_id"].as_str().unwrap());
    let later =
        json!({"payload": null, "delay_seconds": 600, "unique_key": "k2", "on_conflict": "reject"});
    let waiting = it.call("POST", "/jobs", Some(&later)).await;
    let waiting = format!("/jobs/{}", waiting["job_id"].as_str().unwrap());
    it.call("POST", "/jobs", Some(&later)).await;
    let flaky = json!({"task": "flaky", "payload": {"failures": 9}, "max_attempts": 1});
    let failed = it.call("POST", "/jobs?wait=20", Some(&flaky)).await;
    let failed = format!("/jobs/{}", failed["job_id"].as_str().unwrap());
    it.call("POST", "/jobs", Some(&json!({"queue": "A", "payload": 1}))).await;
    it.call("POST", "/jobs/batch", Some(&json!([{"payload": 1}, {"payload": 2}]))).await;
    it.call("POST", "/jobs/batch", Some(&json!([{}]))).await;
    for path in [&done, &waiting, &failed] {
        it.call("GET", path, None).await;
        it.call("GET", &format!("{path}/attempts"), None).await;
    }
    it.call("GET", "/jobs?include=payload&include=result&limit=2", None).await;
    it.call("GET", "/jobs?cursor=x", None).await;
    it.call("GET", "/jobs/0199a3c0-b5d2-7c3f-8a51-f0e2d4c6b8a0", None).await;
    it.call("POST", &format!("{waiting}/cancel"), None).await;
    it.call("POST", &format!("{done}/cancel"), None).await;
    it.call("POST", &format!("{failed}/retry"), None).await;
    it.call("DELETE", &done, None).await;
    for operation in operations(&it.specification.clone()) {
        if operation.name.starts_with("GET ") && !operation.path.contains('{') {
            it.call("GET", operation.path, None).await;
        }
    }
    it.call("GET", "/tasks/echo", None).await;
    it.call("GET", "/tasks/nobody", None).await;
}
