//! Whatever goes wrong is a problem with the id of its request.

use reveille::internals::api::edge::EdgeLimits;

use super::app::{Service, TOKEN, spec};

#[tokio::test]
async fn routing_errors_are_problems() {
    let service = Service::start(EdgeLimits::default()).await;
    let mut client = service.client().await;
    assert_eq!(client.get("/nowhere?x=1").await.problem(404), "path_not_found");
    let reply = client.ask("DELETE /items/2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(reply.problem(405), "method_not_allowed");
    assert_eq!(reply.headers["allow"], "GET, HEAD");
    assert_eq!(client.get("/echo").await.headers["allow"], "POST");
    let reply = client.get("/items/four").await;
    assert_eq!(reply.problem(400), "invalid_parameter");
    assert!(reply.json()["detail"].as_str().unwrap().contains("`id`"), "{reply:?}");
    let reply = client.get("/items/0?a=b").await;
    assert_eq!(reply.problem(404), "task_not_found");
    assert_eq!(reply.json()["instance"], "/items/0");
}

#[tokio::test]
async fn a_panic_costs_its_own_request_only() {
    let service = Service::start(EdgeLimits::default()).await;
    let mut client = service.client().await;
    let reply = client.get("/items/1").await;
    assert_eq!(reply.problem(500), "internal_error");
    assert!(!String::from_utf8_lossy(&reply.body).contains("cursed"));
    assert_eq!(client.get("/items/2").await.status, 200);
}

#[tokio::test]
async fn request_ids_are_kept_or_made() {
    let service = Service::start(EdgeLimits::default()).await;
    let mut client = service.client().await;
    let mut ask = async |id: &str| {
        let reply = client
            .ask(format!("GET /items/0 HTTP/1.1\r\nHost: a\r\nX-Request-Id: {id}\r\n\r\n"))
            .await;
        reply.problem(404);
        reply.headers["x-request-id"].clone()
    };
    assert_eq!(ask("my-id/1").await, "my-id/1");
    assert_eq!(ask(&"x".repeat(128)).await, "x".repeat(128));
    for unusable in ["", "with blank", &"x".repeat(129), "é"] {
        let made = ask(unusable).await;
        assert_eq!(made.len(), 32, "{unusable} became {made}");
    }
}

#[tokio::test]
async fn a_token_is_asked_for_where_one_is_configured() {
    let service = Service::start_guarded().await;
    let mut client = service.client().await;
    for path in ["/items/2", "/nowhere", "/docs/../items/2", "/metrics"] {
        let reply = client.get(path).await;
        assert_eq!(reply.problem(401), "unauthorized", "{path}");
        assert_eq!(reply.headers["www-authenticate"], r#"Bearer realm="reveille""#);
    }
    let wrong =
        "GET /items/2 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer not-the-right-token\r\n\r\n";
    let reply = client.ask(wrong).await;
    assert_eq!(reply.problem(401), "unauthorized");
    assert!(reply.headers["www-authenticate"].ends_with(r#"error="invalid_token""#));
    let right =
        format!("GET /items/2 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    assert_eq!(client.ask(right).await.status, 200);
    // Open, although this small service does not have it.
    assert_eq!(client.get("/readyz").await.problem(404), "path_not_found");
}

#[tokio::test]
async fn the_documentation_is_open_and_complete() {
    let service = Service::start_guarded().await;
    let mut client = service.client().await;
    let page = client.get("/docs").await;
    let html = String::from_utf8_lossy(&page.body);
    assert!(page.status == 200 && html.contains("SwaggerUIBundle") && !html.contains("src=\"http"));
    assert!(page.headers["content-security-policy"].starts_with("default-src 'none'"));
    assert_eq!(client.get("/openapi.json").await.json(), spec());
    let yaml = client.get("/openapi.yaml").await;
    assert!(yaml.status == 200 && yaml.body.starts_with(b"openapi: 3.0.0"));
}

#[test]
fn the_specification_lists_the_refusals() {
    let spec = spec();
    let statuses = |operation: &serde_json::Value| -> Vec<String> {
        operation["responses"].as_object().unwrap().keys().cloned().collect()
    };
    let echo = &spec["paths"]["/echo"]["post"];
    assert_eq!(
        statuses(echo),
        ["200", "400", "401", "403", "408", "413", "415", "421", "422", "500", "503"]
    );
    assert_eq!(
        statuses(&spec["paths"]["/items/{id}"]["get"]),
        ["200", "400", "401", "404", "421", "500", "503"]
    );
    let refusal = &echo["responses"]["503"];
    let schema = &refusal["content"]["application/problem+json"]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/ProblemDetails");
    assert!(refusal["headers"]["RETRY-AFTER"].is_object() && refusal["description"].is_string());
    assert_eq!(
        echo["requestBody"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/Item"
    );
    assert_eq!(
        spec["components"]["schemas"]["Item"]["properties"]["payload"],
        serde_json::json!({})
    );
    assert_eq!(spec["components"]["schemas"]["ProblemDetails"]["example"]["status"], 422);
    assert_eq!(echo["security"], serde_json::json!([{"bearer": []}, {}]));
}
