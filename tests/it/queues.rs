//! Queues: how they stand, and pausing and resuming them.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reveille::{Context, Handler, Json, TaskError};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::http::Http;
use crate::harness::look::{all_end, becomes, listens, metric, submit, value};
use crate::harness::proxy::Mode;
use crate::harness::service::ServiceBuilder;
use crate::harness::{self, Cluster, Service, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(10);
/// Handlers of two instances with two slots each.
const RUNNING_MOST: usize = 4;

/// A service whose poll finds nothing while a test lasts.
fn slow_poll(database: &TestDatabase) -> ServiceBuilder {
    Service::on(database.url()).env("REVEILLE_POLL_INTERVAL_SECONDS", "60")
}

async fn submitted(service: &Service, job: Value) -> Value {
    let answer = service.http().post("/jobs", &job).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.body
}

async fn status(service: &Service, job: &Value) -> Value {
    let job = service.http().get_job(job["job_id"].as_str().unwrap()).await;
    job.body["status"].clone()
}

/// The job once it has ended, or as it stands after ten seconds.
async fn ended(service: &Service, job: &Value) -> Value {
    service.http().get(&format!("/jobs/{}?wait=10", job["job_id"].as_str().unwrap())).await.body
}

/// The claim is full with a job that does not run, and names a lane behind it. Both are due at one moment, which nobody but a
/// timer tells: whoever takes the claim for one that is not full forgets the other lane until the next poll.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_read_fails_and_holds_up_no_other_lane() {
    let database = harness::database().await;
    let client = database.client().await;
    // Long after the service has begun to listen, and has looked at everything.
    let due: String = value(&client, "select (now() + interval '8 seconds')::text").await;
    let job =
        |queue| format!("task => 'noop', payload => '1', queue => '{queue}', run_at => '{due}'");
    let unreadable = submit(&client, &job("a")).await;
    let other = submit(&client, &job("b")).await;
    let damage = format!(
        "alter table reveille.job alter payload drop not null;
         update reveille.job set payload = null where id = '{unreadable}';
         update reveille.ready set payload = null, attempt = 9 where id = '{unreadable}'"
    );
    client.batch_execute(&damage).await.unwrap();
    let service = slow_poll(&database).env("REVEILLE_WORKERS", "1").start().await;
    listens(&service).await;
    becomes(&client, &unreadable, "failed", 2 * SOON).await;
    becomes(&client, &other, "completed", SOON).await;
    let code = "select error ->> 'code' from reveille.outcome where attempt = 10";
    assert_eq!(value::<String>(&client, code).await, "unreadable");
    let tried = "select count(*) from reveille.attempt";
    assert_eq!(value::<i64>(&client, tried).await, 0, "it was given back");
    service.logged("a claimed job cannot be read", SOON).await;
}

