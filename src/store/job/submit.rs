//! Writing submissions: many in one statement, and those without settings of their own by a cheaper
//! one.
//!
//! An insert here is a transaction of its own, so the statement notifies by itself once its rows
//! are there. Plain SQL and jobs that go back to wait rely on the deferred trigger `wake`. Here it
//! would do the same for 30 µs more, a tenth of what one durable submission takes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::job::JobId;
use crate::job::json::Json;
use crate::job::state::Status;
use crate::job::submission::Submission;
use crate::job::written::{Outcome, Written};
use crate::store::row::Row;
use crate::store::session::{Parameters, Sql, silence, sql};
use crate::store::value::{Jsonb, unless_all};
use crate::store::{Error, Result, Store};

/// Rows on their way into the database, column by column; what no row has is an empty column.
struct Columns<'a> {
    ids: Vec<Uuid>,
    queues: Vec<&'a str>,
    tasks: Vec<&'a str>,
    priorities: Vec<i16>,
    run_ats: Vec<Option<DateTime<Utc>>>,
    delays: Vec<Option<f64>>,
    payloads: Vec<Jsonb>,
    max_attempts: Vec<Option<i32>>,
    timeouts: Vec<Option<f64>>,
    tags: Vec<Option<Jsonb>>,
    settings: Vec<Option<Jsonb>>,
}

impl<'a> Columns<'a> {
    fn new(jobs: &'a [(JobId, Submission)]) -> Self {
        let each = || jobs.iter().map(|(_, job)| job);
        Self {
            ids: jobs.iter().map(|(id, _)| id.0).collect(),
            queues: each().map(|job| job.queue.as_str()).collect(),
            tasks: each().map(|job| job.task.as_str()).collect(),
            priorities: each().map(Submission::priority).collect(),
            run_ats: unless_all(each().map(Submission::run_at), Option::is_none),
            delays: unless_all(each().map(Submission::delay), Option::is_none),
            payloads: each().map(|job| Jsonb(job.payload.clone())).collect(),
            max_attempts: unless_all(each().map(|job| job.max_attempts), Option::is_none),
            timeouts: unless_all(each().map(|job| job.timeout_seconds), Option::is_none),
            tags: unless_all(each().map(tags), Option::is_none),
            settings: unless_all(each().map(settings), Option::is_none),
        }
    }

    /// The parameters that each statement for rows begins with.
    fn parameters(&self) -> [&(dyn ToSql + Sync); 11] {
        [
            &self.ids,
            &self.queues,
            &self.tasks,
            &self.priorities,
            &self.run_ats,
            &self.delays,
            &self.payloads,
            &self.max_attempts,
            &self.timeouts,
            &self.tags,
            &self.settings,
        ]
    }
}

fn tags(job: &Submission) -> Option<Jsonb> {
    (!job.tags.is_empty()).then(|| Json::from_serialize(&job.tags).ok().map(Jsonb)).flatten()
}

fn settings(job: &Submission) -> Option<Jsonb> {
    job.settings_kept().map(Jsonb)
}

impl Store {
    /// Inserts jobs without unique keys in one statement, which sends these notices, and answers by
    /// `deadline`. Repeating a call that was kept is refused ([`Error::is_doubled`]).
    pub async fn job_submit(
        &self,
        jobs: &[(JobId, Submission)],
        notices: &[String],
        deadline: Instant,
    ) -> Result<()> {
        if let [(id, job)] = jobs
            && !job.is_timed()
            && !job.takes_turns()
        {
            let notice = notices.first().map(String::as_str);
            return self.job_submit_one(*id, job, notice, deadline).await;
        }
        let c = Columns::new(jobs);
        if jobs.iter().all(|(_, job)| job.is_plain()) {
            let statement = sql!("job/submit_plain": UUID_ARRAY, TEXT_ARRAY, TEXT_ARRAY, INT2_ARRAY, JSONB_ARRAY, TEXT_ARRAY);
            let parameters: Parameters<'_> =
                &[&c.ids, &c.queues, &c.tasks, &c.priorities, &c.payloads, &notices];
            return self.submissions.query_by(deadline, statement, parameters).await.map(drop);
        }
        if jobs.iter().any(|(_, job)| job.takes_turns()) {
            let notify = if notices.is_empty() { "off" } else { "on" };
            let beside: [&(dyn ToSql + Sync); 1] = [&notify];
            let parameters = [&c.parameters()[..], &beside].concat();
            let statement = sql!("job/submit_turns": UUID_ARRAY, TEXT_ARRAY, TEXT_ARRAY, INT2_ARRAY, TIMESTAMPTZ_ARRAY,
                FLOAT8_ARRAY, JSONB_ARRAY, INT4_ARRAY, FLOAT8_ARRAY, JSONB_ARRAY, JSONB_ARRAY, TEXT);
            return self.submissions.query_by(deadline, statement, &parameters).await.map(drop);
        }
        let beside: [&(dyn ToSql + Sync); 1] = [&notices];
        let parameters = [&c.parameters()[..], &beside].concat();
        let statement = sql!("job/submit": UUID_ARRAY, TEXT_ARRAY, TEXT_ARRAY, INT2_ARRAY, TIMESTAMPTZ_ARRAY, FLOAT8_ARRAY,
            JSONB_ARRAY, INT4_ARRAY, FLOAT8_ARRAY, JSONB_ARRAY, JSONB_ARRAY, TEXT_ARRAY);
        self.submissions.query_by(deadline, statement, &parameters).await.map(drop)
    }

