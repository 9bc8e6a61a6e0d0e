//! Keeps web pages of strangers out. A browser lets any page send requests to any address, this
//! machine's own included.
//!
//! - The Host rule, where there is no token: DNS rebinding makes a page's name lead here, so that
//!   it may read what is answered. It cannot change the `Host` that its browser sends. So only
//!   `localhost`, `*.localhost`, IP addresses and the names in the settings are answered.
//! - The Origin rule, always: a page may send what changes something without reading the answer.
//!   Its browser says whose page it is in `Sec-Fetch-Site`, and an older one in `Origin`. Programs
//!   send neither.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::{Either, ready};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use poem::{Endpoint, Middleware, Request};

use super::guard::is_probe;
use super::problem::Problem;
use crate::config::{Config, host_and_port, usual_port};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Whether a path is answered to any name. Orchestrators and Prometheus ask by names of their own,
/// and nothing there is worth a page's while.
fn is_for_any_host(path: &str) -> bool {
    is_probe(path) || path == "/metrics"
}

/// Which names and origins are answered. The default answers any name.
#[derive(Debug, Clone, Default)]
pub struct Browsers {
    /// The names beside those of this machine; `None`: any.
    hosts: Option<Arc<[String]>>,
    /// The origin of `public_url`.
    public: Option<Arc<str>>,
}

impl Browsers {
    /// By the settings of the service. Warns where any name has to be answered without a token.
    pub fn of(config: &Config) -> Self {
        let public = config.public_url.as_ref();
        let any = config.allow_remote_without_token && config.allowed_hosts.is_empty();
        let open = config.auth_tokens.is_empty();
        if any && open {
            tracing::warn!(
                "allow_remote_without_token is set and allowed_hosts is empty: a web page can reach this service by a name \
                 of its own. Set allowed_hosts to the names by which the service is asked"
            );
        }
        let public_host = public.map(|url| bare(url.host()).to_owned());
        let named = config.allowed_hosts.iter().map(|host| bare(host).to_ascii_lowercase());
        Self {
            hosts: (open && !any).then(|| named.chain(public_host).collect()),
            public: public.map(|url| url.origin().into()),
        }
    }

    /// The rules on the head of a request.
    fn check(&self, request: &Request) -> Result<(), Problem> {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let (host, second) = (hosts.next(), hosts.next());
        let authority = request.uri().authority().map(http::uri::Authority::as_str);
        if second.is_some() || host.is_none() && authority.is_none() && has_host(request.version())
        {
            return Err(no_host());
        }
        let host = host.map(HeaderValue::as_bytes);
        if let Some(known) = &self.hosts
            && !is_for_any_host(request.uri().path())
        {
            for name in [host, authority.map(str::as_bytes)].into_iter().flatten() {
                let name = String::from_utf8_lossy(name);
                if !is_ours(&name, known) {
                    return Err(not_allowed(&name));
                }
            }
        }
        let host = authority.map(str::as_bytes).or(host);
        if request.method().is_safe() || self.is_own_page(request.headers(), host) {
            Ok(())
        } else {
            Err(cross_origin())
        }
    }

    /// Whether a program sent this, or a page of this service.
    fn is_own_page(&self, headers: &HeaderMap, host: Option<&[u8]>) -> bool {
        let mut sites = headers.get_all(SEC_FETCH_SITE).iter().peekable();
        if sites.peek().is_some() {
            return sites.all(|site| [&b"same-origin"[..], b"none"].contains(&site.as_bytes()));
        }
        let host = host.and_then(|host| std::str::from_utf8(host).ok());
        headers.get_all(header::ORIGIN).iter().all(|origin| {
            origin.to_str().is_ok_and(|origin| {
                self.public.as_deref() == Some(origin)
                    || host.is_some_and(|host| is_origin_of(origin, host))
            })
        })
    }
}

/// HTTP/1.0 knows no Host, and its clients are older than any browser.
fn has_host(version: Version) -> bool {
    version >= Version::HTTP_11
}

