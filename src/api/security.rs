//! The bearer token as the specification sees it. The guard decides whether a request has one,
//! before any operation is reached. An operation takes [`Bearer`] so that its documentation says so
//! and Swagger UI sends one, and learns from it who asks.

use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::request::current;
use crate::caller::{Caller, Fingerprint, Principal};

const NAME: &str = "bearer";

/// An argument of every operation that needs a token.
#[derive(Debug, Clone, Copy)]
pub struct Bearer(Principal);

impl Bearer {
    /// Who asks for the operation, and by which request.
    pub(super) fn caller(&self) -> Caller {
        let request_id = current().map(|request| request.id);
        Caller { principal: self.0, request_id }
    }
}

impl<'a> ApiExtractor<'a> for Bearer {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = MetaSecurityScheme {
            ty: "http",
            description: Some(
                "One of the service's `auth_tokens`. Without any configured, none is needed.",
            ),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        };
        registry.create_security_scheme(NAME, scheme);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![NAME]
    }

    // A service without tokens asks for none.
    fn has_security_fallback() -> bool {
        true
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let address = request.remote_addr().as_socket_addr();
        let anonymous = || Principal::Anonymous(address.map(|peer| peer.ip().to_canonical()));
        let fingerprint = request.extensions().get::<Fingerprint>();
        Ok(Self(fingerprint.map_or_else(anonymous, |token| Principal::Token(*token))))
    }
}
