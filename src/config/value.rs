//! How the value of a setting is read, from text (environment, flags) or from TOML, and shown.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::public_url::PublicUrl;
use super::secret::{DatabaseUrl, Secret};
use super::settings::Range;
use crate::spelling::listed;

/// A value as it was found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Raw<'a> {
    /// In the environment or behind a flag.
    Text(&'a str),
    /// In the file.
    Toml(&'a toml::Value),
}

/// Why a value cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The fault; it never quotes a secret.
    pub what: String,
    /// The form to write instead.
    pub write: String,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, write: impl Into<String>) -> Self {
        Self { what: what.into(), write: write.into() }
    }
}

/// The fate of running jobs while no heartbeat can be confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLostHeartbeat {
    /// They are told to stop.
    Stop,
    /// They go on; others may run them, too.
    Run,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// A type that a setting can have.
pub(super) trait Value: Sized {
    const KIND: &'static str;

    fn read(raw: Raw<'_>, range: Option<Range>) -> Result<Self, Wrong>;
    fn show(&self) -> toml::Value;
}

/// Text is text in both forms; TOML must quote it.
fn text<'a>(raw: Raw<'a>, write: &str) -> Result<&'a str, Wrong> {
    match raw {
        Raw::Text(text) => Ok(text.trim()),
        Raw::Toml(toml::Value::String(text)) => Ok(text.trim()),
        Raw::Toml(other) => Err(Wrong::new(format!("is {}", kind(other)), write)),
    }
}

fn kind(value: &toml::Value) -> String {
    match value {
        toml::Value::Array(_) => "a list".to_owned(),
        toml::Value::Table(_) => "a table".to_owned(),
        toml::Value::String(_) => "text in quotes".to_owned(),
        other => format!("{other}, without quotes"),
    }
}

fn number(raw: Raw<'_>, range: Option<Range>, unit: &str) -> Result<f64, Wrong> {
    let (least, most) = range.unwrap_or((0.0, f64::from(u32::MAX)));
    let write = format!("write a {unit} from {least} to {most}");
    let number = match raw {
        Raw::Text(text) => text
            .trim()
            .parse::<f64>()
            .map_err(|_| Wrong::new(format!("{text:?} is not a number"), &write))?,
        // A float of this size holds every integer that any range here allows.
        Raw::Toml(toml::Value::Integer(integer)) => *integer as f64,
        Raw::Toml(toml::Value::Float(float)) => *float,
        Raw::Toml(other) => {
            return Err(Wrong::new(format!("is {}", kind(other)), format!("{write}, bare")));
        }
    };
    if number >= least && number <= most {
        return Ok(number);
    }
    Err(Wrong::new(format!("{number} is out of range"), write))
}

fn whole(raw: Raw<'_>, range: Option<Range>) -> Result<u32, Wrong> {
    let number = number(raw, range, "whole number")?;
    if number.fract() != 0.0 {
        return Err(Wrong::new(format!("{number} is not whole"), "write a whole number"));
    }
    // In range and whole, as just checked, so nothing is cut off.
    Ok(number as u32)
}

impl Value for u32 {
    const KIND: &'static str = "NUMBER";

    fn read(raw: Raw<'_>, range: Option<Range>) -> Result<Self, Wrong> {
        whole(raw, range)
    }

    fn show(&self) -> toml::Value {
        toml::Value::Integer(i64::from(*self))
    }
}

impl Value for usize {
    const KIND: &'static str = "NUMBER";

    fn read(raw: Raw<'_>, range: Option<Range>) -> Result<Self, Wrong> {
        whole(raw, range).map(|number| number as usize)
    }

    fn show(&self) -> toml::Value {
        toml::Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
    }
}

impl Value for Duration {
    const KIND: &'static str = "SECONDS";

    fn read(raw: Raw<'_>, range: Option<Range>) -> Result<Self, Wrong> {
        let seconds = number(raw, range, "number of seconds")?;
        Self::try_from_secs_f64(seconds).map_err(|error| {
            Wrong::new(format!("{seconds} is no duration ({error})"), "write a number of seconds")
        })
    }

