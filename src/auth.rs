//! Bearer tokens: who may use the API.
//!
//! A token is compared as its SHA-256 and with every configured one, so that neither its length nor how much of it is
//! right shows in the time it takes. Tokens are long random strings, which is why no slow hash is needed.

use std::fmt;
use std::sync::Arc;

use futures_util::future::{Either, ready};
use http::{HeaderValue, StatusCode, header};
use poem::error::ResponseError;
use poem::{Endpoint, Middleware, Request, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The documentation.
const DOCS: &[&str] = &["/docs", "/docs/", "/openapi.json", "/openapi.yaml"];

/// Whether probes and load balancers ask for this path, by names of their own and without a token.
pub fn is_probe(path: &str) -> bool {
    matches!(path, "/health" | "/livez" | "/readyz")
}

/// Whether a path is answered without a token: probes and the documentation are.
pub fn is_open(path: &str) -> bool {
    is_probe(path) || DOCS.contains(&path)
}

/// The configured tokens; none at all means that everybody may do everything.
#[derive(Clone, Default)]
pub struct Tokens(Arc<[[u8; 32]]>);

/// Why a request was turned away.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Unauthorized {
    #[error("This service asks for a token. Send `Authorization: Bearer <token>`.")]
    Missing,
    #[error("This token is unknown here. Check it against the service's `auth_tokens`.")]
    Unknown,
}

impl Tokens {
    /// Takes the tokens as they are: [`Config::check`](crate::config::Config::check) refuses those that
    /// can be guessed.
    pub fn new(tokens: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        Self(tokens.into_iter().map(|token| Sha256::digest(token).into()).collect())
    }

    /// Whether no token is configured.
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the value of an `Authorization` header lets the request in.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&self, authorization: Option<&[u8]>) -> Result<(), Unauthorized> {
        if self.is_open() {
            return Ok(());
        }
        let token = authorization.and_then(bearer).ok_or(Unauthorized::Missing)?;
        let digest: [u8; 32] = Sha256::digest(token).into();
        let known = self.0.iter().fold(0, |known, token| known | token.ct_eq(&digest).unwrap_u8());
        if known == 1 { Ok(()) } else { Err(Unauthorized::Unknown) }
    }
}

/// The token of `Bearer <token>`; the scheme's case does not matter (RFC 9110).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
        .filter(|token| !token.is_empty())
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

impl Unauthorized {
    /// The `WWW-Authenticate` header (RFC 6750).
    pub fn challenge(self) -> &'static str {
        match self {
            Self::Missing => r#"Bearer realm="reveille""#,
            Self::Unknown => r#"Bearer realm="reveille", error="invalid_token""#,
        }
    }
}

impl ResponseError for Unauthorized {
    fn status(&self) -> StatusCode {
        StatusCode::UNAUTHORIZED
    }

    fn as_response(&self) -> Response {
        let challenge = HeaderValue::from_static(self.challenge());
        Response::builder()
            .status(self.status())
            .header(header::WWW_AUTHENTICATE, challenge)
            .body(self.to_string())
    }
}

/// Turns requests away that have no known token, but for paths that [are open](is_open). Everything else is guarded, paths that do not
/// exist included, so that nothing added later is open by accident.
#[derive(Debug, Clone)]
pub struct Guard(pub Tokens);

impl<E: Endpoint> Middleware<E> for Guard {
    type Output = Guarded<E>;

    fn transform(&self, inner: E) -> Self::Output {
        Guarded { inner, tokens: self.0.clone() }
    }
}

/// What [`Guard`] makes of an endpoint.
pub struct Guarded<E> {
    inner: E,
    tokens: Tokens,
}

impl<E: Endpoint> Endpoint for Guarded<E> {
    type Output = E::Output;

    // Not an `async fn`: each of those around a request holds a copy of it.
    fn call(&self, request: Request) -> impl Future<Output = poem::Result<Self::Output>> + Send {
        let authorization = request.headers().get(header::AUTHORIZATION);
        let open = is_open(request.uri().path());
        match self.tokens.check(authorization.map(HeaderValue::as_bytes)) {
            Err(refused) if !open => Either::Right(ready(Err(refused.into()))),
            _ => Either::Left(self.inner.call(request)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    #[test]
    fn lets_in_who_has_a_token() {
        let tokens = Tokens::new(["f".repeat(64).as_str(), TOKEN]);
        let check = |value: &str| tokens.check(Some(value.as_bytes()));
        assert_eq!(check(&format!("Bearer {TOKEN}")), Ok(()));
        assert_eq!(check(&format!("bearer  {TOKEN} ")), Ok(()));
        assert_eq!(check(&format!("Bearer {TOKEN}0")), Err(Unauthorized::Unknown));
        assert_eq!(check(&format!("Bearer {}", &TOKEN[1..])), Err(Unauthorized::Unknown));
        assert_eq!(check(&format!("Basic {TOKEN}")), Err(Unauthorized::Missing));
        assert_eq!(check("Bearer "), Err(Unauthorized::Missing));
        assert_eq!(tokens.check(None), Err(Unauthorized::Missing));
    }

    #[test]
    fn without_tokens_is_open() {
        let tokens = Tokens::new([""; 0]);
        assert!(tokens.is_open() && tokens.check(None).is_ok());
    }

    #[test]
    fn shows_none() {
        assert_eq!(format!("{:?}", Tokens::new([TOKEN])), "Tokens(1)");
    }
}
