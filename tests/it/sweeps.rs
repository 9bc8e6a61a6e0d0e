//! Claims of whole queues, where very many of them have few jobs each.

use std::time::Duration;

use reveille::Config;
use reveille::internals::job::WorkerId;
use reveille::internals::queue::{Hold, Holder};
use reveille::internals::store::lease::{ClaimRoom, Swept};
use reveille::internals::store::{Store, Target};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::harness::look::{all_end, assert_one_place, value};
use crate::harness::{self, Service, TestDatabase};

const SOON: Duration = Duration::from_secs(20);

async fn sweep(database: &TestDatabase, begin: &str, rows: usize) -> Swept {
    let target = Target::parse(database.url()).unwrap();
    let store = Store::open(&Config::default(), &target).await.unwrap();
    let mut room = ClaimRoom { jobs: rows, bytes: 0, largest: 0 };
    let tasks = ["noop".to_owned(), "echo".to_owned()];
    store.lease_sweep(WorkerId(Uuid::now_v7()), begin, &tasks, rows, &mut room).await.unwrap()
}

/// The queues of its jobs with their payloads, in order.
fn jobs(swept: &Swept) -> Vec<(String, String)> {
    let job = |(nth, job): &(usize, reveille::internals::store::lease::Claimed)| {
        assert_eq!(swept.lanes[*nth].lane.queue, job.queue);
        assert!(job.place > 0);
        (job.queue.to_string(), job.payload.as_str().to_owned())
    };
    swept.claim.jobs.iter().map(job).collect()
}

/// Submits a job with this payload.
async fn submit(client: &Client, queue: &str, payload: &str, more: &str) {
    let sql = format!(
        "select count(*) from reveille.submit(queue => '{queue}', payload => '{payload}' {more})"
    );
    assert_eq!(value::<i64>(client, &sql).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_takes_what_is_due_in_whole_queues_and_tells_of_the_rest() {
    let database = harness::database().await;
    let client = database.client().await;
    let noop = ", task => 'noop'";
    submit(&client, "a", "1", ", task => 'noop', priority => 9").await;
    submit(&client, "a", "2", ", task => 'noop', priority => 1").await;
    submit(&client, "b", "3", ", task => 'strange'").await;
    submit(&client, "c", "4", noop).await;
    submit(&client, "d", "5", ", task => 'noop', run_at => now() + interval '1 hour'").await;
    submit(&client, "d", "6", ", task => 'noop', run_at => now() + interval '2 hours'").await;
    let all = r#", task => 'noop', unique_key => 'k', settings => '{"retry": {"jitter": 1}}'"#;
    submit(&client, "e", "7", all).await;
    submit(&client, "f", "8", noop).await;
    submit(&client, "g", "9", noop).await;
    submit(&client, "g", "10", noop).await;
    let others = "insert into reveille.queue (name, paused_at) values ('c', now())
                    on conflict (name) do update set paused_at = now();
                  update reveille.ready set crashes = 2 where queue = 'f'";
    client.batch_execute(others).await.unwrap();

    let first = sweep(&database, "", 9).await;
    let pair = |queue: &str, payload: &str| (queue.to_owned(), payload.to_owned());
    assert_eq!(jobs(&first), [pair("a", "2"), pair("a", "1"), pair("e", "7")]);
    assert!(first.claim.jobs[2].1.keyed);
    let jitter = |nth: usize| {
        let settings = first.claim.jobs[nth].1.settings.as_ref()?;
        settings.retry.as_ref().and_then(|retry| retry.jitter)
    };
    assert_eq!([jitter(0), jitter(1), jitter(2)], [None, None, Some(1.0)]);
    let lane = |nth: usize| first.lanes[nth].lane.queue.as_str();
    let due: Vec<_> = first.claim.due.iter().map(|(nth, at)| (lane(*nth), *at)).collect();
    let next = "select min(run_at) from reveille.ready where queue = 'd'";
    assert_eq!(due, [("d", value(&client, next).await)]);
    let held: Vec<_> = first.claim.held.iter().map(|(nth, hold)| (lane(*nth), *hold)).collect();
    assert_eq!(held, [("c", Hold { by: Holder::Pause, until: None })]);
    let stopped = first.stopped.expect("there were more rows than it was to read");
    assert_eq!(stopped.as_str(), "g");
    assert_one_place(&client).await;

    let second = sweep(&database, stopped.as_str(), 9).await;
    assert_eq!(jobs(&second), [pair("g", "9"), pair("g", "10")]);
    assert_eq!((second.stopped, second.claim.due), (None, Vec::new()));
    let left: String =
        value(&client, "select string_agg(queue, ' ' order by queue, id) from reveille.ready")
            .await;
    assert_eq!(left, "b c d d f");
    assert_one_place(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_passes_by_what_somebody_else_claims() {
    let database = harness::database().await;
    let client = database.client().await;
    for queue in ["a", "b", "c"] {
        submit(&client, queue, "1", ", task => 'noop'").await;
    }
    let mut other = harness::cluster::connect(database.url()).await;
    let claiming = other.transaction().await.unwrap();
    claiming.batch_execute("delete from reveille.ready where queue = 'b'").await.unwrap();
    let swept = sweep(&database, "", 9).await;
    let queues: Vec<String> = jobs(&swept).into_iter().map(|(queue, _)| queue).collect();
    assert_eq!(queues, ["a", "c"]);
    claiming.rollback().await.unwrap();
    assert_eq!(jobs(&sweep(&database, "", 9).await).len(), 1);
}

/// A claim that names lanes names 250 at most, so that it gets no more jobs where each has one.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_very_many_queues_are_claimed_by_sweeps_and_those_of_a_deep_one_beside_them() {
    const QUEUES: i64 = 2500;
    const DEEP: i64 = 3000;
    let database = harness::database().await;
    let client = database.client().await;
    let fill = format!(
        "select count(*) from (
           select 'q' || n as queue from generate_series(1, {QUEUES}) n
           union all select 'q1' from generate_series(1, {DEEP})
         ) x cross join lateral reveille.submit(task => 'noop', payload => '1', queue => x.queue)"
    );
    assert_eq!(value::<i64>(&client, &fill).await, QUEUES + DEEP);
    let _service = Service::on(database.url()).env("REVEILLE_WORKERS", "900").start().await;
    all_end(&client, QUEUES + DEEP, SOON).await;
    let queues: i64 = value(
        &client,
        "select max(queues) from (select count(distinct j.queue) as queues from reveille.outcome o
           join reveille.job j on j.id = o.id group by o.claimed_at) claim",
    )
    .await;
    assert!(queues > 250, "no claim has jobs of more than {queues} queues");
    assert_one_place(&client).await;
}
