//! What `/metrics` says after work that is known.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::json;

use crate::harness::{self, Service, eventually};

const SOON: Duration = Duration::from_secs(20);

/// The samples of a scrape: name with labels, and value.
#[derive(Debug)]
struct Scrape {
    text: String,
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    async fn of(service: &Service) -> Self {
        let text = service.http().request("GET", "/metrics").send().await.unwrap();
        let text = text.text().await.unwrap();
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self { samples: lines.filter_map(sample).collect(), text }
    }

    /// The value of one sample; 0 if there is none.
    fn value(&self, sample: &str) -> f64 {
        self.samples.get(sample).copied().unwrap_or_default()
    }

    fn sum(&self, name: &str) -> f64 {
        let of = |sample: &&String| sample.split('{').next() == Some(name);
        self.samples.iter().filter(|(sample, _)| of(sample)).map(|(_, value)| value).sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn known_work_is_counted_right() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "3").start().await;
    let http = service.http();
    let post = async |job| http.post("/jobs?wait=20", &job).await.body;
    assert_eq!(post(json!({"task": "noop", "payload": 1})).await["status"], "completed");
    assert_eq!(post(json!({"task": "echo", "payload": 1})).await["status"], "completed");
    let fails = json!({"task": "flaky", "payload": {"failures": 1}, "max_attempts": 1});
    assert_eq!(post(fails).await["status"], "failed");
    let unserved = || json!({"task": "unserved", "payload": 1, "queue": "q"});
    assert_eq!(http.post("/jobs/batch", &json!([unserved(), unserved()])).await.status, 201);
    let keyed =
        || json!({"task": "unserved", "payload": 1, "unique_key": "k", "delay_seconds": 600});
    assert_eq!(http.post("/jobs/batch", &json!([keyed(), keyed()])).await.status, 201);
    let mut refused = keyed();
    refused["on_conflict"] = json!("reject");
    assert_eq!(http.post("/jobs", &refused).await.status, 409);
    for path in ["/no/such", "/nor/this", "/jobs/x/y/z"] {
        assert_eq!(http.get(path).await.status, 404);
    }