    async fn job_submit_one(
        &self,
        id: JobId,
        job: &Submission,
        notice: Option<&str>,
        deadline: Instant,
    ) -> Result<()> {
        let (queue, task) = (job.queue.as_str(), job.task.as_str());
        let payload = Jsonb(job.payload.clone());
        if job.is_plain() {
            let statement = sql!("job/submit_plain_one": UUID, TEXT, TEXT, INT2, JSONB, TEXT);
            let parameters: Parameters<'_> =
                &[&id.0, &queue, &task, &job.priority(), &payload, &notice];
            return self.submissions.query_by(deadline, statement, parameters).await.map(drop);
        }
        let parameters: Parameters<'_> = &[
            &id.0,
            &queue,
            &task,
            &job.priority(),
            &job.run_at(),
            &job.delay(),
            &payload,
            &job.max_attempts,
            &job.timeout_seconds,
            &tags(job),
            &settings(job),
            &notice,
        ];
        let statement = sql!("job/submit_one": UUID, TEXT, TEXT, INT2, TIMESTAMPTZ, FLOAT8, JSONB, INT4, FLOAT8, JSONB, JSONB, TEXT);
        self.submissions.query_by(deadline, statement, parameters).await.map(drop)
    }

    /// Inserts jobs with unique keys in one statement; each conflict is an answer of its own. Where
    /// a submission wanted to be refused then, the answer is the job that holds its key. Waits
    /// `key_wait` for a key that an open transaction holds.
    pub async fn job_submit_keyed(
        &self,
        jobs: &[(JobId, Submission)],
        announce: bool,
        key_wait: Duration,
        deadline: Instant,
    ) -> Result<Vec<Kept>> {
        let keyed = Keyed::new(jobs, announce, key_wait);
        let rows = self.submissions.query_by(deadline, SUBMIT_KEYED, &keyed.parameters()).await?;
        all_written(&rows)
    }

    /// As [`Store::job_submit_keyed`], all or none: where one wanted to be refused, nothing is
    /// inserted.
    pub async fn job_submit_together(
        &self,
        jobs: &[(JobId, Submission)],
        announce: bool,
        key_wait: Duration,
        deadline: Instant,
    ) -> Result<Vec<Kept>> {
        if jobs.len() == 1 {
            return self.job_submit_keyed(jobs, announce, key_wait, deadline).await;
        }
        let keyed = Keyed::new(jobs, announce, key_wait);
        let all = |all: &Vec<Kept>| all.iter().all(std::result::Result::is_ok);
        self.submit_if(SUBMIT_KEYED, &keyed.parameters(), all_written, all, deadline).await
    }

    /// Runs a statement in a transaction, which commits if what it answers is `wanted`.
    pub(super) async fn submit_if<T>(
        &self,
        sql: &'static Sql,
        parameters: Parameters<'_>,
        read: impl Fn(&[Row]) -> Result<T>,
        wanted: impl Fn(&T) -> bool,
        deadline: Instant,
    ) -> Result<T> {
        let typed: Vec<_> = parameters.iter().copied().zip(sql.types.iter().cloned()).collect();
        let mut session = self.submissions.take_by(deadline).await?;
        let committing = AtomicBool::new(false);
        session.asked();
        let client = &mut session.client;
        let work = async {
            let transaction = client.transaction().await?;
            // The deadline covers all of it. One here as well would be a second end of the same
            // moment.
            let rows = transaction.query_typed(sql.text, &typed).await?;
            let answer = read(&Row::all(sql.name, rows))?;
            if wanted(&answer) {
                committing.store(true, Ordering::Relaxed);
                transaction.commit().await?;
            } else {
                transaction.rollback().await?;
            }
            Ok(answer)
        };
        let result =
            tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| Err(silence()));
        session.gave(&result);
        match result {
            // Without its COMMIT nothing is kept.
            Err(Error::Unknown(why)) if !committing.load(Ordering::Relaxed) => {
                Err(Error::Unavailable(why))
            }
            result => result,
        }
    }

    /// Whether these jobs were created by an earlier call whose answer was lost. `None`: not all of
    /// them.
    pub async fn job_kept(
        &self,
        jobs: &[(JobId, Submission)],
        deadline: Instant,
    ) -> Result<Option<Vec<Kept>>> {
        let ids: Vec<Uuid> = jobs.iter().map(|(id, _)| id.0).collect();
        let rows =
            self.submissions.query_by(deadline, sql!("job/kept": UUID_ARRAY), &[&ids]).await?;
        let mut known: HashMap<Uuid, Status> = HashMap::with_capacity(rows.len());
        for row in &rows {
            if let Some(status) = row.try_get::<_, Option<&str>>(1)?.and_then(Status::parse) {
                known.insert(row.try_get(0)?, status);
            }
        }
        Ok(jobs
            .iter()
            .map(|(id, _)| {
                let status = *known.get(&id.0)?;
                Some(Ok(Written { job_id: *id, status, outcome: Outcome::Created }))
            })
            .collect())
    }
}

