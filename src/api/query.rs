//! Query parameters that no operation has are refused: a filter that is misspelt would else be no
//! filter at all. So is one that has a single value and stands there twice, and U+0000, in the path
//! too, which PostgreSQL knows no text with.
//!
//! The parameters of an operation are read from the specification. An operation that needs no token
//! takes whatever comes: machines that check health add parameters of their own.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::{Either, ready};
use http::Method;
use poem::{Endpoint, Middleware, Request};
use serde_yaml::Value;

use super::docs::Spec;
use super::problem::Problem;
use crate::spelling::did_you_mean;

/// The query parameters of each operation.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownQuery(Arc<HashMap<String, Vec<Operation>>>);

/// One operation: its path, in segments, and the names of its parameters.
#[derive(Debug)]
struct Operation {
    path: Vec<String>,
    names: Vec<String>,
    /// Those of the names that may stand there more than once.
    lists: Vec<String>,
}

impl KnownQuery {
    /// Those of a specification.
    pub(crate) fn of(spec: &Spec) -> Self {
        let mut known: HashMap<String, Vec<Operation>> = HashMap::new();
        for (path, method, operation) in spec.operations() {
            if let Some(operation) = Operation::guarded(path, operation) {
                known.entry(method).or_default().push(operation);
            }
        }
        Self(Arc::new(known))
    }

    fn check(&self, method: &Method, path: &str, query: &str) -> Result<(), Problem> {
        if query.is_empty() && !path.contains("%00") {
            return Ok(());
        }
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        let operations = self.0.get(method).into_iter().flatten();
        // A path that is spelt out wins over one with a parameter in its place.
        let found = operations
            .filter(|operation| operation.fits(&segments))
            .max_by_key(|operation| operation.literals());
        let Some(operation) = found else { return Ok(()) };
        if let Some(name) = operation.parameter_with_nul(&segments) {
            return Err(nul(name));
        }
        let mut seen: Vec<Cow<'_, str>> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !operation.names.iter().any(|known| *known == name) {
                return Err(unknown(&name, &operation.names));
            }
            if value.contains('\0') {
                return Err(nul(&name));
            }
            if !seen.contains(&name) {
                seen.push(name);
            } else if !operation.lists.iter().any(|list| *list == name) {
                let detail = format!(
                    "`{name}` stands in the query more than once, and only one value can count. \
                     Send it once."
                );
                return Err(Problem::parameter(&name, "repeated_parameter", detail));
            }
        }
        Ok(())
    }
}

impl Operation {
    /// The operation as it is specified; `None` if it is answered without a token.
    fn guarded(path: &str, operation: &Value) -> Option<Self> {
        operation.get("security")?.as_sequence().filter(|needed| !needed.is_empty())?;
        let parameters = operation.get("parameters").and_then(Value::as_sequence);
        let of_query = |it: &&Value| it.get("in").and_then(Value::as_str) == Some("query");
        let parameters: Vec<_> = parameters.into_iter().flatten().filter(of_query).collect();
        let name = |it: &&Value| Some(it.get("name")?.as_str()?.to_owned());
        let of_list = |it: &&&Value| {
            it.get("schema").and_then(|it| it.get("type")?.as_str()) == Some("array")
        };
        Some(Self {
            path: path.split('/').map(str::to_owned).collect(),
            names: parameters.iter().filter_map(name).collect(),
            lists: parameters.iter().filter(of_list).filter_map(name).collect(),
        })
    }

    fn fits(&self, segments: &[&str]) -> bool {
        self.path.len() == segments.len()
            && self
                .path
                .iter()
                .zip(segments)
                .all(|(ours, theirs)| is_parameter(ours) || ours == theirs)
    }

    fn literals(&self) -> usize {
        self.path.iter().filter(|segment| !is_parameter(segment)).count()
    }

    /// The name of the parameter of the path in whose place U+0000 stands.
    fn parameter_with_nul(&self, segments: &[&str]) -> Option<&str> {
        let (ours, _) =
            self.path.iter().zip(segments).find(|(_, theirs)| theirs.contains("%00"))?;
        ours.strip_prefix('{')?.strip_suffix('}')
    }
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

fn nul(name: &str) -> Problem {
    let detail = format!(
        "`{name}` holds the character U+0000 (%00), which PostgreSQL cannot keep. Remove it."
    );
    Problem::parameter(name, "nul_character", detail)
}

fn unknown(name: &str, known: &[String]) -> Problem {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let hint = match (did_you_mean(name, &known), &known[..]) {
        (hint, _) if !hint.is_empty() => hint,
        (_, []) => " It has none.".into(),
        (_, known) => format!(" Known: {}.", known.join(", ")),
    };
    let name: String = name.chars().filter(|it| !it.is_control()).take(100).collect();
    let detail = format!("This operation has no query parameter `{name}`.{hint}");
    Problem::parameter(&name, "unknown_parameter", detail)
}

impl<E: Endpoint> Middleware<E> for KnownQuery {
    type Output = Checked<E>;

    fn transform(&self, inner: E) -> Checked<E> {
        Checked { inner, known: self.clone() }
    }
}

/// An endpoint that is asked only what it knows.
pub(crate) struct Checked<E> {
    inner: E,
    known: KnownQuery,
}

impl<E: Endpoint> Endpoint for Checked<E> {
    type Output = E::Output;

    // Not an `async fn`: each of those around a request holds a copy of it.
    fn call(&self, request: Request) -> impl Future<Output = poem::Result<Self::Output>> + Send {
        let uri = request.uri();
        match self.known.check(request.method(), uri.path(), uri.query().unwrap_or_default()) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(problem) => Either::Right(ready(Err(problem.into()))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_the_specification_has() {
        let known = KnownQuery::of(&super::super::spec());
        let check = |method: &str, path: &str, query: &str| {
            let method: Method = method.parse().unwrap();
            known.check(&method, path, query).map_err(|problem| format!("{problem:?}"))
        };
        check("GET", "/jobs", "status=failed&limit=3").unwrap();
        check("GET", "/jobs", "status=failed&status=queued&tag=a&tag=b&include=payload").unwrap();
        check("HEAD", "/jobs/7", "wait=3").unwrap();
        check("GET", "/health", "whatever=1").unwrap();
        check("GET", "/nothing", "whatever=1").unwrap();
        for (method, path, query, said) in [
            ("GET", "/jobs", "stauts=failed", "Did you mean `status`?"),
            ("POST", "/jobs", "q=1", "Known: wait."),
            ("POST", "/jobs/batch", "wait=1", "It has none."),
            ("GET", "/jobs", "limit=1&limit=100", "repeated_parameter"),
            ("GET", "/jobs/7", "wait=1&wait=2", "Send it once."),
            ("GET", "/jobs", "queue=%00", "parameter: Some(\"queue\")"),
            ("GET", "/tasks/a%00", "", "parameter: Some(\"name\")"),
            ("GET", "/tasks/a%00", "", "nul_character"),
            ("GET", "/jobs", "a%00=1", "no query parameter `a`"),
        ] {
            let error = check(method, path, query).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