/// Whether a name leads to this machine whatever DNS says, or is listed.
fn is_ours(authority: &str, known: &[String]) -> bool {
    let Some((host, _)) = host_and_port(authority) else { return false };
    let host = bare(host).to_ascii_lowercase();
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        || host == "localhost"
        || host.ends_with(".localhost")
        || known.contains(&host)
}

/// A name without the dot that may end it.
fn bare(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// Whether a page of this origin was asked for by this host. The scheme may be that of a proxy.
fn is_origin_of(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let (Some(page), Some(asked)) = (host_and_port(authority), host_and_port(host)) else {
        return false;
    };
    let usual = usual_port(scheme);
    usual.is_some() && page.0.eq_ignore_ascii_case(asked.0) && page.1.or(usual) == asked.1.or(usual)
}

/// 400 for a request that does not say whom it asks, or says it twice.
pub(super) fn no_host() -> Problem {
    let detail = "An HTTP/1.1 request has exactly one Host header. Send it once.";
    Problem::bad_request("invalid_host", detail)
}

/// 403 for a change that a stranger's page asks for.
pub(super) fn cross_origin() -> Problem {
    let detail = "A web page of another origin sent this request, and only pages of this service \
                  may change something. Use /docs, or a program; if the page is this service's own \
                  behind a proxy, set public_url.";
    Problem::new(StatusCode::FORBIDDEN, "cross_origin", detail)
}

/// 421 for a name that a stranger may have chosen.
pub(super) fn not_allowed(name: &str) -> Problem {
    let name: String = name.chars().filter(|it| !it.is_control()).take(100).collect();
    let detail = format!(
        "This service has no tokens, so it answers only if it is asked by an IP address, \
         localhost or one of its allowed_hosts, and `{name}` is none of them. Add it to \
         allowed_hosts, or set auth_tokens."
    );
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "host_not_allowed", detail)
}

impl<E: Endpoint> Middleware<E> for Browsers {
    type Output = Kept<E>;

    fn transform(&self, inner: E) -> Kept<E> {
        Kept { inner, rules: self.clone() }
    }
}

/// An endpoint that strangers' pages do not reach.
pub struct Kept<E> {
    inner: E,
    rules: Browsers,
}

impl<E: Endpoint> Endpoint for Kept<E> {
    type Output = E::Output;

    // Not an `async fn`: each of those around a request holds a copy of it.
    fn call(&self, request: Request) -> impl Future<Output = poem::Result<Self::Output>> + Send {
        match self.rules.check(&request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(problem) => Either::Right(ready(Err(problem.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_and_listed_ones_are_answered() {
        let known = ["jobs.example.org".to_owned()];
        for ours in [
            "localhost",
            "LocalHost:8000",
            "localhost.",
            "reveille.localhost:8000",
            "127.0.0.1:8000",
            "10.1.2.3",
            "[::1]:8000",
            "jobs.example.org",
            "Jobs.Example.org.:443",
        ] {
            assert!(is_ours(ours, &known), "{ours}");
        }
        for strange in [
            "",
            "evil.example:8000",
            "localhost.evil.example",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "x@127.0.0.1",
            "127.0.0.1:80:80",
            "2130706433",
            "jobs.example.org.evil.example",
        ] {
            assert!(!is_ours(strange, &known), "{strange}");
        }
    }

    #[test]
    fn an_origin_is_the_hosts_own_whatever_the_scheme_of_a_proxy() {
        for (origin, host) in [
            ("http://127.0.0.1:8000", "127.0.0.1:8000"),
            ("https://Jobs.example", "jobs.example"),
            ("https://jobs.example", "jobs.example:443"),
            ("http://[::1]:80", "[::1]"),
        ] {
            assert!(is_origin_of(origin, host), "{origin} of {host}");
        }
        for (origin, host) in [
            ("null", "127.0.0.1:8000"),
            ("", ""),
            ("http://127.0.0.1:8001", "127.0.0.1:8000"),
            ("http://127.0.0.1", "127.0.0.1:8000"),
            ("file://127.0.0.1", "127.0.0.1"),
            ("http://evil.example", "127.0.0.1"),
        ] {
            assert!(!is_origin_of(origin, host), "{origin} of {host}");
        }
    }
}
