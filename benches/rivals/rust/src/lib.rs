//! The part every adapter shares: the command line of the contract, the
//! measuring loops, and the JSON answer. A rival only says how to submit, run
//! and count jobs (trait [`Peer`]); everything that is timed is timed here, so
//! that all rivals are measured the same way.

use std::error::Error;
use std::fmt::Display;
use std::future::Future;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde_json::{Value, json};

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What holds for every rival.
const NOTES: &str = "no check of a pooled connection before each use; the clock of work starts \
                     when the worker is ready or its first job starts, whichever is first";

/// What every rival can do.
const SCENARIOS: [&str; 10] = [
    "enqueue-1",
    "enqueue-16",
    "enqueue-64",
    "bulk",
    "drain-10",
    "drain-50",
    "drain-tuned",
    "drain-held",
    "latency",
    "idle",
];

/// What `info` prints.
pub struct Info {
    pub name: &'static str,
    pub version: &'static str,
    pub notes: &'static str,
}

/// What a worker is started for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Waiting for jobs that come one at a time.
    Trickle,
    /// Many waiting jobs, as the rival comes.
    Backlog,
    /// Many waiting jobs, with the batching the rival documents.
    TunedBacklog,
}

/// How to run a worker.
#[derive(Clone, Copy)]
pub struct WorkerOptions {
    /// Jobs that may run at once.
    pub slots: usize,
    pub load: Load,
}

/// Jobs by outcome, from the rival's own tables.
pub struct Tally {
    pub done: i64,
    pub left: i64,
}

/// One rival. A value holds a pool of connections; clones share it.
pub trait Peer: Clone + Send + Sync + 'static {
    /// A running worker.
    type Worker;

    const INFO: Info;

    /// Connections for a worker process.
    const WORKER_CONNECTIONS: u32 = 20;

    /// Scenarios that not every rival can do: `http-64`, `bulk-http`, `bulk-sql`.
    const MORE: &[&str] = &[];

    /// Runs its HTTP server until SIGTERM; prints the ready line of the contract, with a
    /// request that submits one job, or a batch of that many.
    fn serve(_url: &str, _batch: Option<u64>) -> impl Future<Output = Result<()>> {
        async { Err("no HTTP server".into()) }
    }

    /// Opens `connections` connections, all of them before it returns.
    fn connect(url: &str, connections: u32) -> impl Future<Output = Result<Self>>;

    /// Creates the schema.
    fn migrate(&self) -> impl Future<Output = Result<()>>;

    /// Submits one job whose handler calls [`job_started`] with `tag`.
    fn submit(&self, tag: u64) -> impl Future<Output = Result<()>> + Send;

    /// Submits a job for each tag through the best bulk interface, in one
    /// commit.
    fn submit_bulk(&self, tags: Range<u64>) -> impl Future<Output = Result<()>>;

    /// Submits a job for each tag through a function of its schema, in one
    /// statement of plain SQL.
    fn submit_sql(&self, _tags: Range<u64>) -> impl Future<Output = Result<()>> {
        async { Err("no bulk interface in SQL".into()) }
    }

    /// Starts a worker, and returns about when it sends its first claim.
    fn start(&self, options: WorkerOptions) -> impl Future<Output = Result<Self::Worker>>;

    /// Stops a worker gracefully.
    fn stop(worker: Self::Worker) -> impl Future<Output = Result<()>>;

    /// How many jobs have a committed outcome; asked often, so cheap.
    fn settled(&self) -> impl Future<Output = Result<i64>>;

    /// Counts exactly.
    fn tally(&self) -> impl Future<Output = Result<Tally>>;
}

/// What the handlers of this process have done so far.
struct Progress {
    epoch: Instant,
    started: AtomicU64,
    /// Nanoseconds after `epoch` of the first start, `u64::MAX` before it.
    first_start: AtomicU64,
    /// Nanoseconds after `epoch` at which the job with that tag started, 0
    /// before it. Empty but in `latency`.
    starts: OnceLock<Vec<AtomicU64>>,
}

static PROGRESS: OnceLock<Progress> = OnceLock::new();

fn progress() -> &'static Progress {
    PROGRESS.get_or_init(|| Progress {
        epoch: Instant::now(),
        started: AtomicU64::new(0),
        first_start: AtomicU64::new(u64::MAX),
        starts: OnceLock::new(),
    })
}

fn nanos_since_epoch() -> u64 {
    progress().epoch.elapsed().as_nanos() as u64
}

/// The whole body of every rival's handler.
pub fn job_started(tag: u64) {
    let progress = progress();
    if let Some(slot) = progress.starts.get().and_then(|all| all.get(tag as usize)) {
        slot.store(nanos_since_epoch(), Ordering::Release);
    }
    if progress.started.load(Ordering::Relaxed) == 0 {
        progress.first_start.fetch_min(nanos_since_epoch(), Ordering::Relaxed);
    }
    progress.started.fetch_add(1, Ordering::Release);
}

