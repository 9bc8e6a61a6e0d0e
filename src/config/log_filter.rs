//! The filter of the log, read more strictly than `tracing-subscriber` reads it.
//!
//! There a word that is not a level names a target, whose lines are then the only ones. So a
//! service would run without a log with `warning`, or with `info, reveille=debug` and its blank.
//! Here a bare word must be a level, and blanks do not count. A target that the filter does not
//! name has its errors logged.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::Wrong;

/// The level of what no part of a filter names.
const REST: &str = "error";
const WRITE: &str = "write off, error, warn, info, debug or trace, for all or by target as in \
                     info,reveille=debug";

/// The filter as directives for [`EnvFilter`].
///
/// # Errors
/// When a part is neither a level nor a target with a level.
pub(crate) fn directives(filter: &str) -> Result<String, Wrong> {
    let parts = filter.split(',').map(str::trim).filter(|part| !part.is_empty());
    let mut directives = parts.map(directive).collect::<Result<Vec<_>, _>>()?;
    if directives.is_empty() {
        return Err(Wrong::new("is empty", WRITE));
    }
    if !directives.iter().any(|directive| directive.parse::<LevelFilter>().is_ok()) {
        directives.insert(0, REST.to_owned());
    }
    let directives = directives.join(",");
    match EnvFilter::try_new(&directives) {
        Ok(_) => Ok(directives),
        Err(error) => Err(Wrong::new(format!("{filter:?} is not a filter ({error})"), WRITE)),
    }
}

/// One part: `level`, `target=level`, or `target[span{field=value}]=level`, where a level may be
/// left out.
fn directive(part: &str) -> Result<String, Wrong> {
    let (spans, rest) = part.split_at(part.rfind(']').map_or(0, |at| at + 1));
    match rest.split_once('=') {
        Some((target, word)) => {
            let target = target.trim();
            if !target.chars().all(|it| it.is_alphanumeric() || "_-:".contains(it)) {
                return Err(Wrong::new(format!("{target:?} is not a target"), WRITE));
            }
            Ok(format!("{spans}{target}={}", level(word.trim())?))
        }
        None if spans.is_empty() => level(rest).map(str::to_owned),
        None => Ok(part.to_owned()),
    }
}

fn level(word: &str) -> Result<&str, Wrong> {
    if word.eq_ignore_ascii_case("warning") {
        return Ok("warn");
    }
    match word.parse::<LevelFilter>() {
        Ok(_) if !word.is_empty() => Ok(word),
        _ => Err(Wrong::new(format!("{word:?} is not a level"), WRITE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warning_is_warn_and_blanks_do_not_count() {
        for (filter, expected) in [
            ("info", "info"),
            ("warning", "warn"),
            ("WARNING", "warn"),
            ("Debug", "Debug"),
            ("off", "off"),
            ("info, reveille = debug", "info,reveille=debug"),
            ("info,reveille=warning,", "info,reveille=warn"),
            ("reveille=debug", "error,reveille=debug"),
            ("warn,reveille[job{id=1}]=warning", "warn,reveille[job{id=1}]=warn"),
            ("warn,[job]", "warn,[job]"),
        ] {
            assert_eq!(directives(filter), Ok(expected.to_owned()), "{filter}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for filter in [
            "",
            " , ",
            "verbose",
            "err",
            "fatal",
            "information",
            "reveille",
            "infos,reveille=debug",
            "info;reveille=debug",
            "info reveille=debug",
            "reveille:debug",
            "reveille=loud",
            "reveille=",
            "6",
        ] {
            let wrong = directives(filter).expect_err(filter);
            assert!(wrong.write.contains("info,reveille=debug"), "{wrong:?}");
        }
    }
}
