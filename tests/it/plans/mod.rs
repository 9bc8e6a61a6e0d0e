//! The plans of the statements, on as many rows as make a bad one hurt.
//!
//! The planner cannot know what a LATERAL limit or a CTE will give, so the pools of the service pin its ways, and what
//! comes of that is looked at here: before ANALYZE has ever run, and after it.

mod client;
mod node;
mod reads;
mod rows;
mod weeks;

use reveille::internals::store::Purpose;
use tokio_postgres::{Client, Config, NoTls};

use crate::harness::{self, TestDatabase};
use node::Plan;

/// A statement's name, its text, and what its connection is for.
macro_rules! statement {
    ($name:literal, $purpose:ident) => {
        ($name, include_str!(concat!("../../../sql/", $name, ".sql")), Purpose::$purpose)
    };
}

/// The hot statements, and for what their connections are.
const HOT: &[(&str, &str, Purpose)] = &[
    statement!("lease/claim", Claims),
    statement!("lease/claim_lane", Claims),
    statement!("lease/claim_suspect", Claims),
    statement!("lease/sweep", Claims),
    statement!("lease/settle", Outcomes),
    statement!("lease/rescue", Upkeep),
    statement!("ready/lanes", Claims),
    statement!("job/submit", Submissions),
    statement!("job/submit_one", Submissions),
    statement!("job/submit_plain", Submissions),
    statement!("job/submit_plain_one", Submissions),
    statement!("job/submit_keyed", Submissions),
    statement!("job/cancel", People),
    statement!("job/retry", People),
    statement!("worker/heartbeat", Heartbeat),
    statement!("worker/lead", Heartbeat),
    statement!("worker/lost", Upkeep),
    statement!("progress/report", Outcomes),
];

/// The statements of the leader that carry out operations on many jobs, and look for their work.
const OPERATIONS: &[(&str, &str, Purpose)] = &[
    statement!("operation/candidates", Upkeep),
    statement!("operation/purge", Upkeep),
    statement!("operation/canary_look", Upkeep),
    statement!("dead_letter/unsorted", Upkeep),
];

/// An id of this moment.
const NOW: &str = "reveille.uuid7(reveille.uuid7_ticks(now()), 0, 5000)";

/// A connection with the settings of one of the service's pools.
async fn connect(database: &TestDatabase, purpose: Purpose) -> Client {
    let mut config: Config = database.url().parse().unwrap();
    let (client, connection) =
        config.options(purpose.settings()).connect(NoTls).await.expect("the settings exist");
    tokio::spawn(connection);
    client
}

/// The plan that a statement has with these parameters, which are SQL.
async fn explain(client: &Client, text: &str, parameters: &[&str]) -> Plan {
    client.batch_execute(&format!("prepare it as {text}")).await.unwrap();
    let call = match parameters {
        [] => "it".to_owned(),
        some => format!("it({})", some.join(", ")),
    };
    let sql = format!("explain (format json) execute {call}");
    let plan = client.simple_query(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    client.batch_execute("deallocate it").await.unwrap();
    Plan::of(&plan)
}

#[tokio::test(flavor = "multi_thread")]
async fn hot_statements_walk_indexes_whatever_the_planner_knows() {
    let database = harness::database().await;
    rows::fill(&database).await;
    for analyzed in [false, true] {
        if analyzed {
            database.client().await.batch_execute("analyze").await.unwrap();
        }
        for (name, text, purpose) in HOT.iter().chain(OPERATIONS) {
            let client = connect(&database, *purpose).await;
            let count = client.prepare(text).await.unwrap().params().len();
            // Those for people are planned for what is asked: for a job.
            let parameter = if *purpose == Purpose::People { NOW } else { "null" };
            let plan = explain(&client, text, &vec![parameter; count]).await;
            let faults = plan.faults_of_a_hot_one();
            assert!(
                faults.is_empty(),
                "sql/{name}.sql (analyzed: {analyzed}) does not only walk indexes:\n  {}\n{plan}",
                faults.join("\n  ")
            );
        }
    }
}
