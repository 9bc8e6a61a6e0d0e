//! Jobs that failed for good: how they are grouped, and sending them back. The cases are those of
//! LIFE 3.

mod beside;
mod canary;
mod purge;
mod redrive;
mod waiting;

use std::time::Duration;

use reveille::{Context, Handler, JsonSchema, NewJob, Reveille, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::harness::http::{Answer, Http, answer};
use crate::harness::look::{all_end, assert_one_place, value};
use crate::harness::service::ServiceBuilder;
use crate::harness::{self, Service, TestDatabase, eventually, scaled};

pub(super) const SOON: Duration = Duration::from_secs(30);

/// A house whose jobs fail until they are healed. `flaky` fails its first attempts, and these have
/// only one.
pub(super) struct House {
    pub(super) database: TestDatabase,
    pub(super) client: Client,
    pub(super) service: Service,
    pub(super) http: Http,
}

impl House {
    pub(super) async fn open() -> Self {
        let database = harness::database().await;
        let client = database.client().await;
        let service = on(&database).start().await;
        let http = service.http();
        Self { database, client, service, http }
    }

    /// So many jobs that have failed, in the order of their submission.
    pub(super) async fn failed(&self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let some = (count - ids.len()).min(10_000);
            ids.extend(self.submit(some, &json!({"failures": 1})).await);
        }
        self.idle().await;
        ids
    }

    /// Waits until no job waits or runs. It costs the same however many have ended.
    pub(super) async fn idle(&self) {
        let idle = "select not exists (select from reveille.ready)
            and not exists (select from reveille.lease)";
        eventually("no job waits or runs", long(), async || {
            value::<bool>(&self.client, idle).await
        })
        .await;
    }

    pub(super) async fn submit(&self, count: usize, payload: &Value) -> Vec<String> {
        let job = json!({"task": "flaky", "payload": payload, "max_attempts": 1});
        let written = self.http.post("/jobs/batch", &json!(vec![job; count])).await;
        assert_eq!(written.status, 201, "{written:?}");
        let jobs = written.body["jobs"].as_array().unwrap().iter();
        jobs.map(|job| job["job_id"].as_str().unwrap().to_owned()).collect()
    }

    /// The cause that made these jobs fail is over.
    pub(super) async fn heal(&self, ids: &[String]) {
        let heal =
            "update reveille.job set payload = '{\"failures\": 0}' where id::text = any ($1)";
        self.client.execute(heal, &[&ids]).await.unwrap();
    }

    pub(super) async fn redrive(&self, body: Value) -> Answer {
        self.http.post("/dead-letters/redrive", &body).await
    }

    /// Asks for a redrive, and gives its id.
    pub(super) async fn redriving(&self, body: Value) -> String {
        let asked = self.redrive(body).await;
        assert_eq!(asked.status, 202, "{asked:?}");
        asked.body["operation"]["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn operation(&self, id: &str) -> Value {
        self.http.get(&format!("/operations/{id}")).await.body
    }

    /// The operation as soon as it has ended.
    pub(super) async fn over(&self, id: &str) -> Value {
        over(&self.http, id).await
    }

    pub(super) async fn stop(&self, id: &str) -> Answer {
        answer(self.http.request("DELETE", &format!("/operations/{id}"))).await
    }

    /// How many jobs ended in this state.
    pub(super) async fn ended(&self, state: &str) -> i64 {
        let ended = format!("select count(*) from reveille.outcome where state = '{state}'");
        value(&self.client, &ended).await
    }

    /// Each of these jobs has completed in its first attempt of a second life, and nothing else.
    pub(super) async fn assert_all_redriven_once(&self, ids: &[String]) {
        let wrong = "select array_agg(i.id) from unnest($1::text[]) i (id)
            where not exists (select from reveille.outcome o
                where o.id = i.id::uuid and o.state = 'completed' and o.attempt = 1)
              or (select count(*) from reveille.attempt a
                where a.id = i.id::uuid and a.redriven_at is not null) <> 1
              or (select count(*) from reveille.attempt a where a.id = i.id::uuid) <> 1";
        let wrong: Option<Vec<String>> =
            self.client.query_one(wrong, &[&ids]).await.unwrap().get(0);
        assert_eq!(wrong, None);
        assert_one_place(&self.client).await;
    }
}

/// How long it may take until all jobs of a case have ended.
pub(super) fn long() -> Duration {
    SOON * scaled(1, 30)
}

/// A service that is soon taken for lost.
pub(super) fn on(database: &TestDatabase) -> ServiceBuilder {
    Service::on(database.url()).env("REVEILLE_WORKERS", "8").brisk("2")
}

pub(super) async fn over(http: &Http, id: &str) -> Value {
    let path = format!("/operations/{id}");
    eventually("the operation is over", long(), async || {
        http.get(&path).await.body["stopped_at"].is_string()
    })
    .await;
    http.get(&path).await.body
}

/// Fails for good as its payload says.
struct Fail<const NTH: u8>;

#[derive(Serialize, Deserialize, JsonSchema)]
struct How {
    code: String,
    message: String,
}

macro_rules! fails {
    ($nth:literal, $name:literal) => {
        impl Handler for Fail<$nth> {
            const NAME: &'static str = $name;
            type Payload = How;
            type Output = ();

            async fn run(&self, _: Context, how: How) -> Result<(), TaskError> {
                Err(TaskError::permanent(how.message).with_code(how.code))
            }
        }
    };
}
fails!(0, "fail_a");
fails!(1, "fail_b");

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} of {value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn life_3c1_failures_are_grouped_by_task_and_code_whatever_ids_their_messages_have() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = Reveille::builder().database_url(database.url()).listen(([127, 0, 0, 1], 0));
    let service = service.task(Fail::<0>).task(Fail::<1>).start().await.unwrap();
    let http = Http::new(&format!("http://{}", service.address().unwrap()));
    let none = http.get("/dead-letters").await;
    assert_eq!((none.status, none.body), (200, json!({"data": []})));
    let job = |nth: usize| {
        let code = ["late", "refused", "gone"][nth % 3];
        let how = How { code: code.into(), message: format!("order {nth} of user-{nth}x: {code}") };
        if nth.is_multiple_of(2) { NewJob::of::<Fail<0>>(how) } else { NewJob::of::<Fail<1>>(how) }
    };
    service.submit_many((0..100).map(job)).await.unwrap();
    service.submit(NewJob::new("echo", &json!(1))).await.unwrap();
    all_end(&client, 101, SOON).await;

    let letters = http.get("/dead-letters").await.body;
    let groups = letters["data"].as_array().unwrap();
    assert_eq!((groups.len(), letters.get("other")), (6, None), "{letters}");
    let sum: i64 = groups.iter().map(|group| group["count"].as_i64().unwrap()).sum();
    assert_eq!(sum, 100);
    let last: Vec<&str> = groups.iter().map(|group| text(group, "last_failed_at")).collect();
    assert!(last.is_sorted_by(|one, next| one >= next), "{last:?}");
    for group in groups {
        let (task, code) = (text(group, "task"), text(&group["error"], "code"));
        let of = format!(
            "select count(*), min(o.ended_at) = '{}'::timestamptz and max(o.ended_at) = '{}'::timestamptz,
               bool_or(o.id = '{}'), count(distinct o.family), min(o.family) = ('x{}')::bit(64)::bigint
             from reveille.outcome o join reveille.job j using (id)
             where j.task = '{task}' and o.error ->> 'code' = '{code}'",
            text(group, "first_failed_at"),
            text(group, "last_failed_at"),
            text(group, "example_job_id"),
            text(group, "family"),
        );
        let row = client.query_one(&of, &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), group["count"].as_i64().unwrap(), "{group}");
        assert_eq!((row.get(1), row.get(2), row.get(4)), (true, true, true), "{group}");
        assert_eq!(row.get::<_, i64>(3), 1, "{group}");
        // Each filter leads to it.
        let (family, example) = (text(group, "family"), text(group, "example_job_id"));
        let one = http.get(&format!("/dead-letters?family={family}")).await.body;
        assert_eq!(one["data"], json!([group]));
        let one = http.get(&format!("/dead-letters?task={task}&code={code}&queue=default")).await;
        assert_eq!(one.body["data"], json!([group]));
        assert_eq!(http.get_job(example).await.body["error"], group["error"]);
    }
    for (path, found) in [
        ("/dead-letters?task=fail_a,fail_b", 6),
        ("/dead-letters?task=fail_a", 3),
        ("/dead-letters?code=late", 2),
        ("/dead-letters?queue=other", 0),
        ("/dead-letters?failed_before=2020-01-01T00:00:00Z", 0),
        ("/dead-letters?failed_after=2020-01-01T00:00:00Z", 6),
        ("/dead-letters?family=0000000000000000", 0),
    ] {
        let body = http.get(path).await.body;
        assert_eq!(body["data"].as_array().map(Vec::len), Some(found), "{path}: {body}");
    }
    for path in [
        "/dead-letters?family=7",
        "/dead-letters?code=",
        "/dead-letters?queue=Q",
        "/dead-letters?failed_after=noon",
        "/dead-letters?limit=1",
    ] {
        let refused = http.get(path).await;
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.body["errors"][0]["parameter"].is_string(), "{path}: {refused:?}");
    }
    // People see the same in SQL. A completed job has no family, and no entry of the index.
    let seen = "select count(*) || ' ' || sum(jobs) from reveille.dead_letters";
    assert_eq!(value::<String>(&client, seen).await, "6 100");
    let families =
        "select count(*) from reveille.outcome where state = 'completed' and family is not null";
    assert_eq!(value::<i64>(&client, families).await, 0);
    service.shutdown().await;
}

