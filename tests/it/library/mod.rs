//! The service as a library, inside a program that is not its own.

mod attempts;
mod client;
mod hooks;
mod operator;
mod transactions;

use std::time::Duration;

use futures_util::future::join_all;
use reveille::Config;
use reveille::{
    Builder, Client, Context, Handler, JobId, Json, NewJob, Outcome, Reveille, SubmitError,
    TaskError,
};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::harness::http::Http;
use crate::harness::{self, Service, TestDatabase, within};

const SOON: Duration = Duration::from_secs(10);

/// Adds what it was made with, so that one can see which of two services ran it.
struct Add(i64);

impl Handler for Add {
    const NAME: &'static str = "add";
    type Payload = i64;
    type Output = i64;

    async fn run(&self, _: Context, payload: i64) -> Result<i64, TaskError> {
        Ok(payload + self.0)
    }
}

/// Ends when it is told to, and only then. Until then it has something to report.
struct Stay;

impl Handler for Stay {
    const NAME: &'static str = "stay";
    type Payload = Json;
    type Output = ();

    async fn run(&self, context: Context, _: Json) -> Result<(), TaskError> {
        let reports = async {
            let mut often = tokio::time::interval(Duration::from_millis(20));
            loop {
                often.tick().await;
                context.progress(0.5, "it stays");
            }
        };
        tokio::select! {
            () = context.cancelled() => Err(TaskError::retry("told to stop")),
            () = reports => Ok(()),
        }
    }
}

/// Never ends, and always has something to do: it gives way to others only because the runtime makes it.
struct Busy;

impl Handler for Busy {
    const NAME: &'static str = "busy";
    type Payload = Json;
    type Output = ();

    async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
        loop {
            tokio::task::consume_budget().await;
        }
    }
}

fn on(database: &TestDatabase) -> Builder {
    Reveille::builder().database_url(database.url()).listen(([127, 0, 0, 1], 0)).workers(4)
}

async fn ended(service: &Reveille, id: impl std::fmt::Display) -> Value {
    let url = format!("http://{}", service.address().unwrap());
    Http::new(&url).get(&format!("/jobs/{id}?wait=10")).await.body
}

