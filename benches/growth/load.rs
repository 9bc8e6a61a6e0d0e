//! Load for `growth`: jobs submitted through the library of a service and run by it, in this one process.
//!
//! `growth-load --rate 5000 --seconds 20 [--warmup 5] [--slice 60] [--slots 64]`. Submissions come at random moments that are
//! fixed beforehand, whatever becomes of those before, and their times count from these moments: a stall counts for everybody
//! who came during it. Without `--rate` as many are submitted as can be run, never more than a thousand ahead. A line of JSON
//! for each slice, and for the whole where there is none.

#![allow(clippy::print_stdout, reason = "its answers go there")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use reveille::{Client, Context, Handler, JsonSchema, NewJob, Reveille, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Jobs that may be submitted and not begun, where there is no rate.
const AHEAD: usize = 1000;
const CLIENTS: usize = 256;

/// Times in microseconds, within 1 %, up to an hour.
struct Times(Mutex<Histogram<u64>>);

impl Times {
    fn new() -> Result<Self> {
        Ok(Self(Mutex::new(Histogram::new_with_max(3_600_000_000, 2)?)))
    }

    fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.times().saturating_record(micros);
    }

    /// How many there were since the last call, and the times at p50, p99, p99.9 and of the last, in milliseconds.
    fn take(&self) -> (u64, Value) {
        let mut times = self.times();
        let at =
            |share: f64| (!times.is_empty()).then(|| times.value_at_quantile(share) as f64 / 1e3);
        let answer =
            json!({"p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999), "max_ms": at(1.0)});
        let count = times.len();
        times.reset();
        (count, answer)
    }

    fn times(&self) -> MutexGuard<'_, Histogram<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Load {
    epoch: Instant,
    /// Until the submission was answered.
    kept: Times,
    /// Until the handler began.
    begun: Times,
    room: Semaphore,
    /// Submissions that were refused, which they are where too many wait.
    refused: AtomicU64,
}

impl Load {
    fn since(&self, nanos: u64) -> Duration {
        self.epoch.elapsed().saturating_sub(Duration::from_nanos(nanos))
    }

    async fn submit(&self, client: &Client, at: u64) {
        match client.submit(NewJob::new(Timed::NAME, &Payload { at })).await {
            Ok(_) => self.kept.add(self.since(at)),
            Err(_) if self.room.is_closed() => {}
            Err(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn nanos(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Payload {
    /// When it was to be submitted, in nanoseconds.
    at: u64,
}

struct Timed(Arc<Load>);

impl Handler for Timed {
    const NAME: &'static str = "timed";
    type Payload = Payload;
    type Output = ();

    async fn run(&self, _: Context, payload: Payload) -> std::result::Result<(), TaskError> {
        self.0.begun.add(self.0.since(payload.at));
        self.0.room.add_permits(1);
        Ok(())
    }
}

/// Submits at random moments, on a thread of its own, since a timer of the runtime has only milliseconds.
fn pace(load: &Arc<Load>, client: &Client, rate: f64) {
    let runtime = tokio::runtime::Handle::current();
    let (load, client) = (load.clone(), client.clone());
    std::thread::spawn(move || {
        let mut due = 0.0;
        while !load.room.is_closed() {
            due -= (1.0 - rand::random::<f64>()).ln() / rate;
            let at = Duration::from_secs_f64(due);
            std::thread::sleep(at.saturating_sub(load.epoch.elapsed()));
            let (load, client) = (load.clone(), client.clone());
            let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
            runtime.spawn(async move { load.submit(&client, nanos).await });
        }
    });
}

/// Submits whenever a job begins.
fn press(load: &Arc<Load>, client: &Client) {
    for _ in 0..CLIENTS {
        let (load, client) = (load.clone(), client.clone());
        tokio::spawn(async move {
            while let Ok(room) = load.room.acquire().await {
                room.forget();
                load.submit(&client, load.nanos()).await;
            }
        });
    }
}

/// The number behind a flag.
fn number(flag: &str) -> Result<Option<f64>> {
    let words: Vec<String> = std::env::args().collect();
    let at = words.iter().position(|word| word == flag);
    let word = at.map(|at| words.get(at + 1).ok_or_else(|| format!("{flag} needs a number")));
    Ok(word.transpose()?.map(|word| word.parse()).transpose()?)
}

async fn measure(load: &Load, seconds: f64) {
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let ((kept, submit), (started, start)) = (load.kept.take(), load.begun.take());
    let line = json!({
        "at_seconds": load.epoch.elapsed().as_secs_f64(), "seconds": begun.elapsed().as_secs_f64(),
        "submitted": kept, "started": started, "refused": load.refused.swap(0, Ordering::Relaxed), "submit": submit, "start": start,
    });
    println!("{line}");
}

#[tokio::main]
async fn main() -> Result<()> {
    let seconds = number("--seconds")?.unwrap_or(10.0);
    let warmup = number("--warmup")?.unwrap_or(5.0);
    let slice = number("--slice")?.unwrap_or(seconds);
    let slots = number("--slots")?.unwrap_or(64.0) as usize;
    let load = Arc::new(Load {
        epoch: Instant::now(),
        kept: Times::new()?,
        begun: Times::new()?,
        room: Semaphore::new(AHEAD),
        refused: AtomicU64::new(0),
    });
    let builder = Reveille::from_environment()?.without_http().workers(slots);
    let service = builder.task(Timed(load.clone())).start().await?;
    match number("--rate")? {
        Some(rate) => pace(&load, &service.client(), rate),
        None => press(&load, &service.client()),
    }
    tokio::time::sleep(Duration::from_secs_f64(warmup)).await;
    load.kept.take();
    load.begun.take();
    load.refused.store(0, Ordering::Relaxed);
    for _ in 0..(seconds / slice).round().max(1.0) as usize {
        measure(&load, slice).await;
    }
    load.room.close();
    service.shutdown().await;
    Ok(())
}
