//! The two forms of an address, taken apart into libpq's words and their values.

use std::collections::BTreeMap;

use super::super::value::Wrong;
use super::unreadable;

/// Words and values, as they were written; the last of each word counts, as in libpq.
pub(super) type Words = BTreeMap<String, String>;

pub(super) fn words(text: &str) -> Result<Words, Wrong> {
    let url = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
    let words = match url {
        Some(rest) => of_url(rest)?,
        None if text.contains("://") || !text.contains('=') => {
            return Err(unreadable("is not the address of a PostgreSQL"));
        }
        None => of_pairs(text)?,
    };
    if words.values().any(|value| value.contains('\0')) {
        return Err(unreadable("has a zero byte in it"));
    }
    // Empty is as good as not there.
    Ok(words.into_iter().filter(|(_, value)| !value.is_empty()).collect())
}

/// `[user[:password]@][host[:port][,…]][/database][?word=value[&…]]`
fn of_url(rest: &str) -> Result<Words, Wrong> {
    let mut words = Words::new();
    let (head, path) = match rest.split_once('/') {
        Some((head, path)) => (head, Some(path)),
        None => (rest, None),
    };
    let (credentials, place) = match head.split_once('@') {
        Some((credentials, place)) => (Some(credentials), place),
        None => (None, head),
    };
    if let Some(credentials) = credentials {
        if credentials.contains('?') {
            return Err(unreadable("has a ? in its user or password"));
        }
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        words.insert("user".into(), decode(user)?);
        words.insert("password".into(), decode(password)?);
    }
    let (place, path, query) = match (path, place.split_once('?')) {
        (_, Some((place, _))) => {
            // A slash behind the question mark belongs to a value.
            let query = rest.split_once('?').map(|(_, query)| query);
            (place, "", query)
        }
        (Some(path), None) => match path.split_once('?') {
            Some((path, query)) => (place, path, Some(query)),
            None => (place, path, None),
        },
        (None, None) => (place, "", None),
    };
    if place.contains('@') || path.contains('@') {
        return Err(unreadable("has a second @, so that a part of the password would be a host"));
    }
    if path.contains('/') {
        return Err(unreadable("has a second / behind its host"));
    }
    hosts(place, &mut words)?;
    words.insert("dbname".into(), decode(path)?);
    for pair in query.into_iter().flat_map(|query| query.split('&')) {
        let (word, value) =
            pair.split_once('=').ok_or_else(|| unreadable("has a word behind the ? without ="))?;
        if value.contains('=') {
            return Err(unreadable("has a word behind the ? with two = (in a value, = is %3D)"));
        }
        match (decode(word)?.as_str(), decode(value)?) {
            ("ssl", value) if value == "true" => words.insert("sslmode".into(), "require".into()),
            (word, value) => words.insert(word.to_owned(), value),
        };
    }
    Ok(words)
}

/// `host[:port][,…]`, an IPv6 address in brackets.
fn hosts(place: &str, words: &mut Words) -> Result<(), Wrong> {
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for one in place.split(',') {
        let (name, port) = match one.strip_prefix('[') {
            Some(rest) => {
                let (name, behind) =
                    rest.split_once(']').ok_or_else(|| unreadable("has a [ without a ]"))?;
                let port = behind.strip_prefix(':').unwrap_or(behind);
                if !behind.is_empty() && !behind.starts_with(':') {
                    return Err(unreadable("has something other than a port behind a ]"));
                }
                (name, port)
            }
            None => one.split_once(':').unwrap_or((one, "")),
        };
        names.push(decode(name)?);
        ports.push(decode(port)?);
    }
    words.insert("host".into(), names.join(","));
    if ports.iter().any(|port| !port.is_empty()) {
        words.insert("port".into(), ports.join(","));
    }
    Ok(())
}

fn decode(text: &str) -> Result<String, Wrong> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err(unreadable("has a % that two hexadecimal digits do not follow")),
        }
    }
    String::from_utf8(bytes).map_err(|_| unreadable("has percent-encoded bytes that are no text"))
}

