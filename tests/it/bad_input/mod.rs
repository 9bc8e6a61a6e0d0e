//! Bad input, by name: whatever comes, the answer says what to do, nothing is kept, and the service goes on.

mod flood;
mod table;

use serde_json::{Value, json};

use crate::harness::{self, Service};
use table::{Case, cases};

/// Sends a case, and answers the content type with the problem.
async fn sent(service: &Service, case: &Case) -> (u16, String, String, Value) {
    let mut request = service.http().request(case.method, &case.path);
    if let Some(kind) = case.content_type {
        request = request.header("content-type", kind);
    }
    let response = request.body(case.body.clone()).send().await;
    let response = response.unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
    let status = response.status().as_u16();
    let header = |name| {
        let value = response.headers().get(name).and_then(|it| it.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (kind, id) = (header("content-type"), header("x-request-id"));
    let bytes = response.bytes().await.unwrap();
    (status, kind, id, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn is_refused_with_a_word_on_what_to_do() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let mut wrong = Vec::new();
    for case in cases() {
        let (status, kind, id, problem) = sent(&service, &case).await;
        if let Err(why) = holds(&case, status, &kind, &id, &problem) {
            wrong.push(format!("{}: {why}: {status} {problem}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    nothing_was_kept_and_it_goes_on(&database, &service).await;
}

/// Whether an answer is what the case asks for; else what it lacks.
fn holds(case: &Case, status: u16, kind: &str, id: &str, problem: &Value) -> Result<(), String> {
    let ensure = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    let text = |name: &str| problem[name].as_str().unwrap_or_default();
    ensure((status, text("code")) == (case.status, case.code), "another status or code")?;
    ensure(kind == "application/problem+json", "no problem+json")?;
    ensure(problem["status"] == status && text("type") == "about:blank", "no whole problem")?;
    ensure(!id.is_empty() && text("request_id") == id, "no request id")?;
    ensure(text("detail").len() > 20, "it does not say what to do")?;
    ensure(problem.to_string().contains(case.says), "it does not say what the case wants")?;
    let errors: Vec<&Value> = problem["errors"].as_array().into_iter().flatten().collect();
    let said = errors.iter().all(|it| it["message"].as_str().is_some_and(|it| it.len() > 10));
    ensure(said, "an error without a message")?;
    let places = errors.iter().map(|it| (it["pointer"].as_str(), it["code"].as_str()));
    let mut places: Vec<_> =
        places.map(|it| (it.0.unwrap_or("none").to_owned(), it.1.unwrap_or("none"))).collect();
    places.sort_unstable();
    ensure(places == case.errors, "other places")
}

async fn nothing_was_kept_and_it_goes_on(database: &harness::TestDatabase, service: &Service) {
    let client = database.client().await;
    let kept = client.query_one("select count(*) from reveille.job", &[]).await.unwrap();
    assert_eq!(kept.get::<_, i64>(0), 0, "something was kept");
    let good = service.http().post("/jobs?wait=20", &json!({"payload": "good"})).await;
    assert_eq!((good.status, &good.body["status"]), (201, &json!("completed")));
}
