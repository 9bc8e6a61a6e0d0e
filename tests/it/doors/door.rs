//! The three doors, each of which takes a job as the text of its JSON: HTTP, SQL by a role that may do nothing else, and Rust.

use std::collections::BTreeMap;

use reveille::internals::job::moment;
use reveille::{Json, NewJob, Reveille, SubmitError, Written};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio_postgres::Client;
use tokio_postgres::types::{Json as Jsonb, ToSql, Type};

use crate::harness::cluster::connect;
use crate::harness::http::{Http, answer};
use crate::harness::{self, TestDatabase};

/// What a door answered: jobs, or everything that is wrong, as pairs of pointer and code in the order of pointers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Accepted(Vec<Accepted>),
    Refused(Vec<(String, String)>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Accepted {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) outcome: String,
}

impl Answer {
    pub(super) fn accepted(self) -> Vec<Accepted> {
        match self {
            Self::Accepted(jobs) => jobs,
            Self::Refused(faults) => panic!("refused: {faults:?}"),
        }
    }

    fn refused(faults: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut faults: Vec<_> = faults.into_iter().collect();
        faults.sort();
        Self::Refused(faults)
    }
}

/// One database, and the doors to it.
pub(super) struct House {
    pub(super) database: TestDatabase,
    pub(super) service: Reveille,
    pub(super) http: Http,
    /// Connected as a role that has USAGE on the schema and EXECUTE on two functions.
    pub(super) guest: Client,
    /// Connected as the owner. A session that knows the view of jobs already answers much sooner.
    pub(super) owner: Client,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Door {
    Http,
    /// `submit`, whose arguments have types.
    Sql,
    /// `submit_many`, which takes JSON.
    SqlMany,
    Rust,
}

impl Door {
    pub(super) const ALL: [Self; 4] = [Self::Http, Self::Sql, Self::SqlMany, Self::Rust];
}

impl House {
    pub(super) async fn open(builder: reveille::Builder) -> Self {
        let database = harness::database().await;
        let service =
            builder.database_url(database.url()).listen(([127, 0, 0, 1], 0)).start().await.unwrap();
        let http = Http::new(&format!("http://{}", service.address().unwrap()));
        let name = database.url().rsplit_once("dbname=").unwrap().1;
        let role = format!("guest_of_{name}");
        let grants = format!(
            "create role {role} login; grant usage on schema reveille to {role};
            grant execute on function reveille.submit, reveille.submit_many to {role}"
        );
        let owner = database.client().await;
        owner.batch_execute(&grants).await.unwrap();
        let guest =
            connect(&database.url().replace("user=reveille", &format!("user={role}"))).await;
        Self { database, service, http, guest, owner }
    }

    /// Submits one job; `None` if this door cannot even be asked for it.
    pub(super) async fn submit(&self, door: Door, job: &str) -> Option<Answer> {
        match door {
            Door::Http => Some(self.post("/jobs", job).await),
            Door::Sql => self.call(job).await,
            Door::SqlMany => Some(without_place(self.many(&format!("[{job}]")).await)),
            Door::Rust => {
                let written = self.service.submit(new_job(job)?).await;
                Some(told(written.map(|written| vec![written]), |_| String::new()))
            }
        }
    }