    fn show(&self) -> toml::Value {
        match (self.subsec_nanos(), i64::try_from(self.as_secs())) {
            (0, Ok(seconds)) => toml::Value::Integer(seconds),
            _ => toml::Value::Float(self.as_secs_f64()),
        }
    }
}

impl Value for bool {
    const KIND: &'static str = "true|false";

    fn read(raw: Raw<'_>, _: Option<Range>) -> Result<Self, Wrong> {
        match raw {
            Raw::Toml(toml::Value::Boolean(value)) => Ok(*value),
            Raw::Toml(other) => {
                Err(Wrong::new(format!("is {}", kind(other)), "write true or false, bare"))
            }
            Raw::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                _ => Err(Wrong::new(
                    format!("{text:?} is neither yes nor no"),
                    "write true or false",
                )),
            },
        }
    }

    fn show(&self) -> toml::Value {
        toml::Value::Boolean(*self)
    }
}

impl Value for String {
    const KIND: &'static str = "TEXT";

    fn read(raw: Raw<'_>, _: Option<Range>) -> Result<Self, Wrong> {
        text(raw, "write text in quotes").map(str::to_owned)
    }

    fn show(&self) -> toml::Value {
        toml::Value::String(self.clone())
    }
}

impl Value for PathBuf {
    const KIND: &'static str = "DIR";

    fn read(raw: Raw<'_>, _: Option<Range>) -> Result<Self, Wrong> {
        match text(raw, "write a path in quotes")? {
            "" => Err(Wrong::new("is empty", "write the path of a directory")),
            path => Ok(Self::from(path)),
        }
    }

    fn show(&self) -> toml::Value {
        toml::Value::String(self.display().to_string())
    }
}

/// Empty text means that there is none, so that the reference can show a default.
impl Value for Option<PathBuf> {
    const KIND: &'static str = "DIR";

    fn read(raw: Raw<'_>, _: Option<Range>) -> Result<Self, Wrong> {
        let path = text(raw, "write a path in quotes")?;
        Ok((!path.is_empty()).then(|| PathBuf::from(path)))
    }

    fn show(&self) -> toml::Value {
        toml::Value::String(self.as_ref().map(|it| it.display().to_string()).unwrap_or_default())
    }
}

impl Value for SocketAddr {
    const KIND: &'static str = "HOST:PORT";

    fn read(raw: Raw<'_>, _: Option<Range>) -> Result<Self, Wrong> {
        const WRITE: &str =
            "write an IP address and a port, such as 127.0.0.1:8000, 0.0.0.0:8000 or [::1]:8000";
        let text = text(raw, WRITE)?;
        // The one name that everybody tries, and whose meaning needs no resolver.
        let text = text.replacen("localhost:", "127.0.0.1:", 1);
        text.parse().map_err(|_| Wrong::new(format!("{text:?} is no address with a port"), WRITE))
    }

    fn show(&self) -> toml::Value {
        toml::Value::String(self.to_string())
    }
}

/// A setting that is one of these words.
macro_rules! words {
    ($type:ident { $first:ident = $first_word:literal $(, $kind:ident = $word:literal)* }) => {
        impl Value for $type {
            const KIND: &'static str = concat!($first_word $(, "|", $word)*);

            fn read(raw: Raw<'_>, _: Option<Range>) -> Result<Self, Wrong> {
                let write = format!("write {}", listed(&[$first_word $(, $word)*]));
                match text(raw, &write)? {
                    $first_word => Ok(Self::$first),
                    $($word => Ok(Self::$kind),)*
                    other => Err(Wrong::new(format!("{other:?} is not known"), write)),
                }
            }

            fn show(&self) -> toml::Value {
                let word = match self {
                    Self::$first => $first_word,
                    $(Self::$kind => $word,)*
                };
                toml::Value::String(word.to_owned())
            }
        }
    };
}
words!(OnLostHeartbeat { Stop = "stop", Run = "run" });
words!(LogFormat { Auto = "auto", Text = "text", Json = "json" });

impl Value for Secret {
    const KIND: &'static str = "SECRET";

