//! The settings of a queue: read from a body, changed if nobody else has changed them meanwhile, and
//! shown with where each comes from.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromJSON, ParseResult, ToJSON, Type};
use poem_openapi::{ApiResponse, Enum};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::super::Services;
use super::super::body::{Body, FromBody};
use super::super::etag;
use super::super::fields::Fields;
use super::super::problem::Problem;
use super::super::schema::SettingsPatch;
use super::super::types::described;
use super::no_queue;
use super::view::Queue;
use crate::caller::Caller;
use crate::events::Notice;
use crate::job::fields::{
    Faults, PAUSE_NAMES, PauseRequest, QUEUE_NAMES, QueueChange, QueueSettings,
};
use crate::job::submission::FieldError;
use crate::queue::QueueName;
use crate::store::audit::Action;
use crate::store::defaults::Kept;

/// How often a change is tried again that others were faster than.
const TRIES: usize = 10;

/// Where a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum, serde::Serialize)]
#[oai(rename = "SettingSource", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    /// `reveille.toml`.
    File,
    /// `PUT` or `PATCH /queues/{queue}`.
    Api,
    /// The queue has none: the default of the task or of the service counts.
    Default,
}

/// Where each setting of a queue comes from, by its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Sources(Vec<(&'static str, Source)>);

described!(
    Sources,
    "QueueSources".into(),
    MetaSchemaRef::Reference("QueueSources".into()),
    |registry: &mut Registry| registry.create_schema::<Sources, _>(
        "QueueSources".into(),
        |registry| {
            Source::register(registry);
            MetaSchema {
                description: Some("Where each setting of a queue comes from, by its name."),
                properties: QUEUE_NAMES.iter().map(|it| (*it, Source::schema_ref())).collect(),
                ..MetaSchema::new("object")
            }
        }
    )
);

/// `derive(Object)` asks for it, for examples.
impl ToJSON for Sources {
    fn to_json(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }
}

/// `derive(Object)` asks for it; no request is read by it.
impl ParseFromJSON for Sources {
    fn parse_from_json(_: Option<Value>) -> ParseResult<Self> {
        Ok(Self(Vec::new()))
    }
}

impl Sources {
    pub(super) fn of(kept: &Kept) -> Self {
        let given = kept.settings.given();
        let source = |name: &&'static str| match () {
            () if !given.contains(name) => Source::Default,
            () if kept.of_file.iter().any(|it| it == *name) => Source::File,
            () => Source::Api,
        };
        Self(QUEUE_NAMES.iter().map(|name| (*name, source(name))).collect())
    }
}

impl Serialize for Sources {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, source) in &self.0 {
            map.serialize_entry(name, source)?;
        }
        map.end()
    }
}

impl FromBody for QueueSettings {
    const LIMIT: usize = 64 * 1024;

    fn from_body(text: &str, _: DateTime<Utc>) -> Result<Self, Vec<FieldError>> {
        let members = Fields::parse(text, "", QUEUE_NAMES).map_err(|error| vec![error])?;
        read(members)
    }
}

impl FromBody for SettingsPatch {
    const LIMIT: usize = 64 * 1024;

    fn from_body(text: &str, _: DateTime<Utc>) -> Result<Self, Vec<FieldError>> {
        let members = Fields::parse(text, "", QUEUE_NAMES).map_err(|error| vec![error])?;
        let reset = QUEUE_NAMES.iter().copied().filter(|name| members.has_null(name)).collect();
        Ok(Self { given: read(members)?, reset })
    }
}

/// The settings in this object, or everything that is wrong with them.
fn read(mut members: Fields<'_>) -> Result<QueueSettings, Vec<FieldError>> {
    let settings = QueueSettings::read_members(&mut members);
    let mut faults = Faults(members.finish());
    settings.check(&mut faults);
    if faults.0.is_empty() { Ok(settings) } else { Err(faults.0) }
}

impl FromBody for PauseRequest {
    const LIMIT: usize = 16 * 1024;

