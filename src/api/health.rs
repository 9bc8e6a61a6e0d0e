//! Whether the service is well: for load balancers, orchestrators and people.

mod readiness;

use poem::web::Data;
use poem_openapi::param::Query;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};
use serde::Serialize;

use super::Services;
use super::body::Body;
use super::params::SwitchText;
use super::problem::Problem;
use crate::store::Database;
use readiness::CheckState;
pub(super) use readiness::{Readiness, ReadyAnswer};

/// `healthy`: the service would accept a job. `unhealthy`: it would not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    Healthy,
    Unhealthy,
}

/// Whether the service accepts jobs.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "HealthReport", example)]
pub struct Health {
    // Whether the service accepts jobs.
    pub status: HealthStatus,
}

impl Example for Health {
    fn example() -> Self {
        Self { status: HealthStatus::Healthy }
    }
}

#[derive(ApiResponse)]
pub enum HealthAnswer {
    /// All is well.
    #[oai(status = 200)]
    Healthy(Body<Health>),
    /// The database does not take jobs, or the service is leaving.
    #[oai(status = 503)]
    Unhealthy(Body<Health>),
    /// The request has no Host header, or several (`invalid_host`).
    #[oai(status = 400)]
    NoHost(Problem),
}

#[derive(Default)]
pub(super) struct HealthApi;

/// Health.
#[OpenApi(tag = "super::Tag::Health")]
impl HealthApi {
    /// Check the health
    ///
    /// 200 if the service would accept a job now: the database answers and takes writes. No
    /// submission of the last 5 seconds found its disk full.
    #[oai(path = "/health", method = "get", operation_id = "get_health")]
    async fn get_health(&self, services: Data<&Services>) -> HealthAnswer {
        answer(accepts(&services).await)
    }

    /// Check that the process lives
    ///
    /// 200 while it answers and its loops live. It asks no database, because an outage of that is
    /// no reason for a restart.
    #[oai(path = "/livez", method = "get", operation_id = "get_livez")]
    async fn get_livez(&self, services: Data<&Services>) -> HealthAnswer {
        answer(services.supervisor.is_well())
    }

    /// Check that it is ready
    ///
    /// 200 if the database takes jobs, this release can run on its schema, and the service is not
    /// leaving. Else 503 with the checks that fail.
    #[oai(path = "/readyz", method = "get", operation_id = "get_readyz")]
    async fn get_readyz(
        &self,
        services: Data<&Services>,
        /// Whether to list every check, and not only those that fail: `?verbose`.
        verbose: Query<Option<SwitchText>>,
    ) -> ReadyAnswer {
        let verbose = verbose.0.is_some_and(|switch| switch.is_on());
        let mut checks = readiness::checks(&services).await;
        let ready = checks.iter().all(|check| check.state != CheckState::Failing);
        if !verbose {
            checks.retain(|check| check.state == CheckState::Failing);
        }
        if ready {
            ReadyAnswer::Ready(Body(Readiness { status: HealthStatus::Healthy, checks }))
        } else {
            ReadyAnswer::Unready(Body(Readiness { status: HealthStatus::Unhealthy, checks }))
        }
    }
}

async fn accepts(services: &Services) -> bool {
    services.store.health().await.database == Database::Writable
}

fn answer(well: bool) -> HealthAnswer {
    if well {
        HealthAnswer::Healthy(Body(Health { status: HealthStatus::Healthy }))
    } else {
        HealthAnswer::Unhealthy(Body(Health { status: HealthStatus::Unhealthy }))
    }
}