    fn read(raw: Raw<'_>, _: Option<Range>) -> Result<Self, Wrong> {
        // `text` would quote a bare number, which here may be somebody's token.
        match raw {
            Raw::Toml(toml::Value::String(text)) => Ok(Self::new(text.trim())),
            Raw::Toml(_) => Err(Wrong::new("is not text", "write it in quotes")),
            Raw::Text(text) => Ok(Self::new(text.trim())),
        }
    }

    fn show(&self) -> toml::Value {
        toml::Value::String(Self::MASK.to_owned())
    }
}

/// Empty text means that there is none, so that the reference can show a default.
impl Value for Option<DatabaseUrl> {
    const KIND: &'static str = "URL";

    fn read(raw: Raw<'_>, range: Option<Range>) -> Result<Self, Wrong> {
        let text = Secret::read(raw, range)?;
        if text.expose().is_empty() {
            return Ok(None);
        }
        DatabaseUrl::read(text.expose()).map(Some)
    }

    fn show(&self) -> toml::Value {
        toml::Value::String(self.as_ref().map(ToString::to_string).unwrap_or_default())
    }
}

/// Empty text means that there is none, so that the reference can show a default.
impl Value for Option<PublicUrl> {
    const KIND: &'static str = "URL";

    fn read(raw: Raw<'_>, _: Option<Range>) -> Result<Self, Wrong> {
        match text(raw, "write a URL in quotes")? {
            "" => Ok(None),
            url => PublicUrl::read(url).map(Some),
        }
    }

    fn show(&self) -> toml::Value {
        toml::Value::String(self.as_ref().map_or("", PublicUrl::as_str).to_owned())
    }
}

/// A list of TOML, or text separated by commas.
impl<T: Value> Value for Vec<T> {
    const KIND: &'static str = "LIST";

    fn read(raw: Raw<'_>, range: Option<Range>) -> Result<Self, Wrong> {
        match raw {
            Raw::Text(text) => text
                .split(',')
                .filter(|part| !part.trim().is_empty())
                .map(|part| T::read(Raw::Text(part), range))
                .collect(),
            Raw::Toml(toml::Value::Array(values)) => {
                values.iter().map(|value| T::read(Raw::Toml(value), range)).collect()
            }
            Raw::Toml(_) => {
                Err(Wrong::new("is not a list", "write a list, such as [\"one\", \"two\"]"))
            }
        }
    }

    fn show(&self) -> toml::Value {
        toml::Value::Array(self.iter().map(Value::show).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_fractions_and_stay_in_their_range() {
        let range = Some((0.1, 60.0));
        assert_eq!(Duration::read(Raw::Text(" 0.25 "), range), Ok(Duration::from_millis(250)));
        assert_eq!(
            Duration::read(Raw::Toml(&toml::Value::Integer(5)), range),
            Ok(Duration::from_secs(5))
        );
        for wrong in ["", "5s", "-1", "NaN", "inf", "61"] {
            let error = Duration::read(Raw::Text(wrong), range).unwrap_err();
            assert_eq!(error.write, "write a number of seconds from 0.1 to 60", "{wrong}");
        }
    }

    #[test]
    fn addresses_need_a_port() {
        let read = |text| SocketAddr::read(Raw::Text(text), None);
        assert_eq!(read("localhost:0").map(|it| it.to_string()), Ok("127.0.0.1:0".to_owned()));
        assert!(read("[::1]:80").is_ok());
        for wrong in ["", "8000", ":8000", "127.0.0.1", "example.org:80", "1.2.3.4:70000"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_come_from_commas_or_from_toml() {
        let expected = Ok(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(Vec::<String>::read(Raw::Text("a, b,"), None), expected);
        let list = toml::Value::Array(vec!["a".into(), "b".into()]);
        assert_eq!(Vec::<String>::read(Raw::Toml(&list), None), expected);
        assert!(Vec::<String>::read(Raw::Toml(&"a,b".into()), None).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_secret_does_not_quote_it() {
        let error = Secret::read(Raw::Toml(&toml::Value::Integer(12345)), None).unwrap_err();
        assert!(!format!("{error:?}").contains("12345"));
    }
}
