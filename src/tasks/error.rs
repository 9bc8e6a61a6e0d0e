//! How an attempt fails, and what is to come of it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::job::failure::Failure;
use crate::store::with_sources;

/// The code of an error that asks for another attempt, and of one that does not.
const RETRY: &str = "handler_error";
const PERMANENT: &str = "permanent";
const CODE_BYTES_MOST: usize = 64;

/// Why an attempt did not succeed, and what is to come of its job.
///
/// Any error becomes one by `?`, and so do `anyhow::Error`, `&str` and `String`. It asks for
/// another attempt then, after the task's back-off:
///
/// ```
/// # use reveille::TaskError;
/// # use std::time::Duration;
/// fn width(text: &str) -> Result<u32, TaskError> {
///     let width = text.parse().map_err(|error| TaskError::permanent(error).with_code("not_a_width"))?;
///     if width > 4096 {
///         return Err("the scaler is busy with larger images".into());
///     }
///     Ok(width)
/// }
/// assert_eq!(width("x").unwrap_err().code(), "not_a_width");
/// let later = width("5000").unwrap_err().retry_after(Duration::from_secs(60));
/// assert_eq!(later.to_string(), "the scaler is busy with larger images");
/// ```
///
/// It is no [`std::error::Error`], because that would forbid the conversion of all that are. The
/// job keeps 8 KiB of what it prints: its message, and those of its causes.
#[must_use]
pub struct TaskError(Box<Parts>);

struct Parts {
    code: Option<Cow<'static, str>>,
    message: String,
    then: Then,
}

/// The fate of a job after a failed attempt.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Then {
    /// Another attempt after the task's back-off, or after this delay.
    Retry(Option<Duration>),
    /// Nothing: it has failed.
    Fail,
    /// It comes back after this delay, and the attempt is not spent.
    Snooze(Duration),
}

impl TaskError {
    /// Try again, after the task's back-off. The job fails if this was its last attempt.
    pub fn retry(reason: impl Into<Self>) -> Self {
        reason.into().then(Then::Retry(None))
    }

    /// Trying again is of no use: the job fails.
    pub fn permanent(reason: impl Into<Self>) -> Self {
        reason.into().then(Then::Fail)
    }

    /// Come back later, after a second at least. This spends no attempt.
    pub fn snooze(delay: Duration) -> Self {
        Self::from("the handler asked to come back later").then(Then::Snooze(delay))
    }

    /// Try again after this delay instead of the back-off. The attempt is spent, so the job fails
    /// if this was its last one.
    pub fn retry_after(self, delay: Duration) -> Self {
        self.then(Then::Retry(Some(delay)))
    }

    /// Names the error for programs: `error.code` of the job. At most 64 of `a-z 0-9 _`; other
    /// letters become lower case, and all else becomes `_`.
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        let code = code.into();
        self.0.code = (!code.is_empty()).then(|| if is_code(&code) { code } else { coded(&code) });
        self
    }

    /// The code of the error. Without one of its own it is `handler_error`, or `permanent` where
    /// the job is not tried again.
    pub fn code(&self) -> &str {
        match (&self.0.code, self.0.then) {
            (_, Then::Snooze(_)) => "snoozed",
            (Some(code), _) => code,
            (None, Then::Retry(_)) => RETRY,
            (None, Then::Fail) => PERMANENT,
        }
    }

    /// The delay that it asks for: that of [`snooze`](Self::snooze) or
    /// [`retry_after`](Self::retry_after).
    pub fn delay(&self) -> Option<Duration> {
        match self.0.then {
            Then::Retry(delay) => delay,
            Then::Snooze(delay) => Some(delay),
            Then::Fail => None,
        }
    }

    /// Whether the job fails whatever attempts it has left.
    pub fn is_permanent(&self) -> bool {
        self.0.then == Then::Fail
    }

    pub(crate) fn outlook(&self) -> Then {
        self.0.then
    }

    pub(crate) fn failure(&self) -> Failure {
        Failure::new(self.code(), &self.0.message)
    }

    fn then(mut self, then: Then) -> Self {
        self.0.then = then;
        self
    }
}