/// `word = value …`; a value with blanks stands in single quotes, `\` takes the next character as
/// it is.
fn of_pairs(text: &str) -> Result<Words, Wrong> {
    let mut words = Words::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|it| it.is_ascii_whitespace()).is_some() {}
        if rest.peek().is_none() {
            return Ok(words);
        }
        let mut word = String::new();
        while let Some(next) = rest.next_if(|it| *it != '=' && !it.is_ascii_whitespace()) {
            word.push(next);
        }
        while rest.next_if(|it| it.is_ascii_whitespace()).is_some() {}
        if rest.next() != Some('=') {
            return Err(unreadable("has a word without = (a value with blanks needs quotes: '…')"));
        }
        while rest.next_if(|it| it.is_ascii_whitespace()).is_some() {}
        let quoted = rest.next_if_eq(&'\'').is_some();
        let ends = |it: &char| if quoted { *it == '\'' } else { it.is_ascii_whitespace() };
        let mut value = String::new();
        loop {
            match rest.next() {
                Some('\\') => value.extend(rest.next()),
                Some(next) if ends(&next) => break,
                Some(next) => value.push(next),
                None if quoted => return Err(unreadable("has a quote that is not closed")),
                None => break,
            }
        }
        words.insert(word, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        words(text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}")).into_iter().collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(word, value)| ((*word).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_url_is_taken_apart_as_libpq_does() {
        for (text, expected) in [
            ("postgres://", &[][..]),
            ("postgresql://h", &[("host", "h")]),
            (
                "postgres://u:a:b#c@h:1/d",
                &[
                    ("dbname", "d"),
                    ("host", "h"),
                    ("password", "a:b#c"),
                    ("port", "1"),
                    ("user", "u"),
                ],
            ),
            (
                "postgres://u%40x@[::1]:5,b/d%2Fe",
                &[("dbname", "d/e"), ("host", "::1,b"), ("port", "5,"), ("user", "u@x")],
            ),
            (
                "postgres://%2Frun%2Fmy%20pg/d?sslrootcert=/a%20b/c.pem&password=x@y",
                &[
                    ("dbname", "d"),
                    ("host", "/run/my pg"),
                    ("password", "x@y"),
                    ("sslrootcert", "/a b/c.pem"),
                ],
            ),
            ("postgres://h?host=/run/pg", &[("host", "/run/pg")]),
            ("postgres:///d?host=/run/pg&user=", &[("dbname", "d"), ("host", "/run/pg")]),
            ("postgres://h/d?ssl=true", &[("dbname", "d"), ("host", "h"), ("sslmode", "require")]),
        ] {
            assert_eq!(read(text), pairs(expected), "{text}");
        }
    }

    #[test]
    fn pairs_are_taken_apart_as_libpq_does() {
        for (text, expected) in [
            ("host=h", &[("host", "h")][..]),
            (" host = h  user='the  me' ", &[("host", "h"), ("user", "the  me")]),
            (r"password='it\'s  \\ me' host=a\ b", &[("host", "a b"), ("password", r"it's  \ me")]),
            ("password='' host=h", &[("host", "h")]),
            ("sslrootcert='/a b/c.pem' host=h", &[("host", "h"), ("sslrootcert", "/a b/c.pem")]),
        ] {
            assert_eq!(read(text), pairs(expected), "{text}");
        }
    }

    #[test]
    fn a_password_that_was_not_encoded_is_refused_and_no_piece_of_it_is_quoted() {
        for text in [
            "s3cr",
            "s3cr@t-Word",
            "mysql://u:s3cr@t-Word/x",
            "postgres://u:s3cr@t-Word@h/x",
            "postgres://u:s3cr@t-Word@h",
            "postgres://u:12/s3cr@h/x",
            "postgres://u:s3cr?t-Word@h/x",
            "postgres://u:12?s3cr@h/x",
            "postgres://u:s3cr%t-Word@h/x",
            "postgres://u:s3cr%@h/x",
            "postgres://u:12/x?s3cr@h/x",
            "postgres://h/x?password=s3cr&t-Word",
            "postgres://h/x?password=s3cr=t-Word",
            "postgres://db?user=me&password=s3cr@t-Word",
            "postgres://u:%ffs3cr@h/x",
            "postgres://u:1/s3cr/t-Word@h",
            "password=s3cr t-Word host=h",
            "password='s3cr't-Word' host=h",
            "password='s3cr host=h",
            "password='s3cr''t-Word' host=h",
            "password=s3cr\0t-Word host=h",
        ] {
            let wrong = words(text).expect_err(text);
            let said = format!("{wrong:?}");
            assert!(!said.contains("s3cr") && !said.contains("Word"), "{text}: {said}");
            assert!(wrong.write.contains("@ is %40"), "{text}: {said}");
        }
    }
}
