//! Turns requests away that bring no known token.

use futures_util::future::{Either, ready};
use http::{HeaderValue, header};
use poem::{Endpoint, Middleware, Request};

use super::problem::Problem;
use crate::auth::{Tokens, Unauthorized};
use crate::caller::Fingerprint;

/// The documentation.
const DOCS: &[&str] = &["/docs", "/docs/", "/openapi.json", "/openapi.yaml"];

/// Whether probes and load balancers ask for this path, by names of their own and without a token.
pub(super) fn is_probe(path: &str) -> bool {
    matches!(path, "/health" | "/livez" | "/readyz")
}

/// Whether a path is answered without a token: probes and the documentation are.
pub(super) fn is_open(path: &str) -> bool {
    is_probe(path) || DOCS.contains(&path)
}

/// Turns requests away that have no known token, but for paths that [are open](is_open). Everything
/// else is guarded, also paths that do not exist, so that nothing is open by accident that is added
/// later. An operation finds the fingerprint of the token beside the request.
#[derive(Debug, Clone)]
pub(super) struct Guard(pub(super) Tokens);

impl Guard {
    fn check(&self, request: &Request) -> Result<Option<Fingerprint>, Unauthorized> {
        let authorization = request.headers().get(header::AUTHORIZATION);
        self.0.check(authorization.map(HeaderValue::as_bytes).and_then(bearer))
    }
}

/// The token of `Bearer <token>`; the scheme's case does not matter (RFC 9110).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    let token = scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii());
    token.filter(|token| !token.is_empty())
}

/// 401, with the challenge of RFC 6750.
impl From<Unauthorized> for Problem {
    fn from(why: Unauthorized) -> Self {
        match why {
            Unauthorized::Missing => Self::unauthorized(
                "This service asks for a token. Send `Authorization: Bearer <token>`.",
                r#"Bearer realm="reveille""#,
            ),
            Unauthorized::Unknown => Self::unauthorized(
                "This token is unknown here. Check it against the service's `auth_tokens`.",
                r#"Bearer realm="reveille", error="invalid_token""#,
            ),
        }
    }
}

impl<E: Endpoint> Middleware<E> for Guard {
    type Output = Guarded<E>;

    fn transform(&self, inner: E) -> Self::Output {
        Guarded { inner, guard: self.clone() }
    }
}

/// An endpoint that [`Guard`] guards.
pub(super) struct Guarded<E> {
    inner: E,
    guard: Guard,
}

impl<E: Endpoint> Endpoint for Guarded<E> {
    type Output = E::Output;

    // Not an `async fn`: each of those around a request holds a copy of it.
    fn call(
        &self,
        mut request: Request,
    ) -> impl Future<Output = poem::Result<Self::Output>> + Send {
        match self.guard.check(&request) {
            Err(why) if !is_open(request.uri().path()) => {
                return Either::Right(ready(Err(Problem::from(why).into())));
            }
            Ok(Some(fingerprint)) => {
                request.extensions_mut().insert(fingerprint);
            }
            Ok(None) | Err(_) => {}
        }
        Either::Left(self.inner.call(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_of_a_token_is_read_whatever_its_case() {
        for text in ["Bearer abc", "bearer  abc ", "BEARER abc"] {
            assert_eq!(bearer(text.as_bytes()), Some(&b"abc"[..]), "{text}");
        }
        for text in ["Basic abc", "Bearer ", "Bearer", "abc"] {
            assert_eq!(bearer(text.as_bytes()), None, "{text}");
        }
    }
}
