//! Every metric, with what it says. The code that counts something names it; here it gets its words
//! and the bounds of its buckets.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};

enum Kind {
    Counter,
    Gauge,
    /// With the upper bounds of its buckets.
    Histogram(&'static [f64]),
}
use Kind::{Counter, Gauge, Histogram};

/// From a millisecond, which is what a job takes that does nothing, to what a wait may come to.
const WAITS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 1800.0, 7200.0,
];
/// Of handlers, up to the default time limit.
const RUNS: &[f64] = &[
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0,
];
/// Of statements and answers.
const ANSWERS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const ROWS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 10_000.0];

const METRICS: &[(&str, Kind, &str)] = &[
    (
        "reveille_build_info",
        Gauge,
        "Always 1, with the version of this program and, if the build was told it, the commit.",
    ),
    (
        "reveille_jobs_submitted_total",
        Counter,
        "Submissions answered by this instance, by door (http, library) and outcome (created, existing, replaced, rejected). Those by SQL pass no instance.",
    ),
    (
        "reveille_idempotent_requests_total",
        Counter,
        "Requests with an Idempotency-Key, by outcome: stored, replayed (answered as an earlier one), reused (with other content), busy (the first is under way), full (too many keys), refused.",
    ),
    (
        "reveille_claims_total",
        Counter,
        "Jobs claimed, by what made the dispatcher look (notify, local, drain, timer, poll, suspect).",
    ),
    (
        "reveille_job_outcomes_total",
        Counter,
        "Ends of attempts by task and queue: completed, failed, cancelled, retry, snooze, release, unbegun (given back before it began), and those that came too late (lease_lost, already_final). queue=\"(others)\" has what is beyond a hundred queues.",
    ),
    ("reveille_job_timeouts_total", Counter, "Attempts that took longer than they may."),
    (
        "reveille_jobs_out_of_time_total",
        Counter,
        "Jobs that failed because their time was over, by queue and code: expired (no attempt began within queue_ttl_seconds) and deadline_exceeded. queue=\"(others)\" has what is beyond a hundred queues.",
    ),
    ("reveille_job_wait_seconds", Histogram(WAITS), "From the time a job was due to its start."),
    ("reveille_job_run_seconds", Histogram(RUNS), "How long attempts ran, by task."),
    ("reveille_slots_running", Gauge, "Jobs that run in this instance."),
    ("reveille_slots_free", Gauge, "Jobs that this instance could run besides."),
    (
        "reveille_queue_depth",
        Gauge,
        "Jobs of a queue that are due and wait; counted out to some thousands, estimated beyond. The same from every instance; queue=\"(others)\" has what is beyond a hundred queues.",
    ),
    ("reveille_queue_scheduled", Gauge, "Jobs of a queue that are not due yet, counted likewise."),
    (
        "reveille_queue_oldest_waiting_seconds",
        Gauge,
        "For how long the job that has waited longest in a queue has been due.",
    ),
    (
        "reveille_queue_keys",
        Gauge,
        "Concurrency keys of which a job runs or waits, counted up to 10001.",
    ),
    (
        "reveille_queue_keyed",
        Gauge,
        "Jobs that wait for their turn among those of their concurrency key, or for their time; counted up to 10001.",
    ),
    (
        "reveille_queues_read_at_seconds",
        Gauge,
        "When the queues were last read, as seconds since 1970. While that fails, what is said of them stays as it was then.",
    ),
    ("reveille_submit_batch_size", Histogram(ROWS), "Submissions written by one statement."),
    (
        "reveille_claim_batch_size",
        Histogram(ROWS),
        "Jobs claimed by one statement that found some.",
    ),
    ("reveille_claim_duration_seconds", Histogram(ANSWERS), "How long claims took."),
    ("reveille_settle_batch_size", Histogram(ROWS), "Outcomes settled by one statement."),
    (
        "reveille_listener_up",
        Gauge,
        "1 while notifications are heard, 0 while only the poll finds jobs.",
    ),
    (
        "reveille_listener_round_trip_seconds",
        Gauge,
        "How long the listener's last notification to itself took.",
    ),
    (
        "reveille_listener_reconnects_total",
        Counter,
        "How often the listener connected again, or tried to.",
    ),
    (
        "reveille_clock_ahead_seconds",
        Gauge,
        "How far the database's clock is ahead of this machine's.",
    ),
    (
        "reveille_jobs_given_back_total",
        Counter,
        "Jobs that were claimed ahead of a free slot and given back, because none came free soon or the service left.",
    ),
    ("reveille_rescues_total", Counter, "Lost workers whose jobs this instance took back."),
    (
        "reveille_jobs_rescued_total",
        Counter,
        "Jobs taken back from lost workers, by what became of them: they wait again, or have ended.",
    ),
    ("reveille_pruned_jobs_total", Counter, "Ended jobs that were forgotten one by one, by state."),
    ("reveille_partitions_dropped_total", Counter, "Old weeks that were removed as a whole."),
    (
        "reveille_dead_letters",
        Gauge,
        "Jobs that failed for good and are kept, by task; estimated where there are very many, and read at most once a minute. The same from every instance; task=\"(others)\" has what is beyond a hundred tasks.",
    ),
    (
        "reveille_redriven_jobs_total",
        Counter,
        "Failed jobs that redrives of this instance sent back to wait, by task; task=\"(others)\" has what is beyond a hundred tasks.",
    ),
    (
        "reveille_redrive_skips_total",
        Counter,
        "Failed jobs that redrives of this instance left, because another job holds their unique key.",
    ),
    ("reveille_purged_jobs_total", Counter, "Waiting jobs that purges of this instance cancelled."),
    ("reveille_pool_connections", Gauge, "Connections to the database, by pool."),
    ("reveille_pool_idle_connections", Gauge, "Idle connections to the database, by pool."),
    ("reveille_pool_waits_total", Counter, "How often a connection had to be waited for."),
    (
        "reveille_pool_wait_seconds_total",
        Counter,
        "Time waited for connections; its rate is how many wait at a time.",
    ),
    ("reveille_pool_timeouts_total", Counter, "How often no connection came in time."),
    (
        "reveille_loop_restarts_total",
        Counter,
        "Loops of this instance that panicked or ended too early, and were started again unless they could not be kept alive.",
    ),
    (
        "reveille_log_lines_dropped_total",
        Counter,
        "Log lines that were not written: standard error could not be, or not as fast as they came.",
    ),
    (
        "reveille_http_requests_total",
        Counter,
        "Requests by method, route and status; those to no route are \"unmatched\".",
    ),
    (
        "reveille_http_request_duration_seconds",
        Histogram(ANSWERS),
        "From the head of a request to its answer, by method and route.",
    ),
];

