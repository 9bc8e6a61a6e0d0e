//! The meaning of libpq's words here. Each is followed, taken where it changes nothing, or refused
//! by name.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::super::value::Wrong;
use super::text::Words;
use super::{
    Address, ChannelBinding, Host, HostAddress, Keepalive, ServerKind, Tls, TlsMode, unreadable,
};
use crate::spelling::{closest, listed};

/// Words that are followed.
const FOLLOWED: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "fallback_application_name",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "target_session_attrs",
    "load_balance_hosts",
    "channel_binding",
    "sslmode",
    "sslrootcert",
    "sslnegotiation",
];

/// Words that are taken with these values, under which nothing is to be done.
const WITHOUT_EFFECT: &[(&str, &[&str])] = &[
    ("client_encoding", &["utf8", "UTF8", "utf-8", "UTF-8"]),
    ("gssencmode", &["disable", "prefer"]),
    ("max_protocol_version", &["3.0", "3.2", "latest"]),
    ("min_protocol_version", &["3.0"]),
    ("replication", &["false", "off", "no", "0"]),
    ("requiressl", &["0"]),
    ("ssl_max_protocol_version", &["TLSv1.3"]),
    ("ssl_min_protocol_version", &["TLSv1.2", "TLSv1.1", "TLSv1"]),
    ("sslcertmode", &["disable", "allow"]),
    ("sslcompression", &["0"]),
    ("sslsni", &["1"]),
];

/// Words of libpq that this service does not follow.
const REFUSED: &[&str] = &[
    "authtype",
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_issuer",
    "oauth_scope",
    "passfile",
    "require_auth",
    "requirepeer",
    "scram_client_key",
    "scram_server_key",
    "service",
    "servicefile",
    "sslcert",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslkeylogfile",
    "sslpassword",
    "tty",
];

pub(super) fn address(words: &Words) -> Result<Address, Wrong> {
    words.iter().try_for_each(|(word, value)| check(word, value))?;
    let text = |word: &str| words.get(word).map(String::as_str);
    let owned = |word: &str| words.get(word).cloned();
    let mut hosts = hosts(text("host"), text("hostaddr"), text("port"))?;
    if choice(text, "load_balance_hosts", &[("disable", false), ("random", true)])? == Some(true) {
        // Each process has an order of its own.
        hosts.sort_by_cached_key(|_| rand::random::<u64>());
    }
    let plain = |word: &'static str| match owned(word) {
        Some(value) if value.chars().any(char::is_control) => {
            Err(unreadable(&format!("has a control character in {word}")))
        }
        value => Ok(value),
    };
    Ok(Address {
        hosts,
        user: plain("user")?,
        password: owned("password").map(super::Secret::new),
        database: plain("dbname")?,
        application_name: plain("application_name")?.or(plain("fallback_application_name")?),
        options: owned("options"),
        connect_timeout: connect_timeout(text)?,
        keepalive: keepalive(text)?,
        server: server(text)?,
        channel_binding: choice(
            text,
            "channel_binding",
            &[
                ("disable", ChannelBinding::Disable),
                ("prefer", ChannelBinding::Prefer),
                ("require", ChannelBinding::Require),
            ],
        )?
        .unwrap_or_default(),
        tls: tls(text)?,
    })
}

/// Refuses what is not followed. A word that libpq does not know is not quoted: it may be a piece
/// of a password.
fn check(word: &str, value: &str) -> Result<(), Wrong> {
    if FOLLOWED.contains(&word) {
        return Ok(());
    }
    if let Some((word, values)) = WITHOUT_EFFECT.iter().find(|known| known.0 == word) {
        if values.contains(&value) {
            return Ok(());
        }
        let what = format!("has {word} with a value that this service does not follow");
        return Err(Wrong::new(what, format!("write {word}={}, or leave it out", values[0])));
    }
    if let Some(word) = REFUSED.iter().find(|known| **known == word) {
        let what = format!("has {word}, which this service does not follow");
        return Err(Wrong::new(what, format!("leave {word} out")));
    }
    let known = WITHOUT_EFFECT.iter().map(|known| known.0).chain(REFUSED.iter().copied());
    let meant = closest(word, FOLLOWED.iter().copied().chain(known));
    let meant = meant.map(|known| format!(" (did you mean {known}?)")).unwrap_or_default();
    Err(unreadable(&format!("has a word that libpq does not know{meant}")))
}

