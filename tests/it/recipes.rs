//! The recipes of docs/recipes.md do what they say, run from the text of that page.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reveille::{Context, Handler, Json, Reveille, TaskError};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::documents::block;
use crate::harness::cluster::throw_away_dir;
use crate::harness::http::Http;
use crate::harness::look::value;
use crate::harness::{self, Service, eventually, within};

const PAGE: &str = include_str!("../../docs/recipes.md");
const SOON: Duration = Duration::from_secs(30);

/// Runs a block of the page in a shell, with the command line of this build. Answers what it prints.
async fn run(block: &str, url: &str) -> String {
    let script = block.replace("localhost:8000", url.trim_start_matches("http://"));
    let program = Path::new(env!("CARGO_BIN_EXE_reveille")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-euc", &script]).env("PATH", path).env("REVEILLE_URL", url).kill_on_drop(true);
    let output = within("the lines of the page", SOON, shell.output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{said}");
    String::from_utf8(output.stdout).unwrap()
}

fn answers(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipe_of_a_debounce_runs_one_job_with_the_last_change() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = Service::start(database.url()).await;
    let answers = answers(&run(&block(PAGE, "for change in"), service.url()).await);
    let outcomes: Vec<_> = answers.iter().map(|it| it["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["created", "replaced", "replaced"]);
    let id = answers[0]["job_id"].as_str().unwrap();
    assert!(answers.iter().all(|it| it["job_id"] == id), "{answers:?}");
    let job = service.http().get(&format!("/jobs/{id}?wait=20")).await.body;
    assert_eq!((&job["status"], &job["payload"]["change"]), (&json!("completed"), &json!(3)));
    assert_eq!(value::<i64>(&client, "select count(*) from reveille.job").await, 1);
    let early = "select count(*) from reveille.outcome o join reveille.job j using (id)
      where o.claimed_at < j.run_at or j.run_at < reveille.uuid7_time(j.id) + interval '2 seconds'";
    assert_eq!(value::<i64>(&client, early).await, 0, "it did not wait for two seconds");
}

/// The most jobs of a queue that ran at the same time, by their attempts.
async fn most_at_once(client: &tokio_postgres::Client, queue: &str) -> i64 {
    let most = format!(
        "select max((select count(*) from reveille.outcome x join reveille.job j using (id)
           where j.queue = '{queue}' and x.claimed_at <= o.claimed_at and x.ended_at > o.claimed_at))
         from reveille.outcome o join reveille.job k using (id) where k.queue = '{queue}'"
    );
    value(client, &most).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipe_of_an_order_runs_one_at_a_time() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = Service::start(database.url()).await;
    run(&block(PAGE, "for step in"), service.url()).await;
    harness::look::all_end(&client, 3, SOON).await;
    assert_eq!(most_at_once(&client, "changes").await, 1);
    let order = "select string_agg(j.tags[1], ' ' order by o.claimed_at)
        from reveille.outcome o join reveille.job j using (id)";
    assert_eq!(value::<String>(&client, order).await, "step-1 step-2 step-3");
    run(&block(PAGE, "--on-retry"), service.url()).await;
    let settings = service.http().get("/queues/changes").await.body["settings"].clone();
    assert_eq!(settings, json!({"on_retry": "yield"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipe_of_a_throttle_lets_three_jobs_of_a_customer_run() {
    let database = harness::database().await;
    let client = database.client().await;
    let service = Service::start(database.url()).await;
    run(&block(PAGE, "for nth in"), service.url()).await;
    harness::look::all_end(&client, 6, SOON).await;
    assert_eq!(most_at_once(&client, "calls").await, 3);
}

/// Takes in connections for two services in turn. Of the first ones it cuts each off once the
/// service has begun to answer. Gives its address and how many there were.
async fn cutting(upstreams: [String; 2], cuts: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let nth = count.fetch_add(1, Ordering::SeqCst);
            let upstream = upstreams[nth % 2].trim_start_matches("http://").to_owned();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(upstream).await.unwrap();
                if nth >= cuts {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
                let (mut from, mut to) = (client.split().0, server.split());
                let asks = async {
                    let _ = tokio::io::copy(&mut from, &mut to.1).await;
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    () = asks => {}
                    // The job is kept by now.
                    _ = to.0.read_u8() => {}
                }
            });
        }
    });
    (format!("http://{address}"), taken)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_the_page_submits_once_although_its_answers_are_lost() {
    let Ok(output) = Command::new("python3").arg("--version").output().await else {
        eprintln!("not tried: this machine has no python3");
        return;
    };
    assert!(output.status.success());
    let database = harness::database().await;
    let client = database.client().await;
    let services = [Service::start(database.url()).await, Service::start(database.url()).await];
    let (url, taken) = cutting([services[0].url().into(), services[1].url().into()], 3).await;
    let dir = throw_away_dir();
    fs::create_dir(&dir).unwrap();
    let file = dir.join("submit.py");
    fs::write(&file, block(PAGE, "def submit")).unwrap();
    let mut python = Command::new("python3");
    python.arg(&file).env("REVEILLE_URL", &url).env("no_proxy", "*").kill_on_drop(true);
    let output = within("the client", SOON, python.output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(taken.load(Ordering::SeqCst), 4, "three answers are lost, and the fourth is not");
    let ids = client.query("select id::text from reveille.job", &[]).await.unwrap();
    let ids: Vec<String> = ids.iter().map(|row| row.get(0)).collect();
    assert_eq!(ids, [String::from_utf8(output.stdout).unwrap().trim()]);
}

/// Fails for good while the server that it calls is away.
struct Sends(Arc<AtomicBool>);

impl Handler for Sends {
    const NAME: &'static str = "send";
    type Payload = Json;
    type Output = ();

    async fn run(&self, _: Context, _: Json) -> Result<(), TaskError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(TaskError::permanent("no route to the server"));
        }
        Ok(())
    }
}

/// The newest operation, once it has ended.
async fn operation_ended(http: &Http) -> Value {
    eventually("the operation ends", SOON, async || {
        http.get("/operations").await.body["data"][0]["stopped_at"].is_string()
    })
    .await;
    http.get("/operations").await.body["data"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipe_of_an_outage_moves_one_job_while_it_lasts_and_all_of_them_after_it() {
    const JOBS: i64 = 30;
    let database = harness::database().await;
    let client = database.client().await;
    let away = Arc::new(AtomicBool::new(true));
    let builder = Reveille::builder().database_url(database.url()).listen(([127, 0, 0, 1], 0));
    let service = builder.task(Sends(away.clone())).start().await.unwrap();
    let url = format!("http://{}", service.address().unwrap());
    let http = Http::new(&url);
    let jobs = vec![json!({"task": "send", "payload": 1}); 30];
    assert_eq!(http.post("/jobs/batch", &json!(jobs)).await.status, 201);
    let in_state =
        |state: &str| format!("select count(*) from reveille.outcome where state = '{state}'");
    eventually("all of them fail", SOON, async || {
        value::<i64>(&client, &in_state("failed")).await == JOBS
    })
    .await;
    let looked = run(&block(PAGE, "--dry-run"), &url).await;
    assert!(looked.contains("30") && looked.contains("send"), "{looked}");
    assert_eq!(http.get("/operations").await.body["data"], json!([]));

    let redrive = block(PAGE, "--canary");
    run(&redrive, &url).await;
    let halted = operation_ended(&http).await;
    assert_eq!((&halted["status"], &halted["moved"]), (&json!("halted"), &json!(1)), "{halted}");

    away.store(false, Ordering::SeqCst);
    run(&redrive, &url).await;
    let ended = operation_ended(&http).await;
    assert_eq!((&ended["status"], &ended["moved"]), (&json!("completed"), &json!(JOBS)), "{ended}");
    eventually("all of them complete", SOON, async || {
        value::<i64>(&client, &in_state("completed")).await == JOBS
    })
    .await;
    let shown = run(&block(PAGE, "reveille operations\n"), &url).await;
    assert!(shown.contains("halted") && shown.contains("completed"), "{shown}");
    service.shutdown().await;
}

/// The block of the page with a twentieth of its seconds.
fn quick(block: &str) -> String {
    let mut lines = block.to_owned();
    for (name, seconds) in [
        ("queue_ttl_seconds", 30),
        ("timeout_seconds", 20),
        ("deadline_seconds", 60),
        ("base_seconds", 4),
    ] {
        let member = format!("\"{name}\": {seconds}");
        assert!(lines.contains(&member), "{member}");
        lines = lines.replace(&member, &format!("\"{name}\": {}", f64::from(seconds) / 20.0));
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipe_of_deadlines_ends_jobs_that_are_late() {
    let database = harness::database().await;
    let service = Service::on(database.url()).brisk("2").start().await;
    let http = service.http();
    let lines = quick(&block(PAGE, "deadline_seconds"));
    let submit = async || {
        let job: Value = serde_json::from_str(&run(&lines, service.url()).await).unwrap();
        job["job_id"].as_str().unwrap().to_owned()
    };
    let ended = async |id: String| {
        let job = http.get(&format!("/jobs/{id}?wait=20")).await.body;
        let attempts = http.get(&format!("/jobs/{id}/attempts")).await.body;
        (job, attempts["data"].as_array().unwrap().clone())
    };
    let (job, attempts) = ended(submit().await).await;
    assert_eq!(
        (&job["status"], &job["error"]["code"]),
        (&json!("failed"), &json!("deadline_exceeded"))
    );
    // 20 s, 4 s later 20 s, 4 s later what is left.
    assert_eq!(attempts.len(), 3, "{attempts:?}");
    for (attempt, seconds) in attempts.iter().zip([1.0, 1.0, 0.0]) {
        let ran = attempt["run_seconds"].as_f64().unwrap();
        assert!(ran >= seconds, "{attempts:?}");
    }
    assert_eq!(http.post("/queues/codes/pause", &json!({})).await.status, 200);
    let (job, attempts) = ended(submit().await).await;
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("failed"), &json!("expired")));
    assert_eq!(attempts, Vec::<Value>::new());
}
