//! Bearer tokens: who may use the service.
//!
//! A token is compared as its SHA-256 and with every configured one. So neither its length nor how
//! much of it is right shows in the time it takes. Tokens are long random strings, so no slow hash
//! is needed.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::caller::Fingerprint;

/// The configured tokens; none at all means that everybody may do everything.
#[derive(Clone, Default)]
pub struct Tokens(Arc<[[u8; 32]]>);

/// Why a caller was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unauthorized {
    /// It brought no token.
    Missing,
    /// Its token is not one of those configured.
    Unknown,
}

impl Tokens {
    /// Takes the tokens as they are: [`Config::check`](crate::config::Config::check) refuses those
    /// that can be guessed.
    pub fn new(tokens: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        Self(tokens.into_iter().map(|token| Sha256::digest(token).into()).collect())
    }

    /// Whether no token is configured.
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// The fingerprint of this token, if it lets its caller in; `None` where none is asked for.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&self, token: Option<&[u8]>) -> Result<Option<Fingerprint>, Unauthorized> {
        if self.is_open() {
            return Ok(None);
        }
        let digest: [u8; 32] = Sha256::digest(token.ok_or(Unauthorized::Missing)?).into();
        let known = self.0.iter().fold(0, |known, token| known | token.ct_eq(&digest).unwrap_u8());
        if known == 1 { Ok(Some(Fingerprint::of(digest))) } else { Err(Unauthorized::Unknown) }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    #[test]
    fn lets_in_who_has_a_token() {
        let tokens = Tokens::new(["f".repeat(64).as_str(), TOKEN]);
        let check = |token: &str| tokens.check(Some(token.as_bytes()));
        // printf %s 0123456789abcdef | sha256sum
        let fingerprint = check(TOKEN).ok().flatten().map(|it| it.to_string());
        assert_eq!(fingerprint.as_deref(), Some("9f9f5111"));
        assert_eq!(check(&format!("{TOKEN}0")), Err(Unauthorized::Unknown));
        assert_eq!(check(&TOKEN[1..]), Err(Unauthorized::Unknown));
        assert_eq!(check(""), Err(Unauthorized::Unknown));
        assert_eq!(tokens.check(None), Err(Unauthorized::Missing));
    }

    #[test]
    fn without_tokens_is_open() {
        let tokens = Tokens::new([""; 0]);
        assert!(
            tokens.is_open()
                && tokens.check(None) == Ok(None)
                && tokens.check(Some(b"a")) == Ok(None)
        );
    }

    #[test]
    fn shows_none() {
        assert_eq!(format!("{:?}", Tokens::new([TOKEN])), "Tokens(1)");
    }
}
