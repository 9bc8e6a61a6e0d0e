//! Who did what: listed and forgotten. It is written by the statement of the action itself, through
//! the function `audit_write`, so that neither is there without the other. Such a statement takes
//! the [text](crate::caller::Principal::text) of its caller and the id of the request.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::job::first_id;
use super::row::Row;
use super::session::sql;
use super::{Result, Store};
use crate::job::names::names;

/// An action that is noted. All but that of the file are operations of the API, by their ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// The settings of a queue came from `reveille.toml`.
    ApplyFile,
    DeleteQueueSettings,
    PatchQueue,
    PauseQueue,
    PurgeQueue,
    PutQueue,
    RedriveDeadLetters,
    ResumeQueue,
    StopOperation,
}

names!(Action {
    ApplyFile = "apply_file",
    DeleteQueueSettings = "delete_queue_settings",
    PatchQueue = "patch_queue",
    PauseQueue = "pause_queue",
    PurgeQueue = "purge_queue",
    PutQueue = "put_queue",
    RedriveDeadLetters = "redrive_dead_letters",
    ResumeQueue = "resume_queue",
    StopOperation = "stop_operation",
});

/// A change that somebody made by hand.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// Later changes have higher ids.
    pub id: Uuid,
    /// The time of the change.
    pub at: DateTime<Utc>,
    /// Who made it, a kind and a name: `token 1a2b3c4d`, `role app`, `anonymous 127.0.0.1`. Kinds
    /// are added over time.
    pub principal: String,
    /// What was done, by the name of the call over HTTP: `pause_queue`.
    pub action: String,
    /// What it was done to, a kind and a name: `queue mail`.
    pub target: String,
    /// The reason that the caller gave. Of a redrive: its jobs. Of a purge: its operation.
    pub reason: Option<String>,
    /// The `X-Request-Id` of the call; `None`: it did not come over HTTP.
    pub request_id: Option<String>,
}

/// The actions that a list is to have. A member that is `None` does not matter.
#[derive(Clone, Debug)]
pub struct AuditFilter {
    /// Those by this principal, such as `token 1a2b3c4d`.
    pub principal: Option<String>,
    /// Those with this name, such as `pause_queue`.
    pub action: Option<String>,
    /// Those that were done to this, such as `queue mail`.
    pub target: Option<String>,
    /// Actions of this time or later.
    pub after: Option<DateTime<Utc>>,
    /// Actions before this time.
    pub before: Option<DateTime<Utc>>,
    /// Only actions before this one: where the call before stopped.
    pub below: Option<Uuid>,
    /// How many actions a page has at most.
    pub limit: u32,
}

impl Default for AuditFilter {
    /// The newest 50 actions.
    fn default() -> Self {
        Self {
            principal: None,
            action: None,
            target: None,
            after: None,
            before: None,
            below: None,
            limit: 50,
        }
    }
}

/// Some of the actions of a list, the newest first.
#[derive(Debug)]
pub struct AuditPage {
    /// At most as many as were asked for; fewer, where one call would have had to look at too many
    /// others.
    pub rows: Vec<AuditEntry>,
    /// Below which action to go on; nothing where there are no more.
    pub next: Option<Uuid>,
}

/// How many rows one call looks at. No filter has an index: actions of people are few, and a page
/// takes some milliseconds however many there are.
const LOOKED_AT: i64 = 5_000;

impl Store {
    /// Actions, the newest first.
    pub async fn audit_list(&self, filter: &AuditFilter) -> Result<AuditPage> {
        let before = filter.before.map_or(Uuid::max(), first_id);
        let below = filter.below.map_or(before, |id| id.min(before));
        let least = filter.after.map_or(Uuid::nil(), first_id);
        // One more tells whether there is a next page.
        let limit = i64::from(filter.limit) + 1;
        let statement = sql!("audit/list": TEXT, TEXT, TEXT, UUID, UUID, INT8, INT8);
        let (principal, action, target) = (&filter.principal, &filter.action, &filter.target);
        let rows = self
            .people
            .query(statement, &[principal, action, target, &below, &least, &limit, &LOOKED_AT])
            .await?;
        page(&rows, filter.limit as usize)
    }

    /// Forgets up to `most` of the oldest actions that are older than this, and answers how many.
    pub async fn audit_prune(&self, keep: Duration, most: u32) -> Result<u64> {
        let (keep, most) = (keep.as_secs_f64(), i64::from(most));
        let rows = self.upkeep.query(sql!("audit/prune": FLOAT8, INT8), &[&keep, &most]).await?;
        let gone = rows.first().map(|row| row.try_get::<_, i64>(0)).transpose()?;
        Ok(gone.map_or(0, i64::cast_unsigned))
    }
}

fn page(rows: &[Row], limit: usize) -> Result<AuditPage> {
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        if row.try_get("fits")? {
            found.push(audit_row(row)?);
        }
    }
    let next = if found.len() > limit {
        found.get(limit - 1).map(|row| row.id)
    } else {
        match rows.last() {
            Some(last) if last.try_get("cut")? => Some(last.try_get("id")?),
            _ => None,
        }
    };
    found.truncate(limit);
    Ok(AuditPage { rows: found, next })
}

fn audit_row(row: &Row) -> Result<AuditEntry> {
    Ok(AuditEntry {
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        principal: row.try_get("principal")?,
        action: row.try_get("action")?,
        target: row.try_get("target")?,
        reason: row.try_get("reason")?,
        request_id: row.try_get("request_id")?,
    })
}
