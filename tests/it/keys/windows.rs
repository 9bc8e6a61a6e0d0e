//! Keys that stay taken for a while after their job has completed.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Deed, House, SOON};
use crate::harness::look::{assert_one_place, becomes, submit, value};
use crate::harness::{self, Service, eventually, scaled};

/// A window that no test outlives.
const LONG: u32 = 3600;
const PRUNE: &str = include_str!("../../../sql/job/prune.sql");

fn window(seconds: u32) -> Value {
    json!({"unique_for_seconds": seconds})
}

impl House {
    /// Submits a job with this key and window, and lets it complete.
    async fn completed(&self, key: &str, seconds: u32) -> Value {
        let job = self.submit_with(key, "keep", &Deed::Succeed, &window(seconds)).await;
        assert_eq!(job["outcome"], "created");
        self.let_end(1);
        self.becomes(&job["job_id"], "completed").await;
        job["job_id"].clone()
    }

    /// The outcome of another job of this key, and the id that it is told.
    async fn again(&self, key: &str) -> (Value, Value) {
        let job = self.submit(key, "keep", &Deed::Succeed).await;
        (job["outcome"].clone(), job["job_id"].clone())
    }

    async fn pass(&self, key: &str) {
        let passed =
            "update reveille.unique_key set until = now() - interval '1 ms' where key = $1";
        assert_eq!(self.client.execute(passed, &[&key]).await.unwrap(), 1);
    }

    async fn keys(&self) -> i64 {
        value(&self.client, "select count(*) from reveille.unique_key").await
    }