async fn count(database: &TestDatabase, from: &str) -> i64 {
    let query = format!("select count(*) from reveille.{from}");
    database.client().await.query_one(&query, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_in_one_process_run_their_own_tasks_and_leave_one_by_one() {
    let (first, second) = (harness::database().await, harness::database().await);
    let ten = on(&first).task(Add(10)).start().await.unwrap();
    let twenty = on(&second).task(Add(20)).start().await.unwrap();
    for (service, result) in [(&ten, 11), (&twenty, 21)] {
        let written = service.submit(NewJob::new(Add::NAME, &1)).await.unwrap();
        assert_eq!(written.outcome, Outcome::Created);
        assert_eq!(ended(service, written.job_id).await["result"], result);
    }
    let url = format!("http://{}/metrics", ten.address().unwrap());
    let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
    assert!(metrics.contains("reveille_jobs_submitted_total"), "{metrics}");

    let client = ten.client();
    within("the first leaves", SOON, ten.shutdown()).await;
    let refused = client.submit(NewJob::new(Add::NAME, &1)).await.unwrap_err();
    assert!(matches!(refused, SubmitError::Unavailable(_)), "{refused}");
    assert_eq!(count(&first, "worker").await, 0, "it has said goodbye");
    let written = twenty.submit(NewJob::new(Add::NAME, &2)).await.unwrap();
    assert_eq!(ended(&twenty, written.job_id).await["result"], 22);
    within("the second leaves", SOON, twenty.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_given_back_when_the_program_shuts_the_service_down() {
    let database = harness::database().await;
    let service = on(&database)
        .without_builtin_tasks()
        .task(Stay)
        .without_http()
        .shutdown_grace(Duration::ZERO)
        .start()
        .await
        .unwrap();
    assert_eq!(service.address(), None);
    service.submit(NewJob::new(Stay::NAME, &())).await.unwrap();
    harness::eventually("the job runs", SOON, async || count(&database, "lease").await == 1).await;
    within("it leaves", SOON, service.shutdown()).await;
    assert_eq!(count(&database, "worker").await, 0, "it has said goodbye");
    assert_eq!(count(&database, "lease").await, 0);
    assert_eq!(count(&database, "ready where attempt = 0 and task = 'stay'").await, 1);
    assert_eq!(count(&database, "task").await, 1, "no task but its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_is_always_busy_is_ended_by_its_time_limit() {
    let database = harness::database().await;
    let service = on(&database).task(Busy).start().await.unwrap();
    let limit = Duration::from_millis(100);
    let job = NewJob::new(Busy::NAME, &()).timeout(limit).max_attempts(1);
    let id = service.submit(job).await.unwrap().job_id;
    let job = ended(&service, id).await;
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("failed"), &json!("timed_out")));
    within("it leaves", SOON, service.shutdown()).await;
}

/// Runs itself in a process of its own, since what is installed there cannot be taken away.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_keeps_its_own_recorder_its_logs_and_its_tls() {
    const DATABASE: &str = "DATABASE_OF_THE_PROGRAM";
    let Ok(url) = std::env::var(DATABASE) else {
        let database = harness::database().await;
        let name = "library::a_program_keeps_its_own_recorder_its_logs_and_its_tls";
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.args(["--exact", name]).env(DATABASE, database.url());
        let output = program.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    };
    metrics::set_global_recorder(metrics::NoopRecorder).unwrap();
    tracing_subscriber::fmt().with_writer(std::io::sink).try_init().unwrap();
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let service = Reveille::builder().database_url(&url).listen(([127, 0, 0, 1], 0));
    let service = service.start().await.unwrap();
    let written = service.submit(NewJob::new("echo", &1)).await.unwrap();
    assert_eq!(ended(&service, written.job_id).await["result"], 1);
    let metrics = reqwest::get(format!("http://{}/metrics", service.address().unwrap()));
    let metrics = metrics.await.unwrap().text().await.unwrap();
    assert!(metrics.contains("a recorder of its own"), "{metrics}");
    service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_submits_without_a_service_in_its_process() {
    let database = harness::database().await;
    let client = Client::connect(database.url()).await.unwrap();
    let jobs = (0..3).map(|nth| NewJob::new("echo", &nth));
    let written = client.submit_many(jobs).await.unwrap();
    assert!(written.is_sorted_by_key(|written| written.job_id));
    let service = Service::start(database.url()).await;
    for (nth, written) in written.iter().enumerate() {
        let path = format!("/jobs/{}?wait=10", written.job_id);
        assert_eq!(service.http().get(&path).await.body["result"], json!(nth));
    }
}

/// More submissions than one poll of a task may answer, all of them at once.
async fn submit_at_once(client: Client) -> Vec<JobId> {
    let submitted = join_all((0..300).map(|nth| client.submit(NewJob::new("echo", &nth))));
    let answers = within("all are answered", SOON, submitted).await;
    answers.into_iter().map(|answer| answer.unwrap().job_id).collect()
}

async fn assert_jobs(database: &TestDatabase, mut ids: Vec<JobId>) {
    ids.sort();
    ids.dedup();
    assert_eq!(count(database, "job").await, i64::try_from(ids.len()).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_submit_at_once_are_all_answered_wherever_they_run() {
    let database = harness::database().await;
    let client = Client::connect(database.url()).await.unwrap();
    let mut callers = JoinSet::new();
    callers.spawn(submit_at_once(client.clone()));
    for _ in 0..64 {
        let client = client.clone();
        callers.spawn(async move {
            let mut ids = Vec::new();
            for nth in 0..20 {
                ids.push(client.submit(NewJob::new("echo", &nth)).await.unwrap().job_id);
            }
            ids
        });
    }
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(submit_at_once(client))
    });
    let mut ids = within("all are answered", SOON, callers.join_all()).await.concat();
    ids.extend(elsewhere.join().unwrap());
    assert_eq!(ids.len(), 300 + 64 * 20 + 300);
    assert_jobs(&database, ids).await;
}

#[tokio::test]
async fn callers_who_submit_at_once_are_all_answered_on_a_single_thread() {
    let database = harness::database().await;
    let client = Client::connect(database.url()).await.unwrap();
    assert_jobs(&database, tokio::spawn(submit_at_once(client)).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_takes_no_answer_from_those_whose_group_it_was_in() {
    let database = harness::database().await;
    let client = Client::connect(database.url()).await.unwrap();
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let client = client.clone();
        callers.spawn(async move {
            let going = tokio::spawn(submit_at_once(client.clone()));
            client.submit(NewJob::new("echo", &0)).await.unwrap();
            going.abort();
            submit_at_once(client).await
        });
    }
    let ids = within("all are answered", SOON, callers.join_all()).await.concat();
    assert_eq!(ids.len(), 16 * 300);
}

#[tokio::test]
async fn everything_that_is_wrong_with_the_settings_is_told_at_once() {
    let config = Config { heartbeat: Duration::from_secs(5000), ..Config::default() };
    let wrong = Reveille::builder()
        .config(config)
        .database_url("mysql://me:hush@db/x")
        .listen(([0, 0, 0, 0], 0))
        .queues(["Mail"])
        .start()
        .await;
    let text = wrong.err().unwrap().to_string();
    for setting in ["database_url", "heartbeat_seconds", "lost_after_seconds", "listen", "queues"] {
        assert!(text.contains(&format!("- {setting} (from the program)")), "{setting}: {text}");
    }
    assert!(!text.contains("hush"), "{text}");
}