    fn from_body(text: &str, now: DateTime<Utc>) -> Result<Self, Vec<FieldError>> {
        let mut members = Fields::parse(text, "", PAUSE_NAMES).map_err(|error| vec![error])?;
        let pause = Self::read_members(&mut members);
        let mut faults = Faults(members.finish());
        pause.check(now, &mut faults);
        if faults.0.is_empty() { Ok(pause) } else { Err(faults.0) }
    }
}

/// A change of the settings of a queue.
pub(super) enum Change {
    Put(QueueSettings),
    Patch(SettingsPatch),
    Delete,
}

impl Change {
    fn action(&self) -> Action {
        match self {
            Self::Put(_) => Action::PutQueue,
            Self::Patch(_) => Action::PatchQueue,
            Self::Delete => Action::DeleteQueueSettings,
        }
    }

    /// The settings that the call gives. Others may be longer than this service allows by now.
    fn said(&self) -> Option<&QueueSettings> {
        match self {
            Self::Put(settings) => Some(settings),
            Self::Patch(patch) => Some(&patch.given),
            Self::Delete => None,
        }
    }

    /// The settings after the change. A setting that the call names is no longer of the file.
    fn apply(&self, kept: &Kept) -> Kept {
        let mut new = Kept { at: None, ..kept.clone() };
        match self {
            Self::Put(settings) => {
                new.settings = settings.clone();
                new.of_file.clear();
            }
            Self::Patch(SettingsPatch { given, reset }) => {
                new.settings.merge(given.clone());
                reset.iter().for_each(|name| new.settings.reset(name));
                let said = given.given();
                new.of_file.retain(|name| !said.contains(&&**name) && !reset.contains(&&**name));
            }
            Self::Delete => new = Kept::default(),
        }
        new
    }
}

/// The conditions of a call: its `If-Match` and its `If-None-Match`.
#[derive(Clone, Copy, Default)]
pub(super) struct Conditions<'a> {
    pub if_match: Option<&'a str>,
    pub if_none_match: Option<&'a str>,
}

impl Conditions<'_> {
    /// What is wrong where the settings of this queue have the tag `current`; `None`: it is not
    /// known.
    fn check(self, name: &QueueName, current: Option<&str>) -> Result<(), Problem> {
        if self.if_match.is_some_and(|header| !etag::matches(header, current)) {
            return Err(changed_meanwhile(name));
        }
        match current {
            Some(tag) if etag::is_known(self.if_none_match, tag) => Err(is_there(name)),
            _ => Ok(()),
        }
    }
}

/// The entity tag of the settings of a queue. Its counts change by themselves, and are not in it.
pub(super) fn tag(name: &QueueName, kept: &Kept) -> String {
    etag::tag(&(name, &kept.settings, Sources::of(kept)))
}

impl Services {
    /// Changes the settings of a queue, everywhere. Answers whether it was known before.
    pub(super) async fn change(
        &self,
        name: &QueueName,
        change: &Change,
        conditions: Conditions<'_>,
        caller: &Caller,
    ) -> Result<bool, Problem> {
        for _ in 0..TRIES {
            let found = self.store.queue_settings_of(name).await?;
            let known = found.is_some();
            if !known && !matches!(change, Change::Put(_)) {
                return Err(no_queue(name));
            }
            let kept = found.unwrap_or_default();
            conditions.check(name, known.then(|| tag(name, &kept)).as_deref())?;
            let new = change.apply(&kept);
            self.keeps_no_longer(change.said())?;
            let written =
                self.store.queue_settings_write(name, &new, kept.at, change.action(), caller);
            if let Some(at) = written.await? {
                let names = new.settings.given().join(", ");
                tracing::info!(queue.name = %name, settings = names, principal = %caller.principal,
                    "the settings of a queue are changed");
                self.tell(name, new.settings, at).await;
                return Ok(known);
            }
        }
        let detail = "Others kept changing the settings of this queue. Nothing was changed. Try \
                      again.";
        Err(Problem::unavailable("database_busy", detail, 1))
    }

    fn keeps_no_longer(&self, said: Option<&QueueSettings>) -> Result<(), Problem> {
        let mut faults = Faults::default();
        if let Some(settings) = said {
            settings.check_retention(self.retention, &mut faults);
        }
        if faults.0.is_empty() { Ok(()) } else { Err(Problem::invalid(faults.0)) }
    }

