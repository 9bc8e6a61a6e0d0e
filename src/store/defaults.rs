//! The settings of queues: read, changed by people, and applied from the file.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::audit::Action;
use super::row::Row;
use super::session::{SHORT, in_time, sql, unprepared};
use super::value::Jsonb;
use super::{Error, Result, Store};
use crate::caller::Caller;
use crate::job::fields::{QueueChange, QueueSettings};
use crate::job::json::Json;
use crate::queue::QueueName;

/// The settings of a queue as they stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    pub settings: QueueSettings,
    /// The names of those that the file gave.
    pub of_file: Vec<String>,
    /// When they were changed last; `None`: they never were.
    pub at: Option<DateTime<Utc>>,
}

impl Kept {
    /// From the columns `settings`, `of_file` and `settings_at`.
    pub(super) fn of(row: &Row) -> Result<Self> {
        Ok(Self {
            settings: settings(row)?.unwrap_or_default(),
            of_file: row.try_get::<_, Option<Vec<String>>>("of_file")?.unwrap_or_default(),
            at: row.try_get("settings_at")?,
        })
    }
}

fn settings(row: &Row) -> Result<Option<QueueSettings>> {
    let kept = row.try_get::<_, Option<Jsonb>>("settings")?;
    Ok(kept.map(|kept| QueueSettings::of(Some(&kept.0))))
}

/// As they are kept; `None` if nothing is set.
fn written(settings: &QueueSettings) -> Result<Option<Jsonb>> {
    if settings.is_empty() {
        return Ok(None);
    }
    let json = Json::from_serialize(settings);
    let fault = |_| Error::Unexpected("settings that are not JSON".into());
    json.map(|json| Some(Jsonb(json))).map_err(fault)
}

/// The outcome of applying the tables of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filed {
    /// They are in force now.
    Applied,
    /// They were applied last, by a start before.
    Known,
    /// They were applied before others, so long ago. Nothing was changed.
    Older(DateTime<Utc>),
}

impl Store {
    /// The settings that were changed since; `None`: all that there are. Asked where claims are
    /// asked: readers do not hold it up.
    pub async fn queue_settings(&self, since: Option<DateTime<Utc>>) -> Result<Vec<QueueChange>> {
        let rows = self.claims.query(sql!("queue/settings": TIMESTAMPTZ), &[&since]).await?;
        let change = |row: &Row| {
            Ok(QueueChange {
                queue: QueueName::trusted(row.try_get("name")?),
                settings: settings(row)?,
                at: row.try_get("settings_at")?,
            })
        };
        rows.iter().map(change).collect()
    }

    /// The queues that may keep their jobs for a time of their own.
    pub async fn queue_retentions(&self) -> Result<Vec<(QueueName, QueueSettings)>> {
        let rows = self.upkeep.query(sql!("queue/retentions"), &[]).await?;
        let queue = |row: &Row| {
            let name = QueueName::trusted(row.try_get("name")?);
            Ok((name, settings(row)?.unwrap_or_default()))
        };
        rows.iter().map(queue).collect()
    }

    /// The settings of a queue; `None`: it is not known.
    pub async fn queue_settings_of(&self, name: &QueueName) -> Result<Option<Kept>> {
        let rows = self.people.query(sql!("queue/settings_of": TEXT), &[&name.as_str()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        row.try_get::<_, bool>("known")?.then(|| Kept::of(row)).transpose()
    }

    /// Writes settings in the place of those that were read with the time `seen`. Answers when;
    /// `None`: others have changed them meanwhile.
    pub async fn queue_settings_write(
        &self,
        name: &QueueName,
        new: &Kept,
        seen: Option<DateTime<Utc>>,
        action: Action,
        caller: &Caller,
    ) -> Result<Option<DateTime<Utc>>> {
        let statement =
            sql!("queue/settings_write": TEXT, JSONB, TEXT_ARRAY, TIMESTAMPTZ, TEXT, TEXT, TEXT);
        let settings = written(&new.settings)?;
        let of_file = Some(&new.of_file).filter(|names| !names.is_empty());
        let (principal, request) = (caller.principal.text(), caller.request_id.as_deref());
        let rows = self
            .people
            .query(
                statement,
                &[
                    &name.as_str(),
                    &settings,
                    &of_file,
                    &seen,
                    &principal,
                    &action.as_str(),
                    &request,
                ],
            )
            .await?;
        rows.first().map(|row| row.try_get("settings_at")).transpose()
    }

    /// Applies the tables of queues of a file, under the lock of the migrations: each content once.
    /// Settings that an earlier file gave, and this one does not, are taken away.
    pub async fn queue_settings_file(
        &self,
        queues: &BTreeMap<String, QueueSettings>,
    ) -> Result<Filed> {
        let mut names = Vec::with_capacity(queues.len());
        let mut values = Vec::with_capacity(queues.len());
        for (name, settings) in queues {
            names.push(name.as_str());
            values.push(written(settings)?);
        }
        let digest = digest_of(queues)?;
        let mut session = self.upkeep.take().await?;
        session.asked();
        let filed = async {
            let transaction = in_time(SHORT, session.client.transaction()).await?;
            unprepared(&transaction, SHORT, sql!("schema/migration_lock"), &[]).await?;
            let known =
                unprepared(&transaction, SHORT, sql!("queue/file_known": TEXT), &[&digest]).await?;
            if let Some(row) = known.first() {
                let newest = row.try_get::<_, bool>("newest")?;
                let at = row.try_get("applied_at")?;
                return Ok(if newest { Filed::Known } else { Filed::Older(at) });
            }
            let apply = sql!("queue/file_apply": TEXT_ARRAY, JSONB_ARRAY, TEXT, TEXT);
            let action = Action::ApplyFile.as_str();
            unprepared(&transaction, SHORT, apply, &[&names, &values, &digest, &action]).await?;
            in_time(SHORT, transaction.commit()).await?;
            Ok(Filed::Applied)
        };
        let filed = filed.await;
        session.gave(&filed);
        filed
    }
}

/// Names what the tables say, whatever order and spelling the file has.
fn digest_of(queues: &BTreeMap<String, QueueSettings>) -> Result<String> {
    let fault = |_| Error::Unexpected("settings that are not JSON".into());
    let json = Json::from_serialize(queues).map_err(fault)?;
    let digest = Sha256::digest(json.as_str());
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
