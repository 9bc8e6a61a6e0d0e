//! Leaving in order: what can end ends, the rest is given back, and nobody holds the process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reveille::{Context, Handler, Json, NewJob, Reveille, TaskError};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::harness::http::{Http, answer};
use crate::harness::look::{all_end, assert_one_place, becomes, submit, value};
use crate::harness::service::ServiceBuilder;
use crate::harness::{self, Service, TestDatabase, eventually, within};

const SOON: Duration = Duration::from_secs(10);

fn with_grace(database: &TestDatabase, seconds: &str) -> ServiceBuilder {
    Service::on(database.url()).env("REVEILLE_SHUTDOWN_GRACE_SECONDS", seconds)
}

fn sleep(seconds: f64) -> Value {
    json!({"task": "sleep", "payload": {"seconds": seconds}})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_in_the_grace_period_is_completed_and_the_rest_runs_elsewhere_at_once() {
    let database = harness::database().await;
    let client = database.client().await;
    let mut leaver = with_grace(&database, "3").start().await;
    let http = leaver.http();
    let short = http.post_job(&sleep(1.5)).await.body["job_id"].as_str().unwrap().to_owned();
    let long = http.post_job(&sleep(60.0)).await.body["job_id"].as_str().unwrap().to_owned();
    becomes(&client, &short, "processing", SOON).await;
    becomes(&client, &long, "processing", SOON).await;
    let other = Service::start(database.url()).await;
    leaver.signal(Signal::SIGTERM);
    let told = Instant::now();
    eventually("it says that it leaves", SOON, async || http.get("/readyz").await.status == 503)
        .await;
    assert_eq!(http.get("/livez").await.status, 200);
    let late = submit(&client, "payload => '1'").await;
    becomes(&client, &late, "completed", SOON).await;

    assert!(leaver.ended(SOON).await.success());
    assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
    becomes(&client, &short, "completed", Duration::ZERO).await;
    eventually("the other one runs it", Duration::from_secs(3), async || {
        value::<i64>(&client, "select count(*) from reveille.lease").await == 1
    })
    .await;
    let attempt: i32 = value(&client, "select attempts[1] from reveille.lease").await;
    assert_eq!(attempt, 1, "the attempt was spent");
    let ending: String =
        value(&client, "select string_agg(ending, ' ') from reveille.attempt").await;
    assert_eq!(ending, "released");
    let workers: i64 = value(&client, "select count(*) from reveille.worker").await;
    assert_eq!(workers, 1, "it has not said goodbye");
    assert_one_place(&client).await;
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_do_not_hold_it() {
    let database = harness::database().await;
    let (proxy, client) = (database.proxy().await, database.client().await);
    let leaver = Service::on(proxy.url()).env("REVEILLE_SHUTDOWN_GRACE_SECONDS", "2");
    let mut leaver = leaver.start().await;
    let http = leaver.http();
    let job = http.post_job(&sleep(60.0)).await.body["job_id"].as_str().unwrap().to_owned();
    becomes(&client, &job, "processing", SOON).await;
    let looks = || proxy.sent("from reveille.jobs v where v.job_id");
    let before = looks();
    let mut polls = Vec::new();
    for _ in 0..20 {
        let request = http.request("GET", &format!("/jobs/{job}?wait=60"));
        polls.push(tokio::spawn(request.send()));
    }
    eventually("each has looked at the job", SOON, async || looks() >= before + 20).await;
    assert!(polls.iter().all(|poll| !poll.is_finished()));
    let address = leaver.url().trim_start_matches("http://").to_owned();
    let mut half = TcpStream::connect(&address).await.unwrap();
    half.write_all(b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{").await.unwrap();
    let idle = TcpStream::connect(&address).await.unwrap();

    leaver.signal(Signal::SIGTERM);
    let told = Instant::now();
    for poll in polls {
        let answer = poll.await.unwrap().expect("a long poll is answered, not cut off");
        assert_eq!(answer.status(), 200);
    }
    assert!(
        told.elapsed() < Duration::from_millis(1500),
        "long polls held on for {:?}",
        told.elapsed()
    );
    assert!(leaver.ended(SOON).await.success());
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
    drop((half, idle));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let database = harness::database().await;
    let client = database.client().await;
    let mut leaver = Service::start(database.url()).await;
    let job =
        leaver.http().post_job(&sleep(60.0)).await.body["job_id"].as_str().unwrap().to_owned();
    becomes(&client, &job, "processing", SOON).await;
    leaver.signal(Signal::SIGTERM);
    leaver.logged("leaving", SOON).await;
    leaver.signal(Signal::SIGINT);
    leaver.ended(Duration::from_secs(2)).await;
}

/// Claims are in flight all the time; one that arrives while the service leaves must not be forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_job_is_completed_or_given_back() {
    let database = harness::database().await;
    let client = database.client().await;
    let jobs: i64 = value(
        &client,
        "select count(*) from generate_series(1, 1500) nth
         cross join lateral reveille.submit(task => 'sleep', payload => jsonb_build_object('seconds', 0.02, 'nth', nth))",
    )
    .await;
    for _ in 0..3 {
        let before: i64 = value(&client, "select count(*) from reveille.outcome").await;
        let mut leaver = with_grace(&database, "5").env("REVEILLE_WORKERS", "16").start().await;
        all_end(&client, before + 200, SOON).await;
        assert!(leaver.terminate(Duration::from_secs(6)).await.success());
        assert_eq!(value::<i64>(&client, "select count(*) from reveille.lease").await, 0);
        assert_eq!(value::<i64>(&client, "select count(*) from reveille.worker").await, 0);
        assert_one_place(&client).await;
    }
    let last = Service::start(database.url()).await;
    all_end(&client, jobs, Duration::from_secs(30)).await;
    let (wrong, spent): (i64, i64) = (
        value(&client, "select count(*) from reveille.outcome where state <> 'completed'").await,
        value(&client, "select count(*) from reveille.outcome where attempt <> 1").await,
    );
    assert_eq!((wrong, spent), (0, 0));
    drop(last);
}

/// The weak moment: the claim was sent when the word to leave came, and its answer arrives after no job was seen to run.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_in_flight_is_waited_for() {
    let database = harness::database().await;
    let client = database.client().await;
    let mut locker = harness::cluster::connect(database.url()).await;
    let mut leaver = with_grace(&database, "1").start().await;
    // The claim has read its lane, and waits where it writes the lease.
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute("lock table reveille.lease in share mode").await.unwrap();
    let job = submit(&client, "task => 'sleep', payload => '{\"seconds\": 60}'").await;
    eventually("the claim is in flight", SOON, async || {
        value::<i64>(
            &client,
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '-- As `claim`%'",
        )
        .await
            == 1
    })
    .await;
    leaver.signal(Signal::SIGTERM);
    leaver.logged("leaving", SOON).await;
    lock.commit().await.unwrap();
    assert!(leaver.ended(Duration::from_secs(4)).await.success());
    becomes(&client, &job, "queued", Duration::ZERO).await;
    let attempt: i32 = value(&client, "select attempt from reveille.ready").await;
    assert_eq!(attempt, 0, "the attempt was spent");
    assert_eq!(value::<i64>(&client, "select count(*) from reveille.worker").await, 0);
    assert_one_place(&client).await;
}

/// The database refuses outcomes for longer than it takes to be taken for lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_leaves_keeps_its_jobs_until_their_outcomes_are_settled() {
    let database = harness::database().await;
    let client = database.client().await;
    let brisk = || Service::on(database.url()).brisk("2");
    let mut leaver = brisk().env("REVEILLE_INSTANCE_NAME", "leaver").start().await;
    let job = leaver.http().post_job(&sleep(3.0)).await.body["job_id"].as_str().unwrap().to_owned();
    becomes(&client, &job, "processing", SOON).await;
    let other = brisk().start().await;
    client
        .batch_execute(
            "create function public.refuse() returns trigger language plpgsql as
               $$ begin raise 'no room' using errcode = '53100'; end $$;
             create trigger refuse before insert on reveille.outcome for each statement execute function public.refuse()",
        )
        .await
        .unwrap();
    leaver.signal(Signal::SIGTERM);
    leaver.logged("outcomes cannot be settled yet", SOON).await;
    let since: f64 = value(&client, "select extract(epoch from clock_timestamp())::float8").await;
    let beat = "select max(extract(epoch from heartbeat_at))::float8 from reveille.worker where name = 'leaver'";
    eventually("heartbeats go on for longer than the lease time", SOON, async || {
        value::<Option<f64>>(&client, beat).await.is_some_and(|at| at > since + 3.0)
    })
    .await;
    // To drop the trigger would wait for settlements that wait for this.
    let accepts = "create or replace function public.refuse() returns trigger language plpgsql as
        $$ begin return null; end $$";
    client.batch_execute(accepts).await.unwrap();
    assert!(leaver.ended(SOON).await.success());
    becomes(&client, &job, "completed", Duration::ZERO).await;
    let (attempt, others): (i32, i64) = (
        value(&client, "select attempt from reveille.outcome").await,
        value(&client, "select count(*) from reveille.attempt").await,
    );
    assert_eq!((attempt, others), (1, 0), "it ran again");
    drop(other);
}

/// Of one terminal that closes both the shell and the kernel tell, so a hangup may come twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_lets_running_jobs_end_however_often_it_comes() {
    let database = harness::database().await;
    let client = database.client().await;
    let mut leaver = with_grace(&database, "20").start().await;
    let job = leaver.http().post_job(&sleep(1.0)).await.body["job_id"].as_str().unwrap().to_owned();
    becomes(&client, &job, "processing", SOON).await;
    leaver.signal(Signal::SIGHUP);
    leaver.logged("running jobs may end", SOON).await;
    leaver.signal(Signal::SIGHUP);
    assert!(leaver.ended(SOON).await.success());
    becomes(&client, &job, "completed", Duration::ZERO).await;
    let attempts: i32 = value(&client, "select attempt from reveille.outcome").await;
    assert_eq!(attempts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn started_to_outlive_its_terminal_it_does_not_heed_a_hangup() {
    if !cfg!(target_os = "linux") {
        return; // No other system tells.
    }
    let database = harness::database().await;
    let script = format!("trap '' HUP; exec {} serve", env!("CARGO_BIN_EXE_reveille"));
    let shell = Service::of(Path::new("sh"), database.url()).arg("-c").arg(&script);
    let mut service = shell.env("REVEILLE_SHUTDOWN_GRACE_SECONDS", "0").start().await;
    service.signal(Signal::SIGHUP);
    let done = service.http().post("/jobs?wait=10", &json!({"payload": 1})).await;
    assert_eq!(done.body["status"], "completed");
    assert_eq!(service.http().get("/readyz").await.status, 200);
    assert!(service.terminate(SOON).await.success());
}

/// Says when it is told to stop, and does not.
struct Deaf(Arc<Notify>);

impl Handler for Deaf {
    const NAME: &'static str = "deaf";
    type Payload = Json;
    type Output = ();

    async fn run(&self, context: Context, _: Json) -> Result<(), TaskError> {
        context.cancelled().await;
        self.0.notify_one();
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_does_not_stop_when_it_is_told_to_holds_no_service_that_leaves() {
    for timeout in [None, Some(Duration::from_millis(200))] {
        let database = harness::database().await;
        let client = database.client().await;
        let told = Arc::new(Notify::new());
        let builder = Reveille::builder().database_url(database.url()).workers(1);
        let builder = builder.listen(([127, 0, 0, 1], 0));
        let builder = builder.task(Deaf(told.clone())).shutdown_grace(Duration::ZERO);
        let service = builder.start().await.unwrap();
        let job = NewJob::new("deaf", &Json::null()).max_attempts(1);
        let job = timeout.into_iter().fold(job, NewJob::timeout);
        let job = service.submit(job).await.unwrap().job_id.to_string();
        becomes(&client, &job, "processing", SOON).await;
        if timeout.is_none() {
            let http = Http::new(&format!("http://{}", service.address().unwrap()));
            http.post(&format!("/jobs/{job}/cancel"), &json!({})).await;
        }
        within("it is told to stop", SOON, told.notified()).await;
        service.shutdown().await;
        let status = if timeout.is_none() { "cancelled" } else { "queued" };
        becomes(&client, &job, status, Duration::ZERO).await;
        let workers: i64 = value(&client, "select count(*) from reveille.worker").await;
        assert_eq!(workers, 0, "it has not said goodbye");
    }
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A service that other machines reach, and so balancers too.
fn reachable(database: &TestDatabase) -> ServiceBuilder {
    let service = Service::on(database.url()).env("REVEILLE_AUTH_TOKENS", TOKEN);
    service.env("REVEILLE_LISTEN", "0.0.0.0:0")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_service_answers_for_a_while_after_it_was_told_to_leave_so_that_balancers_see_it() {
    let database = harness::database().await;
    // The default delay, and jobs that do not keep it.
    let mut leaver = reachable(&database).env("REVEILLE_WORKERS", "1").start().await;
    let http = leaver.http();
    let later = json!({"payload": 1, "delay_seconds": 600});
    let with_token = |request: reqwest::RequestBuilder| request.bearer_auth(TOKEN);
    let job = answer(with_token(http.request("POST", "/jobs").json(&later))).await;
    let path = format!("/jobs/{}?wait=60", job.body["job_id"].as_str().unwrap());
    let poll = tokio::spawn(answer(with_token(http.request("GET", &path))));
    leaver.signal(Signal::SIGTERM);
    let told = Instant::now();
    eventually("it says that it leaves", SOON, async || http.get("/readyz").await.status == 503)
        .await;
    assert_eq!(poll.await.unwrap().status, 200);
    assert!(told.elapsed() < Duration::from_secs(3), "a long poll held on");
    let mut answered = 0;
    while let Ok(response) = with_token(http.request("POST", "/jobs").json(&later)).send().await {
        assert_eq!(response.status().as_u16(), 201);
        assert_eq!(response.headers()["connection"], "close");
        assert_eq!(http.get("/livez").await.status, 200);
        answered += 1;
        if told.elapsed() > Duration::from_secs(4) {
            break;
        }
    }
    assert!(answered > 1 && told.elapsed() > Duration::from_secs(4), "{:?}", told.elapsed());
    assert!(leaver.ended(SOON).await.success());
    assert!(told.elapsed() < Duration::from_secs(8), "{:?}", told.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shutdown_delay_ends_with_the_grace_period_and_is_none_by_hand_or_on_loopback() {
    let database = harness::database().await;
    let delayed = |service: ServiceBuilder| {
        let service = service.env("REVEILLE_SHUTDOWN_DELAY_SECONDS", "60");
        service.env("REVEILLE_SHUTDOWN_GRACE_SECONDS", "60")
    };
    let mut by_hand = delayed(reachable(&database)).start().await;
    by_hand.signal(Signal::SIGINT);
    by_hand.ended(Duration::from_secs(10)).await;
    let mut here = delayed(Service::on(database.url())).start().await;
    assert!(here.terminate(Duration::from_secs(10)).await.success());
    // The default is five seconds.
    let mut graced = reachable(&database).env("REVEILLE_SHUTDOWN_GRACE_SECONDS", "1").start().await;
    let told = Instant::now();
    assert!(graced.terminate(Duration::from_secs(10)).await.success());
    assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
}