    /// Forgets all jobs that have ended.
    async fn prune(&self) {
        let states = ["completed", "failed", "cancelled"].map(str::to_owned).to_vec();
        let since = vec![chrono::DateTime::UNIX_EPOCH; 3];
        self.client
            .query(PRUNE, &[&states, &vec![-1.0_f64; 3], &since, &1000_i64, &None::<Vec<String>>])
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn life_4c1_of_many_callers_of_one_key_one_makes_a_job_and_all_are_told_its_id() {
    let house = House::open().await;
    let many = scaled(50, 200);
    let callers = (0..many).map(|_| house.submit("k", "keep", &Deed::Succeed));
    let answers = join_all(callers).await;
    let created = answers.iter().filter(|it| it["outcome"] == "created").count();
    let existing = answers.iter().filter(|it| it["outcome"] == "existing").count();
    assert_eq!((created, existing), (1, many - 1));
    assert!(answers.iter().all(|it| it["job_id"] == answers[0]["job_id"]));
    let job = json!({"task": "steered", "payload": "succeed", "unique_key": "b"});
    let batch = house.http.post("/jobs/batch", &json!([job, job, job])).await.body;
    let outcomes: Vec<_> =
        batch["jobs"].as_array().unwrap().iter().map(|it| it["outcome"].clone()).collect();
    assert_eq!(outcomes, ["created", "existing", "existing"]);
    house.service.shutdown().await;
}

/// All is told by the database's clock, which the windows go by.
#[tokio::test(flavor = "multi_thread")]
async fn life_4c2_and_4c4_a_completed_job_keeps_its_key_until_the_window_ends_and_no_longer() {
    let (seconds, most) = scaled((2, 10.0), (10, 10.5));
    let house = House::open().await;
    let first = house.completed("k", seconds).await;
    let mut kept = 0;
    let next = loop {
        let answer = house.submit("k", "keep", &Deed::Succeed).await;
        if answer["outcome"] == "created" {
            break answer["job_id"].clone();
        }
        assert_eq!((&answer["job_id"], &answer["status"]), (&first, &json!("completed")));
        kept += 1;
    };
    let created_at = async |id: &Value| {
        let job = house.job(id).await;
        job["created_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap()
    };
    let apart = (created_at(&next).await - created_at(&first).await).as_seconds_f64();
    // Its id was made before the statement, so its time may be that much earlier.
    let least = f64::from(seconds) - 0.1;
    assert!(kept > 0 && (least..most).contains(&apart), "{kept} {apart}");
    house.service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_4c3_a_job_that_outlives_its_window_keeps_its_key_until_its_end() {
    let house = House::open().await;
    let job = house.submit_with("k", "keep", &Deed::Succeed, &window(LONG)).await["job_id"].clone();
    house.becomes(&job, "processing").await;
    house.pass("k").await;
    assert_eq!(house.again("k").await, (json!("existing"), job.clone()));
    let windows = "select count(*) from reveille.unique_key where until is not null";
    eventually("the leader has seen that it is over", SOON * 2, async || {
        value::<i64>(&house.client, windows).await == 0
    })
    .await;
    assert_eq!(house.again("k").await, (json!("existing"), job.clone()));
    house.let_end(1);
    house.becomes(&job, "completed").await;
    assert_eq!(house.again("k").await.0, "created");
    house.service.shutdown().await;
}

/// Of windows that were cells of a clock, the second of the two would fall into the next cell.
#[tokio::test(flavor = "multi_thread")]
async fn life_4c5_two_submissions_over_a_full_second_and_minute_are_one_job() {
    let house = House::open().await;
    let cell = scaled(2.0, 60.0);
    let part = format!("select (extract(epoch from clock_timestamp()) % {cell})::float8");
    let look = async || value::<f64>(&house.client, &part).await;
    house.completed("warm", 2).await;
    house.let_end(1);
    let nearly = cell - 0.3..cell - 0.05;
    eventually("it is nearly full", SOON * 9, async || nearly.contains(&look().await)).await;
    let first = house.submit_with("k", "keep", &Deed::Succeed, &window(LONG)).await;
    house.becomes(&first["job_id"], "completed").await;
    eventually("it is full", SOON, async || look().await < cell / 2.0).await;
    assert_eq!(house.again("k").await, (json!("existing"), first["job_id"].clone()));
    house.service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_a_cancelled_and_a_deleted_job_free_their_key_within_its_window() {
    let house = House::open().await;
    let once = json!({"unique_for_seconds": LONG, "max_attempts": 1});
    let failed = house.submit_with("f", "keep", &Deed::Fail(9), &once).await["job_id"].clone();
    house.becomes(&failed, "processing").await;
    let later = json!({"unique_for_seconds": LONG, "delay_seconds": 600});
    let waiting = house.submit_with("w", "keep", &Deed::Succeed, &later).await["job_id"].clone();
    let running =
        house.submit_with("r", "keep", &Deed::Succeed, &window(LONG)).await["job_id"].clone();
    house.becomes(&running, "processing").await;
    for id in [&waiting, &running] {
        house.steer(id, "cancel").await;
        house.becomes(id, "cancelled").await;
    }
    house.let_end(1);
    house.becomes(&failed, "failed").await;
    for key in ["f", "w", "r"] {
        assert_eq!(house.again(key).await.0, "created", "{key}");
    }
    eventually("those three hold theirs", SOON, async || house.keys().await == 3).await;

    house.let_end(3);
    let deleted = house.completed("d", LONG).await;
    let path = format!("/jobs/{}", deleted.as_str().unwrap());
    assert_eq!(house.again("d").await, (json!("existing"), deleted));
    let answer = harness::http::answer(house.http.request("DELETE", &path)).await;
    assert_eq!(answer.status, 204);
    assert_eq!(house.again("d").await.0, "created");
    house.service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_4c10_a_waiting_job_that_is_deleted_frees_its_key_at_once() {
    let house = House::open().await;
    let later = json!({"unique_for_seconds": LONG, "delay_seconds": 600});
    let job = house.submit_with("k", "keep", &Deed::Succeed, &later).await["job_id"].clone();
    let path = format!("/jobs/{}", job.as_str().unwrap());
    let answer = harness::http::answer(house.http.request("DELETE", &path)).await;
    assert_eq!((answer.status, house.keys().await), (204, 0));
    assert_eq!(house.again("k").await.0, "created");
    house.service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_outlives_a_job_that_is_forgotten_and_the_leader_ends_it() {
    let house = House::open().await;
    let job = house.completed("k", LONG).await;
    let plain = house.submit("p", "keep", &Deed::Succeed).await["job_id"].clone();
    house.let_end(1);
    house.becomes(&plain, "completed").await;
    eventually("the plain key is free", SOON, async || house.keys().await == 1).await;
    house.prune().await;
    assert_eq!(house.http.get_job(job.as_str().unwrap()).await.status, 404);

    let kept = house.submit("k", "keep", &Deed::Succeed).await;
    assert_eq!((&kept["outcome"], &kept["status"]), (&json!("existing"), &json!("completed")));
    assert_eq!(kept["job_id"], job);
    let kept = house.submit("k", "replace", &Deed::Succeed).await;
    assert_eq!((&kept["outcome"], &kept["job_id"]), (&json!("existing"), &job));
    let same = json!({"task": "steered", "payload": 1, "unique_key": "k", "on_conflict": "reject"});
    let refused = house.http.post_job(&same).await;
    assert_eq!((refused.status, &refused.body["job_id"]), (409, &job), "{}", refused.body);
    let sql = "select job_id::text || status || outcome from reveille.submit(payload => '1', unique_key => 'k')";
    let answer = value::<String>(&house.client, sql).await;
    assert_eq!(answer, format!("{}completedexisting", job.as_str().unwrap()));

    house.pass("k").await;
    eventually("the leader frees it", SOON * 2, async || house.keys().await == 0).await;
    assert_eq!(house.again("k").await.0, "created");
    house.service.shutdown().await;
}

/// The process that was to free the key died before it did.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_failed_job_that_is_forgotten_goes_with_it() {
    let house = House::open().await;
    let later = json!({"unique_for_seconds": LONG, "delay_seconds": 600});
    house.submit_with("k", "keep", &Deed::Succeed, &later).await;
    let fail = "with r as (delete from reveille.ready returning id)
        insert into reveille.outcome (id, attempt, state) select id, 1, 'failed' from r";
    house.client.batch_execute(fail).await.unwrap();
    house.prune().await;
    assert_eq!(house.keys().await, 0);
    assert_eq!(house.again("k").await.0, "created");
    house.service.shutdown().await;
}

/// The key of a job that is gone would count as that of one that completed.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_whose_key_is_locked_is_forgotten_with_it_later() {
    let house = House::open().await;
    let later = json!({"unique_for_seconds": LONG, "delay_seconds": 600});
    house.submit_with("k", "keep", &Deed::Succeed, &later).await;
    let fail = "with r as (delete from reveille.ready returning id)
        insert into reveille.outcome (id, attempt, state) select id, 1, 'failed' from r";
    house.client.batch_execute(fail).await.unwrap();
    let mut other = house.database.client().await;
    let open = other.transaction().await.unwrap();
    open.batch_execute("select from reveille.unique_key for update").await.unwrap();
    house.prune().await;
    open.rollback().await.unwrap();
    assert_eq!(value::<i64>(&house.client, "select count(*) from reveille.job").await, 1);
    house.prune().await;
    assert_eq!(house.keys().await, 0);
    assert_eq!(house.again("k").await.0, "created");
    house.service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_within_the_window_keeps_the_key_and_one_beside_it_is_refused() {
    let house = House::open().await;
    let until = "select until from reveille.unique_key where key = 'k'";
    let until = async || value::<Option<chrono::DateTime<chrono::Utc>>>(&house.client, until).await;
    let job = house.completed("k", LONG).await;
    let ends = until().await;
    assert_eq!(house.steer(&job, "retry").await.0, 200);
    assert_eq!(house.again("k").await, (json!("existing"), job.clone()));
    house.let_end(1);
    house.becomes(&job, "completed").await;
    assert_eq!(house.again("k").await, (json!("existing"), job.clone()));
    assert_eq!(until().await, ends);

    // A failed job let go of its key, and takes what is left of its window back with it.
    house.client.batch_execute("update reveille.outcome set state = 'failed'").await.unwrap();
    house.client.batch_execute("delete from reveille.unique_key").await.unwrap();
    assert_eq!(house.steer(&job, "retry").await.0, 200);
    let left = until().await.unwrap() - ends.unwrap();
    assert!(left.num_milliseconds().abs() < 5_000, "{left}");
    house.let_end(1);
    house.becomes(&job, "completed").await;

    // An older job of the key meets the window of the other.
    house.client.batch_execute("delete from reveille.unique_key").await.unwrap();
    let other = house.completed("k", LONG).await;
    let (status, refused) = house.steer(&job, "retry").await;
    assert_eq!((status, &refused["job_id"]), (409, &other), "{refused}");
    assert_one_place(&house.client).await;
    house.service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_4c9_a_job_in_back_off_or_rescued_holds_its_key_and_meets_no_other() {
    let house = House::open().await;
    let slow =
        json!({"unique_for_seconds": LONG, "retry": {"strategy": "fixed", "base_seconds": 600}});
    let job = house.submit_with("k", "keep", &Deed::Fail(1), &slow).await["job_id"].clone();
    house.let_end(1);
    house.becomes(&job, "scheduled").await;
    assert_eq!(house.again("k").await, (json!("existing"), job.clone()));
    let other = house
        .http
        .post("/jobs?wait=10", &json!({"task": "noop", "payload": 1, "queue": "o"}))
        .await;
    assert_eq!(other.body["status"], "completed");
    house.client.batch_execute("update reveille.ready set run_at = now()").await.unwrap();
    house.becomes(&job, "processing").await;
    assert_eq!(house.again("k").await, (json!("existing"), job));
    house.service.shutdown().await;

    let database = harness::database().await;
    let client = database.client().await;
    let fast = || Service::on(database.url()).brisk("1");
    let mut victim = fast().start().await;
    let nap = r#"task => 'sleep', payload => '{"seconds": 600}', unique_key => 'k', settings => '{"unique_for_seconds": 60}'"#;
    let job = submit(&client, nap).await;
    becomes(&client, &job, "processing", SOON).await;
    victim.kill9().await;
    let survivor = fast().start().await;
    let crashed = "select count(*) from reveille.lease where crashes[1] = 1";
    eventually("it is rescued, and runs again", SOON * 3, async || {
        assert_eq!(submit(&client, "payload => '1', unique_key => 'k'").await, job);
        value::<i64>(&client, crashed).await == 1
    })
    .await;
    assert!(!survivor.stderr().contains("unique"), "{}", survivor.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_frees_windows_in_batches_and_passes_by_those_that_are_locked() {
    let database = harness::database().await;
    let client = database.client().await;
    let fill = "insert into reveille.unique_key (queue, key, id, until)
        select 'q', 'k' || n, gen_random_uuid(), now() - n * interval '1 s' from generate_series(1, 5) n";
    client.batch_execute(fill).await.unwrap();
    let mut other = database.client().await;
    let open = other.transaction().await.unwrap();
    open.batch_execute("select from reveille.unique_key where key = 'k4' for update")
        .await
        .unwrap();
    let over = async |most: i64| {
        value::<i64>(&client, &format!("select reveille.keys_over({most})")).await
    };
    assert_eq!((over(3).await, over(3).await, over(3).await), (3, 1, 0));
    open.rollback().await.unwrap();
    assert_eq!((over(3).await, over(3).await), (1, 0));
    let left = value::<i64>(&client, "select count(*) from reveille.unique_key").await;
    assert_eq!(left, 0);
}
