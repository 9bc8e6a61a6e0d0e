//! The service's own clock decides nothing: whatever it shows, ids and times are those of the database.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tokio::sync::OnceCell;
use tokio_postgres::Client;

use crate::harness::cluster::throw_away_dir;
use crate::harness::look::{becomes, value};
use crate::harness::service::ServiceBuilder;
use crate::harness::{self, Service, TestDatabase};

const SOON: Duration = Duration::from_secs(10);
const DAYS: i64 = 86_400;
/// Every heartbeat fails.
const SILENT: &str = "create or replace function public.silent() returns trigger language plpgsql as
      $$ begin raise 'no heartbeat for now'; end $$;
    create trigger silent before update on reveille.worker for each row execute function public.silent()";

/// A machine whose clock can be set.
struct Machine {
    jump: PathBuf,
}

impl Machine {
    fn new() -> Self {
        let dir = throw_away_dir();
        fs::create_dir_all(&dir).unwrap();
        let it = Self { jump: dir.join("jump") };
        it.set(0);
        it
    }

    /// Sets its clock so many seconds ahead of ours.
    fn set(&self, seconds: i64) {
        use std::os::unix::fs::FileExt;
        let file = fs::File::options().write(true).create(true).truncate(false).open(&self.jump);
        file.unwrap().write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    async fn service(&self, database: &TestDatabase) -> ServiceBuilder {
        Service::on(database.url())
            .env("LD_PRELOAD", jump_library().await.to_str().unwrap())
            .env("JUMP_FILE", self.jump.to_str().unwrap())
    }
}

/// `jump.c`, compiled: the crate needs a C compiler anyway.
async fn jump_library() -> &'static PathBuf {
    static LIBRARY: OnceCell<PathBuf> = OnceCell::const_new();
    LIBRARY
        .get_or_init(|| async {
            let dir = throw_away_dir();
            fs::create_dir_all(&dir).unwrap();
            let library = dir.join("jump.so");
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/clock/jump.c");
            let mut compiler = Command::new("cc");
            compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source);
            assert!(compiler.status().expect("there is a C compiler").success());
            library
        })
        .await
}

/// Submits by each way, and looks when the ids say that it was.
async fn submits_in_time(service: &Service, client: &Client) {
    let http = service.http();
    let one = http.post_job(&json!({"payload": 1})).await;
    let keyed = http.post_job(&json!({"payload": 1, "unique_key": "a"})).await;
    let batch = http.post("/jobs/batch", &json!([{"payload": 1}, {"payload": 2}])).await;
    assert_eq!((one.status, keyed.status, batch.status), (201, 201, 201), "{one:?} {batch:?}");
    for answer in [&one.body, &keyed.body, &batch.body["jobs"][0]] {
        let id = answer["job_id"].as_str().unwrap();
        let off = format!("select extract(epoch from reveille.uuid7_time('{id}') - now())::float8");
        let off: f64 = value(client, &off).await;
        assert!(off.abs() < 30.0, "its id says that it was submitted {off} s from now");
        becomes(client, id, "completed", SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_and_comes_back_changes_nothing() {
    let (database, machine) = (harness::database().await, Machine::new());
    let service = machine.service(&database).await.start().await;
    let client = database.client().await;
    for days in [0, 40, 0, -40, 0] {
        machine.set(days * DAYS);
        submits_in_time(&service, &client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_wrong_clock_works() {
    let database = harness::database().await;
    let client = database.client().await;
    // Without a battery a clock starts in 1970.
    for days in [40, -40, -20_000] {
        let machine = Machine::new();
        machine.set(days * DAYS);
        // No heartbeat is answered yet, and none has told the time.
        client.batch_execute(SILENT).await.unwrap();
        let service = machine.service(&database).await.start().await;
        submits_in_time(&service, &client).await;
        client.batch_execute("drop trigger silent on reveille.worker").await.unwrap();
        let run_at: String =
            value(&client, "select to_json(now() + interval '2 seconds') #>> '{}'").await;
        let later = service.http().post_job(&json!({"payload": 1, "run_at": run_at})).await;
        assert_eq!((later.status, &later.body["status"]), (201, &json!("scheduled")), "{later:?}");
        becomes(&client, later.body["job_id"].as_str().unwrap(), "completed", SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn life_2c7_a_machine_whose_clock_is_off_keeps_the_limits_of_its_jobs() {
    let database = harness::database().await;
    let client = database.client().await;
    let machine = Machine::new();
    for off in [600, -600] {
        machine.set(off);
        let service = machine.service(&database).await.start().await;
        let job = json!({"task": "sleep", "payload": {"seconds": 60}, "deadline_seconds": 1.5,
            "queue_ttl_seconds": 1, "max_attempts": 1});
        let id = service.http().post_job(&job).await.body["job_id"].as_str().unwrap().to_owned();
        becomes(&client, &id, "failed", SOON).await;
        let ended = format!(
            "select error ->> 'code' || ' ' || attempt_count from reveille.jobs where job_id = '{id}'"
        );
        assert_eq!(value::<String>(&client, &ended).await, "deadline_exceeded 1", "{off}");
        let age = format!(
            "select extract(epoch from finished_at - created_at)::float8 from reveille.jobs
             where job_id = '{id}'"
        );
        let age: f64 = value(&client, &age).await;
        assert!((1.49..5.0).contains(&age), "{age} s with a clock that is {off} s off");
    }
}
