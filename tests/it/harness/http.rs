//! A plain HTTP client for the service.

use std::sync::Once;
use std::time::Duration;

use serde_json::Value;

/// A status and a JSON body (`null` if the body is no JSON).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// Talks to one service.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    base: String,
}

impl Http {
    pub(crate) fn new(base: &str) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // It may have been installed by the code under test.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        // No service of the tests speaks TLS, and reading the system's certificates costs more than
        // a request.
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
        let client = client.timeout(Duration::from_secs(60)).build();
        Self {
            client: client.expect("a client can be built"),
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("an HTTP method");
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request("GET", path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.request("POST", path).json(body)).await
    }

    pub(crate) async fn post_job(&self, job: &Value) -> Answer {
        self.post("/jobs", job).await
    }

    pub(crate) async fn get_job(&self, id: &str) -> Answer {
        self.get(&format!("/jobs/{id}")).await
    }
}

/// Sends a request that must be answered.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    try_answer(request).await.unwrap_or_else(|error| panic!("no answer: {error:?}"))
}

/// Sends a request whose service may be dead.
pub(crate) async fn try_answer(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let body = response.bytes().await?;
    Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}
