//! `reveille health`: what a container's health check runs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::time::Duration;

use super::remote::{self, Remote, Request};
use super::stop::Usage;
use super::{output, settings};
use crate::config::Config;

const EXAMPLES: &str = "\
Examples:
  reveille health && echo ready
  HEALTHCHECK CMD [\"reveille\", \"health\"]";

const URL: &str =
    "The service's URL [default: REVEILLE_URL, else this machine at the port of the settings]";

/// Asks a service whether it is ready (GET /readyz). It asks the one at --url or REVEILLE_URL, else
/// the one on this machine at the port of the settings.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(mut_args(settings::only(&["listen"])), mut_arg("url", |url| url.help(URL)))]
pub(super) struct Args {
    #[command(flatten)]
    settings: settings::Args,
    #[command(flatten)]
    pub(super) service: remote::Args,
}

pub(super) async fn execute(args: &Args) -> anyhow::Result<ExitCode> {
    let remote = match args.service.given() {
        Some(url) => Remote::at(&url)?,
        None => Remote::at(&local(&args.settings.load()?.config)?)?,
    };
    let patience = Duration::from_secs(5);
    let answer = remote.send(Request { patience, ..Request::get(&["readyz"]) }).await?;
    output::line(if args.service.json { &answer.body } else { "ready" })?;
    Ok(ExitCode::SUCCESS)
}

/// Where a service with these settings answers on its own machine.
fn local(config: &Config) -> Result<String, Usage> {
    let mut address = config.listen;
    if address.port() == 0 {
        return Err(Usage("the system chose the port; name the service with --url".to_owned()));
    }
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(format!("http://{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_reached_by_the_local_one() {
        for (listen, url) in [
            ("0.0.0.0:9", Some("http://127.0.0.1:9")),
            ("[::]:9", Some("http://[::1]:9")),
            ("10.0.0.1:9", Some("http://10.0.0.1:9")),
            ("127.0.0.1:0", None),
        ] {
            let config = Config { listen: listen.parse().unwrap(), ..Config::default() };
            assert_eq!(local(&config).ok().as_deref(), url);
        }
    }
}
