//! The HTTP side of the commands that use a running service.

use std::error::Error as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::{Method, Url};

use super::object::{Object, Page};
use super::output;
use super::refused::{Refused, say};
use super::stop::Usage;
use crate::config::{Secret, not_valid, process_environment, variable};

const DEFAULT_URL: &str = "http://127.0.0.1:8000";

/// The flags of every command that speaks to a service. The token has none, since everybody on the
/// machine can read a process's arguments.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = HEADING)]
#[group(skip)]
pub(super) struct Args {
    /// Print the service's answers as they are, one a line, and problems as JSON too.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// The service's URL [default: REVEILLE_URL, else http://127.0.0.1:8000]; its token is read
    /// from REVEILLE_TOKEN.
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
}

const HEADING: &str = "Options of every command that asks a service";

impl Args {
    /// A client for that service.
    pub(super) fn connect(&self) -> anyhow::Result<Remote> {
        let environment = process_environment();
        let url = self.url.as_deref().or_else(|| variable(&environment, "REVEILLE_URL"));
        let token = variable(&environment, "REVEILLE_TOKEN").map(|it| Secret::new(it.trim()));
        let remote = Remote::new(url.unwrap_or(DEFAULT_URL), token)?;
        Ok(Remote { as_json: self.json, ..remote })
    }

    /// The URL that was given, here or in the environment.
    pub(super) fn given(&self) -> Option<String> {
        let environment = process_environment();
        self.url.clone().or_else(|| variable(&environment, "REVEILLE_URL").map(str::to_owned))
    }
}

/// A running service.
pub(super) struct Remote {
    client: reqwest::Client,
    base: Url,
    token: Option<Secret>,
    /// Whether problems are told as JSON.
    as_json: bool,
}

/// A request to it.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// Segments of the path, unescaped.
    pub(super) path: &'a [&'a str],
    pub(super) query: Vec<(&'a str, String)>,
    /// JSON.
    pub(super) body: Option<String>,
    /// A header beside those that every request has.
    pub(super) header: Option<(&'static str, &'a str)>,
    /// How long the service may take.
    pub(super) patience: Duration,
}

impl<'a> Request<'a> {
    pub(super) fn get(path: &'a [&'a str]) -> Self {
        let patience = Duration::from_secs(30);
        Self { method: Method::GET, path, query: Vec::new(), body: None, header: None, patience }
    }

    pub(super) fn post(path: &'a [&'a str]) -> Self {
        Self { method: Method::POST, ..Self::get(path) }
    }
}

/// The service's answer when all was well.
pub(super) struct Answer {
    pub(super) body: String,
}

impl Answer {
    /// The body as an object.
    pub(super) fn object(&self) -> anyhow::Result<Object> {
        serde_json::from_str(&self.body).context("the answer is no JSON object: is this Reveille?")
    }

    /// The body as a page of a listing.
    pub(super) fn page(&self) -> anyhow::Result<Page> {
        Page::parse(&self.body).context("the answer is no listing: is this Reveille?")
    }
}

impl Remote {
    fn new(url: &str, token: Option<Secret>) -> anyhow::Result<Self> {
        let base = Url::parse(url.trim()).ok().filter(|url| url.scheme().starts_with("http"));
        let base = base.filter(|url| url.has_host()).ok_or_else(|| {
            let what = not_valid(url, "URL");
            Usage(format!("--url or REVEILLE_URL: {what}; write http://HOST:PORT"))
        })?;
        // The client is built without a TLS provider. An error means that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("reveille/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(5));
        // A proxy of the environment leads out into the world, not back to this machine.
        if matches!(base.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
            builder = builder.no_proxy();
        }
        let client = builder.build().context("cannot make an HTTP client")?;
        Ok(Self { client, base, token, as_json: false })
    }

    /// The service at this URL, without a token.
    pub(super) fn at(url: &str) -> anyhow::Result<Self> {
        Self::new(url, None)
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only a URL without a host has no path, and `new` has refused those.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Sends a request; everything but a 2xx is an error that says what to do.
    pub(super) async fn send(&self, request: Request<'_>) -> Result<Answer, Refused> {
        let mut url = self.url(request.path);
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let mut builder =
            self.client.request(request.method, url.clone()).timeout(request.patience);
        if let Some(token) = &self.token {
            builder = builder.bearer_auth(token.expose());
        }
        if let Some(body) = request.body {
            builder = builder.header("content-type", "application/json").body(body);
        }
        if let Some((name, value)) = request.header {
            builder = builder.header(name, value);
        }
        let response = builder.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = response.text().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return Ok(Answer { body });
        }
        let url = without_credentials(url);
        let said = say(status, &body, &url, self.token.is_some());
        Err(Refused::Said { status, said, body })
    }

    /// Tells a refusal that does not end the command.
    pub(super) fn tell(&self, about: &str, refused: &Refused) {
        output::note(if self.as_json { refused.problem() } else { format!("{about}: {refused}") });
    }

    fn unreachable(&self, error: &reqwest::Error) -> Refused {
        // Only the innermost cause says it: connection refused, no such host, time-out.
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            reason = inner.to_string();
            cause = inner.source();
        }
        let url = without_credentials(self.base.clone());
        Refused::Unreachable { url: url.as_str().trim_end_matches('/').to_owned(), reason }
    }
}

/// The part of a URL that may be shown.
fn without_credentials(mut url: Url) -> Url {
    // Only a URL without a host refuses this, and `new` has refused those.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// An error for an answer that lacks what every such answer has.
pub(super) fn incomplete(field: &str) -> anyhow::Error {
    anyhow!("the answer has no {field}: is this Reveille, and not an older version?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_behind_any_base() {
        let remote = Remote::at("http://127.0.0.1:1/base/").unwrap();
        assert_eq!(remote.url(&["queues", "a/b"]).as_str(), "http://127.0.0.1:1/base/queues/a%2Fb");
        for wrong in ["", "127.0.0.1:8000", "ftp://x", "http://"] {
            assert!(Remote::at(wrong).is_err(), "{wrong}");
        }
    }
}
