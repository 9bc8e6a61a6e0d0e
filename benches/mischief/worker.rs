//! The service with a task that leaves a mark outside the database: `mischief` counts by these marks what ran.
//!
//! A mark is a line of the file in `MISCHIEF_FILE`: seconds since 1970, the job's number, its id, the attempt, an id of this
//! execution, and whether it ends well. It is flushed to the disk before the job ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use reveille::{Context, Handler, JsonSchema, Reveille, TaskError};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize, JsonSchema)]
struct Job {
    /// The job's number, by which the load knows it whatever it was answered.
    n: u64,
    /// How long it takes, in milliseconds.
    ms: u64,
    /// Whether its first attempt fails.
    fails: bool,
}

struct Mark(Arc<File>);

impl Handler for Mark {
    const NAME: &'static str = "mark";
    type Payload = Job;
    type Output = String;

    async fn run(&self, context: Context, job: Job) -> Result<String, TaskError> {
        let execution = Uuid::new_v4().to_string();
        let fails = job.fails && context.attempt() == 1;
        let (file, id, attempt) = (self.0.clone(), context.job_id().to_string(), context.attempt());
        let mark = format!(
            "{} {id} {attempt} {execution} {}",
            job.n,
            if fails { "failed" } else { "done" }
        );
        let made = tokio::task::spawn_blocking(move || {
            thread::sleep(Duration::from_millis(job.ms));
            make(&file, &mark)
        });
        match made.await {
            Ok(Ok(())) if fails => Err(TaskError::retry("as it was told to")),
            Ok(Ok(())) => Ok(execution),
            Ok(Err(error)) => Err(TaskError::retry(format!("the mark cannot be made: {error}"))),
            Err(error) => Err(TaskError::retry(format!("the mark was not made: {error}"))),
        }
    }
}

/// Appends a mark in one piece, since other processes write too, and flushes it.
fn make(mut file: &File, mark: &str) -> io::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    file.write_all(format!("{:.6} {mark}\n", now.as_secs_f64()).as_bytes())?;
    file.sync_data()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = std::env::var_os("MISCHIEF_FILE").context("MISCHIEF_FILE names no file")?;
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    Reveille::from_environment()?.task(Mark(Arc::new(file))).run().await
}
