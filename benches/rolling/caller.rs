//! A program that submits through the library and stays while the service is upgraded: `rolling` builds this source
//! with each of the two releases, so it uses what both have.
//!
//! It prints the id of each job that it was told is written, or `!` and why one was refused, until its standard
//! input ends.

#![allow(clippy::print_stdout, reason = "its answers go there")]

use std::io::{self, Read as _};
use std::time::Duration;

use anyhow::Context as _;
use reveille::{Client, NewJob, OnConflict};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

const PACE: Duration = Duration::from_millis(100);
const KEYS: u32 = 20;

fn payload(number: u32) -> Value {
    json!({"n": number, "ms": number * 7 % 100, "fails": number.is_multiple_of(20)})
}

fn job(number: u32) -> NewJob {
    let job = NewJob::new("mark", &payload(number)).tag("library");
    match number % 10 {
        0 => job.delay(Duration::from_millis(1500)).queue("later"),
        1 => job.unique(format!("library {}", number % KEYS), OnConflict::Keep),
        2 => job.unique(format!("library {}", number % KEYS), OnConflict::Replace),
        3 => job.priority(1).max_attempts(5).timeout(Duration::from_secs(60)),
        _ => job,
    }
}

async fn submit(client: &Client, number: u32) -> anyhow::Result<Vec<String>> {
    let written = match number % 10 {
        9 => client.submit_many((0..5).map(|_| job(number))).await?,
        _ => vec![client.submit(job(number)).await?],
    };
    Ok(written.iter().map(|it| it.job_id.to_string()).collect())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL names no database")?;
    let client = Client::connect(&url).await?;
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = tokio::task::spawn_blocking(|| io::stdin().read(&mut [0]));
    for number in 0.. {
        tokio::select! {
            _ = &mut left => break,
            _ = ticks.tick() => {}
        }
        match submit(&client, number).await {
            Ok(ids) => ids.iter().for_each(|id| println!("{id}")),
            Err(error) => println!("! {error:#}"),
        }
    }
    Ok(())
}
