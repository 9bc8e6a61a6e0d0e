use std::time::Duration;

use super::{Address, ServerKind, Tls, TlsMode};

fn parse(text: &str) -> Address {
    Address::parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"))
}

fn tls_of(words: &str) -> (TlsMode, Option<&'static str>, bool) {
    let Tls { mode, roots, direct } = parse(&format!("host=h {words}")).tls;
    (mode, roots.map(|path| &*path.display().to_string().leak()), direct)
}

#[test]
fn words_of_tls_have_the_meaning_that_libpq_gives_them() {
    use TlsMode::*;
    for (words, expected) in [
        ("", (Prefer, None, false)),
        ("sslmode=disable", (Disable, None, false)),
        ("sslmode=disable sslrootcert=/c", (Disable, Some("/c"), false)),
        ("sslmode=require", (Require, None, false)),
        ("sslmode=require sslrootcert=/c", (VerifyCa, Some("/c"), false)),
        ("sslmode=require sslrootcert='/my ca/c'", (VerifyCa, Some("/my ca/c"), false)),
        ("sslmode=verify-ca sslrootcert=/c", (VerifyCa, Some("/c"), false)),
        ("sslmode=verify-full", (VerifyFull, None, false)),
        ("sslrootcert=system", (VerifyFull, None, false)),
        ("sslmode=verify-full sslrootcert=system", (VerifyFull, None, false)),
        ("sslmode=require sslnegotiation=direct", (Require, None, true)),
        ("sslmode=require sslnegotiation=postgres sslsni=1", (Require, None, false)),
        ("gssencmode=disable sslcompression=0", (Prefer, None, false)),
    ] {
        assert_eq!(tls_of(words), expected, "{words}");
    }
}

#[test]
fn what_is_not_followed_is_refused_by_its_name() {
    for (words, named) in [
        ("sslmode=allow", "sslmode"),
        ("sslmode=Require", "sslmode"),
        ("sslmode=verify-ca", "sslrootcert"),
        ("sslrootcert=/c", "sslrootcert"),
        ("sslmode=require sslrootcert=system", "sslrootcert"),
        ("sslnegotiation=direct", "sslnegotiation"),
        ("sslcert=/c", "sslcert"),
        ("sslkey=/c", "sslkey"),
        ("sslcrl=/c", "sslcrl"),
        ("sslsni=0", "sslsni"),
        ("ssl_min_protocol_version=TLSv1.3", "ssl_min_protocol_version"),
        ("gssencmode=require", "gssencmode"),
        ("requirepeer=x", "requirepeer"),
        ("service=x", "service"),
        ("passfile=x", "passfile"),
        ("channel_binding=x", "channel_binding"),
        ("connect_timeout=soon", "connect_timeout"),
        ("connect_timeout=0", "connect_timeout"),
        ("keepalives_retries=3", "does not know (did you mean"),
        ("target_session_attrs=standby", "target_session_attrs"),
        ("sslmod=require", "sslmode"),
    ] {
        let wrong = Address::parse(&format!("host=h {words}")).expect_err(words);
        assert!(wrong.what.contains(named), "{words}: {wrong:?}");
    }
}

#[test]
fn neither_a_wrong_value_nor_an_unknown_word_is_quoted() {
    for text in [
        "postgres://u:s3cr/x",
        "postgres://u:s3cr",
        "postgres://u:s3cr,b/x",
        "postgres://h/x?password=a&s3cr=b",
        "host=h s3cr=b",
        "host=h password=a s3cr=b",
        "host=h sslmode=s3cr",
        "host=h port=s3cr",
        "host=h hostaddr=s3cr",
        "host=h,i port=1,2,3",
        "host='s3cr ' hostaddr=::1 user=x\ty",
        "host=s3cr!",
        "host=h user='s3cr\t'",
        "user=s3cr",
        "host=h keepalives=s3cr",
        "host=h connect_timeout=s3cr",
        "postgres://u@s3cr!x/db",
    ] {
        let wrong = Address::parse(text).expect_err(text);
        assert!(!format!("{wrong:?}").contains("s3cr"), "{text}: {wrong:?}");
    }
}

#[test]
fn hosts_ports_and_times_are_read() {
    let address = parse(
        "postgres://a,b:2,[::1]:3/d?connect_timeout=7&keepalives_idle=9&tcp_user_timeout=1500",
    );
    let hosts: Vec<String> = address.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["a:5432", "b:2", "[::1]:3"]);
    assert_eq!(address.connect_timeout, Some(Duration::from_secs(7)));
    assert_eq!(address.keepalive.idle, Some(Duration::from_secs(9)));
    assert_eq!(address.keepalive.user_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(parse("host=h").connect_timeout, None);
    assert_eq!(parse("host=a,b port=7").hosts[1].port, 7);
    let pinned = parse("host=db.example hostaddr=10.0.0.1");
    assert_eq!(pinned.hosts[0].address, "10.0.0.1".parse().ok());
    let kind = parse("host=h target_session_attrs=primary").server;
    assert_eq!(kind, ServerKind::Primary);
}