/// The answer to a submission with a key, or the holder of the key.
pub(crate) type Kept = std::result::Result<Written, JobId>;

const SUBMIT_KEYED: &Sql = sql!("job/submit_keyed": UUID_ARRAY, TEXT_ARRAY, TEXT_ARRAY, INT2_ARRAY, TIMESTAMPTZ_ARRAY,
    FLOAT8_ARRAY, JSONB_ARRAY, INT4_ARRAY, FLOAT8_ARRAY, JSONB_ARRAY, JSONB_ARRAY, TEXT_ARRAY, TEXT_ARRAY, TEXT, TEXT);

/// The parameters of [`SUBMIT_KEYED`].
pub(super) struct Keyed<'a> {
    columns: Columns<'a>,
    keys: Vec<Option<&'a str>>,
    policies: Vec<Option<&'a str>>,
    key_wait: String,
    notify: &'static str,
}

impl<'a> Keyed<'a> {
    pub(super) fn new(jobs: &'a [(JobId, Submission)], announce: bool, key_wait: Duration) -> Self {
        let each = || jobs.iter().map(|(_, job)| job.unique.as_ref());
        Self {
            columns: Columns::new(jobs),
            keys: each().map(|unique| unique.map(|unique| unique.key.as_str())).collect(),
            policies: each()
                .map(|unique| unique.map(|unique| unique.on_conflict.as_str()))
                .collect(),
            key_wait: format!("{}ms", key_wait.as_millis()),
            notify: if announce { "on" } else { "off" },
        }
    }

    pub(super) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        let beside: [&(dyn ToSql + Sync); 4] =
            [&self.keys, &self.policies, &self.key_wait, &self.notify];
        [&self.columns.parameters()[..], &beside].concat()
    }
}

pub(super) fn all_written(rows: &[Row]) -> Result<Vec<Kept>> {
    let numbered = |row: &Row| Ok((row.try_get::<_, i64>(0)?, written(row, 1)?));
    let mut all: Vec<(i64, Kept)> = rows.iter().map(numbered).collect::<Result<_>>()?;
    all.sort_by_key(|(nth, _)| *nth);
    Ok(all.into_iter().map(|(_, kept)| kept).collect())
}

/// The answer to a job, in three columns from this one on.
pub(super) fn written(row: &Row, at: usize) -> Result<Kept> {
    let (job_id, status): (_, &str) = (JobId(row.try_get(at)?), row.try_get(at + 1)?);
    let status =
        Status::parse(status).ok_or_else(|| Error::Unexpected(format!("the status {status}")))?;
    let outcome = match row.try_get(at + 2)? {
        "rejected" => return Ok(Err(job_id)),
        other => Outcome::parse(other)
            .ok_or_else(|| Error::Unexpected(format!("the outcome {other}")))?,
    };
    Ok(Ok(Written { job_id, status, outcome }))
}