/// User and system time of this process so far.
fn cpu_seconds() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// The value at `percent` of the sorted `values` (nearest rank).
fn percentile(values: &[f64], percent: f64) -> f64 {
    let rank = (values.len() as f64 * percent / 100.0).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

/// `interval` ± 20 %, from a small xorshift generator.
fn jittered(interval: Duration, state: &mut u64) -> Duration {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    let unit = (*state >> 11) as f64 / (1u64 << 53) as f64;
    interval.mul_f64(0.8 + 0.4 * unit)
}

/// Waits for `reached`, and fails when no handler starts for a minute.
async fn wait_for(what: &str, pause: Duration, mut reached: impl FnMut() -> bool) -> Result<()> {
    let started = &progress().started;
    let mut last = (started.load(Ordering::Acquire), Instant::now());
    while !reached() {
        tokio::time::sleep(pause).await;
        let now = started.load(Ordering::Acquire);
        if now != last.0 {
            last = (now, Instant::now());
        } else if last.1.elapsed() > Duration::from_secs(60) {
            return Err(format!("{what}: no job started for a minute, {now} in all").into());
        }
    }
    Ok(())
}

/// Waits until `settled` jobs have a committed outcome. Returns a moment by
/// which they had: the start of the first query that saw them all.
async fn wait_settled<P: Peer>(peer: &P, settled: i64) -> Result<Instant> {
    let began = Instant::now();
    loop {
        let asked = Instant::now();
        let seen = peer.settled().await?;
        if seen >= settled {
            return Ok(asked);
        }
        if began.elapsed() > Duration::from_secs(60) {
            let missing = settled - seen;
            return Err(format!("{missing} outcomes missing a minute after the last job").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn enqueue<P: Peer>(url: &str, clients: u32, seconds: f64) -> Result<Value> {
    let peer = P::connect(url, clients).await?;
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(seconds);
    let callers: Vec<_> = (0..clients)
        .map(|_| {
            let peer = peer.clone();
            tokio::spawn(async move {
                let mut jobs = 0u64;
                while Instant::now() < until {
                    peer.submit(jobs).await?;
                    jobs += 1;
                }
                Ok::<u64, Box<dyn Error + Send + Sync>>(jobs)
            })
        })
        .collect();
    let mut jobs = 0;
    for caller in callers {
        jobs += caller.await??;
    }
    Ok(json!({"jobs": jobs, "seconds": began.elapsed().as_secs_f64()}))
}

async fn enqueue_bulk<P: Peer>(url: &str, jobs: u64, chunk: u64, sql: bool) -> Result<Value> {
    let peer = P::connect(url, 2).await?;
    let began = Instant::now();
    let mut next = 0;
    while next < jobs {
        let end = (next + chunk).min(jobs);
        if sql {
            peer.submit_sql(next..end).await?;
        } else {
            peer.submit_bulk(next..end).await?;
        }
        next = end;
    }
    Ok(json!({"jobs": jobs, "seconds": began.elapsed().as_secs_f64()}))
}

async fn work<P: Peer>(url: &str, options: WorkerOptions, jobs: u64) -> Result<Value> {
    let progress = progress();
    let peer = P::connect(url, P::WORKER_CONNECTIONS).await?;
    let watcher = P::connect(url, 1).await?;
    let settled = watcher.settled().await? + jobs as i64;
    let cpu = cpu_seconds()?;
    let worker = peer.start(options).await?;
    let ready = nanos_since_epoch();
    wait_for("work", Duration::from_millis(2), || progress.started.load(Ordering::Acquire) >= jobs)
        .await?;
    let ended = wait_settled(&watcher, settled).await?;
    let cpu = cpu_seconds()? - cpu;
    // A worker may have run jobs before it was known to be ready.
    let began = ready.min(progress.first_start.load(Ordering::Relaxed));
    let seconds = (ended - progress.epoch).as_secs_f64() - began as f64 / 1e9;
    P::stop(worker).await?;
    let handled = progress.started.load(Ordering::Acquire);
    if handled != jobs {
        return Err(format!("{handled} handler calls for {jobs} jobs").into());
    }
    Ok(json!({"jobs": jobs, "seconds": seconds, "cpu_seconds": cpu}))
}

async fn latency<P: Peer>(url: &str, jobs: u64, interval: Duration) -> Result<Value> {
    if jobs == 0 {
        return Err("no latency of no jobs".into());
    }
    let progress = progress();
    let _ = progress.starts.set((0..jobs).map(|_| AtomicU64::new(0)).collect());
    let peer = P::connect(url, P::WORKER_CONNECTIONS).await?;
    let submitter = P::connect(url, 1).await?;
    let settled = submitter.settled().await? + jobs as i64;
    let worker = peer.start(WorkerOptions { slots: 10, load: Load::Trickle }).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut random = 0x9e37_79b9_7f4a_7c15;
    let mut submitted = Vec::with_capacity(jobs as usize);
    for tag in 0..jobs {
        submitter.submit(tag).await?;
        submitted.push(nanos_since_epoch());
        tokio::time::sleep(jittered(interval, &mut random)).await;
    }
    wait_for("latency", Duration::from_millis(5), || {
        progress.started.load(Ordering::Acquire) >= jobs
    })
    .await?;
    wait_settled(&submitter, settled).await?;
    P::stop(worker).await?;
    let starts = progress.starts.get().ok_or("no start times")?;
    let mut waits: Vec<f64> = submitted
        .iter()
        .zip(starts)
        .map(|(&submitted, started)| {
            (started.load(Ordering::Acquire) as f64 - submitted as f64) / 1e6
        })
        .collect();
    waits.sort_by(f64::total_cmp);
    Ok(json!({
        "p50_ms": percentile(&waits, 50.0),
        "p95_ms": percentile(&waits, 95.0),
        "p99_ms": percentile(&waits, 99.0),
        "max_ms": percentile(&waits, 100.0),
    }))
}

async fn idle<P: Peer>(url: &str, seconds: f64) -> Result<Value> {
    let peer = P::connect(url, P::WORKER_CONNECTIONS).await?;
    let worker = peer.start(WorkerOptions { slots: 10, load: Load::Trickle }).await?;
    let (began, cpu) = (Instant::now(), cpu_seconds()?);
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let answer = json!({
        "seconds": began.elapsed().as_secs_f64(),
        "cpu_seconds": cpu_seconds()? - cpu,
    });
    P::stop(worker).await?;
    Ok(answer)
}

/// `--name value` pairs and flags.
struct Arguments(Vec<String>);

impl Arguments {
    fn get<T>(&self, name: &str) -> Result<T>
    where
        T: std::str::FromStr,
        T::Err: Display,
    {
        let at = self.0.iter().position(|word| word == name);
        let value = at.and_then(|at| self.0.get(at + 1));
        let value = value.ok_or_else(|| format!("{name} is missing"))?;
        value.parse().map_err(|error| format!("{name} {value}: {error}").into())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|word| word == name)
    }
}

async fn run<P: Peer>() -> Result<Value> {
    let mut words = std::env::args().skip(1);
    let verb = words.next().ok_or("which verb? see the contract in ../README.md")?;
    let arguments = Arguments(words.collect());
    if verb == "info" {
        let mut scenarios = SCENARIOS.to_vec();
        scenarios.extend(P::MORE);
        return Ok(json!({
            "name": P::INFO.name,
            "version": P::INFO.version,
            "language": "Rust",
            "notes": format!("{}; {NOTES}", P::INFO.notes),
            "scenarios": scenarios,
        }));
    }
    let url = std::env::var("DATABASE_URL").map_err(|error| format!("DATABASE_URL: {error}"))?;
    match verb.as_str() {
        "migrate" => {
            P::connect(&url, 2).await?.migrate().await?;
            Ok(json!({}))
        }
        "enqueue" => {
            enqueue::<P>(&url, arguments.get("--clients")?, arguments.get("--seconds")?).await
        }
        "enqueue-bulk" => {
            let (jobs, chunk) = (arguments.get("--jobs")?, arguments.get("--chunk")?);
            enqueue_bulk::<P>(&url, jobs, chunk, arguments.has("--sql")).await
        }
        "work" => {
            let slots = arguments.get("--concurrency")?;
            let load = if arguments.has("--tuned") { Load::TunedBacklog } else { Load::Backlog };
            let options = WorkerOptions { slots, load };
            work::<P>(&url, options, arguments.get("--jobs")?).await
        }
        "latency" => {
            let interval = arguments.get::<f64>("--interval-ms")? / 1e3;
            latency::<P>(&url, arguments.get("--jobs")?, Duration::from_secs_f64(interval)).await
        }
        "idle" => idle::<P>(&url, arguments.get("--seconds")?).await,
        "serve" => {
            let batch = arguments.has("--batch").then(|| arguments.get("--batch")).transpose()?;
            P::serve(&url, batch).await.map(|()| json!({}))
        }
        "done" => {
            let tally = P::connect(&url, 1).await?.tally().await?;
            Ok(json!({"done": tally.done, "left": tally.left}))
        }
        _ => Err(format!("no verb {verb}").into()),
    }
}

/// The `main` of every adapter.
pub fn main<P: Peer>() {
    progress();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let answer = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run::<P>()));
    match answer {
        Ok(answer) => println!("{answer}"),
        Err(error) => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(error) = source {
                let cause = error.to_string();
                if !text.contains(&cause) {
                    text = format!("{text}: {cause}");
                }
                source = error.source();
            }
            eprintln!("{}: {text}", P::INFO.name);
            std::process::exit(1);
        }
    }
}

/// Opens a pool of exactly `$connections` connections with the sqlx version
/// `$sqlx`. The check of a connection before each use is off: it would cost
/// every rival a round trip for each call.
#[macro_export]
macro_rules! open_pool {
    ($sqlx:ident, $url:expr, $connections:expr) => {{
        let connections: u32 = $connections;
        let pool = $sqlx::postgres::PgPoolOptions::new()
            .min_connections(connections)
            .max_connections(connections)
            .test_before_acquire(false)
            .acquire_timeout(std::time::Duration::from_secs(30))
            .connect($url)
            .await?;
        let mut held = Vec::with_capacity(connections as usize);
        for _ in 0..connections {
            held.push(pool.acquire().await?);
        }
        drop(held);
        pool
    }};
}
