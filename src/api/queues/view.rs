//! A queue as callers see it.

use chrono::{DateTime, Utc};
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Enum, Object};
use serde::Serialize;

use super::super::body::Body;
use super::settings::Sources;
use crate::job::fields::QueueSettings;
use crate::store::defaults::Kept;
use crate::store::queue::{Pause, QueueRow};

/// The name of a count in `counts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, Serialize)]
#[oai(rename = "QueueCountName", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum QueueCount {
    Scheduled,
    Queued,
    Processing,
}

/// The numbers of jobs of a queue that have not ended. `GET /jobs?queue=…&status=…` lists the
/// ended.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example)]
pub struct QueueCounts {
    /// Jobs that wait for their time.
    #[oai(validator(minimum(value = "0")))]
    pub scheduled: i64,
    /// Jobs that could start.
    #[oai(validator(minimum(value = "0")))]
    pub queued: i64,
    /// Jobs that a worker holds.
    #[oai(validator(minimum(value = "0")))]
    pub processing: i64,
}

impl Example for QueueCounts {
    fn example() -> Self {
        Self { scheduled: 3, queued: 120, processing: 16 }
    }
}

/// A queue. It is known from its first job, pause or setting on.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(rename = "QueueDetails", skip_serializing_if_is_none, example)]
pub struct Queue {
    /// Its name.
    #[oai(validator(min_length = 1, max_length = 64))]
    pub name: String,
    /// Whether it is paused: no more of its jobs are started.
    pub paused: bool,
    /// The time of its pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<DateTime<Utc>>,
    /// The time at which the pause ends by itself. Absent: somebody has to end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<DateTime<Utc>>,
    /// Who paused it, as `GET /audit` tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_by: Option<String>,
    /// Why it is paused, in the words of that caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_reason: Option<String>,
    // Its jobs, counted exactly up to 10,000; in a list, up to its share of that.
    pub counts: QueueCounts,
    /// The counts that are estimates from the database's statistics. Counts beyond 10,000 are; in a
    /// list, counts beyond a queue's share of that.
    #[oai(validator(max_items = 3))]
    pub estimated: Vec<QueueCount>,
    /// The time at which the job that has waited longest could have started. Absent when none
    /// could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_waiting_at: Option<DateTime<Utc>>,
    // Its settings, as `PUT` takes them.
    pub settings: QueueSettings,
    // Where each setting comes from.
    pub sources: Sources,
}

impl From<QueueRow> for Queue {
    fn from(row: QueueRow) -> Self {
        let (paused, sources) = (row.pause.is_some(), Sources::of(&row.kept));
        let (paused_at, paused_until, paused_by, pause_reason) = match row.pause {
            Some(Pause { at, until, by, reason }) => (Some(at), until, by, reason),
            None => (None, None, None, None),
        };
        let estimated = [
            (row.scheduled, QueueCount::Scheduled),
            (row.queued, QueueCount::Queued),
            (row.processing, QueueCount::Processing),
        ];
        Self {
            name: row.name.to_string(),
            paused,
            paused_at,
            paused_until,
            paused_by,
            pause_reason,
            counts: QueueCounts {
                scheduled: row.scheduled.jobs,
                queued: row.queued.jobs,
                processing: row.processing.jobs,
            },
            estimated: estimated
                .into_iter()
                .filter_map(|(count, name)| count.estimated.then_some(name))
                .collect(),
            oldest_waiting_at: row.oldest_waiting_at,
            settings: row.kept.settings,
            sources,
        }
    }
}

impl Example for Queue {
    fn example() -> Self {
        let settings = QueueSettings { max_attempts: Some(3), ..QueueSettings::default() };
        let kept = Kept { settings, ..Kept::default() };
        let sources = Sources::of(&kept);
        Self {
            name: "mail".into(),
            paused: false,
            paused_at: None,
            paused_until: None,
            paused_by: None,
            pause_reason: None,
            counts: QueueCounts::example(),
            estimated: Vec::new(),
            oldest_waiting_at: DateTime::from_timestamp(1_795_507_200, 0),
            settings: kept.settings,
            sources,
        }
    }
}

/// A page of queues.
#[derive(Debug, Clone, Object, Serialize)]
#[oai(example, skip_serializing_if_is_none)]
pub struct QueuePage {
    /// The queues, by name.
    #[oai(validator(max_items = 200))]
    pub data: Vec<Queue>,
    /// The start of the next page: pass it as `cursor`. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl Example for QueuePage {
    fn example() -> Self {
        Self { data: vec![Queue::example()], next_cursor: None }
    }
}

#[derive(ApiResponse)]
pub enum ListAnswer {
    /// A page.
    #[oai(status = 200)]
    Page(
        Body<QueuePage>,
        /// The next page, if there is one, as `<…>; rel="next"`.
        #[oai(header = "Link")]
        Option<String>,
    ),
}
