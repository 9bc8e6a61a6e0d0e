//! Tasks: how an attempt ends, what its handler can say and is told, and what is known of it.

use std::cell::Cell;
use std::time::Duration;

use reveille::{Backoff, Context, Handler, Json, JsonSchema, NewJob, Reveille, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::http::Http;
use crate::harness::{self, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(10);

/// Does as its payload says.
struct Act;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Deed {
    /// Panics at the first attempt.
    Panic,
    /// Gives up for good.
    Refuse,
    /// Asks to come back later.
    Snooze,
    /// Asks to come back at once.
    SnoozeForNothing,
    /// Says that it is half done, and goes on until it is told to stop; then it succeeds all the same, or fails.
    Wait { and_succeed: bool },
    /// Returns what cannot be kept.
    Unkeepable,
}

#[derive(Serialize, JsonSchema)]
struct Done {
    /// Which attempt it was.
    attempt: u32,
    text: String,
}

impl Handler for Act {
    const NAME: &'static str = "act";
    type Payload = Deed;
    type Output = Done;

    fn description(&self) -> &'static str {
        "Does as it is told."
    }

    fn max_attempts(&self) -> u32 {
        3
    }

    fn backoff(&self) -> Backoff {
        Backoff { base: Duration::from_millis(10), ..Backoff::default() }
    }

    fn timeout(&self) -> Option<Duration> {
        Some(Duration::from_secs(90))
    }

    fn example(&self) -> Option<Json> {
        Json::from_serialize(&Deed::Refuse).ok()
    }

    async fn run(&self, context: Context, deed: Deed) -> Result<Done, TaskError> {
        let first = context.attempt() == 1;
        match deed {
            Deed::Panic if first => panic!("out of order"),
            Deed::Refuse => return Err(TaskError::permanent("no such thing")),
            Deed::Snooze => return Err(TaskError::snooze(Duration::from_secs(600))),
            Deed::SnoozeForNothing => return Err(TaskError::snooze(Duration::ZERO)),
            Deed::Wait { and_succeed } => {
                context.progress(0.5, "half of it");
                context.cancelled().await;
                if !and_succeed {
                    return Err(TaskError::retry("told to stop"));
                }
            }
            Deed::Unkeepable => return Ok(Done { attempt: 1, text: "\0".into() }),
            Deed::Panic => {}
        }
        Ok(Done { attempt: context.attempt(), text: "done".into() })
    }
}

struct Acting {
    service: Reveille,
    http: Http,
    database: TestDatabase,
}

impl Acting {
    async fn start() -> Self {
        let database = harness::database().await;
        let service = Reveille::builder()
            .database_url(database.url())
            .listen(([127, 0, 0, 1], 0))
            .task(Act)
            .start()
            .await
            .unwrap();
        let http = Http::new(&format!("http://{}", service.address().unwrap()));
        Self { service, http, database }
    }

    async fn submit(&self, job: NewJob) -> String {
        self.service.submit(job).await.unwrap().job_id.to_string()
    }

    async fn ended(&self, id: &str) -> Value {
        self.http.get(&format!("/jobs/{id}?wait=10")).await.body
    }

    async fn becomes(&self, id: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let job = Cell::new(Value::Null);
        eventually(what, SOON, async || {
            let now = self.http.get_job(id).await.body;
            let holds = condition(&now);
            job.set(now);
            holds
        })
        .await;
        job.into_inner()
    }

    /// How each earlier attempt ended, with the code of its error, and how long the next one was waited for.
    async fn attempts(&self, id: &str) -> Vec<(String, String, f64)> {
        let query = "select a.ending, a.error ->> 'code',
                extract(epoch from lead(a.claimed_at, 1, j.started_at) over (order by a.ended_at) - a.ended_at)::float8
            from reveille.attempt a join reveille.jobs j on j.job_id = a.id where a.id::text = $1 order by a.ended_at";
        let rows = self.database.client().await.query(query, &[&id]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
    }
}

fn act(deed: &Deed) -> NewJob {
    NewJob::new(Act::NAME, deed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_fails_its_attempt_and_nothing_else() {
    let acting = Acting::start().await;
    let other = acting.submit(act(&Deed::Wait { and_succeed: true })).await;
    let id = acting.submit(act(&Deed::Panic)).await;
    let job = acting.ended(&id).await;
    assert_eq!(job["status"], "completed");
    assert_eq!((&job["attempt_count"], &job["crash_count"]), (&json!(2), &json!(0)));
    assert_eq!(job["result"], json!({"attempt": 2, "text": "done"}));
    let attempts = acting.attempts(&id).await;
    assert_eq!((&*attempts[0].0, &*attempts[0].1), ("failed", "panicked"));
    assert_eq!(acting.http.get_job(&other).await.body["status"], "processing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_mended_by_another_attempt_fails_at_once() {
    let acting = Acting::start().await;
    for (job, code, says) in [
        (act(&Deed::Refuse), "permanent", "no such thing"),
        (act(&Deed::Unkeepable), "invalid_result", "U+0000"),
        (NewJob::new(Act::NAME, &json!({"dance": 1})), "invalid_payload", "dance"),
    ] {
        let job = acting.ended(&acting.submit(job).await).await;
        assert_eq!((&job["status"], &job["attempt_count"]), (&json!("failed"), &json!(1)), "{job}");
        assert_eq!(job["error"]["code"], code);
        assert!(job["error"]["message"].as_str().unwrap().contains(says), "{job}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_past_its_time_is_cancelled_and_counts() {
    let acting = Acting::start().await;
    let job = act(&Deed::Wait { and_succeed: false }).timeout(Duration::from_millis(100));
    let id = acting.submit(job.max_attempts(2)).await;
    let job = acting.ended(&id).await;
    assert_eq!((&job["status"], &job["attempt_count"]), (&json!("failed"), &json!(2)), "{job}");
    assert_eq!(
        (&job["error"]["code"], &job["timeout_seconds"]),
        (&json!("timed_out"), &json!(0.1))
    );
    assert_eq!(acting.attempts(&id).await[0].1, "timed_out");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_further_and_further_apart() {
    let acting = Acting::start().await;
    let id = acting.submit(NewJob::new("flaky", &json!({"failures": 2}))).await;
    let waits = acting.becomes(&id, "waits for a retry", |job| job["status"] == "scheduled").await;
    assert!(waits["run_at"].as_str() > waits["created_at"].as_str(), "{waits}");
    let job = acting.ended(&id).await;
    assert_eq!((&job["attempt_count"], &job["result"]), (&json!(3), &json!(3)));
    let attempts = acting.attempts(&id).await;
    // 0.2 s and 0.6 s, a fifth more or less.
    assert!(attempts[0].2 >= 0.16 && attempts[1].2 >= 0.48, "{attempts:?}");
    let spent = acting.submit(NewJob::new("flaky", &json!({"failures": 9})).max_attempts(2)).await;
    let job = acting.ended(&spent).await;
    assert_eq!((&job["status"], &job["attempt_count"]), (&json!("failed"), &json!(2)));
    assert_eq!(job["error"]["code"], "handler_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snoozed_attempt_is_not_spent() {
    let acting = Acting::start().await;
    let id = acting.submit(act(&Deed::Snooze)).await;
    let job = acting.becomes(&id, "snoozes", |job| job["status"] == "scheduled").await;
    assert_eq!((&job["attempt_count"], &job["attempts_left"]), (&json!(0), &json!(3)));
}

/// It asks to come back at once, and has done so many times.
#[tokio::test(flavor = "multi_thread")]
async fn a_snooze_takes_a_second_at_least_and_the_last_ten_are_kept_and_all_counted() {
    let acting = Acting::start().await;
    let client = acting.database.client().await;
    let id = acting.submit(act(&Deed::SnoozeForNothing)).await;
    acting.becomes(&id, "snoozes", |job| job["status"] == "scheduled").await;
    let before = format!(
        "insert into reveille.attempt (id, lease, claimed_at, ended_at, attempt, ending)
           select '{id}', gen_random_uuid(), at, at, 1, 'snoozed'
           from (select now() - n * interval '1 minute' as at from generate_series(1, 24) n) s"
    );
    client.batch_execute(&before).await.unwrap();
    let counted = Cell::new(25);
    for _ in 0..2 {
        let (before, list) = (counted.get(), Cell::new(Value::Null));
        eventually("the last snooze says how many there were", SOON, async || {
            let attempts = acting.http.get(&format!("/jobs/{id}/attempts")).await.body;
            let error = |it: &Value| it["error"]["message"].as_str().unwrap_or_default().to_owned();
            let words: Vec<String> =
                attempts["data"].as_array().unwrap().iter().map(error).collect();
            list.set(attempts);
            let counts = words.iter().filter_map(|it| {
                it.strip_prefix("the job has snoozed ")?.split(' ').next()?.parse::<u32>().ok()
            });
            counted.set(counts.max().unwrap_or_default());
            counted.get() > before
        })
        .await;
        let kept = list.into_inner();
        let snoozes = kept["data"].as_array().unwrap().iter();
        let snoozes = snoozes.filter(|it| it["outcome"] == "snoozed").count();
        assert!(snoozes <= 11, "ten, and one that was not looked at yet: {kept}");
    }
    let snoozes =
        "select count(*) from reveille.attempt where ended_at > now() - interval '50 seconds'";
    let seen: i64 = client.query_one(snoozes, &[]).await.unwrap().get(0);
    let counted = counted.get();
    assert!(i64::from(counted) <= 24 + seen, "{counted} counted, {seen} seen");
    let least = format!(
        "select min(extract(epoch from later.claimed_at - a.ended_at))::float8
         from (select *, row_number() over (order by ended_at desc) as nth from reveille.attempt where id = '{id}') a
         join (select *, row_number() over (order by ended_at desc) as nth from reveille.attempt where id = '{id}') later
           on later.nth = a.nth - 1
         where a.ended_at > now() - interval '50 seconds'"
    );
    let least: f64 = client.query_one(&least, &[]).await.unwrap().get(0);
    assert!(least >= 1.0, "{least}");
    let job = acting.http.get_job(&id).await.body;
    assert_eq!(job.get("error"), None, "a snooze is no error of the job: {job}");
}

/// It is told to stop by its timeout, and is done a moment later.
#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_succeeds_within_the_second_after_its_timeout_counts() {
    let acting = Acting::start().await;
    let wait = act(&Deed::Wait { and_succeed: true }).timeout(Duration::from_millis(200));
    let id = acting.submit(wait).await;
    let job = acting.ended(&id).await;
    assert_eq!((&job["status"], &job["attempt_count"]), (&json!("completed"), &json!(1)), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_seen_while_the_job_runs_and_a_cancellation_reaches_its_handler() {
    let acting = Acting::start().await;
    for (and_succeed, status) in [(true, "completed"), (false, "cancelled")] {
        let id = acting.submit(act(&Deed::Wait { and_succeed })).await;
        let half = |job: &Value| job["progress"]["fraction"] == 0.5;
        let job = acting.becomes(&id, "it says how far it is", half).await;
        assert_eq!((&job["status"], &job["attempt_count"]), (&json!("processing"), &json!(1)));
        assert_eq!(job["progress"]["message"], "half of it");
        let told = acting.http.post(&format!("/jobs/{id}/cancel"), &json!({})).await;
        assert_eq!(told.status, 202);
        assert_eq!(acting.ended(&id).await["status"], status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_serves_waits_until_somebody_does() {
    let acting = Acting::start().await;
    let client = acting.service.client();
    let without = harness::Service::start(acting.database.url()).await;
    acting.service.shutdown().await;
    // The library's client ended with its service; the other one takes the job all the same.
    assert!(client.submit(act(&Deed::Panic)).await.is_err());
    let job = json!({"task": "act", "payload": "panic"});
    let id = without.http().post_job(&job).await.body["job_id"].as_str().unwrap().to_owned();
    let job = without.http().get_job(&id).await.body;
    assert_eq!(job["status"], "queued");
    assert!(job["warnings"][0].as_str().unwrap().contains("\"act\""), "{job}");
    assert_eq!(without.http().get("/tasks/act").await.body["served"], false);

    let again = Reveille::builder().database_url(acting.database.url()).without_http().task(Act);
    let again = again.start().await.unwrap();
    let job = without.http().get(&format!("/jobs/{id}?wait=10")).await.body;
    assert_eq!((&job["status"], &job["task"]), (&json!("completed"), &json!("act")));
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_listed_with_their_schemas_and_defaults() {
    let acting = Acting::start().await;
    let list = acting.http.get("/tasks").await;
    let names: Vec<&Value> =
        list.body["data"].as_array().unwrap().iter().map(|task| &task["name"]).collect();
    assert_eq!(names, ["act", "echo", "flaky", "hello_world", "noop", "sleep"]);

    let task = acting.http.get("/tasks/act").await.body;
    assert_eq!(task, list.body["data"][0]);
    assert_eq!((&task["served"], &task["workers"]), (&json!(true), &json!(1)));
    assert_eq!((&task["max_attempts"], &task["timeout_seconds"]), (&json!(3), &json!(90.0)));
    let retry = json!({"base_seconds": 0.01, "factor": 3.0, "max_seconds": 21600.0, "jitter": 0.2});
    assert_eq!((&task["retry"], &task["example"]), (&retry, &json!("refuse")));
    let attempt = &task["result_schema"]["properties"]["attempt"];
    assert_eq!(attempt["type"], "integer");
    assert_eq!(attempt["description"], "Which attempt it was.");
    assert!(task["payload_schema"].to_string().contains("and_succeed"), "{task}");

    let missing = acting.http.get("/tasks/slep").await;
    assert_eq!((missing.status, &missing.body["code"]), (404, &json!("task_not_found")));
    assert!(missing.body["detail"].as_str().unwrap().contains("Did you mean `sleep`?"));

    let url = format!("http://{}", acting.service.address().unwrap());
    let reveille = async |line: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
        let output = command.args(line).env("REVEILLE_URL", &url).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let table = reveille(&["tasks"]).await;
    let row = table.lines().find(|line| line.starts_with("act ")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>()[..4], ["act", "1", "3", "Does"]);
    let shown: Value = serde_json::from_str(&reveille(&["tasks", "act", "--json"]).await).unwrap();
    assert_eq!(shown, task);
}
