//! The rules that no single setting can know: values must fit each other.

use super::{
    Config, ConfigError, ConfigProblem, DatabaseUrl, Raw, SETTINGS, Secret, Wrong, is_host,
    log_filter, not_valid, queues,
};
use crate::queue::QueueName;

/// Shorter tokens can be guessed.
const MIN_TOKEN_CHARS: usize = 16;

impl Config {
    /// Checks a configuration that a program has made, as one that was loaded has been.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(&self) -> Result<(), ConfigError> {
        let of_settings = out_of_range(self).into_iter().chain(check(self));
        let of_settings = of_settings.map(|(name, wrong)| (name.to_owned(), wrong));
        let problems: Vec<_> = of_settings
            .chain(queues::check(self))
            .map(|(name, wrong)| ConfigProblem::of_program(&name, wrong))
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
    }
}

/// A value is read again as its own text, which checks its range.
fn out_of_range(config: &Config) -> Vec<(&'static str, Wrong)> {
    let mut copy = Config::default();
    let bounded = SETTINGS.iter().filter(|setting| setting.range.is_some());
    bounded
        .filter_map(|setting| {
            let wrong = (setting.set)(&mut copy, Raw::Toml(&(setting.show)(config))).err()?;
            Some((setting.name, wrong))
        })
        .collect()
}

/// The rules that are broken, each with the setting to be changed.
pub(super) fn check(config: &Config) -> Vec<(&'static str, Wrong)> {
    [remote_needs_token(config), heartbeats_fit(config), delay_fits(config)]
        .into_iter()
        .chain([direct_needs_database(config)])
        .chain([pooler_needs_database(config), filter_is_one(config)])
        .chain(connects_fit(config))
        .flatten()
        .chain(tokens_protect(config))
        .chain(queues_have_names(config))
        .chain(hosts_are_names(config))
        .collect()
}

fn remote_needs_token(config: &Config) -> Option<(&'static str, Wrong)> {
    let open = !config.listen.ip().is_loopback()
        && config.auth_tokens.is_empty()
        && !config.allow_remote_without_token;
    let what = format!("{} would let everybody in, for there is no token", config.listen);
    let write = "set auth_tokens (openssl rand -hex 32 makes one), or write an address of this \
                 machine alone (127.0.0.1:8000), or set allow_remote_without_token to true";
    open.then(|| ("listen", Wrong::new(what, write)))
}

/// One lost heartbeat must not cost a living instance its jobs, nor two in a row.
fn heartbeats_fit(config: &Config) -> Option<(&'static str, Wrong)> {
    let least = config.heartbeat * 3;
    let what = format!(
        "{} is less than three times heartbeat_seconds ({})",
        config.lost_after.as_secs_f64(),
        config.heartbeat.as_secs_f64()
    );
    let write = format!("write at least {}, or a smaller heartbeat_seconds", least.as_secs_f64());
    (config.lost_after < least).then(|| ("lost_after_seconds", Wrong::new(what, write)))
}

/// The delay ends with the grace period at the latest. A default gives way to what was said.
fn delay_fits(config: &Config) -> Option<(&'static str, Wrong)> {
    let is_said = config.shutdown_delay != Config::default().shutdown_delay;
    let what = format!(
        "{} is more than shutdown_grace_seconds ({}), after which this instance is gone",
        config.shutdown_delay.as_secs_f64(),
        config.shutdown_grace.as_secs_f64()
    );
    let write = format!(
        "write at most {}, or a larger shutdown_grace_seconds",
        config.shutdown_grace.as_secs_f64()
    );
    let clashes = is_said && config.shutdown_delay > config.shutdown_grace;
    clashes.then(|| ("shutdown_delay_seconds", Wrong::new(what, write)))
}

/// A heartbeat that has lost its connection must be back before its instance counts as lost. How long
/// its answer may take follows from `lost_after_seconds`.
fn connects_fit(config: &Config) -> [Option<(&'static str, Wrong)>; 2] {
    let fits = |name: &'static str, url: &Option<DatabaseUrl>| {
        let timeout = url.as_ref()?.address().connect_timeout?;
        let what = format!(
            "has connect_timeout={}, which is not less than lost_after_seconds ({}): while a host is silent, \
             this instance would count as lost",
            timeout.as_secs_f64(),
            config.lost_after.as_secs_f64()
        );
        let write = "write a smaller connect_timeout, or a larger lost_after_seconds";
        (timeout >= config.lost_after).then(|| (name, Wrong::new(what, write)))
    };
    [
        fits("database_url", &config.database_url),
        fits("listen_database_url", &config.listen_database_url),
    ]
}

fn direct_needs_database(config: &Config) -> Option<(&'static str, Wrong)> {
    let alone = config.listen_database_url.is_some() && config.database_url.is_none();
    let write = "set database_url too, or only database_url if both are the same";
    alone.then(|| ("listen_database_url", Wrong::new("is set, but database_url is not", write)))
}

fn pooler_needs_database(config: &Config) -> Option<(&'static str, Wrong)> {
    let alone = config.pooler && config.database_url.is_none();
    let write = "set database_url to the address of the PgBouncer, or pooler to false";
    alone.then(|| ("pooler", Wrong::new("is set, but database_url is not", write)))
}

/// A token is long enough, and has only the characters that RFC 6750 lets it have: with others, no
/// client could send it. They are told apart by number, since none may be quoted.
fn tokens_protect(config: &Config) -> Vec<(&'static str, Wrong)> {
    let sendable = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let mut broken = Vec::new();
    for (token, number) in config.auth_tokens.iter().map(Secret::expose).zip(1..) {
        if token.chars().count() < MIN_TOKEN_CHARS {
            let what = format!("has a token that can be guessed (number {number})");
            let write = format!(
                "make it at least {MIN_TOKEN_CHARS} characters long; openssl rand -hex 32 makes one"
            );
            broken.push(("auth_tokens", Wrong::new(what, write)));
        }
        if !token.bytes().all(sendable) {
            let what = format!("has a token that cannot be sent in a header (number {number})");
            let write = "use letters, digits and - . _ ~ + / = only";
            broken.push(("auth_tokens", Wrong::new(what, write)));
        }
    }
    broken
}

fn hosts_are_names(config: &Config) -> Vec<(&'static str, Wrong)> {
    let wrong = |host: &String| {
        let write = "write names such as jobs.example.org, without http:// and without a port";
        ("allowed_hosts", Wrong::new(not_valid(host, "host"), write))
    };
    config.allowed_hosts.iter().filter(|host| !is_host(host)).map(wrong).collect()
}

fn queues_have_names(config: &Config) -> Vec<(&'static str, Wrong)> {
    let bad = config.queues.iter().filter(|name| !QueueName::fits(name));
    bad.map(|name| {
        let what = format!("{name:?} is not a queue's name");
        ("queues", Wrong::new(what, format!("write {} for each", QueueName::RULE)))
    })
    .collect()
}

fn filter_is_one(config: &Config) -> Option<(&'static str, Wrong)> {
    log_filter::directives(&config.log).err().map(|wrong| ("log", wrong))
}