/// Tells the builder the buckets.
pub(super) fn with_buckets(builder: PrometheusBuilder) -> Result<PrometheusBuilder, BuildError> {
    METRICS.iter().try_fold(builder, |builder, (name, kind, _)| match kind {
        Histogram(bounds) => {
            builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), bounds)
        }
        _ => Ok(builder),
    })
}

type Labels = &'static [(&'static str, &'static str)];

/// The labels under which a metric is there from the start; one that is not named here has none. An
/// engine begins its own counts by queue and task, and a loop those by loop.
fn labels_at_start(name: &str) -> &'static [Labels] {
    match name {
        "reveille_jobs_submitted_total" => &[
            &[("door", "http"), ("outcome", "created")],
            &[("door", "http"), ("outcome", "existing")],
            &[("door", "http"), ("outcome", "replaced")],
            &[("door", "http"), ("outcome", "rejected")],
            &[("door", "library"), ("outcome", "created")],
            &[("door", "library"), ("outcome", "existing")],
            &[("door", "library"), ("outcome", "replaced")],
            &[("door", "library"), ("outcome", "rejected")],
        ],
        "reveille_claims_total" => &[
            &[("source", "notify")],
            &[("source", "local")],
            &[("source", "drain")],
            &[("source", "timer")],
            &[("source", "poll")],
            &[("source", "suspect")],
        ],
        "reveille_dead_letters" | "reveille_redriven_jobs_total" => &[&[("task", "(others)")]],
        "reveille_queue_depth"
        | "reveille_queue_scheduled"
        | "reveille_queue_oldest_waiting_seconds"
        | "reveille_queue_keys"
        | "reveille_queue_keyed" => &[&[("queue", "default")]],
        "reveille_idempotent_requests_total" => &[
            &[("outcome", "stored")],
            &[("outcome", "replayed")],
            &[("outcome", "reused")],
            &[("outcome", "busy")],
            &[("outcome", "full")],
            &[("outcome", "refused")],
        ],
        "reveille_jobs_rescued_total" => &[&[("became", "waiting")], &[("became", "ended")]],
        "reveille_jobs_out_of_time_total" => &[
            &[("code", "expired"), ("queue", "default")],
            &[("code", "deadline_exceeded"), ("queue", "default")],
        ],
        "reveille_pruned_jobs_total" => {
            &[&[("state", "completed")], &[("state", "failed")], &[("state", "cancelled")]]
        }
        "reveille_http_requests_total" => &[
            &[("method", "POST"), ("route", "/jobs"), ("status", "201")],
            &[("method", "GET"), ("route", "/metrics"), ("status", "200")],
        ],
        "reveille_http_request_duration_seconds" => &[
            &[("method", "POST"), ("route", "/jobs")],
            &[("method", "GET"), ("route", "/metrics")],
        ],
        "reveille_job_outcomes_total"
        | "reveille_job_run_seconds"
        | "reveille_loop_restarts_total"
        | "reveille_build_info" => &[],
        _ if name.starts_with("reveille_pool_") => &[],
        _ => &[&[]],
    }
}