/// Asks for another attempt, after the task's back-off.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for TaskError {
    fn from(error: E) -> Self {
        let (message, then) = (with_sources(&*error.into()), Then::Retry(None));
        Self(Box::new(Parts { code: None, message, then }))
    }
}

/// The message, and those of the causes behind it.
impl fmt::Display for TaskError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.message)
    }
}

/// The fate of the job, the code and the message, as a failing test shows them.
impl fmt::Debug for TaskError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let then = match self.0.then {
            Then::Retry(None) => "to be retried".to_owned(),
            Then::Retry(Some(delay)) => format!("to be retried after {delay:?}"),
            Then::Fail => "permanent".to_owned(),
            Then::Snooze(delay) => format!("snoozed for {delay:?}"),
        };
        write!(out, "{} ({then}): {}", self.code(), self.0.message)
    }
}

fn is_code(text: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    text.len() <= CODE_BYTES_MOST && text.bytes().all(fits)
}

/// The code that is nearest to this text.
fn coded(text: &str) -> Cow<'static, str> {
    let fitting = |character: char| match character.to_ascii_lowercase() {
        fits @ ('a'..='z' | '0'..='9') => fits,
        _ => '_',
    };
    text.chars().take(CODE_BYTES_MOST).map(fitting).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn missing() -> std::io::Error {
        std::io::ErrorKind::NotFound.into()
    }

    #[test]
    fn any_error_converts_and_asks_for_another_attempt() {
        fn io() -> Result<(), TaskError> {
            Err(missing())?
        }
        fn anyhow() -> Result<(), TaskError> {
            Err(missing()).context("no image").context("no thumbnail")?
        }
        fn text() -> Result<(), TaskError> {
            Err("no luck")?
        }
        let boxed = || Box::<dyn Error + Send + Sync>::from("boxed");
        for (error, message) in [
            (io().unwrap_err(), "entity not found"),
            (anyhow().unwrap_err(), "no thumbnail: no image: entity not found"),
            (text().unwrap_err(), "no luck"),
            (String::from("a string").into(), "a string"),
            (boxed().into(), "boxed"),
            (TaskError::retry(boxed()), "boxed"),
        ] {
            assert_eq!(error.to_string(), message);
            assert_eq!((error.outlook(), error.code()), (Then::Retry(None), "handler_error"));
        }
    }

    #[test]
    fn an_error_carries_its_code_and_its_delay() {
        let hour = Duration::from_secs(3600);
        let error = TaskError::from(missing()).with_code("http_503").retry_after(hour);
        assert_eq!((error.code(), error.delay()), ("http_503", Some(hour)));
        assert_eq!(format!("{error:?}"), "http_503 (to be retried after 3600s): entity not found");
        let error = TaskError::permanent(error);
        assert_eq!((error.code(), error.delay(), error.is_permanent()), ("http_503", None, true));
        assert_eq!(TaskError::permanent("no").code(), "permanent");
        assert_eq!(TaskError::retry("no").code(), "handler_error");
        let snooze = TaskError::snooze(hour).with_code("busy");
        assert_eq!((snooze.code(), snooze.delay()), ("snoozed", Some(hour)));
    }

    #[test]
    fn a_code_is_a_word_for_programs_whatever_is_given() {
        for (given, code) in [
            ("image_too_large", "image_too_large"),
            ("HTTP 503", "http_503"),
            ("zu groß", "zu_gro_"),
            ("", "handler_error"),
            (&"x".repeat(100), &"x".repeat(64)),
            (&"é".repeat(100), &"_".repeat(64)),
        ] {
            assert_eq!(TaskError::retry("").with_code(given.to_owned()).code(), code, "{given}");
        }
    }
}
