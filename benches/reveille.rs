//! Reveille among its rivals: the adapter whose contract is `rivals/README.md`. It shares the measuring loops of the rivals
//! in Rust, so that all are measured the same way.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its answers go there")]

#[expect(dead_code, unreachable_pub, reason = "each adapter uses its part")]
#[path = "rivals/rust/src/lib.rs"]
mod peers;

use std::ops::Range;
use std::sync::Arc;

use peers::{Info, Peer, Result, Tally, WorkerOptions};
use reveille::internals::store::{Target, migrate};
use reveille::{Client, Context, Handler, JsonSchema, NewJob, Reveille, TaskError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::NoTls;

#[derive(Clone)]
struct Service {
    url: String,
    client: Client,
    plain: Arc<tokio_postgres::Client>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Payload {
    tag: u64,
}

struct Noop;

impl Handler for Noop {
    const NAME: &'static str = "bench";
    type Payload = Payload;
    type Output = ();

    async fn run(&self, _: Context, payload: Payload) -> std::result::Result<(), TaskError> {
        peers::job_started(payload.tag);
        Ok(())
    }
}

fn job(tag: u64) -> NewJob {
    NewJob::new(Noop::NAME, &Payload { tag })
}

/// A job as HTTP and SQL take it.
fn one(tag: u64) -> Value {
    json!({"task": Noop::NAME, "payload": {"tag": tag}})
}

fn many(tags: Range<u64>) -> Value {
    tags.map(one).collect()
}

async fn connection(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

impl Peer for Service {
    type Worker = Reveille;

    const INFO: Info = Info {
        name: "reveille",
        version: env!("CARGO_PKG_VERSION"),
        notes: "as it comes everywhere, `--tuned` changes nothing; bulk: submit_many of the library, POST /jobs/batch, or reveille.submit_many; http: POST /jobs",
    };

    const MORE: &[&str] = &["http-64", "bulk-http", "bulk-sql"];

    async fn serve(url: &str, batch: Option<u64>) -> Result<()> {
        let mut terminated = signal(SignalKind::terminate())?;
        let builder = Reveille::builder().database_url(url).listen(([127, 0, 0, 1], 0));
        let service = builder.workers(0).start().await?;
        let address = service.address().ok_or("no address")?;
        let (path, body) = match batch {
            None => ("jobs", one(0).to_string()),
            Some(jobs) => ("jobs/batch", many(0..jobs).to_string()),
        };
        println!("ready http://{address}/{path} {}", json!({"body": body}));
        terminated.recv().await;
        service.shutdown().await;
        Ok(())
    }

    async fn connect(url: &str, _: u32) -> Result<Self> {
        // A client refuses a database without the schema.
        migrate::migrate(&Target::parse(url)?).await?;
        let plain = Arc::new(connection(url).await?);
        Ok(Self { url: url.into(), client: Client::connect(url).await?, plain })
    }

    async fn migrate(&self) -> Result<()> {
        Ok(())
    }

    async fn submit(&self, tag: u64) -> Result<()> {
        self.client.submit(job(tag)).await?;
        Ok(())
    }

    async fn submit_bulk(&self, tags: Range<u64>) -> Result<()> {
        self.client.submit_many(tags.map(job)).await?;
        Ok(())
    }

    async fn submit_sql(&self, tags: Range<u64>) -> Result<()> {
        let submit = "select job_id from reveille.submit_many($1)";
        self.plain.query(submit, &[&many(tags)]).await?;
        Ok(())
    }

    async fn start(&self, options: WorkerOptions) -> Result<Reveille> {
        let builder = Reveille::builder().database_url(&self.url).without_http();
        Ok(builder.workers(options.slots).task(Noop).start().await?)
    }

    async fn stop(service: Reveille) -> Result<()> {
        service.shutdown().await;
        Ok(())
    }

    async fn settled(&self) -> Result<i64> {
        // While a lease is open not all have ended; then they need not be counted.
        let ended = "select case when exists (select from reveille.lease) then 0
            else (select count(*) from reveille.outcome where state = 'completed') end";
        Ok(self.plain.query_one(ended, &[]).await?.try_get(0)?)
    }

    async fn tally(&self) -> Result<Tally> {
        let row = self
            .plain
            .query_one(
                "select (select count(*) from reveille.outcome where state = 'completed'),
                   (select count(*) from reveille.job) - (select count(*) from reveille.outcome where state = 'completed')",
                &[],
            )
            .await?;
        Ok(Tally { done: row.try_get(0)?, left: row.try_get(1)? })
    }
}

fn main() {
    peers::main::<Service>();
}