/// Tells the installed recorder what the metrics mean, and begins them at zero. A rate over a
/// metric that appears with its first event misses that event.
pub(super) fn describe() {
    for (name, kind, help) in METRICS {
        match kind {
            Counter => describe_counter!(*name, *help),
            Gauge => describe_gauge!(*name, *help),
            Histogram(_) => describe_histogram!(*name, *help),
        }
        for &labels in labels_at_start(name) {
            match kind {
                Counter => counter!(*name, labels).increment(0),
                Gauge => gauge!(*name, labels).set(0.0),
                Histogram(_) => drop(histogram!(*name, labels)),
            }
        }
    }
    let mut build = vec![("version", env!("CARGO_PKG_VERSION"))];
    build.extend(option_env!("REVEILLE_COMMIT").map(|commit| ("commit", commit)));
    gauge!("reveille_build_info", &build).set(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_every_metric_and_no_other() {
        let lines = include_str!("../../../docs/metrics.md").lines();
        let named: Vec<&str> =
            lines.filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next()).collect();
        let known: Vec<&str> = METRICS.iter().map(|(name, _, _)| *name).collect();
        assert_eq!(named, known);
    }

    #[test]
    fn the_alerts_of_the_page_ask_for_metrics_that_there_are() {
        let page = include_str!("../../../docs/metrics.md");
        let rules = page.split("expr: ").skip(1).map(|rest| rest.lines().next().unwrap_or(""));
        let words =
            rules.flat_map(|rule| rule.split(|it: char| !it.is_alphanumeric() && it != '_'));
        let asked: Vec<&str> = words.filter(|word| word.starts_with("reveille_")).collect();
        assert!(asked.len() >= 5, "{asked:?}");
        for name in asked {
            assert!(METRICS.iter().any(|(known, _, _)| *known == name), "{name}");
        }
    }
}
