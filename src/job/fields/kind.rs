//! The content of a declaration in the table: [`Field`], and the values that it takes: [`Kind`].

use std::borrow::Cow;

use super::super::moment;
use super::FieldError;
use crate::spelling::listed;

/// A field of a submission, or a member of one that is an object.
pub(crate) struct Field {
    /// Its name over HTTP, in SQL's JSON and in the answers.
    pub name: &'static str,
    pub kind: Kind,
    /// A job without it is refused.
    pub required: bool,
    /// The value of a field that is not given. A field that is only refused or useful beside
    /// another one has none, even if a value means the same. Generated clients send defaults.
    pub default: Option<Literal>,
    pub together: Option<Together>,
    /// Whether it lies in `job.settings` rather than in a column.
    pub is_setting: bool,
    /// Its purpose: a sentence that stands alone, and perhaps more.
    pub about: &'static str,
}

impl Field {
    /// The first sentence of [`Self::about`].
    pub(crate) fn sentence(&self) -> &'static str {
        self.about.split_inclusive(". ").next().unwrap_or_default().trim_end()
    }
}

/// Which values a field takes.
pub(crate) enum Kind {
    /// Any JSON value that can be a payload.
    Json,
    /// A string that is a name.
    Name {
        pattern: &'static str,
        /// The pattern in words.
        rule: &'static str,
        fits: fn(&str) -> bool,
    },
    /// A string of so many characters.
    Text { least: usize, most: usize },
    /// One of these words. In the specification it is a schema of its own.
    Choice { of: &'static [&'static str], schema: &'static str, about: &'static str },
    /// A whole number.
    Integer { least: i64, most: i64 },
    /// A number of seconds.
    Seconds { least: f64, most: f64 },
    /// A number.
    Number { least: f64, most: f64 },
    /// A time by RFC 3339.
    Time,
    /// A list of so many strings, each of one character up to `longest`.
    Texts { most: usize, longest: usize },
    /// An object with these members. In the specification it is a schema of its own.
    Object { members: &'static [Field], schema: &'static str, about: &'static str },
}

impl Kind {
    /// Such a value in words: "`priority` must be …".
    pub(crate) fn rule(&self) -> Cow<'static, str> {
        match self {
            Self::Json => "any JSON value".into(),
            Self::Name { rule, .. } => (*rule).into(),
            Self::Text { least, most } => {
                format!("a string of {least} to {most} characters").into()
            }
            Self::Choice { of, .. } => listed(of).into(),
            Self::Integer { least, most } => {
                format!("a whole number from {least} to {most}").into()
            }
            Self::Number { least, most } => format!("a number from {least} to {most}").into(),
            Self::Seconds { least, most } => {
                let days = (most % 86_400.0 == 0.0).then(|| format!(" ({} days)", most / 86_400.0));
                format!("a number from {least} to {most}{}", days.unwrap_or_default()).into()
            }
            Self::Time => moment::RULE.into(),
            Self::Texts { most, longest } => {
                format!("a list of at most {most} strings of 1 to {longest} characters").into()
            }
            Self::Object { members, .. } => {
                let names: Vec<&str> = members.iter().map(|member| member.name).collect();
                format!("an object of {}, each optional", names.join(", ")).into()
            }
        }
    }
}

/// A value that is written into the table.
#[derive(Clone, Copy)]
pub(crate) enum Literal {
    Text(&'static str),
    /// The empty list.
    Nothing,
}

/// The rule for a field beside others.
#[derive(Clone, Copy)]
pub(crate) enum Together {
    /// Not both of them.
    NotWith(&'static str),
    /// Not without that one.
    OnlyWith(&'static str),
    /// Not unless that one has this value.
    OnlyWhere(&'static str, &'static str),
}

/// The fields that a caller gives, whether or not they can be read.
pub(crate) trait Given {
    /// Whether the field is there.
    fn gives(&self, name: &str) -> bool;
    /// Whether the field is this word.
    fn says(&self, name: &str, word: &str) -> bool;
}

impl Together {
    /// The codes of errors of this kind.
    pub(crate) const CODES: [&str; 3] =
        ["conflicting_fields", "requires_unique_key", "requires_replace"];

    pub(super) fn holds(&self, given: &impl Given) -> bool {
        match self {
            Self::NotWith(other) => !given.gives(other),
            Self::OnlyWith(other) => given.gives(other),
            Self::OnlyWhere(other, word) => given.says(other, word),
        }
    }

    /// The code and the message, for the field of this name.
    pub(crate) fn fault(&self, name: &str) -> (&'static str, String) {
        match self {
            Self::NotWith(other) => (Self::CODES[0], format!("give {other} or {name}, not both")),
            Self::OnlyWith(other) => {
                (Self::CODES[1], format!("{name} needs a {other}; give both, or neither"))
            }
            Self::OnlyWhere(other, word) => (
                Self::CODES[2],
                format!("{name} needs {other} to be {word}; give both, or neither"),
            ),
        }
    }

    pub(super) fn error(&self, name: &str) -> FieldError {
        let (code, message) = self.fault(name);
        FieldError::new(format!("/{name}"), code, message)
    }
}
