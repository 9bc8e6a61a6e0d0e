//! What handlers do before their first job and after their last, and what they are given.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reveille::{Context, Handler, Json, NewJob, Status, TaskError, reqwest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::{SOON, ended, on};
use crate::harness::{self, eventually, within};

/// What is said of a handler, and when its longest jobs may end.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<&'static str>>>, Arc<Notify>);

impl Said {
    fn say(&self, word: &'static str) {
        self.0.lock().unwrap().push(word);
    }

    fn all(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

/// Says what is done to it. A job whose payload is `true` runs until it may end.
struct Diary(Said);

impl Handler for Diary {
    const NAME: &'static str = "diary";
    type Payload = bool;
    type Output = ();

    async fn start(&self) -> Result<(), TaskError> {
        self.0.say("start");
        Ok(())
    }

    async fn stop(&self) {
        self.0.say("stop");
    }

    async fn run(&self, _: Context, long: bool) -> Result<(), TaskError> {
        if long {
            self.0.say("begin");
            self.0.1.notified().await;
        }
        self.0.say("run");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_starts_before_its_first_job_and_stops_after_its_last() {
    let database = harness::database().await;
    let said = Said::default();
    // It waits when the service starts.
    let client = reveille::Client::connect(database.url()).await.unwrap();
    let first = client.submit_to::<Diary>(false).await.unwrap();
    let service = on(&database).task(Diary(said.clone())).start().await.unwrap();
    assert_eq!(ended(&service, first.job_id).await["status"], "completed");
    // The last one is running when the service leaves, which ends all waits.
    let inside = service.client();
    let last = inside.submit_to::<Diary>(true).await.unwrap().job_id;
    eventually("the last one runs", SOON, async || said.all().contains(&"begin")).await;
    let waiting = tokio::spawn(async move { inside.wait(last, SOON * 10).await });
    let leaving = tokio::spawn(service.shutdown());
    let job = within("the wait ends", SOON, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(job.status, Status::Processing);
    said.1.notify_one();
    within("it leaves", SOON, leaving).await.unwrap();
    assert_eq!(client.get(last).await.unwrap().unwrap().status, Status::Completed);
    assert_eq!(said.all(), ["start", "run", "begin", "run", "stop"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_run_no_handler_starts() {
    let database = harness::database().await;
    let said = Said::default();
    let service = on(&database).workers(0).task(Diary(said.clone())).start().await.unwrap();
    within("it leaves", SOON, service.shutdown()).await;
    assert_eq!(said.all(), [""; 0]);
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

/// A server that answers each request by sending its caller elsewhere.
async fn elsewhere(to: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = listener.accept().await {
            let answer = format!(
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = caller.read(&mut [0; 1024]).await;
            let _ = caller.write_all(answer.as_bytes()).await;
        }
    });
    url
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
    // No redirect is followed: it may lead where no handler should come.
    for (url, answer) in [(url.clone(), "200 "), (elsewhere(url).await, "302 ")] {
        let id = service.submit(NewJob::of::<Fetch>(url)).await.unwrap().job_id;
        let result = ended(&service, id).await["result"].clone();
        assert!(result.as_str().is_some_and(|it| it.starts_with(answer)), "{result}");
    }
    within("it leaves", SOON, service.shutdown()).await;
}
