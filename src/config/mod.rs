//! The configuration: every setting, typed, and where its value came from.
//!
//! A setting is written down once, in the table of `settings.rs`: name, type, default, range and
//! text. That one entry gives its name in `reveille.toml`, its environment variable and its flag.
//! It also gives the commented reference (`default.toml`) and the listing of `reveille config`, so
//! none of them can lag behind.
//!
//! Layers, each over the one before: defaults, `reveille.toml`, environment, flags. Nothing stops
//! at the first mistake: whoever starts a service wants to hear of all of them in one go.
//!
//! This is the only module that reads the process's environment.

mod address;
#[cfg(feature = "service")]
mod kubernetes;
#[cfg(feature = "service")]
mod layers;
#[cfg(feature = "service")]
mod log_filter;
mod problem;
mod public_url;
#[cfg(feature = "service")]
mod queues;
#[cfg(feature = "service")]
mod reference;
#[cfg(feature = "service")]
mod rules;
mod secret;
mod settings;
#[cfg(feature = "service")]
mod surroundings;
#[cfg(test)]
#[cfg(feature = "service")]
mod tests;
mod value;

pub(crate) use address::{Address, ChannelBinding, Host, HostAddress, ServerKind, Tls, TlsMode};
#[cfg(feature = "service")]
pub(crate) use layers::{Inputs, Loaded};
#[cfg(feature = "service")]
pub(crate) use log_filter::directives as log_directives;
pub use problem::{ConfigError, ConfigProblem, ConfigSource};
pub use public_url::PublicUrl;
pub(crate) use public_url::{host_and_port, is_host, not_valid, usual_port};
#[cfg(feature = "service")]
pub(crate) use reference::reference;
pub use secret::{DatabaseUrl, Secret};
pub use settings::Config;
pub(crate) use settings::{SETTINGS, Setting};
#[cfg(feature = "faults")]
pub(crate) use surroundings::mutant;
#[cfg(feature = "service")]
pub(crate) use surroundings::{
    host_name, inherited, process_environment, search_path, temporary_folder,
};
pub use value::{LogFormat, OnLostHeartbeat};
pub(crate) use value::{Raw, Wrong};

/// Variables that belong to the command line client, and are therefore no settings.
pub(crate) const CLIENT_VARIABLES: [&str; 3] =
    ["REVEILLE_URL", "REVEILLE_TOKEN", "REVEILLE_CONFIG"];

/// The value of `name` in `environment`; an empty variable counts as not set.
pub(crate) fn variable<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    environment
        .iter()
        .find(|(key, value)| key == name && !value.trim().is_empty())
        .map(|(_, value)| value.as_str())
}
