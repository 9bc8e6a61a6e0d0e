//! Lists that a client without a service asks for. Its few connections serve submissions too, whose
//! plans are pinned, and under those a list would read all jobs. Nobody sees the plans of its
//! sessions, so the rows that they have read are counted.

use std::time::Duration;

use reveille::{Client, JobFilter, JobId, NewJob, Status};
use uuid::Uuid;

use super::rows;
use crate::harness::look::{connections, value};
use crate::harness::{self, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(10);
/// A list looks at 5,000 rows at most, and reads two more tables for each that it shows.
const READ_MOST: i64 = 12_000;

fn filters() -> Vec<(&'static str, JobFilter)> {
    let any = JobFilter::default;
    let of = |status| JobFilter { statuses: vec![status], ..any() };
    vec![
        ("nothing", any()),
        ("scheduled", of(Status::Scheduled)),
        ("queued", of(Status::Queued)),
        ("processing", of(Status::Processing)),
        ("completed", of(Status::Completed)),
        ("failed", of(Status::Failed)),
        ("cancelled", of(Status::Cancelled)),
        ("queue", JobFilter { queues: vec!["q1".into()], ..any() }),
        ("task", JobFilter { tasks: vec!["task_1".into()], ..any() }),
        ("tag", JobFilter { tags: vec!["rare".into()], ..any() }),
        ("unique key", JobFilter { unique_key: Some("k100".into()), ..any() }),
        ("payloads", JobFilter { payloads: true, results: true, ..any() }),
        ("below", JobFilter { below: Some(JobId(Uuid::max())), ..of(Status::Failed) }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_a_client_reads_no_more_than_it_looks_at() {
    let database = harness::database().await;
    rows::fill(&database).await;
    database.client().await.batch_execute("analyze").await.unwrap();
    for (name, filter) in filters() {
        let before = rows_read(&database).await;
        let url = format!("{} application_name=it", database.url());
        let client = Client::connect(&url).await.unwrap();
        // Each of its connections has served a submission before.
        let submitted = [0, 1].map(|nth| client.submit(NewJob::new("echo", &nth)));
        for submitted in futures_util::future::join_all(submitted).await {
            submitted.unwrap();
        }
        let page = client.list(&filter).await.unwrap();
        assert!(!page.jobs.is_empty(), "the list by {name} finds some");
        // Sessions count what they have read when they end, at the latest.
        drop(client);
        eventually("it has left", SOON, async || connections(&database, "it").await == 0).await;
        let left: String = value(&database.client().await, "select clock_timestamp()::text").await;
        // PostgreSQL 14 counts behind: its figures are half a second old at most, and say when.
        let counted = format!("select coalesce(pg_stat_get_snapshot_timestamp() > '{left}', true)");
        eventually("it is counted", SOON, async || value(&database.client().await, &counted).await)
            .await;
        let read = rows_read(&database).await - before;
        assert!((1..=READ_MOST).contains(&read), "the list by {name} read {read} rows");
    }
}

/// The rows that were read in tables with a row for each job.
async fn rows_read(database: &TestDatabase) -> i64 {
    let read = "select sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint
      from pg_stat_user_tables
      where schemaname = 'reveille' and relname ~ '^(job|ready|outcome|attempt)'";
    value(&database.client().await, read).await
}