/// The release before fails jobs without their family, and so does SQL.
#[tokio::test(flavor = "multi_thread")]
async fn failures_without_a_family_are_shown_and_get_it() {
    let house = House::open().await;
    let ids = house.failed(3).await;
    let family: i64 = value(&house.client, "select min(family) from reveille.outcome").await;
    let forget = format!("update reveille.outcome set family = null where id <> '{}'", ids[0]);
    house.client.execute(&forget, &[]).await.unwrap();
    let letters = house.http.get("/dead-letters").await.body;
    let counts = (&letters["data"][0]["count"], &letters["other"]["count"]);
    assert_eq!(counts, (&json!(1), &json!(2)), "{letters}");
    // A redrive of a family finds them out at once.
    let filter = json!({"filter": {"family": letters["data"][0]["family"]}, "dry_run": true});
    assert_eq!(house.redrive(filter).await.body["matched"], 3);
    let known = format!("select bool_and(family = {family}) from reveille.outcome");
    assert!(value::<bool>(&house.client, &known).await);
    let letters = house.http.get("/dead-letters").await.body;
    assert_eq!((&letters["data"][0]["count"], letters.get("other")), (&json!(3), None));
}

/// From the second crash on a job runs alone, and fails at the third.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_by_the_loss_of_its_workers_is_in_a_group_too() {
    let database = harness::database().await;
    let client = database.client().await;
    let observer = on(&database).env("REVEILLE_WORKERS", "0").start().await;
    let job = json!({"task": "sleep", "payload": {"seconds": 600}});
    let id = observer.http().post_job(&job).await.body;
    let id = text(&id, "job_id").to_owned();
    client.execute("update reveille.ready set crashes = 2", &[]).await.unwrap();
    let mut victim = on(&database).start().await;
    harness::look::becomes(&client, &id, "processing", SOON).await;
    victim.kill9().await;
    harness::look::becomes(&client, &id, "failed", SOON).await;
    let http = observer.http();
    eventually("it is in a group", SOON, async || {
        http.get("/dead-letters").await.body["data"][0]["count"] == 1
    })
    .await;
    let letters = http.get("/dead-letters").await.body;
    let group = &letters["data"][0];
    assert_eq!((text(group, "task"), text(&group["error"], "code")), ("sleep", "worker_lost"));
}

