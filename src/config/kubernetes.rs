//! Variables that Kubernetes puts into every container of a namespace, one set for each Service of
//! it.
//!
//! Beside a Service named `reveille`, or `reveille-…`, they begin as ours do. They are told apart
//! by their ends, which no setting has: a test sees to that.

/// Whether Kubernetes made this variable for a Service, rather than a person for a setting.
///
/// A bare `…_PORT` counts only with Kubernetes' own kind of value (`tcp://10.0.0.1:8000`). With a
/// number it is a person's mistake, which is told.
pub(super) fn is_of_a_service(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix("REVEILLE") else {
        return false;
    };
    // The rest of the Service's name stands before the end: `_API`, or nothing.
    let ends = rest.match_indices('_').map(|(at, _)| at).filter(|at| *at != 1);
    ends.map(|at| &rest[at..]).any(|end| {
        end == "_SERVICE_HOST"
            || is_or_goes_on(end.strip_prefix("_SERVICE_PORT"))
            || end == "_PORT" && value.contains("://")
            || end.strip_prefix("_PORT_").is_some_and(is_address)
    })
}

/// `8000_TCP`, `8000_TCP_ADDR` and the like.
fn is_address(text: &str) -> bool {
    let Some((port, protocol)) = text.split_once('_') else {
        return false;
    };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    digits && ["TCP", "UDP", "SCTP"].iter().any(|name| is_or_goes_on(protocol.strip_prefix(name)))
}

/// Behind a word there is nothing, or another word behind an underscore.
fn is_or_goes_on(rest: Option<&str>) -> bool {
    rest.is_some_and(|rest| rest.is_empty() || rest.len() > 1 && rest.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::super::{CLIENT_VARIABLES, SETTINGS, Setting};
    use super::*;

    const URL: &str = "tcp://10.96.0.7:8000";

    #[test]
    fn the_variables_of_services_are_known() {
        for name in [
            "REVEILLE_SERVICE_HOST",
            "REVEILLE_SERVICE_PORT",
            "REVEILLE_SERVICE_PORT_HTTP",
            "REVEILLE_PORT",
            "REVEILLE_PORT_8000_TCP",
            "REVEILLE_PORT_8000_TCP_PROTO",
            "REVEILLE_PORT_8000_TCP_PORT",
            "REVEILLE_PORT_8000_TCP_ADDR",
            "REVEILLE_PORT_53_UDP_ADDR",
            "REVEILLE_PORT_9_SCTP",
            "REVEILLE_API_SERVICE_HOST",
            "REVEILLE_API_V2_SERVICE_PORT_METRICS",
            "REVEILLE_API_PORT",
            "REVEILLE_DATA_DIR_PORT_8000_TCP_ADDR",
        ] {
            assert!(is_of_a_service(name, URL), "{name}");
        }
    }

    #[test]
    fn mistakes_are_not_taken_for_them() {
        for name in [
            "REVEILLE_LISTN",
            "REVEILLE_SERVICE",
            "REVEILLE_SERVICE_HOSTS",
            "REVEILLE_SERVICE_PORTS",
            "REVEILLE_SERVICE_PORT_",
            "REVEILLE__PORT",
            "REVEILLE_PORTS",
            "REVEILLE_PORT_",
            "REVEILLE_PORT_TCP",
            "REVEILLE_PORT_8000",
            "REVEILLE_PORT_8000_QUIC",
            "REVEILLE_PORT_X_TCP",
            "REVEILLESERVICE_HOST",
            "POSTGRES_SERVICE_HOST",
        ] {
            assert!(!is_of_a_service(name, URL), "{name}");
        }
        assert!(!is_of_a_service("REVEILLE_PORT", "8000"));
    }

    #[test]
    fn no_setting_has_a_name_that_kubernetes_may_take() {
        let ours = SETTINGS.iter().map(Setting::variable);
        for name in ours.chain(CLIENT_VARIABLES.map(str::to_owned)) {
            assert!(!is_of_a_service(&name, URL), "{name}");
        }
    }
}
