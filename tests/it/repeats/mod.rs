//! Requests that may be repeated: whatever happens to the first, and wherever the others go, they
//! submit once.

mod answers;
mod bad;
mod cut;
mod order;
mod quota;

use std::time::Duration;

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::harness::http::Http;
use crate::harness::look::value;

const SOON: Duration = Duration::from_secs(10);

/// An answer with the headers that count here.
#[derive(Clone, PartialEq, Debug)]
struct Reply {
    status: u16,
    body: Value,
    location: Option<String>,
    retry_after: Option<String>,
    replayed: bool,
}

impl Reply {
    /// Without its being a replay.
    fn as_first(&self) -> Self {
        Self { replayed: false, ..self.clone() }
    }

    fn id(&self) -> String {
        self.body["job_id"].as_str().unwrap_or_else(|| panic!("no job: {self:?}")).to_owned()
    }
}

async fn sent(request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
    let response = request.send().await?;
    let header = |name: &str| {
        response.headers().get(name).and_then(|it| it.to_str().ok()).map(str::to_owned)
    };
    let (status, replayed) = (response.status().as_u16(), header("idempotency-replayed"));
    let (location, retry_after) = (header("location"), header("retry-after"));
    assert!(matches!(replayed.as_deref(), None | Some("true")), "{replayed:?}");
    let bytes = response.bytes().await?;
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Ok(Reply { status, body, location, retry_after, replayed: replayed.is_some() })
}

fn request(http: &Http, path: &str, key: &str, body: String) -> reqwest::RequestBuilder {
    let request = http.request("POST", path).header("idempotency-key", key);
    request.header("content-type", "application/json").body(body)
}

/// Sends this body with this key.
async fn post(http: &Http, path: &str, key: &str, body: &Value) -> Reply {
    sent(request(http, path, key, body.to_string())).await.unwrap()
}

async fn job(http: &Http, key: &str, body: &Value) -> Reply {
    post(http, "/jobs", key, body).await
}

/// Sends a job until an answer is final, as a client does.
async fn until_answered(http: &Http, key: &str, body: &Value) -> Reply {
    loop {
        let reply = job(http, key, body).await;
        match reply.status {
            409 => {
                assert_eq!(reply.body["code"], "idempotency_key_busy", "{reply:?}");
                assert_eq!(reply.retry_after.as_deref(), Some("1"), "{reply:?}");
            }
            503 => assert!(reply.retry_after.is_some(), "{reply:?}"),
            _ => return reply,
        }
    }
}

async fn jobs(client: &Client) -> i64 {
    value(client, "select count(*) from reveille.job").await
}

async fn kept(client: &Client) -> i64 {
    value(client, "select count(*) from reveille.idempotency").await
}

fn noop(nth: impl Into<Value>) -> Value {
    json!({"task": "noop", "payload": nth.into()})
}