fn hosts(
    names: Option<&str>,
    addresses: Option<&str>,
    ports: Option<&str>,
) -> Result<Vec<HostAddress>, Wrong> {
    let list = |text: Option<&str>| -> Vec<String> {
        text.into_iter().flat_map(|text| text.split(',')).map(|it| it.trim().to_owned()).collect()
    };
    let (names, addresses, ports) = (list(names), list(addresses), list(ports));
    let count = names.len().max(addresses.len());
    if count == 0 {
        return Err(unreadable("names no host"));
    }
    if !(names.is_empty() || addresses.is_empty() || names.len() == addresses.len()) {
        return Err(unreadable("has another number of hostaddr than of hosts"));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(unreadable("has another number of ports than of hosts"));
    }
    let one = |nth: usize| {
        let port = ports.get(nth).or(ports.first()).map_or("", String::as_str);
        let port = if port.is_empty() { Some(5432) } else { port.parse().ok() };
        let port = port.filter(|port| *port > 0);
        let port = port.ok_or_else(|| unreadable("has a port that is not a number to 65535"))?;
        let address = addresses.get(nth).filter(|text| !text.is_empty());
        let address = address.map(|text| text.parse::<IpAddr>()).transpose();
        let address =
            address.map_err(|_| unreadable("has a hostaddr that is not an IP address"))?;
        let host = match (names.get(nth).filter(|name| !name.is_empty()), address) {
            (Some(name), _) => host(name)?,
            (None, Some(address)) => Host::Name(address.to_string()),
            (None, None) => return Err(unreadable("names no host")),
        };
        Ok(HostAddress { host, address, port })
    };
    (0..count).map(one).collect()
}

fn host(name: &str) -> Result<Host, Wrong> {
    if name.starts_with('/') {
        if name.chars().any(char::is_control) {
            return Err(unreadable("has a control character in its host"));
        }
        return Ok(Host::Socket(PathBuf::from(name)));
    }
    let fits = |it: char| it.is_alphanumeric() || "-_.:%".contains(it);
    if !name.chars().all(fits) {
        return Err(unreadable("has a host with characters that no name of a host has"));
    }
    Ok(Host::Name(name.to_owned()))
}

/// Zero, with which libpq waits without end, is refused: every wait of the service ends.
fn connect_timeout<'a>(text: impl Fn(&str) -> Option<&'a str>) -> Result<Option<Duration>, Wrong> {
    const WORD: &str = "connect_timeout";
    match number(text, WORD)? {
        Some(0) => {
            let what = "has connect_timeout=0, which would wait for a silent host without end";
            Err(Wrong::new(what, "write a number of seconds, or leave connect_timeout out"))
        }
        seconds => Ok(seconds.map(|seconds| Duration::from_secs(seconds.into()))),
    }
}

fn keepalive<'a>(text: impl Fn(&str) -> Option<&'a str>) -> Result<Keepalive, Wrong> {
    let seconds = |word: &'static str| {
        Ok(number(&text, word)?.map(|seconds| Duration::from_secs(seconds.into())))
    };
    Ok(Keepalive {
        on: number(&text, "keepalives")?.map(|on| on != 0),
        idle: seconds("keepalives_idle")?,
        interval: seconds("keepalives_interval")?,
        count: number(&text, "keepalives_count")?,
        user_timeout: number(&text, "tcp_user_timeout")?
            .map(|milliseconds| Duration::from_millis(milliseconds.into())),
    })
}

