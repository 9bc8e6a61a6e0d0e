//! Instances: the running processes of the service.

use chrono::{DateTime, TimeDelta, Utc};
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::Services;
use super::answers::Refused;
use super::body::Body;
use super::security::Bearer;
use crate::refusals;
use crate::store::worker::InstanceRow;

refusals! {
    pub(super) ListInstances: &[400];
}

/// A process of the service, as of its last heartbeat.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "InstanceDetails", skip_serializing_if_is_none, example)]
pub(super) struct Instance {
    /// Its id, made anew at each start. Jobs name it as their worker.
    pub id: Uuid,
    /// Its name: `instance_name`, else that of its host.
    pub name: String,
    /// The host it runs on.
    pub host: String,
    /// The number of its process there.
    #[oai(validator(minimum(value = "1")))]
    pub pid: i32,
    /// Its release.
    pub version: String,
    /// The time of its start.
    pub started_at: DateTime<Utc>,
    /// The time of its last heartbeat.
    pub heartbeat_at: DateTime<Utc>,
    /// Whether its last heartbeat is recent. Without one it counts as lost, and others run its
    /// jobs.
    pub alive: bool,
    /// The number of jobs that it can run at a time.
    #[oai(validator(minimum(value = "0")))]
    pub slots: i32,
    /// The number of jobs that it ran at its last heartbeat.
    #[oai(validator(minimum(value = "0")))]
    pub running: i32,
    /// Whether it is leaving. It takes no more jobs then.
    pub draining: bool,
    /// Whether it is the leader, which alone does the maintenance.
    pub leader: bool,
    /// The queues that it serves. Absent: all queues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<String>>,
    /// The tasks that it serves.
    pub tasks: Vec<String>,
}

impl From<InstanceRow> for Instance {
    fn from(row: InstanceRow) -> Self {
        Self {
            id: row.id.0,
            name: row.name,
            host: row.host,
            pid: row.pid,
            version: row.version,
            started_at: row.started_at,
            heartbeat_at: row.heartbeat_at,
            alive: row.alive,
            slots: row.slots,
            running: row.running,
            draining: row.draining,
            leader: row.leader,
            queues: row.queues,
            tasks: row.tasks,
        }
    }
}

impl Example for Instance {
    fn example() -> Self {
        let started_at = DateTime::from_timestamp(1_795_507_200, 0).unwrap_or_default();
        Self {
            id: Uuid::from_u128(0x0199_a3bf_0a1b_7c3f_8a51_f0e2_d4c6_0001),
            name: "web-1".into(),
            host: "web-1.internal".into(),
            pid: 4711,
            version: env!("CARGO_PKG_VERSION").into(),
            started_at,
            heartbeat_at: started_at + TimeDelta::seconds(30),
            alive: true,
            slots: 64,
            running: 3,
            draining: false,
            leader: true,
            queues: None,
            tasks: vec!["echo".into(), "hello_world".into()],
        }
    }
}

/// The processes of the service.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "InstanceList", example)]
pub(super) struct Instances {
    /// The processes, the oldest first.
    pub data: Vec<Instance>,
}

impl Example for Instances {
    fn example() -> Self {
        Self { data: vec![Instance::example()] }
    }
}

#[derive(Default)]
pub(super) struct InstancesApi;

/// Instances.
#[OpenApi(tag = "super::Tag::Instances")]
impl InstancesApi {
    /// List instances
    ///
    /// The processes of the service: the tasks of each, its jobs, and its last heartbeat. A process
    /// that left in order is gone. A lost process stays until its jobs are taken back.
    #[oai(path = "/instances", method = "get", operation_id = "list_instances")]
    async fn list_instances(
        &self,
        services: Data<&Services>,
        _token: Bearer,
    ) -> Result<Body<Instances>, Refused<ListInstances>> {
        let rows = services.store.worker_list().await?;
        Ok(Body(Instances { data: rows.into_iter().map(Instance::from).collect() }))
    }
}
