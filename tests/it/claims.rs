//! What the store promises the engine: a claim lies in leases of a bounded size, and outcomes are settled whole or in part.

use std::collections::HashMap;
use std::time::Duration;

use reveille::NewJob;
use reveille::config::Config;
use reveille::job::state::Status;
use reveille::job::submission::OnConflict;
use reveille::job::{LeaseId, WorkerId};
use reveille::queue::{Lane, QueueName, TaskName};
use reveille::store::lease::{Claimed, Ending, LaneClaim, Settled, Settlement};
use reveille::store::{Failure, Store, Target};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::harness::look::{assert_one_place, value};
use crate::harness::{self, TestDatabase};

async fn claim(database: &TestDatabase, client: &Client, jobs: i64) -> (Store, Vec<Claimed>) {
    let submitted = format!(
        "select count(*) from generate_series(1, {jobs}) n
         cross join lateral reveille.submit(task => 'noop', payload => to_jsonb(n))"
    );
    assert_eq!(value::<i64>(client, &submitted).await, jobs);
    claim_waiting(database, client, usize::try_from(jobs).unwrap()).await
}

async fn claim_waiting(
    database: &TestDatabase,
    client: &Client,
    most: usize,
) -> (Store, Vec<Claimed>) {
    let target = Target::parse(database.url()).unwrap();
    let store = Store::open(&Config::default(), &target).await.unwrap();
    let lane = Lane {
        queue: QueueName::default(),
        task: TaskName::new("noop").unwrap(),
        priority: value(client, "select priority from reveille.ready limit 1").await,
    };
    let asked = [LaneClaim { lane, bound: None, most }];
    let claim = store.lease_claim(WorkerId(Uuid::now_v7()), &asked, most).await.unwrap();
    (store, claim.jobs.into_iter().map(|(_, job)| job).collect())
}

fn settlement(job: &Claimed, ending: Ending) -> Settlement {
    Settlement { lease: job.lease, id: job.id, place: job.place, ending, keyed: job.keyed }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_claim_lies_in_leases_that_say_where_each_job_stands() {
    let database = harness::database().await;
    let client = database.client().await;
    let (_, jobs) = claim(&database, &client, 430).await;
    let mut sizes: HashMap<LeaseId, usize> = HashMap::new();
    for job in &jobs {
        *sizes.entry(job.lease).or_default() += 1;
        let held = "select ids[$2] from reveille.lease where lease = $1";
        let there: Uuid = client.query_one(held, &[&job.lease.0, &job.place]).await.unwrap().get(0);
        assert_eq!(there, job.id.0);
    }
    let mut sizes: Vec<usize> = sizes.into_values().collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [180, 250]);
    assert_one_place(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_are_answered_one_by_one_unless_all_became_what_was_asked() {
    let database = harness::database().await;
    let client = database.client().await;
    let (store, jobs) = claim(&database, &client, 6).await;
    let done = |job| settlement(job, Ending::Completed(None));
    let completed = Settled::Applied(Some(Status::Completed));

    let whole = [done(&jobs[0]), settlement(&jobs[1], Ending::Release)];
    let settled = store.lease_settle(&whole, true).await.unwrap();
    assert_eq!(settled, [completed, Settled::Applied(None)]);

    let again = Ending::Retry { seconds: 3600.0, failure: Failure::new("handler_error", "no") };
    let mixed = [done(&jobs[0]), settlement(&jobs[2], again), done(&jobs[1]), done(&jobs[3])];
    let settled = store.lease_settle(&mixed, true).await.unwrap();
    let expected = [Settled::AlreadyFinal, Settled::Applied(None), Settled::LeaseLost, completed];
    assert_eq!(settled, expected);

    let cancelled = "update reveille.lease set cancels = ids[1:1] where true";
    client.batch_execute(cancelled).await.unwrap();
    let (first, second) = (&jobs[4], &jobs[5]);
    let settled = store
        .lease_settle(&[settlement(first, Ending::Release), done(second)], true)
        .await
        .unwrap();
    assert_eq!(settled, [Settled::Applied(Some(Status::Cancelled)), completed]);
    assert_one_place(&client).await;
    let waiting: i64 = value(&client, "select count(*) from reveille.ready").await;
    assert_eq!(waiting, 2, "the released one and the one to be tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_gives_jobs_as_they_were_submitted_whether_or_not_their_payload_lies_beside() {
    let database = harness::database().await;
    let client = database.client().await;
    let library = reveille::Client::connect(database.url()).await.unwrap();
    let large = "x".repeat(200);
    let job = |payload: &str| NewJob::new("noop", payload);
    let each = || {
        [
            job("plain"),
            job(&large),
            job("often").max_attempts(3),
            job("long").timeout(Duration::from_secs(7)),
        ]
    };
    for alone in each() {
        library.submit(alone).await.unwrap();
    }
    library.submit_many(each()).await.unwrap();
    library.submit(job("once").unique("a key", OnConflict::Reject)).await.unwrap();
    let beside: i64 = value(&client, "select count(payload) from reveille.ready").await;
    assert_eq!(beside, 2, "the plain one, alone and in the list");

    let (_, jobs) = claim_waiting(&database, &client, 20).await;
    let told = |job: &Claimed| {
        (job.payload.as_str().to_owned(), job.max_attempts, job.timeout_seconds, job.keyed)
    };
    let text = |payload: &str| format!("\"{payload}\"");
    let (plain, large) = ((text("plain"), None, None, false), (text(&large), None, None, false));
    let (often, long) =
        ((text("often"), Some(3), None, false), (text("long"), None, Some(7.0), false));
    let expected = [plain, large, often, long];
    let mut expected = [expected.clone(), expected].concat();
    expected.push((text("once"), None, None, true));
    assert_eq!(jobs.iter().map(told).collect::<Vec<_>>(), expected);
    assert_one_place(&client).await;
}
