//! Submitting by plain SQL, and looking at jobs and at the service from outside.

use std::time::Duration;

use tokio_postgres::{Client, GenericClient};

use super::{Service, TestDatabase, eventually};

/// Submits with these arguments of `reveille.submit`, and gives the job's id.
pub(crate) async fn submit(client: &impl GenericClient, arguments: &str) -> String {
    let statement = format!("select job_id::text from reveille.submit({arguments})");
    client.query_one(&statement, &[]).await.unwrap_or_else(|error| panic!("{error:?}")).get(0)
}

/// One value.
pub(crate) async fn value<T>(client: &Client, query: &str) -> T
where
    T: for<'a> tokio_postgres::types::FromSql<'a>,
{
    client.query_one(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error:?}")).get(0)
}

/// How many connections to this database have this name.
pub(crate) async fn connections(database: &TestDatabase, name: &str) -> i64 {
    let named = format!(
        "select count(*) from pg_stat_activity
         where application_name = '{name}' and datname = current_database()"
    );
    value(&database.client().await, &named).await
}

/// The status that users see.
pub(crate) async fn status(client: &Client, id: &str) -> Option<String> {
    value(client, &format!("select reveille.job_status('{id}')")).await
}

/// Waits until the job has this status.
pub(crate) async fn becomes(client: &Client, id: &str, wanted: &str, deadline: Duration) {
    eventually(&format!("job {id} is {wanted}"), deadline, async || {
        status(client, id).await.as_deref() == Some(wanted)
    })
    .await;
}

/// Waits until so many jobs have ended.
pub(crate) async fn all_end(client: &Client, count: i64, deadline: Duration) {
    eventually(&format!("{count} jobs have ended"), deadline, async || {
        value::<i64>(client, "select count(*) from reveille.outcome").await >= count
    })
    .await;
}

/// Every job is in exactly one place; the query is the doctor's.
pub(crate) async fn assert_one_place(client: &Client) {
    let row = client.query_one(include_str!("../../../sql/doctor/one_place.sql"), &[]).await;
    let row = row.unwrap_or_else(|error| panic!("{error:?}"));
    let wrong: [i64; 3] = [row.get("nowhere"), row.get("several"), row.get("strangers")];
    assert_eq!(wrong, [0; 3], "jobs nowhere, in several places, and rows without a job");
    let odd = "select count(*) from reveille.ready where attempt < 0 or crashes < 0";
    assert_eq!(value::<i64>(client, odd).await, 0, "jobs that wait with less than no attempts");
    let beside = "select count(*) from reveille.ready r join reveille.job j using (id)
      where r.payload <> j.payload
        or r.payload is not null and (j.max_attempts is not null or j.timeout_seconds is not null or j.unique_key is not null)";
    assert_eq!(value::<i64>(client, beside).await, 0, "a claim would give another job");
}

/// The value of a metric (with its labels, as `/metrics` writes it); 0 if it is not there yet.
pub(crate) async fn metric(service: &Service, name: &str) -> f64 {
    let request = service.http().request("GET", "/metrics");
    let text = request.send().await.expect("is answered").text().await.expect("is text");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

/// Waits until the service listens for notifications, and has looked at everything once.
pub(crate) async fn listens(service: &Service) {
    service.logged("listening for notifications", Duration::from_secs(10)).await;
    // A job that it runs proves that the look that follows a connection is over.
    let done = service.http().post("/jobs?wait=10", &serde_json::json!({"payload": 1})).await;
    assert_eq!(done.body["status"], "completed");
}

/// Drops the partitions of every week, those to come too.
pub(crate) async fn drop_partitions(client: &Client) {
    let drop = "do $$ declare part regclass; begin
        for part in select inhrelid::regclass from pg_inherits
          where inhparent in ('reveille.job'::regclass, 'reveille.outcome'::regclass, 'reveille.attempt'::regclass)
        loop execute format('drop table %s', part); end loop;
      end $$";
    client.batch_execute(drop).await.unwrap_or_else(|error| panic!("{error:?}"));
}
