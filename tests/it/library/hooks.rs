//! What handlers do before their first job and after their last, and what they are given.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reveille::{Context, Handler, Json, NewJob, TaskError, reqwest};

use super::{SOON, ended, on};
use crate::harness::{self, within};

type Said = Arc<Mutex<Vec<&'static str>>>;

/// Says what is done to it.
struct Diary(Said);

impl Handler for Diary {
    const NAME: &'static str = "diary";
    type Payload = Json;
    type Output = ();

    async fn start(&self) -> Result<(), TaskError> {
        self.0.lock().unwrap().push("start");
        Ok(())
    }

    async fn stop(&self) {
        self.0.lock().unwrap().push("stop");
    }

    async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
        self.0.lock().unwrap().push("run");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_starts_before_its_first_job_and_stops_after_its_last() {
    let database = harness::database().await;
    let said = Said::default();
    // It waits when the service starts.
    let client = reveille::Client::connect(database.url()).await.unwrap();
    client.submit(NewJob::new(Diary::NAME, &0)).await.unwrap();
    let service = on(&database).task(Diary(said.clone())).start().await.unwrap();
    let last = service.submit(NewJob::new(Diary::NAME, &1)).await.unwrap();
    assert_eq!(ended(&service, last.job_id).await["status"], "completed");
    within("it leaves", SOON, service.shutdown()).await;
    assert_eq!(*said.lock().unwrap(), ["start", "run", "run", "stop"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_run_no_handler_starts() {
    let database = harness::database().await;
    let said = Said::default();
    let service = on(&database).workers(0).task(Diary(said.clone())).start().await.unwrap();
    within("it leaves", SOON, service.shutdown()).await;
    assert_eq!(*said.lock().unwrap(), [""; 0]);
}

struct Broken;

impl Handler for Broken {
    const NAME: &'static str = "broken";
    type Payload = Json;
    type Output = ();

    async fn start(&self) -> Result<(), TaskError> {
        Err(anyhow::anyhow!("no such file").context("the model cannot be read"))?
    }

    async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_cannot_start_ends_the_start_and_nothing_is_claimed() {
    let database = harness::database().await;
    let refused = on(&database).task(Broken).start().await.err().unwrap().to_string();
    let why = "the task broken could not be started: the model cannot be read: no such file. ";
    assert!(refused.starts_with(why) && refused.len() > why.len(), "{refused}");
    let unmade = on(&database).task_from::<Broken>(|_| anyhow::bail!("no licence"));
    let refused = unmade.start().await.err().unwrap();
    assert_eq!(format!("{refused:#}"), "the task broken could not be made: no licence");
    assert_eq!(super::count(&database, "worker").await, 0, "neither has registered");
}

struct Endless;

impl Handler for Endless {
    const NAME: &'static str = "endless";
    type Payload = Json;
    type Output = ();

    async fn stop(&self) {
        std::future::pending().await
    }

    async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_does_not_stop_has_the_grace_period_and_no_more() {
    let database = harness::database().await;
    let grace = Duration::from_secs(2);
    let service = on(&database).task(Endless).shutdown_grace(grace).start().await.unwrap();
    let begun = Instant::now();
    within("it leaves", SOON, service.shutdown()).await;
    let took = begun.elapsed();
    assert!((grace..grace * 3).contains(&took), "{took:?}");
}

/// Reads what a server answers.
struct Fetch(reqwest::Client);

impl Handler for Fetch {
    const NAME: &'static str = "fetch";
    type Payload = String;
    type Output = String;

    async fn run(&self, _: Context, url: String) -> Result<String, TaskError> {
        let answer = self.0.get(url).send().await?;
        Ok(format!("{} {}", answer.status().as_u16(), answer.text().await?))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_is_made_with_the_resources_of_the_service() {
    let database = harness::database().await;
    let service = on(&database)
        .instance_name("with resources")
        .task_from(|with| {
            assert_eq!(with.config().instance_name, "with resources");
            Ok(Fetch(with.http()?))
        })
        .start()
        .await
        .unwrap();
    let url = format!("http://{}/livez", service.address().unwrap());
    let id = service.submit(NewJob::of::<Fetch>(url)).await.unwrap().job_id;
    let result = ended(&service, id).await["result"].clone();
    assert!(result.as_str().is_some_and(|it| it.starts_with("200 ")), "{result}");
    within("it leaves", SOON, service.shutdown()).await;
}
