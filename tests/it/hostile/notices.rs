//! Any role that may connect can notify of anything, and as often as it likes. That has something looked at, and no more.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::json;
use tokio::task::AbortHandle;
use tokio_postgres::Client;
use uuid::Uuid;

use super::House;
use crate::harness::look::{all_end, becomes, listens, metric, submit, value};
use crate::harness::{self, Service, eventually};

const JOBS: i64 = 2_000;
/// Calm and alone, the jobs take two or three seconds.
const SOON: Duration = Duration::from_secs(60);

/// Somebody who sends these notices two hundred times a second, until it is dropped. `$1` is another number each time. Without a
/// pace it would hold up every other test: PostgreSQL has one lock for the commits of all that notify.
struct Flood(AbortHandle);

impl Flood {
    async fn new(client: Client, notices: &str) -> Self {
        let statement =
            format!("select pg_notify('reveille', note) from unnest(array[{notices}]) note");
        let statement = client.prepare(&statement).await.unwrap();
        let flooding = tokio::spawn(async move {
            let mut pace = tokio::time::interval(Duration::from_millis(5));
            for nth in 0_i64.. {
                pace.tick().await;
                client.query(&statement, &[&nth]).await.unwrap();
            }
        });
        Self(flooding.abort_handle())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn jobs_end_beside(house: &House, notices: &str) -> (Service, Client) {
    let service = house.served().await;
    listens(&service).await;
    let admin = house.database.client().await;
    let _flood = Flood::new(house.app().await, notices).await;
    let jobs = vec![json!({"task": "noop", "payload": 1}); JOBS as usize];
    let before: i64 = value(&admin, "select count(*) from reveille.outcome").await;
    assert_eq!(service.http().post("/jobs/batch", &json!(jobs)).await.status, 201);
    all_end(&admin, before + JOBS, SOON).await;
    (service, admin)
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_that_nobody_made_stop_nothing() {
    let house = House::open().await;
    let notices = "'pause default', 'pause p' || $1::bigint";
    let (service, _) = jobs_end_beside(&house, notices).await;
    let given_back = metric(&service, "reveille_jobs_given_back_total").await;
    assert!(given_back < 200.0, "{given_back} jobs were given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_queues_and_suspects_that_are_not_there_stop_nothing_and_become_known_to_nobody() {
    let house = House::open().await;
    let notices = "'suspects', 'lane l' || $1::bigint || ' noop 5', 'queue q' || $1::bigint,
      'queue default', 'ended *', 'nonsense ' || $1::bigint";
    let (service, admin) = jobs_end_beside(&house, notices).await;
    let known: String = value(&admin, "select string_agg(name, ' ') from reveille.queue").await;
    assert_eq!(known, "default");
    let job = submit(&admin, "payload => '1', queue => 'other'").await;
    eventually("a job by SQL ends", SOON, async || {
        service.http().get_job(&job).await.body["status"] == "completed"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_without_number_take_neither_memory_nor_turns() {
    const LANES: i64 = 200_000;
    let house = House::open().await;
    let service = house.served().await;
    listens(&service).await;
    let (admin, app) = (house.database.client().await, house.app().await);
    let before = service.most_memory();
    let burst = "select count(pg_notify('reveille', 'lane l' || nth || ' noop 5')) from generate_series(1, $1::bigint) nth";
    assert_eq!(app.query_one(burst, &[&LANES]).await.unwrap().get::<_, i64>(0), LANES);
    // Announced behind all of them, and the last of its priority in their order.
    let job = submit(&admin, "task => 'noop', payload => '1', queue => 'zzz'").await;
    becomes(&admin, &job, "completed", SOON).await;
    let grown = service.most_memory() - before;
    assert!(grown < 60 << 20, "{} MiB", grown >> 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_not_one_has_those_who_wait_look_once_in_a_while() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let service = Service::on(proxy.url()).start().await;
    listens(&service).await;
    let sleep = json!({"task": "sleep", "payload": {"seconds": 3}});
    let job = service.http().post_job(&sleep).await.body["job_id"].as_str().unwrap().to_owned();
    let id = STANDARD_NO_PAD.encode(job.parse::<Uuid>().unwrap().as_bytes());
    let notices = format!("'ended {id}', 'nonsense ' || $1::bigint");
    let _flood = Flood::new(database.client().await, &notices).await;
    let before = proxy.sent(include_str!("../../../sql/job/get.sql"));
    let done = service.http().get(&format!("/jobs/{job}?wait=20")).await;
    assert_eq!(done.body["status"], "completed");
    let looks = proxy.sent(include_str!("../../../sql/job/get.sql")) - before;
    assert!((2..20).contains(&looks), "{looks} looks within 3 s");
}
