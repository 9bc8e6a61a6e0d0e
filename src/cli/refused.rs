//! Why a service did not do what was asked, in words and as JSON.

use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde_json::json;

use super::object::Object;
use super::table::clean;

/// The service did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// Nothing answered, or the answer broke off.
    #[error(
        "cannot reach {url}: {reason}. Is the service running there? `reveille serve` starts \
         one; --url or REVEILLE_URL names another"
    )]
    Unreachable { url: String, reason: String },
    /// It said no, and why.
    #[error("{said}")]
    Said { status: StatusCode, said: String, body: String },
}

impl Refused {
    /// Whether the same request may well succeed in a moment.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Said { status, .. } => {
                matches!(status.as_u16(), 429 | 502 | 503 | 504)
            }
        }
    }

    /// Whether there is nothing of that name.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Said { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Whether the thing is not as the request named it.
    pub(super) fn is_outdated(&self) -> bool {
        matches!(self, Self::Said { status, .. } if *status == StatusCode::PRECONDITION_FAILED)
    }

    /// Whether the caller wrote something that is not valid.
    pub(super) fn is_wrong(&self) -> bool {
        let wrong = [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY];
        matches!(self, Self::Said { status, .. } if wrong.contains(status))
    }

    /// The problem as one line of JSON: the service's own, or one that says the same.
    pub(super) fn problem(&self) -> String {
        match self {
            Self::Said { body, .. } if serde_json::from_str::<Object>(body).is_ok() => {
                body.lines().collect()
            }
            Self::Said { status, said, .. } => json!({
                "title": status.canonical_reason(), "status": status.as_u16(),
                "code": "unexpected_answer", "detail": said,
            })
            .to_string(),
            Self::Unreachable { .. } => {
                json!({"title": "Unreachable", "code": "unreachable", "detail": self.to_string()})
                    .to_string()
            }
        }
    }
}

/// The content of an `application/problem+json` (RFC 9457), and our additions to it.
#[derive(Deserialize)]
struct Problem {
    title: String,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    errors: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    #[serde(default)]
    pointer: String,
    #[serde(default)]
    parameter: Option<String>,
    #[serde(default)]
    message: String,
}

/// The answer of `/readyz`, as far as it says why a service is not ready.
#[derive(Deserialize)]
struct Unready {
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    #[serde(default)]
    detail: String,
}

impl Unready {
    fn say(&self) -> String {
        let mut said = "the service is not ready".to_owned();
        for Check { name, detail } in &self.checks {
            said = format!("{said}\n  {}: {}", clean(name, 100), clean(detail, 500));
        }
        if self.checks.iter().any(|check| ["database", "schema"].contains(&check.name.as_str())) {
            said += "\n  run `reveille doctor` with the service's settings: it says what to change";
        }
        said
    }
}

/// A refusal in words: what happened, then what to do.
pub(super) fn say(status: StatusCode, body: &str, url: &Url, has_token: bool) -> String {
    if let Ok(unready) = serde_json::from_str::<Unready>(body) {
        return unready.say();
    }
    let Ok(problem) = serde_json::from_str::<Problem>(body) else {
        let start = clean(body.trim(), 200);
        return format!("{url} answered {status}, not in the way of Reveille: {start}");
    };
    let mut said = clean(problem.title.trim_end_matches('.'), 200);
    if let Some(detail) = &problem.detail {
        said = format!("{said}: {}", clean(detail, 1000));
    }
    for Field { pointer, parameter, message } in problem.errors {
        let place = match (&parameter, pointer.as_str()) {
            (Some(parameter), _) => parameter,
            (None, "") => "(the whole)",
            (None, pointer) => pointer,
        };
        let place = clean(place, 200);
        // A single error is the detail, too. It names its parameter, but not its place in the body.
        if Some(&message) != problem.detail.as_ref() {
            said = format!("{said}\n  {place} {}", clean(&message, 500));
        } else if !pointer.is_empty() {
            said = format!("{said}\n  {place}");
        }
    }
    if status == StatusCode::UNAUTHORIZED {
        let hint = if has_token {
            "the token in REVEILLE_TOKEN is not one of the service's"
        } else {
            "set REVEILLE_TOKEN to one of the service's auth_tokens"
        };
        said = format!("{said}\n  {hint}");
    }
    // A server's fault is looked for in its log, and this is how it is found there.
    match problem.request_id.filter(|_| status.is_server_error()) {
        Some(id) => format!("{said}\n  request id {}", clean(&id, 100)),
        None => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_every_wrong_field() {
        let body = r#"{"title": "The job is not valid", "status": 422, "code": "invalid_job",
            "detail": "Put these right and send it again.", "request_id": "r1",
            "errors": [{"pointer": "/priority", "code": "x", "message": "must be 0 to 9"}]}"#;
        let url = Url::parse("http://x/jobs").unwrap();
        let said = say(StatusCode::UNPROCESSABLE_ENTITY, body, &url, false);
        assert_eq!(
            said,
            "The job is not valid: Put these right and send it again.\n  /priority must be 0 to 9"
        );
        let parameters = r#"{"title": "Bad Request", "detail": "2 things are wrong.",
            "errors": [{"pointer": "", "parameter": "queue", "message": "must be a name"},
                {"pointer": "", "message": "must be less"}]}"#;
        assert_eq!(
            say(StatusCode::BAD_REQUEST, parameters, &url, false),
            "Bad Request: 2 things are wrong.\n  queue must be a name\n  (the whole) must be less"
        );
        let one = r#"{"title": "Unprocessable Entity", "detail": "U+0000 cannot be kept.",
            "errors": [{"pointer": "/payload/a/0", "message": "U+0000 cannot be kept."}]}"#;
        assert_eq!(
            say(StatusCode::UNPROCESSABLE_ENTITY, one, &url, false),
            "Unprocessable Entity: U+0000 cannot be kept.\n  /payload/a/0"
        );
        let said = say(StatusCode::SERVICE_UNAVAILABLE, body, &url, false);
        assert!(said.ends_with("\n  request id r1"), "{said}");
        let said = say(StatusCode::UNAUTHORIZED, body, &url, false);
        assert!(said.contains("set REVEILLE_TOKEN"), "{said}");
    }

    #[test]
    fn a_service_that_is_not_ready_says_which_checks_fail() {
        let url = Url::parse("http://x/readyz").unwrap();
        let say = |body| say(StatusCode::SERVICE_UNAVAILABLE, body, &url, false);
        let said = say(r#"{"status": "unhealthy", "checks": [
                {"name": "database", "state": "failing", "detail": "it does not answer in time"}]}"#);
        assert_eq!(
            said,
            "the service is not ready\n  database: it does not answer in time\n  run `reveille \
             doctor` with the service's settings: it says what to change"
        );
        let said = say(r#"{"status": "unhealthy", "checks": [
                {"name": "draining", "state": "failing", "detail": "the service is leaving"}]}"#);
        assert_eq!(said, "the service is not ready\n  draining: the service is leaving");
    }

    #[test]
    fn an_answer_of_something_else_is_quoted_on_one_line() {
        let url = Url::parse("http://x/jobs").unwrap();
        let said = say(StatusCode::BAD_GATEWAY, "<html>\n\u{1b}[2J", &url, false);
        assert!(said.contains("502") && !said.contains('\n') && !said.contains('\u{1b}'), "{said}");
    }
}