    /// Submits a list of jobs.
    pub(super) async fn submit_many(&self, door: Door, jobs: &[&str]) -> Option<Answer> {
        let list = format!("[{}]", jobs.join(","));
        match door {
            Door::Http => Some(self.post("/jobs/batch", &list).await),
            Door::Sql => None,
            Door::SqlMany => Some(self.many(&list).await),
            Door::Rust => {
                let jobs: Vec<NewJob> =
                    jobs.iter().map(|job| new_job(job)).collect::<Option<_>>()?;
                Some(told(self.service.submit_many(jobs).await, |nth| format!("/{nth}")))
            }
        }
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Answer {
        let request = self.http.request("POST", path).header("content-type", "application/json");
        let answer = answer(request.body(body.to_owned())).await;
        let texts = |value: &Value, names: [&str; 3]| {
            names.map(|name| value[name].as_str().unwrap_or_default().to_owned())
        };
        if let 200 | 201 = answer.status {
            let jobs = answer.body["jobs"].as_array().cloned().unwrap_or(vec![answer.body]);
            return Answer::Accepted(
                jobs.iter()
                    .map(|job| {
                        let [id, status, outcome] = texts(job, ["job_id", "status", "outcome"]);
                        Accepted { id, status, outcome }
                    })
                    .collect(),
            );
        }
        assert!((400..500).contains(&answer.status), "{answer:?}");
        let Some(errors) = answer.body["errors"].as_array() else {
            return Answer::refused([("".into(), answer.body["code"].as_str().unwrap().into())]);
        };
        Answer::refused(errors.iter().map(|error| {
            let [pointer, code, _] = texts(error, ["pointer", "code", "message"]);
            (pointer, code)
        }))
    }

    pub(super) async fn many(&self, list: &str) -> Answer {
        let query =
            "select job_id::text, status, outcome from reveille.submit_many($1::text::jsonb)";
        self.rows(query, &[&list]).await
    }

    /// Calls `submit` with the arguments that the members of the job are.
    async fn call(&self, job: &str) -> Option<Answer> {
        let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(job).ok()?;
        let (mut arguments, mut settings) = (Vec::new(), Vec::new());
        for (name, value) in &members {
            let value = value.get();
            let text = serde_json::from_str::<Option<String>>(value).ok().flatten();
            let kind = match name.as_str() {
                "payload" => {
                    arguments.push(format!("payload => {}::jsonb", quoted(value)));
                    continue;
                }
                "task" | "queue" | "unique_key" | "on_conflict" => "text",
                "run_at" => "timestamptz",
                "priority" | "max_attempts" => "integer",
                "delay_seconds" | "timeout_seconds" => "double precision",
                "tags" => "text[]",
                _ => {
                    settings.push(format!("{}: {value}", Value::from(name.as_str())));
                    continue;
                }
            };
            let literal = match (value, kind) {
                ("null", _) => "null".to_owned(),
                (_, "text") => quoted(&text?),
                (_, "timestamptz") => quoted(&moment::parse(&text?)?.to_rfc3339()),
                (_, "text[]") => {
                    let tags: Vec<String> = serde_json::from_str(value).ok()?;
                    let tags: Vec<String> = tags.iter().map(|tag| quoted(tag)).collect();
                    format!("array[{}]", tags.join(","))
                }
                (_, "integer") => value.parse::<i32>().ok()?.to_string(),
                _ => value.parse::<f64>().ok().filter(|it| it.is_finite())?.to_string(),
            };
            arguments.push(format!("{name} => {literal}::{kind}"));
        }
        if !settings.is_empty() {
            let settings = quoted(&format!("{{{}}}", settings.join(", ")));
            arguments.push(format!("settings => {settings}::jsonb"));
        }
        let arguments = arguments.join(", ");
        let query =
            format!("select job_id::text, status, outcome from reveille.submit({arguments})");
        Some(self.rows(&query, &[]).await)
    }

    pub(super) async fn rows(&self, query: &str, parameters: &[&(dyn ToSql + Sync)]) -> Answer {
        let types = vec![Type::TEXT; parameters.len()];
        let typed: Vec<_> = parameters.iter().copied().zip(types).collect();
        match self.guest.query_typed(query, &typed).await {
            Ok(rows) => Answer::Accepted(
                rows.iter()
                    .map(|row| Accepted { id: row.get(0), status: row.get(1), outcome: row.get(2) })
                    .collect(),
            ),
            Err(error) => {
                let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
                let detail = error.detail().and_then(|detail| serde_json::from_str(detail).ok());
                let faults: Vec<Value> = match detail {
                    Some(Value::Array(faults)) => faults,
                    // It never reached the function: PostgreSQL's own types do not hold it.
                    _ => return Answer::refused([("".into(), error.code().code().into())]),
                };
                assert!(error.hint().is_some(), "{error:?}");
                Answer::refused(faults.iter().map(|fault| {
                    let text = |name: &str| fault[name].as_str().unwrap().to_owned();
                    (text("pointer"), text("code"))
                }))
            }
        }
    }

    /// What is kept of a job, without what differs from one to the next.
    pub(super) async fn kept(&self, id: &str) -> (Value, String) {
        let query = "select jsonb_build_object('task', task, 'queue', queue, 'priority', priority, 'max_attempts',
                max_attempts, 'timeout_seconds', timeout_seconds, 'tags', tags, 'unique_key', unique_key, 'delay',
                round(extract(epoch from run_at - created_at)), 'run_at',
                to_char(run_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')) || coalesce(settings, '{}'), payload::text
            from reveille.jobs where job_id::text = $1";
        let row = self.owner.query_one(query, &[&id]).await.unwrap();
        (row.get::<_, Jsonb<Value>>(0).0, row.get(1))
    }

    pub(super) async fn count(&self, what: &str) -> i64 {
        let query = format!("select count(*) from {what}");
        self.owner.query_one(&query, &[]).await.unwrap().get(0)
    }
}

fn quoted(text: &str) -> String {
    format!("E'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// A list of one is a single job, whose pointers have no number.
fn without_place(answer: Answer) -> Answer {
    let Answer::Refused(faults) = answer else { return answer };
    let bare = |(pointer, code): (String, String)| {
        (pointer.strip_prefix("/0").unwrap_or(&pointer).to_owned(), code)
    };
    Answer::refused(faults.into_iter().map(bare))
}

fn told(written: Result<Vec<Written>, SubmitError>, place: fn(usize) -> String) -> Answer {
    match written {
        Ok(written) => Answer::Accepted(
            written
                .iter()
                .map(|written| Accepted {
                    id: written.job_id.to_string(),
                    status: written.status.as_str().into(),
                    outcome: written.outcome.as_str().into(),
                })
                .collect(),
        ),
        Err(SubmitError::Invalid(faults)) => {
            Answer::refused(faults.into_iter().map(|fault| (fault.pointer, fault.code.into())))
        }
        Err(SubmitError::Conflict(held)) => {
            let code = SubmitError::Conflict(Vec::new()).code();
            Answer::refused(
                held.into_iter()
                    .map(|(nth, _)| (format!("{}/unique_key", place(nth)), code.into())),
            )
        }
        Err(other) => panic!("{other}"),
    }
}

/// The job as a Rust program would write it; `None` if its types do not let it.
fn new_job(text: &str) -> Option<NewJob> {
    let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).ok()?;
    let (mut job, mut settings) = (NewJob::default(), Map::new());
    for (name, value) in &members {
        let value = value.get();
        match name.as_str() {
            "payload" => job.payload = Some(Json::parse(value.as_bytes())),
            "task" => job.task = serde_json::from_str(value).ok()?,
            "queue" => job.queue = serde_json::from_str(value).ok()?,
            "priority" => job.priority = serde_json::from_str(value).ok()?,
            "run_at" => {
                let text: Option<String> = serde_json::from_str(value).ok()?;
                job.run_at = text.map(|text| moment::parse(&text).ok_or(())).transpose().ok()?;
            }
            "delay_seconds" => job.delay_seconds = serde_json::from_str(value).ok()?,
            "max_attempts" => job.max_attempts = serde_json::from_str(value).ok()?,
            "timeout_seconds" => job.timeout_seconds = serde_json::from_str(value).ok()?,
            "tags" => job.tags = serde_json::from_str(value).ok()?,
            "unique_key" => job.unique_key = serde_json::from_str(value).ok()?,
            "on_conflict" => job.on_conflict = serde_json::from_str(value).ok()?,
            _ => {
                let value: Option<Value> = serde_json::from_str(value).ok()?;
                settings.extend(value.map(|value| (name.clone(), value)));
            }
        }
    }
    // What is not among them has no place to be written.
    job.settings = serde_json::from_value(settings.clone().into()).ok()?;
    (serde_json::to_value(&job.settings).ok()? == Value::from(settings)).then_some(job)
}
