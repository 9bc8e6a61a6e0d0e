//! The conditions of being ready, check by check.

use std::sync::atomic::Ordering;

use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Enum, Object};
use serde::Serialize;

use super::super::Services;
use super::super::body::Body;
use super::super::problem::Problem;
use super::HealthStatus;
use crate::store::{Database, Health, migrate};

/// The result of a check. `degraded`: something works less well, but the service accepts and runs
/// jobs. `failing`: the service is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename = "ReadinessState", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    Ok,
    Degraded,
    Failing,
}

/// One check of the service.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "ReadinessCheck", example)]
pub struct Check {
    /// `database`, `schema`, `listener` or `draining`.
    pub name: String,
    // Its result.
    pub state: CheckState,
    /// The finding, for people.
    pub detail: String,
}

impl Example for Check {
    fn example() -> Self {
        check("database", CheckState::Ok, "it answers and takes writes")
    }
}

/// Whether the service is ready.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "ReadinessReport", example)]
pub struct Readiness {
    // Whether the service is ready.
    pub status: HealthStatus,
    /// The checks that fail; with `verbose` all checks.
    pub checks: Vec<Check>,
}

impl Readiness {
    /// Before the database was reached for the first time.
    pub fn starting() -> Self {
        let detail = "the service is starting and has not reached it yet";
        let checks = vec![check("database", CheckState::Failing, detail)];
        Self { status: HealthStatus::Unhealthy, checks }
    }
}

impl Example for Readiness {
    fn example() -> Self {
        Self { status: HealthStatus::Healthy, checks: vec![Check::example()] }
    }
}

#[derive(ApiResponse)]
pub enum ReadyAnswer {
    /// It is ready.
    #[oai(status = 200)]
    Ready(Body<Readiness>),
    /// It is not; `checks` says why.
    #[oai(status = 503)]
    Unready(Body<Readiness>),
    /// The request has no Host header, or several (`invalid_host`).
    #[oai(status = 400)]
    NoHost(Problem),
}

/// Looks at everything; asks the database no more than twice a second, whoever else asks.
pub(super) async fn checks(services: &Services) -> Vec<Check> {
    let health = services.store.health().await;
    vec![database(&health), schema(&health), listener(services), draining(services)]
}

fn database(health: &Health) -> Check {
    let (state, detail) = match health.database {
        Database::Writable => (CheckState::Ok, "it answers and takes writes"),
        Database::Full => (CheckState::Failing, "its disk is full: submissions are refused"),
        Database::ReadOnly => (CheckState::Failing, "it takes no writes"),
        Database::Unreachable => (CheckState::Failing, "it cannot be reached"),
        Database::Silent => (CheckState::Failing, "it does not answer in time"),
    };
    check("database", state, detail)
}

fn schema(health: &Health) -> Check {
    let known = migrate::known();
    match health.oldest_service {
        Some(needed) if needed > known => {
            let detail = format!(
                "this release knows {known} migrations, and the schema needs {needed}: start a \
                 newer one"
            );
            check("schema", CheckState::Failing, detail)
        }
        Some(_) => check("schema", CheckState::Ok, "this release can run on it"),
        None => check("schema", CheckState::Failing, "it cannot be read"),
    }
}

fn listener(services: &Services) -> Check {
    if services.events.listening.load(Ordering::Relaxed) {
        check("listener", CheckState::Ok, "notifications are heard")
    } else {
        let detail = "notifications are not heard; jobs of others are found by the poll";
        check("listener", CheckState::Degraded, detail)
    }
}

fn draining(services: &Services) -> Check {
    if services.shutdown.draining.is_cancelled() {
        check("draining", CheckState::Failing, "the service is leaving")
    } else {
        check("draining", CheckState::Ok, "the service is not leaving")
    }
}

fn check(name: &str, state: CheckState, detail: impl Into<String>) -> Check {
    Check { name: name.into(), state, detail: detail.into() }
}
