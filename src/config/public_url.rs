//! The address by which the API is reached from outside, and the hosts in such addresses.

use super::problem::ConfigError;
use super::value::Wrong;

/// Where browsers and clients reach the API: through a proxy, perhaps below a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    origin: String,
}

const WRITE: &str = "write http:// or https://, a host and perhaps a port and a path, such as \
                     https://example.org/reveille";

impl PublicUrl {
    /// Reads `https://HOST[:PORT][/PATH]`.
    ///
    /// # Errors
    /// When the text is something else.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        Self::read(text).map_err(|wrong| ConfigError::of_program("public_url", wrong))
    }

    pub(super) fn read(text: &str) -> Result<Self, Wrong> {
        Self::parse(text).ok_or_else(|| Wrong::new(not_valid(text, "URL"), WRITE))
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let usual = usual_port(&scheme)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = path.trim_end_matches('/');
        let plain =
            |byte: u8| byte.is_ascii_graphic() && !b"?#\\\"<>".contains(&byte) || byte >= 0x80;
        let (host, port) = host_and_port(authority)?;
        if !path.bytes().all(plain) || !is_host(host) {
            return None;
        }
        let host = host.to_ascii_lowercase();
        let port = port.filter(|port| *port != usual).map(|port| format!(":{port}"));
        let origin = format!("{scheme}://{host}{}", port.unwrap_or_default());
        Some(Self { text: format!("{origin}{path}"), origin })
    }

    /// The URL without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port, as a browser writes them in `Origin`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The host alone, in lower case.
    pub fn host(&self) -> &str {
        let authority = self.origin.split_once("://").map_or("", |it| it.1);
        host_and_port(authority).map_or("", |it| it.0)
    }
}

/// The port that a URL of this scheme means when it names none.
pub(crate) fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Splits `HOST[:PORT]`; an IPv6 address keeps its brackets. `None`: it is something else.
pub(crate) fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = match authority.strip_prefix('[') {
        Some(address) => address.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(end);
    match rest.strip_prefix(':') {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            // RFC 3986 allows a colon without a port behind it.
            let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
            Some((host, port))
        }
        None if rest.is_empty() => Some((host, None)),
        _ => None,
    }
}

/// Says that a text is not of this kind. The text is quoted unless it has an `@`, before which
/// there may be a password.
pub(crate) fn not_valid(text: &str, kind: &str) -> String {
    if text.contains('@') {
        format!("is not a valid {kind} (it has an @)")
    } else {
        format!("{text:?} is not a valid {kind}")
    }
}

/// Whether this can be the host of a URL: a name, or an address (IPv6 in brackets).
pub(crate) fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            (1..=253).contains(&host.len()) && host.bytes().all(of_name)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_has_an_origin_as_browsers_write_it() {
        for (text, url, origin, host) in [
            ("https://Jobs.Example.org", "https://jobs.example.org", "", "jobs.example.org"),
            ("http://h:80/a/b/", "http://h/a/b", "http://h", "h"),
            ("https://h:8443/a", "https://h:8443/a", "https://h:8443", "h"),
            ("http://[::1]:8000/", "http://[::1]:8000", "", "[::1]"),
        ] {
            let parsed = PublicUrl::new(text).unwrap();
            let origin = if origin.is_empty() { url } else { origin };
            assert_eq!((parsed.as_str(), parsed.origin(), parsed.host()), (url, origin, host));
        }
    }

    #[test]
    fn what_cannot_be_a_public_url_is_refused_with_an_example() {
        for text in [
            "",
            "example.org",
            "ftp://example.org",
            "https://",
            "https://a b",
            "https://me@example.org",
            "https://h:99999",
            "https://h?x=1",
            "https://h/a#b",
            "https://[::1",
        ] {
            let wrong = PublicUrl::new(text).unwrap_err().problems.remove(0);
            assert!(wrong.write.contains("https://example.org/reveille"), "{text}");
        }
    }
}
