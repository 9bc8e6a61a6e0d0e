//! Who asks for an operation. Every operation of the API and of the library has a [`Caller`] in its
//! context; an action of an operator writes it down (`store::audit`).
//!
//! A [`Principal`] is told by a text, a kind and a name. Kinds are added over time, and a reader
//! takes the text as it is. A token is told by its fingerprint, 32 bits of its SHA-256. That is
//! enough to tell the tokens of a service apart, and useless to guess a long random token by.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The first bytes of a token's SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fingerprint([u8; 4]);

impl Fingerprint {
    /// Of the token with this digest.
    pub fn of([a, b, c, d, ..]: [u8; 32]) -> Self {
        Self([a, b, c, d])
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Principal {
    /// The bearer of a token: `token 1a2b3c4d`.
    Token(Fingerprint),
    /// The role of the database session: `role app`. Only the database knows its name, and writes
    /// it.
    Role,
    /// A caller of a service without tokens, by its address: `anonymous 127.0.0.1`.
    Anonymous(Option<IpAddr>),
}

impl Principal {
    /// Its text, as the function `audit_write` takes it; `None` for the role of the session.
    pub(crate) fn text(self) -> Option<String> {
        match self {
            Self::Token(fingerprint) => Some(format!("token {fingerprint}")),
            Self::Role => None,
            Self::Anonymous(Some(address)) => Some(format!("anonymous {address}")),
            Self::Anonymous(None) => Some("anonymous".to_owned()),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.text().as_deref().unwrap_or("role"))
    }
}

/// Who asks for an operation, and by which request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who asks.
    pub principal: Principal,
    /// The `X-Request-Id`, if it came over HTTP.
    pub request_id: Option<Arc<str>>,
}

impl Caller {
    /// A program that calls the library: the database knows it by its role.
    pub fn of_library() -> Self {
        Self { principal: Principal::Role, request_id: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_told_by_a_kind_and_a_name() {
        let fingerprint = Fingerprint::of(std::array::from_fn(|nth| nth as u8 * 5));
        for (principal, text) in [
            (Principal::Token(fingerprint), "token 00050a0f"),
            (Principal::Anonymous(Some([127, 0, 0, 1].into())), "anonymous 127.0.0.1"),
            (Principal::Anonymous(Some([0, 0, 0, 0, 0, 0, 0, 1].into())), "anonymous ::1"),
            (Principal::Anonymous(None), "anonymous"),
            (Principal::Role, "role"),
        ] {
            assert_eq!(principal.to_string(), text);
        }
        assert_eq!(Principal::Role.text(), None);
    }
}