/// The job is found by a look at everything, which then fails to remember the name of its queue for those who list queues.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_cannot_be_listed_keeps_no_job_waiting() {
    let database = harness::database().await;
    let client = database.client().await;
    let refusal = "create function public.refuse() returns trigger language plpgsql as
          $$ begin raise exception 'no more names'; end $$;
        create trigger refuse before insert on reveille.queue for each row execute function public.refuse()";
    client.batch_execute(refusal).await.unwrap();
    let found = submit(&client, "task => 'noop', payload => '1'").await;
    let service = slow_poll(&database).start().await;
    becomes(&client, &found, "completed", SOON).await;
    let heard = submit(&client, "task => 'noop', payload => '1', queue => 'other'").await;
    becomes(&client, &heard, "completed", SOON).await;
    let said = service.stderr().matches("jobs cannot be claimed").count();
    assert!((1..=3).contains(&said), "{}", service.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_starts_nothing_and_resuming_it_wakes_every_instance() {
    let database = harness::database().await;
    let works = slow_poll(&database).start().await;
    let steers = slow_poll(&database).env("REVEILLE_WORKERS", "0").start().await;
    let http = steers.http();
    let running =
        submitted(&steers, json!({"task": "sleep", "payload": {"seconds": 2}, "queue": "mail"}))
            .await;
    eventually("a job of the queue runs", SOON, async || {
        status(&steers, &running).await == "processing"
    })
    .await;
    let paused = http.post("/queues/mail/pause", &json!({})).await;
    assert_eq!((paused.status, &paused.body["paused"]), (200, &json!(true)));
    let again = http.post("/queues/mail/pause", &json!({})).await.body;
    assert_eq!(again["paused_at"], paused.body["paused_at"]);

    let job = submitted(&steers, json!({"payload": 1, "queue": "mail"})).await;
    let warning = job["warnings"][0].as_str().unwrap();
    assert!(warning.contains("mail is paused"), "{warning}");
    let other = submitted(&steers, json!({"payload": 1})).await;
    assert_eq!(ended(&steers, &other).await["status"], "completed");
    assert_eq!(ended(&steers, &running).await["status"], "completed");
    let waits = http.get_job(job["job_id"].as_str().unwrap()).await.body;
    assert_eq!(waits["status"], "queued");
    assert_eq!(waits["warnings"][0], json!(warning));
    let queue = http.get("/queues/mail").await.body;
    assert_eq!(queue["counts"], json!({"scheduled": 0, "queued": 1, "processing": 0}));
    assert_eq!(queue["oldest_waiting_at"], waits["run_at"]);

    let resumed = http.post("/queues/mail/resume", &json!({})).await;
    assert_eq!((resumed.status, &resumed.body["paused"]), (200, &json!(false)));
    let job = ended(&works, &job).await;
    assert_eq!((&job["status"], &job["warnings"]), (&json!("completed"), &json!([])));
    assert_eq!(http.post("/queues/mail/resume", &json!({})).await.status, 200);
}

/// Each submission wakes the dispatcher beside it.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_come_to_a_paused_queue_cost_no_claims_and_run_once_it_is_resumed() {
    const JOBS: usize = 40;
    let database = harness::database().await;
    let service = slow_poll(&database).start().await;
    listens(&service).await;
    let http = service.http();
    assert_eq!(http.post("/queues/mail/pause", &json!({})).await.status, 200);
    let before = metric(&service, "reveille_claim_duration_seconds_count").await;
    let mut jobs = Vec::new();
    for _ in 0..JOBS {
        jobs.push(submitted(&service, json!({"payload": 1, "queue": "mail"})).await);
    }
    let claims = metric(&service, "reveille_claim_duration_seconds_count").await - before;
    // One, and those that still look after the job before.
    assert!(claims < 8.0, "{claims} claims of a queue that gives nothing");
    http.post("/queues/mail/resume", &json!({})).await;
    for job in &jobs {
        assert_eq!(ended(&service, job).await["status"], "completed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_nobody_says_is_resumed_goes_on_with_the_next_poll() {
    let database = harness::database().await;
    let client = database.client().await;
    let service =
        Service::on(database.url()).env("REVEILLE_POLL_INTERVAL_SECONDS", "1").start().await;
    let http = service.http();
    http.post("/queues/mail/pause", &json!({})).await;
    let job = submitted(&service, json!({"payload": 1, "queue": "mail"})).await;
    let other = submitted(&service, json!({"payload": 1})).await;
    assert_eq!(ended(&service, &other).await["status"], "completed");
    assert_eq!(status(&service, &job).await, "queued");
    client.batch_execute("update reveille.queue set paused_at = null").await.unwrap();
    assert_eq!(ended(&service, &job).await["status"], "completed");
}

/// Tells when it starts, and ends when it is let.
struct Starts(Arc<Mutex<Vec<Instant>>>, Arc<Semaphore>);

impl Handler for Starts {
    const NAME: &'static str = "starts";
    type Payload = Json;
    type Output = ();

    async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
        self.0.lock().unwrap().push(Instant::now());
        let _let = self.1.acquire().await;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_starts_here_once_a_pause_is_answered_nor_elsewhere_a_second_later() {
    let database = harness::database().await;
    let starts = [Arc::default(), Arc::default()];
    let gate = Arc::new(Semaphore::new(RUNNING_MOST));
    let mut services = Vec::new();
    for starts in &starts {
        let builder = reveille::Reveille::builder().database_url(database.url()).workers(2);
        let builder =
            builder.listen(([127, 0, 0, 1], 0)).task(Starts(Arc::clone(starts), gate.clone()));
        services.push(builder.start().await.unwrap());
    }
    let http = Http::new(&format!("http://{}", services[0].address().unwrap()));
    let jobs = vec![json!({"task": "starts", "payload": 1}); 10_000];
    assert_eq!(http.post("/jobs/batch", &json!(jobs)).await.status, 201);
    let count = |nth: usize| starts[nth].lock().unwrap().len();
    eventually("both are at work", SOON, async || count(0) > 300 && count(1) > 300).await;
    // From now on none ends, and others that are quick are held behind it.
    let shut = gate.acquire_many(u32::try_from(RUNNING_MOST).unwrap()).await.unwrap();
    assert_eq!(http.post("/queues/default/pause", &json!({})).await.status, 200);
    let (answered, here) = (Instant::now(), count(0));
    drop(shut);
    // What was claimed goes back.
    eventually("nothing is held", SOON, async || {
        http.get("/queues/default").await.body["counts"]["processing"] == 0
    })
    .await;
    assert_eq!(count(0), here, "jobs started here after the answer");
    let last = starts[1].lock().unwrap().iter().max().copied().unwrap();
    assert!(last < answered + Duration::from_secs(1), "{:?}", last - answered);
    assert!(count(0) + count(1) < 10_000, "all had run: this proves nothing");
    for service in services {
        service.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_can_be_paused_before_its_first_job_and_resumed_without_a_listener() {
    let database = harness::database().await;
    let listener = database.proxy().await;
    let service =
        slow_poll(&database).env("REVEILLE_LISTEN_DATABASE_URL", listener.url()).start().await;
    listener.set(Mode::Blackhole);
    let http = service.http();
    let queue = http.post("/queues/later/pause", &json!({})).await.body;
    assert_eq!((&queue["name"], &queue["paused"]), (&json!("later"), &json!(true)));
    let job = submitted(&service, json!({"payload": 1, "queue": "later"})).await;
    let other = submitted(&service, json!({"payload": 1})).await;
    assert_eq!(ended(&service, &other).await["status"], "completed");
    assert_eq!(status(&service, &job).await, "queued");
    http.post("/queues/later/resume", &json!({})).await;
    assert_eq!(ended(&service, &job).await["status"], "completed");
}

/// A service that runs nothing, on a database with these rows.
async fn holding(rows: &str) -> (TestDatabase, Service) {
    let database = harness::database().await;
    database.holds_rows_without_jobs();
    let client = database.client().await;
    client.batch_execute(&format!("{rows}; analyze reveille.ready")).await.unwrap();
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    (database, service)
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_counted_up_to_ten_thousand_and_estimated_beyond() {
    let (_database, service) = holding(
        "insert into reveille.ready (queue, task, priority, run_at, id)
             select 'large', 'echo', n % 10, now(), gen_random_uuid() from generate_series(1, 10050) n;
             insert into reveille.ready (queue, task, priority, run_at, id)
             select 'small', 'echo', n % 2, now() + interval '1 hour', gen_random_uuid() from generate_series(1, 7) n;
             insert into reveille.queue (name) values ('empty')",
    )
    .await;
    let http = service.http();
    let first = http.get("/queues?limit=2").await.body;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = http.get(&format!("/queues?limit=2&cursor={cursor}")).await.body;
    let queues =
        [first["data"].as_array().unwrap().clone(), second["data"].as_array().unwrap().clone()];
    let [empty, large, small] = &queues.concat()[..] else { panic!("{queues:?}") };
    assert_eq!(second.get("next_cursor"), None);
    let mut empty = empty.clone();
    let (settings, sources) = (empty["settings"].take(), empty["sources"].take());
    assert_eq!((settings, &sources["priority"]), (json!({}), &json!("default")));
    assert_eq!(
        empty,
        json!({"estimated": [], "name": "empty", "paused": false, "settings": null, "sources": null,
            "counts": {"scheduled": 0, "queued": 0, "processing": 0}})
    );
    assert_eq!((&large["name"], &large["estimated"]), (&json!("large"), &json!(["queued"])));
    let queued = large["counts"]["queued"].as_i64().unwrap();
    assert!((10_001..20_000).contains(&queued), "{large}");
    assert_eq!(small["counts"], json!({"scheduled": 7, "queued": 0, "processing": 0}));
    assert_eq!((small.get("oldest_waiting_at"), &small["estimated"]), (None, &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_counts_fewer_jobs_of_each_queue_than_one_that_is_asked_for() {
    let (_database, service) = holding(
        "insert into reveille.ready (queue, task, priority, run_at, id)
             select 'q' || n % 30, 'echo', n % 10, now(), gen_random_uuid() from generate_series(0, 11999) n",
    )
    .await;
    let http = service.http();
    let listed = http.get("/queues").await.body;
    let listed = listed["data"].as_array().unwrap();
    assert_eq!(listed.len(), 30);
    for queue in listed {
        assert_eq!(queue["estimated"], json!(["queued"]));
        assert!((350..450).contains(&queue["counts"]["queued"].as_i64().unwrap()), "{queue}");
    }
    let one = http.get("/queues/q7").await.body;
    assert_eq!((&one["counts"]["queued"], &one["estimated"]), (&json!(400), &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_lists_pauses_and_resumes_and_wrong_names_are_told() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let http = service.http();
    let run = |line: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
        let output = command.args(line).args(["--url", service.url()]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["queues", "pause", "mail", "billing"]), "mail  paused\nbilling  paused\n");
    assert_eq!(run(&["queues", "resume", "mail"]), "mail  resumed\n");
    let listed = run(&["queues"]);
    let lines: Vec<Vec<&str>> =
        listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        (lines[1][..2].to_vec(), lines[2][..2].to_vec()),
        (vec!["billing", "true"], vec!["mail", "false"])
    );

    for path in ["/queues/none", "/queues/none/resume"] {
        let answer = if path.ends_with("resume") {
            http.post(path, &json!({})).await
        } else {
            http.get(path).await
        };
        assert_eq!((answer.status, &answer.body["code"]), (404, &json!("queue_not_found")));
    }
    for path in ["/queues/Mail", "/queues/a%20b"] {
        let answer = http.get(path).await;
        assert_eq!((answer.status, &answer.body["code"]), (400, &json!("invalid_queue_name")));
    }
    assert_eq!(http.post("/queues/Mail/pause", &json!({})).await.status, 400);
    assert_eq!(http.get("/queues?cursor=A").await.body["code"], "invalid_cursor");
    assert_eq!(http.get("/queues?limit=0").await.body["code"], "invalid_limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_queue_is_listed_once_whatever_the_language_of_the_database() {
    let Some(database) = Cluster::shared().await.database_of_words().await else { return };
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    // By turns those that are known by their jobs, and those that were paused.
    let mut names = ["a-b", "a_b", "a1b", "a.b", "aab", "a-c", "a_c"];
    for (nth, name) in names.iter().enumerate() {
        if nth % 2 == 0 {
            submitted(&service, json!({"payload": 1, "queue": name})).await;
        } else {
            http.post(&format!("/queues/{name}/pause"), &json!({})).await;
        }
    }
    let (mut listed, mut path) = (Vec::new(), "/queues?limit=1".to_owned());
    for _ in 0..2 * names.len() {
        let page = http.get(&path).await.body;
        listed.push(page["data"][0]["name"].clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/queues?limit=1&cursor={cursor}");
    }
    names.sort_unstable();
    assert_eq!(json!(listed), json!(names));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_listed_though_its_jobs_ran_before_anybody_looked() {
    let database = harness::database().await;
    let service = slow_poll(&database).start().await;
    let http = service.http();
    let done = http.post("/jobs?wait=10", &json!({"payload": 1, "queue": "brief"})).await;
    assert_eq!(done.body["status"], "completed");
    eventually("the queue is listed", SOON, async || {
        let queues = http.get("/queues").await.body;
        queues["data"].as_array().is_some_and(|data| data.iter().any(|it| it["name"] == "brief"))
    })
    .await;
}

/// More queues than are read at a time, each with one job; the poll is a minute away, so that only the first look finds them.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_thousands_of_queues_are_found_page_by_page_and_claimed_many_queues_at_a_time() {
    const QUEUES: usize = 4500;
    let database = harness::database().await;
    let (client, proxy) = (database.client().await, database.proxy().await);
    let fill = format!(
        "set reveille.notify = off;
         select count(*) from reveille.submit_many((select jsonb_agg(jsonb_build_object('task', 'noop', 'payload', n, 'queue', 'q' || n,
           'delay_seconds', case when n = {QUEUES} then 1 else 0 end)) from generate_series(1, {QUEUES}) n))"
    );
    client.batch_execute(&fill).await.unwrap();
    let service =
        Service::on(proxy.url()).env("REVEILLE_POLL_INTERVAL_SECONDS", "60").start().await;
    let ended = i64::try_from(QUEUES).unwrap();
    all_end(&client, ended, Duration::from_secs(30)).await;
    let pages = proxy.sent("the lane to begin behind");
    // One look at the start, and perhaps one more when it listens.
    assert!((3..=6).contains(&pages), "{pages} pages");
    let claims = proxy.sent("insert into reveille.lease");
    assert!(claims < QUEUES / 20, "{claims} claims of one job each");
    assert_eq!(value::<i64>(&client, "select count(*) from reveille.queue").await, ended);
    drop(service);
}