fn server<'a>(text: impl Fn(&str) -> Option<&'a str>) -> Result<ServerKind, Wrong> {
    const WORD: &str = "target_session_attrs";
    if let Some("read-only" | "standby" | "prefer-standby") = text(WORD) {
        let what = "has target_session_attrs with a value that leads to a server without writes";
        return Err(Wrong::new(what, "write target_session_attrs=read-write"));
    }
    let kinds = [
        ("any", ServerKind::Any),
        ("read-write", ServerKind::ReadWrite),
        ("primary", ServerKind::Primary),
    ];
    Ok(choice(text, WORD, &kinds)?.unwrap_or_default())
}

/// As libpq, for which a file of `sslrootcert` makes `require` check the certificate, and
/// `sslrootcert=system` the name too.
fn tls<'a>(text: impl Fn(&str) -> Option<&'a str>) -> Result<Tls, Wrong> {
    let (roots, system) = match text("sslrootcert") {
        Some("system") => (None, true),
        path => (path.map(PathBuf::from), false),
    };
    if text("sslmode") == Some("allow") {
        let what = "has sslmode=allow, which this service does not follow";
        return Err(Wrong::new(what, "write sslmode=prefer, or better verify-full"));
    }
    let modes = [
        ("disable", TlsMode::Disable),
        ("prefer", TlsMode::Prefer),
        ("require", TlsMode::Require),
        ("verify-ca", TlsMode::VerifyCa),
        ("verify-full", TlsMode::VerifyFull),
    ];
    let said = choice(&text, "sslmode", &modes)?;
    let direct = [("postgres", false), ("direct", true)];
    let direct = choice(&text, "sslnegotiation", &direct)?.unwrap_or_default();
    let mode = match (said, &roots) {
        (None, _) if system => TlsMode::VerifyFull,
        (Some(mode), _) if system && mode != TlsMode::VerifyFull => {
            let what = "has sslrootcert=system with a weaker sslmode, which anybody's certificate \
                        would pass";
            return Err(Wrong::new(what, "write sslmode=verify-full"));
        }
        (Some(TlsMode::VerifyCa), None) => {
            let what = "has sslmode=verify-ca without sslrootcert";
            return Err(Wrong::new(
                what,
                "name the file of the CA with sslrootcert, or write \
                                         sslmode=verify-full",
            ));
        }
        (None | Some(TlsMode::Prefer), Some(_)) => {
            let what = "has sslrootcert without an sslmode that checks it";
            return Err(Wrong::new(what, "write sslmode=verify-full, or verify-ca"));
        }
        (Some(TlsMode::Require), Some(_)) => TlsMode::VerifyCa,
        (said, _) => said.unwrap_or_default(),
    };
    if direct && matches!(mode, TlsMode::Disable | TlsMode::Prefer) {
        let what = "has sslnegotiation=direct with an sslmode that does not ask for encryption";
        return Err(Wrong::new(what, "write sslmode=require, verify-ca or verify-full"));
    }
    Ok(Tls { mode, roots, direct })
}

/// One of these values; `None` if the word is not there.
fn choice<'a, T: Copy>(
    text: impl Fn(&str) -> Option<&'a str>,
    word: &str,
    choices: &[(&str, T)],
) -> Result<Option<T>, Wrong> {
    let Some(value) = text(word) else { return Ok(None) };
    if let Some(known) = choices.iter().find(|known| known.0 == value) {
        return Ok(Some(known.1));
    }
    let names: Vec<&str> = choices.iter().map(|known| known.0).collect();
    let what = format!("has {word} with a value that it cannot have");
    Err(Wrong::new(what, format!("write {}", listed(&names))))
}

fn number<'a>(text: impl Fn(&str) -> Option<&'a str>, word: &str) -> Result<Option<u32>, Wrong> {
    let Some(value) = text(word) else { return Ok(None) };
    u32::from_str(value.trim()).map(Some).map_err(|_| {
        Wrong::new(format!("has {word} with a value that is not a number"), "write a whole number")
    })
}