    /// The settings hold here from now on, and the others look at them at once.
    async fn tell(&self, name: &QueueName, settings: QueueSettings, at: DateTime<Utc>) {
        let settings = Some(settings).filter(|settings| !settings.is_empty());
        self.events.learn(QueueChange { queue: name.clone(), settings, at });
        if let Err(error) = self.store.news_notify(&Notice::Settings.to_string()).await {
            tracing::debug!(%error, "the others were not told of new settings; their poll finds them");
        }
    }
}

/// 412: the caller has seen other settings.
pub(in crate::api) fn changed_meanwhile(name: &QueueName) -> Problem {
    let detail = format!(
        "The settings of the queue `{name}` are not those that If-Match names. Nothing was \
         changed. Read them again with GET /queues/{name}, and send the ETag of that answer."
    );
    Problem::new(http::StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
}

/// 412: the caller wants to make a queue that is there.
fn is_there(name: &QueueName) -> Problem {
    let detail = format!(
        "The queue `{name}` is known already, with settings that If-None-Match excludes. Nothing \
         was changed. Change them with PATCH /queues/{name}, or leave the header out to replace them."
    );
    Problem::new(http::StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
}

#[derive(ApiResponse)]
pub enum GetAnswer {
    /// The queue.
    #[oai(status = 200)]
    Queue(
        Body<Queue>,
        /// The tag of its settings, for `If-Match`.
        #[oai(header = "ETag")]
        String,
    ),
}

#[derive(ApiResponse)]
pub enum PutAnswer {
    /// The queue with these settings.
    #[oai(status = 200)]
    Changed(
        Body<Queue>,
        /// The tag of its settings, for `If-Match`.
        #[oai(header = "ETag")]
        String,
    ),
    /// The queue was not known before.
    #[oai(status = 201)]
    Created(
        Body<Queue>,
        /// The tag of its settings, for `If-Match`.
        #[oai(header = "ETag")]
        String,
    ),
}

#[derive(ApiResponse)]
pub enum DeleteAnswer {
    /// The queue has no settings of its own any more.
    #[oai(status = 204)]
    Deleted,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> QueueSettings {
        QueueSettings::from_body(text, Utc::now()).expect("settings")
    }

    #[test]
    fn a_setting_comes_from_where_it_was_said_last() {
        let of_file = vec!["priority".to_owned(), "retry".to_owned()];
        let kept = Kept { settings: settings(r#"{"priority":1,"retry":{}}"#), of_file, at: None };
        let source = |kept: &Kept, name: &str| {
            let Sources(all) = Sources::of(kept);
            all.into_iter().find(|it| it.0 == name).expect("a setting").1
        };
        let of = |kept: &Kept| ["priority", "retry", "timeout_seconds"].map(|it| source(kept, it));
        assert_eq!(of(&kept), [Source::File, Source::File, Source::Default]);
        let patch = r#"{"retry":null,"timeout_seconds":5}"#;
        let patch = SettingsPatch::from_body(patch, Utc::now()).expect("a patch");
        let patched = Change::Patch(patch).apply(&kept);
        assert_eq!(of(&patched), [Source::File, Source::Default, Source::Api]);
        let put = Change::Put(settings(r#"{"priority":1}"#)).apply(&kept);
        assert_eq!(of(&put), [Source::Api, Source::Default, Source::Default]);
        let name = QueueName::default();
        assert_ne!(tag(&name, &kept), tag(&name, &put));
        assert_eq!(Change::Delete.apply(&kept), Kept::default());
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        let text = r#"{"priority":10,"max_attempts":0,"retry":{"base_seconds":5,"max_seconds":1},"tiemout":1}"#;
        let errors = QueueSettings::from_body(text, Utc::now()).expect_err("it is wrong");
        let mut told: Vec<_> = errors.iter().map(|error| (&*error.pointer, error.code)).collect();
        told.sort_unstable();
        let expected = [
            ("/max_attempts", "out_of_range"),
            ("/priority", "out_of_range"),
            ("/retry/max_seconds", "out_of_range"),
            ("/tiemout", "unknown_field"),
        ];
        assert_eq!(told, expected);
    }
}