    // The first scrape may have come before the last of it.
    eventually("the queues are measured", SOON, async || {
        Scrape::of(&service).await.value(r#"reveille_queue_depth{queue="q"}"#) == 2.0
    })
    .await;
    let scrape = Scrape::of(&service).await;
    let expected = [
        (r#"reveille_jobs_submitted_total{door="http",outcome="created"}"#, 6.0),
        (r#"reveille_jobs_submitted_total{door="http",outcome="existing"}"#, 1.0),
        (r#"reveille_jobs_submitted_total{door="http",outcome="rejected"}"#, 1.0),
        (r#"reveille_job_outcomes_total{outcome="completed",task="noop",queue="default"}"#, 1.0),
        (r#"reveille_job_outcomes_total{outcome="completed",task="echo",queue="default"}"#, 1.0),
        (r#"reveille_job_outcomes_total{outcome="failed",task="flaky",queue="default"}"#, 1.0),
        ("reveille_job_wait_seconds_count", 3.0),
        (r#"reveille_job_run_seconds_count{task="flaky"}"#, 1.0),
        ("reveille_claim_batch_size_sum", 3.0),
        ("reveille_settle_batch_size_sum", 3.0),
        ("reveille_submit_batch_size_sum", 7.0),
        ("reveille_slots_running", 0.0),
        ("reveille_slots_free", 3.0),
        (r#"reveille_queue_scheduled{queue="default"}"#, 1.0),
        (r#"reveille_queue_depth{queue="default"}"#, 0.0),
        ("reveille_listener_up", 1.0),
        (r#"reveille_http_requests_total{method="POST",route="/jobs",status="201"}"#, 3.0),
        (r#"reveille_http_requests_total{method="POST",route="/jobs",status="409"}"#, 1.0),
        (r#"reveille_http_requests_total{method="POST",route="/jobs/batch",status="201"}"#, 2.0),
        (r#"reveille_http_requests_total{method="GET",route="unmatched",status="404"}"#, 3.0),
        (r#"reveille_http_request_duration_seconds_count{method="POST",route="/jobs"}"#, 4.0),
    ];
    for (sample, value) in expected {
        assert_eq!(scrape.value(sample), value, "{sample} in\n{}", scrape.text);
    }
    assert_eq!(scrape.sum("reveille_claims_total"), 3.0, "{}", scrape.text);
    assert!(scrape.value(r#"reveille_queue_oldest_waiting_seconds{queue="q"}"#) > 0.0);
    assert!(scrape.value(r#"reveille_pool_connections{pool="hot"}"#) >= 1.0);
    assert!(!scrape.text.contains("/no/such"), "a path became a label");
    let named = |prefix: &str| -> HashSet<String> {
        let lines = scrape.text.lines().filter_map(|line| line.strip_prefix(prefix));
        lines.filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect()
    };
    assert_eq!(named("# TYPE "), named("# HELP "), "a metric that nobody explains");
}

/// A rate over a metric that appears with its first event misses that event.
#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_there_from_the_start() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let scrape = Scrape::of(&service).await;
    let page = include_str!("../../docs/metrics.md");
    let names = page.lines().filter_map(|line| line.strip_prefix("| `reveille_"));
    let names: Vec<&str> = names.filter_map(|name| name.split(['`', '{']).next()).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let begins = |end: &str| {
            let (bare, labels) =
                (format!("reveille_{name}{end}"), format!("reveille_{name}{end}{{"));
            scrape.samples.keys().any(|sample| *sample == bare || sample.starts_with(&labels))
        };
        assert!(begins("") || begins("_count"), "{name} in\n{}", scrape.text);
    }
    for outcome in ["completed", "failed", "retry", "lease_lost"] {
        for task in ["echo", "sleep"] {
            let sample = format!(
                r#"reveille_job_outcomes_total{{outcome="{outcome}",task="{task}",queue="default"}}"#
            );
            assert_eq!(scrape.samples.get(&sample), Some(&0.0), "{sample}");
        }
    }
    let restarts = |scrape: &Scrape| {
        let of = |sample: &&String| sample.starts_with("reveille_loop_restarts_total");
        scrape.samples.keys().filter(of).count()
    };
    assert!(restarts(&scrape) > 15, "{}", scrape.text);
    for sample in [
        r#"reveille_loop_restarts_total{loop="dispatcher"}"#,
        r#"reveille_loop_restarts_total{loop="edge"}"#,
        "reveille_log_lines_dropped_total",
    ] {
        assert_eq!(scrape.samples.get(sample), Some(&0.0), "{sample} in\n{}", scrape.text);
    }
    let build = concat!("reveille_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"");
    assert!(scrape.text.contains(build), "{}", scrape.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_beyond_a_hundred_share_a_label_and_an_emptied_one_says_so() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = Service::start(database.url()).await;
    let jobs: Vec<_> = (0..120)
        .map(|nth| json!({"task": "unserved", "payload": 1, "queue": format!("q{nth}")}))
        .collect();
    assert_eq!(service.http().post("/jobs/batch", &json!(jobs)).await.status, 201);
    let labels = |scrape: &Scrape| {
        scrape.samples.keys().filter(|sample| sample.starts_with("reveille_queue_depth{")).count()
    };
    eventually("all jobs are in the depths", SOON, async || {
        Scrape::of(&service).await.sum("reveille_queue_depth") == 120.0
    })
    .await;
    assert_eq!(labels(&Scrape::of(&service).await), 101);
    client.batch_execute("delete from reveille.ready; delete from reveille.job").await.unwrap();
    eventually("the depths are 0", SOON, async || {
        Scrape::of(&service).await.sum("reveille_queue_depth") == 0.0
    })
    .await;
    assert_eq!(labels(&Scrape::of(&service).await), 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queues_are_only_said_to_be_read_when_they_could_be() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let client = database.client().await;
    client.batch_execute("begin; lock table reveille.ready").await.unwrap();
    let read_at = async || Scrape::of(&service).await.value("reveille_queues_read_at_seconds");
    assert_eq!(read_at().await, 0.0);
    let now = "select extract(epoch from clock_timestamp())::float8";
    let before: f64 = client.query_one(now, &[]).await.unwrap().get(0);
    client.batch_execute("rollback").await.unwrap();
    eventually("they are read", SOON, async || read_at().await >= before).await;
}
