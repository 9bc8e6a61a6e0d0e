//! A client without a service in its process: reading and steering jobs.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reveille::{
    Cancelled, Client, Context, Handler, JobFilter, JobId, Json, NewJob, Retried, Status, TaskError,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{SOON, on};
use crate::harness::look::{connections, value};
use crate::harness::{self, Service, TestDatabase, eventually, within};

/// Whether a connection of a client listens.
async fn listens(database: &TestDatabase) -> bool {
    let listening = "select count(*) = 1 from pg_stat_activity
      where application_name = 'it' and datname = current_database() and (query like 'listen%' or query like '%pg_notify%')";
    value(&database.client().await, listening).await
}

async fn connect(database: &TestDatabase) -> Client {
    Client::connect(&format!("{} application_name=it", database.url())).await.unwrap()
}

fn nobody() -> JobId {
    JobId(Uuid::now_v7())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_two_connections_whatever_it_asks_and_one_that_listens_from_its_first_wait_on()
{
    let database = harness::database().await;
    let _service = Service::start(database.url()).await;
    let client = connect(&database).await;
    let each = async |nth: u32| {
        let id = client.submit(NewJob::new("echo", &nth)).await.unwrap().job_id;
        client.get(id).await.unwrap().unwrap();
        client.list(&JobFilter::default()).await.unwrap();
        client.cancel(id).await.unwrap();
        id
    };
    let ids = within("all are answered", SOON, join_all((0..50).map(each))).await;
    assert_eq!(connections(&database, "it").await, 2);
    let waits = ids.iter().map(|id| client.wait(*id, SOON));
    for job in within("all have ended", SOON, join_all(waits)).await {
        assert!(job.unwrap().unwrap().status.is_final());
    }
    eventually("one listens", SOON, async || listens(&database).await).await;
    assert_eq!(connections(&database, "it").await, 3);
    assert!(client.wait(nobody(), SOON).await.unwrap().is_none());
    drop(client);
    eventually("all are closed", SOON, async || connections(&database, "it").await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_when_its_job_does_or_when_its_time_is_over() {
    let database = harness::database().await;
    let client = connect(&database).await;
    let id = client.submit(NewJob::new("echo", &"done")).await.unwrap().job_id;
    // The caller who waits first may go, with its runtime.
    let elsewhere = client.clone();
    let first = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(elsewhere.wait(id, Duration::from_millis(50))).unwrap()
    });
    let job = first.join().unwrap().unwrap();
    assert_eq!((job.status, job.result), (Status::Queued, None));
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.wait(id, SOON * 10).await.unwrap().unwrap() }
    });
    let service = on(&database).without_http().start().await.unwrap();
    let job = within("the end is told", SOON, waiting).await.unwrap();
    assert_eq!(job.status, Status::Completed);
    assert_eq!(job.result.unwrap().as_str(), "\"done\"");
    assert_eq!(job.attempt_count, 1);

    // Beside a service nothing else listens.
    let inside = service.client();
    let id = inside.submit(NewJob::new("echo", &1)).await.unwrap().job_id;
    let job = within("the end is told", SOON, inside.wait(id, SOON * 10)).await.unwrap().unwrap();
    assert_eq!(job.status, Status::Completed);
    within("it leaves", SOON, service.shutdown()).await;
    assert_eq!(inside.get(id).await.unwrap_err().code(), "database_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cancels_and_retries_and_those_who_wait_elsewhere_are_told() {
    let database = harness::database().await;
    let (client, other) = (connect(&database).await, connect(&database).await);
    let id = client.submit(NewJob::new("echo", &1)).await.unwrap().job_id;
    assert_eq!(client.retry(id).await.unwrap(), Retried::NotFinal);
    let waiting = tokio::spawn(async move { other.wait(id, SOON * 10).await.unwrap().unwrap() });
    eventually("it listens", SOON, async || listens(&database).await).await;
    assert_eq!(client.cancel(id).await.unwrap(), Cancelled::Ended);
    assert_eq!(within("it is told", SOON, waiting).await.unwrap().status, Status::Cancelled);
    assert_eq!(client.cancel(id).await.unwrap(), Cancelled::AlreadyFinal(Status::Cancelled));
    assert_eq!(client.retry(id).await.unwrap(), Retried::Queued);
    assert_eq!(client.get(id).await.unwrap().unwrap().status, Status::Queued);
    assert_eq!(client.cancel(nobody()).await.unwrap(), Cancelled::Unknown);
    assert_eq!(client.retry(nobody()).await.unwrap(), Retried::Unknown);
    assert!(client.get(nobody()).await.unwrap().is_none());
}

