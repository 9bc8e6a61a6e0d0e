//! Workers: their heartbeats, and what they hold.

use std::time::Instant;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::row::Row;
use super::session::{Parameters, sql};
use super::{Purpose, Result, Store};
use crate::job::{JobId, LeaseId, WorkerId};

/// A worker's words about itself when it starts.
#[derive(Clone, Debug)]
pub struct Registration {
    pub name: String,
    pub host: String,
    pub lost_after_seconds: f64,
    pub slots: usize,
    /// Empty: all.
    pub queues: Vec<String>,
    pub tasks: Vec<String>,
}

/// Over whose connections a worker is registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegisterOver {
    /// At the start.
    Upkeep,
    /// Anew, when it was taken for lost: nothing that keeps the house may hold that up.
    Heartbeat,
}

/// A lease as the database has it.
#[derive(Clone, Debug)]
pub struct Held {
    pub lease: LeaseId,
    pub ids: Vec<JobId>,
    /// Whose cancellation was asked for.
    pub cancels: Vec<JobId>,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, Default)]
pub struct HeartbeatReply {
    /// `false`: the worker was taken for lost; everything it held is somebody else's.
    pub known: bool,
    /// Whether somebody is to be rescued.
    pub lost: bool,
    /// Whether a suspect waits, due or not.
    pub suspects: bool,
    /// Whether it leads the maintenance services.
    pub leads: bool,
    /// Whether no worker that is known leads them.
    pub vacant: bool,
    pub held: Vec<Held>,
}

/// A worker as its last heartbeat told it.
#[derive(Clone, Debug)]
pub struct InstanceRow {
    pub id: WorkerId,
    pub name: String,
    pub host: String,
    pub pid: i32,
    pub version: String,
    pub started_at: DateTime<Utc>,
    pub heartbeat_at: DateTime<Utc>,
    /// Whether it is not taken for lost.
    pub alive: bool,
    pub slots: i32,
    pub running: i32,
    pub draining: bool,
    pub leader: bool,
    /// `None`: all.
    pub queues: Option<Vec<String>>,
    pub tasks: Vec<String>,
}

/// The live workers of one kind: what they serve, and how busy they were at their last heartbeats.
#[derive(Clone, Debug)]
pub struct Serving {
    /// `None`: all.
    pub queues: Option<Vec<String>>,
    pub tasks: Vec<String>,
    /// The jobs that they ran, all together.
    pub running: i64,
    pub slots: i64,
}

impl Store {
    /// Makes a worker known. Repeat it with the same id if its answer was lost: it is there once.
    pub async fn worker_register(
        &self,
        worker: WorkerId,
        registration: &Registration,
        over: RegisterOver,
    ) -> Result<()> {
        let pid = i32::try_from(std::process::id()).unwrap_or_default();
        let slots = i32::try_from(registration.slots).unwrap_or(i32::MAX);
        let queues = (!registration.queues.is_empty()).then_some(&registration.queues);
        let statement = sql!("worker/register": UUID, TEXT, TEXT, TEXT, INT4, FLOAT8, INT4, TEXT_ARRAY, TEXT_ARRAY);
        let parameters: Parameters<'_> = &[
            &worker.0,
            &registration.name,
            &env!("CARGO_PKG_VERSION"),
            &registration.host,
            &pid,
            &registration.lost_after_seconds,
            &slots,
            &queues,
            &registration.tasks,
        ];
        let connections = match over {
            RegisterOver::Upkeep => &self.upkeep,
            RegisterOver::Heartbeat => &self.heartbeat,
        };
        connections.query(statement, parameters).await.map(drop)
    }

    /// Renews the heartbeat of a worker, and answers what it is to know.
    pub async fn worker_heartbeat(
        &self,
        worker: WorkerId,
        running: usize,
        draining: bool,
    ) -> Result<HeartbeatReply> {
        let running = i32::try_from(running).unwrap_or(i32::MAX);
        let deadline = tokio::time::Instant::now() + Purpose::Heartbeat.within();
        let mut session = self.heartbeat.take_by(deadline).await?;
        let asked = Instant::now();
        let statement = sql!("worker/heartbeat": UUID, INT4, BOOL);
        let parameters: Parameters<'_> = &[&worker.0, &running, &draining];
        let rows = self.heartbeat.ask(&mut session, deadline, statement, parameters).await?;
        let mut reply = HeartbeatReply::default();
        for row in &rows {
            self.clock.learn(asked, row.try_get(0)?);
            (reply.known, reply.lost) = (row.try_get(1)?, row.try_get(2)?);
            (reply.suspects, reply.leads) = (row.try_get(6)?, row.try_get(7)?);
            reply.vacant = row.try_get(8)?;
            if let Some(lease) = row.try_get::<_, Option<Uuid>>(3)? {
                let ids = |column: usize| -> Result<Vec<JobId>> {
                    Ok(row.try_get::<_, Vec<Uuid>>(column)?.into_iter().map(JobId).collect())
                };
                reply.held.push(Held { lease: LeaseId(lease), ids: ids(4)?, cancels: ids(5)? });
            }
        }
        Ok(reply)
    }

    /// Takes over the leadership of the maintenance services, if nobody has it. Answers whether the
    /// worker leads.
    pub async fn worker_lead(&self, worker: WorkerId) -> Result<bool> {
        let rows = self.heartbeat.query(sql!("worker/lead": UUID), &[&worker.0]).await?;
        rows.first().map_or(Ok(false), |row| row.try_get(0))
    }

    /// Forgets a worker that leaves in order; it holds nothing any more.
    pub async fn worker_remove(&self, worker: WorkerId) -> Result<()> {
        self.upkeep.query(sql!("worker/remove": UUID), &[&worker.0]).await.map(drop)
    }

    /// Workers that stopped answering, and those that are gone but whose leases are still here.
    pub async fn worker_lost(&self) -> Result<Vec<WorkerId>> {
        let rows = self.upkeep.query(sql!("worker/lost"), &[]).await?;
        rows.iter().map(|row| Ok(WorkerId(row.try_get(0)?))).collect()
    }

    /// Every worker that has not said goodbye, the oldest first.
    pub async fn worker_list(&self) -> Result<Vec<InstanceRow>> {
        self.people.query(sql!("worker/list"), &[]).await?.iter().map(instance_row).collect()
    }

    /// The live workers, each kind once.
    pub async fn worker_serving(&self) -> Result<Vec<Serving>> {
        let rows = self.people.query(sql!("worker/serving"), &[]).await?;
        let serving = |row: &Row| {
            Ok(Serving {
                queues: row.try_get("queues")?,
                tasks: row.try_get("tasks")?,
                running: row.try_get("running")?,
                slots: row.try_get("slots")?,
            })
        };
        rows.iter().map(serving).collect()
    }
}

fn instance_row(row: &Row) -> Result<InstanceRow> {
    Ok(InstanceRow {
        id: WorkerId(row.try_get("id")?),
        name: row.try_get("name")?,
        host: row.try_get("host")?,
        pid: row.try_get("pid")?,
        version: row.try_get("version")?,
        started_at: row.try_get("started_at")?,
        heartbeat_at: row.try_get("heartbeat_at")?,
        alive: row.try_get("alive")?,
        slots: row.try_get("slots")?,
        running: row.try_get("running")?,
        draining: row.try_get("draining")?,
        leader: row.try_get("leader")?,
        queues: row.try_get("queues")?,
        tasks: row.try_get("tasks")?,
    })
}
