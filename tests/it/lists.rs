//! Lists of more jobs than one call looks at.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{self, Service, TestDatabase, within};

/// Nine thousand jobs: the first wait, some of them for tomorrow, the last have ended. A few are of a queue of their own, among
/// them the oldest of each kind, and a quarter has a tag. Many outcomes have lost their jobs, as while an old week is given up.
const FILL: &str = "
create temp table made as
  select n, reveille.uuid7(reveille.uuid7_ticks(now() - interval '1 hour'), 0, n * 5000) as id, case when n % 1500 = 1 or n = 5501 then 'few' else 'many' end as queue,
    case when n % 1750 = 0 then now() + interval '1 day' else now() - interval '1 hour' end as run_at
  from generate_series(1, 9000) n;
insert into reveille.job (id, run_at, priority, queue, task, payload, tags, unique_key)
  select id, run_at, 5, queue, 'echo', jsonb_build_object('n', n), case when n % 4 = 1 then array['quarter'] end,
    case when n % 20 = 3 then 'again' end from made;
insert into reveille.ready (queue, task, priority, run_at, id)
  select queue, 'echo', 5, run_at, id from made where n <= 5500;
insert into reveille.outcome (id, attempt, state)
  select id, 1, case when n % 3 = 0 then 'failed' else 'completed' end::reveille.end_state from made where n > 5600;
insert into reveille.lease (lease, worker, ids, attempts, crashes)
  select gen_random_uuid(), gen_random_uuid(), array_agg(id), array_agg(1), array_agg(0::smallint) from made where n between 5501 and 5600;
delete from reveille.job using made where job.id = made.id and made.n between 7001 and 8000;
";

/// Filters, each as the query of a list and in SQL.
const FILTERS: &[(&str, &str)] = &[
    ("limit=200", "true"),
    ("queue=few", "queue = 'few'"),
    ("queue=nothing", "false"),
    ("payload_contains=%7B%22n%22:1%7D", "payload @> '{\"n\":1}'"),
    ("status=queued&queue=few", "status = 'queued' and queue = 'few'"),
    ("status=scheduled", "status = 'scheduled'"),
    (
        "status=queued&payload_contains=%7B%22n%22:2%7D",
        "status = 'queued' and payload @> '{\"n\":2}'",
    ),
    ("status=completed&queue=few", "status = 'completed' and queue = 'few'"),
    ("status=failed&task=echo&limit=200", "status = 'failed' and task = 'echo'"),
    ("status=failed&queue=nothing", "false"),
    ("tag=quarter&limit=200", "tags @> '{quarter}'"),
    ("tag=quarter&status=completed", "tags @> '{quarter}' and status = 'completed'"),
    ("tag=quarter&status=scheduled&queue=many", "tags @> '{quarter}' and status = 'scheduled'"),
    ("status=processing&limit=30", "status = 'processing'"),
    ("unique_key=again", "unique_key = 'again'"),
    ("unique_key=again&status=queued&queue=few", "false"),
];

/// Jobs of some 900 kB each, oldest first, with the nth as `nth` of the payload.
async fn large(service: &Service, count: usize) {
    let filler = "x".repeat(900_000);
    for begin in (0..count).step_by(30) {
        let jobs: Vec<Value> = (begin..count.min(begin + 30))
            .map(|nth| json!({"payload": {"nth": nth, "filler": filler}, "delay_seconds": 600}))
            .collect();
        let submitted = service.http().post("/jobs/batch", &json!(jobs)).await;
        assert_eq!(submitted.status, 201, "{}", submitted.body);
    }
}

async fn filled() -> TestDatabase {
    let database = harness::database().await;
    database.holds_rows_without_jobs();
    database.client().await.batch_execute(FILL).await.unwrap();
    database
}

/// The ids on all pages, and how many pages there were.
async fn walk(service: &Service, filter: &str) -> (Vec<String>, usize) {
    let (mut ids, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let page = service.http().get(&format!("/jobs?{filter}{cursor}")).await;
        assert_eq!(page.status, 200, "{filter}: {}", page.body);
        let jobs = page.body["data"].as_array().unwrap();
        ids.extend(jobs.iter().map(|job| job["job_id"].as_str().unwrap().to_owned()));
        pages += 1;
        match page.body.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (ids, pages),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_finds_all_of_its_jobs_however_far_apart_they_lie() {
    let database = filled().await;
    // The leases are of workers that never lived: their jobs are not to be taken back while they are looked for.
    let service = Service::on(database.url()).env("REVEILLE_LOST_AFTER_SECONDS", "3600");
    let service = service.env("REVEILLE_WORKERS", "0").start().await;
    let client = database.client().await;
    for (filter, condition) in FILTERS {
        let sql = format!(
            "select job_id::text from reveille.jobs where {condition} order by job_id desc"
        );
        let rows = client.query(&sql, &[]).await.unwrap();
        let expected: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let (found, pages) = walk(&service, filter).await;
        assert_eq!(found, expected, "{filter}");
        assert!(pages > 1, "{filter} looks at everything in one call");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_goes_on_until_it_has_something_to_show() {
    let database = filled().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let url = service.url().to_owned();
    let list = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
        let line = ["list", "--payload-contains", "{\"n\": 1}", "--url", &url];
        let output = command.args(line).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    });
    let shown = within("the list", Duration::from_secs(30), list).await.unwrap();
    assert_eq!(shown.lines().count(), 2, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_large_jobs_ends_at_some_8_mib_and_the_next_goes_on() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    large(&service, 25).await;
    let (mut seen, mut pages, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let path = format!("/jobs?include=payload&limit=200{cursor}");
        let answer = service.http().request("GET", &path).send().await.unwrap();
        let body = answer.bytes().await.unwrap();
        assert!(body.len() < 10 << 20, "a page has {} bytes", body.len());
        let page: Value = serde_json::from_slice(&body).unwrap();
        let jobs = page["data"].as_array().unwrap();
        seen.extend(jobs.iter().map(|job| job["payload"]["nth"].as_u64().unwrap()));
        pages += 1;
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..25).rev().collect::<Vec<_>>());
    assert_eq!(pages, 3);
    // Without payloads nothing is large.
    let (ids, pages) = walk(&service, "limit=200").await;
    assert_eq!((ids.len(), pages), (25, 1));
}

/// Callers that ask for large pages and take nothing of them.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_readers_of_large_pages_take_no_more_memory_than_their_pages() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    large(&service, 60).await;
    let address = service.url().trim_start_matches("http://").to_owned();
    let mut readers = Vec::new();
    for _ in 0..50 {
        let mut reader = TcpStream::connect(&address).await.unwrap();
        let request = "GET /jobs?include=payload&limit=200 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        reader.write_all(request.as_bytes()).await.unwrap();
        readers.push(reader);
    }
    for reader in &mut readers {
        let mut status = [0; 12];
        let read = reader.read_exact(&mut status);
        within("the page begins", Duration::from_secs(60), read).await.unwrap();
        assert!(matches!(&status, b"HTTP/1.1 200" | b"HTTP/1.1 503"), "{status:?}");
    }
    let peak = service.most_memory();
    assert!(peak < 500 << 20, "{peak} bytes at most");
}