/// An operator's transaction has locked what tells the settings of queues.
#[tokio::test(flavor = "multi_thread")]
async fn a_submission_does_not_wait_for_the_settings_of_queues() {
    let database = harness::database().await;
    let client = connect(&database).await;
    let mut other = database.client().await;
    let open = other.transaction().await.unwrap();
    open.batch_execute("lock table reveille.queue").await.unwrap();
    // They are read once a second, and ten seconds after a look that took too long.
    let (begun, mut waited) = (Instant::now(), Duration::ZERO);
    while begun.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        client.submit(NewJob::new("echo", &1)).await.unwrap();
        if asked.elapsed() > Duration::from_millis(400) {
            waited += asked.elapsed();
        }
    }
    // A statement gives up after two seconds.
    let times = Duration::from_millis(400)..Duration::from_millis(1800);
    assert!(times.contains(&waited), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_lists_jobs_page_by_page_as_its_filter_says() {
    let database = harness::database().await;
    let client = connect(&database).await;
    let jobs = (0..7).map(|nth| {
        let queue = if nth % 2 == 0 { "even" } else { "odd" };
        NewJob::new("echo", &nth).queue(queue).tag(format!("tag {nth}"))
    });
    let written = client.submit_many(jobs).await.unwrap();
    let even = JobFilter { queues: vec!["even".into()], limit: 3, ..JobFilter::default() };
    let first = client.list(&even).await.unwrap();
    let shown = |nth: usize| written[nth].job_id;
    assert_eq!(first.jobs.iter().map(|job| job.job_id).collect::<Vec<_>>(), [6, 4, 2].map(shown));
    assert!(first.jobs.iter().all(|job| job.payload.is_none() && job.status == Status::Queued));
    let rest = client.list(&JobFilter { below: first.next, payloads: true, ..even }).await.unwrap();
    assert_eq!((rest.jobs.len(), rest.next, rest.jobs[0].job_id), (1, None, shown(0)));
    assert_eq!(rest.jobs[0].payload.as_ref().unwrap().as_str(), "0");
    let tagged = JobFilter { tags: vec!["tag 3".into()], ..JobFilter::default() };
    assert_eq!(client.list(&tagged).await.unwrap().jobs[0].job_id, shown(3));
    let failed = JobFilter { statuses: vec![Status::Failed], ..JobFilter::default() };
    assert!(client.list(&failed).await.unwrap().jobs.is_empty());

    // A page has one job at least, and 200 at most.
    client.submit_many((0..200).map(|nth| NewJob::new("echo", &nth))).await.unwrap();
    for (limit, count) in [(0, 1), (u32::MAX, 200)] {
        let page = client.list(&JobFilter { limit, ..JobFilter::default() }).await.unwrap();
        assert_eq!((page.jobs.len(), page.next.is_some()), (count, true), "limit {limit}");
    }
}

#[derive(Serialize, Deserialize, reveille::JsonSchema)]
struct Sum {
    left: i64,
    right: i64,
}

struct Adds;

impl Handler for Adds {
    const NAME: &'static str = "adds";
    type Payload = Sum;
    type Output = i64;

    async fn run(&self, _: Context, sum: Sum) -> Result<i64, TaskError> {
        Ok(sum.left + sum.right)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_job_reaches_its_task_with_its_payload() {
    let database = harness::database().await;
    let service = on(&database).task(Adds).without_http().start().await.unwrap();
    let client = connect(&database).await;
    let sum = Sum { left: 2, right: 3 };
    let by_reference = client.submit_to::<Adds>(&sum).await.unwrap();
    let by_value = client.submit_to::<Adds>(sum).await.unwrap();
    let chosen = NewJob::of::<Adds>(Sum { left: 1, right: 4 }).queue("sums").priority(0);
    let chosen = service.submit(chosen).await.unwrap();
    for id in [by_reference, by_value, chosen].map(|written| written.job_id) {
        let job = client.wait(id, SOON).await.unwrap().unwrap();
        assert_eq!((job.task.as_str(), job.result), ("adds", Json::from_serialize(&5).ok()));
    }
    within("it leaves", SOON, service.shutdown()).await;
}
