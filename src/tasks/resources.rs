//! The resources that a service gives to its tasks.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use crate::config::Config;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Many servers close an idle connection after 5 s, and a POST on one that closes is not repeated.
const IDLE_MOST: Duration = Duration::from_secs(4);

/// The resources of the service for its tasks, made from its configuration: one of each for the
/// process. Nothing is opened before a task asks for it. Clones share it.
#[derive(Clone)]
pub struct Resources(Arc<Shared>);

struct Shared {
    config: Config,
    http: OnceLock<reqwest::Client>,
}

impl Resources {
    pub(crate) fn new(config: Config) -> Self {
        Self(Arc::new(Shared { config, http: OnceLock::new() }))
    }

    /// The settings in force.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The client for outgoing HTTP; its clones share its connections. It takes 5 s at most to
    /// connect and 30 s in all, follows no redirects, and uses no proxy of the environment. It
    /// trusts the certificates that the system does.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn http(&self) -> anyhow::Result<reqwest::Client> {
        if let Some(client) = self.0.http.get() {
            return Ok(client.clone());
        }
        let client = http_client()?;
        Ok(self.0.http.get_or_init(|| client).clone())
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Resources").finish_non_exhaustive()
    }
}

/// The provider is named here: a program that has installed none of its own need not install one.
fn http_client() -> anyhow::Result<reqwest::Client> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("reveille/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(CONNECT_WITHIN)
        .timeout(ANSWER_WITHIN)
        .pool_idle_timeout(IDLE_MOST)
        .build()
        .context("the client for outgoing HTTP cannot be made")
}
