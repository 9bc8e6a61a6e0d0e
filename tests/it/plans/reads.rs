//! What people read: pages of the list by each filter, and single jobs. The planner is free there, but no filter may read
//! a table of jobs whole.

use reveille::internals::store::Purpose;

use super::{connect, explain, rows};
use crate::harness;

const LIST: &str = include_str!("../../../sql/job/list.sql");

/// The parameters of the list but for the last seven (no payload to contain, payloads, results, a page of 50, 5,000 to look at,
/// the way, 8 MiB), and the way.
const FILTERS: &[(&str, [&str; 7], &str)] = &[
    ("nothing", ["null", "null", "null", "null", "null", LAST, FIRST], "'each'"),
    ("status=queued", ["'{queued}'", "null", "null", "null", "null", LAST, FIRST], "'waiting'"),
    (
        "status=scheduled",
        ["'{scheduled}'", "null", "null", "null", "null", LAST, FIRST],
        "'waiting'",
    ),
    (
        "status=processing",
        ["'{processing}'", "null", "null", "null", "null", LAST, FIRST],
        "'processing'",
    ),
    (
        "status=completed",
        ["'{completed}'", "null", "null", "null", "null", LAST, FIRST],
        "'completed'",
    ),
    (
        "status=failed",
        ["'{failed}'", "null", "null", "null", "null", LAST, FIRST],
        "'failed_or_cancelled'",
    ),
    (
        "status=cancelled",
        ["'{cancelled}'", "null", "null", "null", "null", LAST, FIRST],
        "'failed_or_cancelled'",
    ),
    ("queue", ["null", "'{q1}'", "null", "null", "null", LAST, FIRST], "'each'"),
    ("task", ["null", "null", "'{task_1}'", "null", "null", LAST, FIRST], "'each'"),
    ("tag", ["null", "null", "null", "'{rare}'", "null", LAST, FIRST], "'each'"),
    ("unique_key", ["null", "null", "null", "null", "'k100'", LAST, FIRST], "'each'"),
    ("created_after", ["null", "null", "null", "null", "null", LAST, MIDDLE], "'each'"),
    ("created_before", ["null", "null", "null", "null", "null", MIDDLE, FIRST], "'each'"),
    ("failed,queued", ["'{failed,queued}'", "null", "null", "null", "null", LAST, FIRST], "'each'"),
    ("two tags", ["null", "null", "null", "'{rare,other}'", "null", LAST, FIRST], "'each'"),
    (
        "two queues",
        ["'{failed}'", "'{q1,q2}'", "null", "null", "null", LAST, FIRST],
        "'failed_or_cancelled'",
    ),
];
const FIRST: &str = "'00000000-0000-0000-0000-000000000000'";
const MIDDLE: &str = "reveille.uuid7_floor(now() - interval '50 minutes')";
const LAST: &str = "'ffffffff-ffff-ffff-ffff-ffffffffffff'";

#[tokio::test(flavor = "multi_thread")]
async fn no_read_goes_through_a_table_of_jobs_row_by_row() {
    let database = harness::database().await;
    rows::fill(&database).await;
    database.client().await.batch_execute("analyze").await.unwrap();
    let large = rows::large_tables(&database).await;
    assert!(large.len() >= 4, "job, ready, outcome and attempt are large: {large:?}");
    let client = connect(&database, Purpose::People).await;
    let check = async |what: &str, text: &str, parameters: &[&str]| {
        let plan = explain(&client, text, parameters).await;
        let whole = plan.reads_whole(&large);
        assert!(whole.is_empty(), "{what} reads all of {whole:?}:\n{plan}");
    };
    for (filter, parameters, way) in FILTERS {
        check(&format!("sql/job/list.sql by {filter}"), LIST, &page(parameters, way)).await;
    }
    check("sql/job/get.sql", include_str!("../../../sql/job/get.sql"), &[LAST]).await;
    let attempts = include_str!("../../../sql/attempt/list.sql");
    check("sql/attempt/list.sql", attempts, &[LAST, "null", "8388608"]).await;
}

/// The few among many: walking past all the others would take seconds once there are millions.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_rare_has_an_index_of_its_own() {
    let database = harness::database().await;
    rows::fill(&database).await;
    database.client().await.batch_execute("analyze").await.unwrap();
    let client = connect(&database, Purpose::People).await;
    let rare = [
        ("status=failed", "outcome_unwell"),
        ("status=cancelled", "outcome_unwell"),
        ("tag", "job_tags_bytes"),
        ("unique_key", "job_unique_key_bytes"),
    ];
    for (filter, index) in rare {
        let (_, parameters, way) = FILTERS.iter().find(|it| it.0 == filter).unwrap();
        let plan = explain(&client, LIST, &page(parameters, way)).await;
        let parts = rows::parts_of(&database, index).await;
        let taken = plan.indexes().into_iter().any(|it| parts.iter().any(|part| part == it));
        assert!(taken, "the list by {filter} does not go through {index}:\n{plan}");
    }
}

fn page(filter: &[&'static str; 7], way: &'static str) -> Vec<&'static str> {
    [&filter[..], &["null", "true", "true", "50", "5000", way, "8388608"]].concat()
}