/// The database itself ends it, while nobody runs it.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_expires_is_in_a_group_too() {
    let house = House::open().await;
    assert_eq!(house.http.post("/queues/late/pause", &json!({})).await.status, 200);
    let job = json!({"payload": 1, "queue": "late", "queue_ttl_seconds": 0.2});
    let id = text(&house.http.post_job(&job).await.body, "job_id").to_owned();
    harness::look::becomes(&house.client, &id, "failed", SOON).await;
    eventually("it is in a group", Duration::from_secs(10), async || {
        house.http.get("/dead-letters").await.body["data"][0]["error"]["code"] == "expired"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_3c6_bad_input_is_refused_by_its_place() {
    let house = House::open().await;
    for (body, pointer) in [
        (json!({}), "/filter"),
        (json!({"filter": {}}), "/filter"),
        (json!({"filter": {"task": "a"}, "all": true}), "/all"),
        (json!({"filter": {"family": "zz"}}), "/filter/family"),
        (json!({"all": true, "canary": {"share": 1.5}}), "/canary/share"),
        (json!({"all": true, "rate_per_second": -1}), "/rate_per_second"),
    ] {
        let refused = house.redrive(body.clone()).await;
        assert_eq!((refused.status, &refused.body["code"]), (422, &json!("validation_failed")));
        assert_eq!(refused.body["errors"][0]["pointer"], pointer, "{body}: {refused:?}");
        assert!(!text(&refused.body, "detail").is_empty());
    }
    let nobody = "0199a3c1-0c4e-7b21-9f60-1d2c3b4a5968";
    for (method, path, status, code) in [
        ("POST", "/queues/nobody-knows/purge".to_owned(), 404, "queue_not_found"),
        ("POST", "/queues/Q/purge".to_owned(), 400, "invalid_queue_name"),
        ("POST", "/queues/q/purge?delay_seconds=-1".to_owned(), 400, "invalid_parameter"),
        ("GET", format!("/operations/{nobody}"), 404, "operation_not_found"),
        ("DELETE", format!("/operations/{nobody}"), 404, "operation_not_found"),
        ("GET", "/operations/7".to_owned(), 400, "invalid_parameter"),
        ("GET", "/operations?cursor=7".to_owned(), 400, "invalid_cursor"),
    ] {
        let refused = answer(house.http.request(method, &path)).await;
        assert_eq!((refused.status, text(&refused.body, "code")), (status, code), "{path}");
        // Each says what to do.
        let detail = text(&refused.body, "detail");
        assert!(detail.len() > 40, "{path}: {detail}");
    }
    assert_eq!(value::<i64>(&house.client, "select count(*) from reveille.operation").await, 0);
}
