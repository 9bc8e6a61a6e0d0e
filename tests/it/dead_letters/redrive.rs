//! Redrives: which jobs go back, how fast, once each, and whoever dies.

use std::time::Instant;

use serde_json::json;
use tokio::process::Command;

use super::{House, SOON, on, over, text};
use crate::harness::look::{all_end, assert_one_place, becomes, metric, value};
use crate::harness::{self, eventually, scaled};

#[tokio::test(flavor = "multi_thread")]
async fn life_3c2_a_dry_run_counts_and_changes_nothing() {
    let house = House::open().await;
    let ids = house.failed(100).await;
    let tag = async |id: &String| {
        let request = house.http.request("GET", &format!("/jobs/{id}")).send().await.unwrap();
        request.headers()["etag"].to_str().unwrap().to_owned()
    };
    let mut before = Vec::new();
    for id in &ids {
        before.push(tag(id).await);
    }
    for body in [
        json!({"all": true, "dry_run": true}),
        json!({"filter": {"task": "flaky"}, "dry_run": true}),
        json!({"filter": {"queue": "default", "code": "handler_error"}, "dry_run": true}),
    ] {
        let dry = house.redrive(body.clone()).await;
        assert_eq!(dry.status, 200, "{body}: {dry:?}");
        assert_eq!(dry.body, json!({"matched": 100, "matched_estimated": false}), "{body}");
    }
    let none = json!({"filter": {"task": "echo"}, "dry_run": true});
    assert_eq!(house.redrive(none).await.body["matched"], 0);
    for (id, before) in ids.iter().zip(before) {
        assert_eq!(tag(id).await, before);
    }
    assert_eq!(house.http.get("/operations").await.body, json!({"data": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn life_3c3_a_redrive_takes_as_long_as_its_rate_says() {
    let (many, least, most) = scaled((50, 0.9, 5.5), (500, 9.0, 11.0));
    let house = House::open().await;
    let ids = house.failed(many).await;
    house.heal(&ids).await;
    let begun = Instant::now();
    let id = house.redriving(json!({"filter": {"task": "flaky"}, "rate_per_second": 50})).await;
    assert_eq!(house.over(&id).await["moved"], many);
    house.idle().await;
    let took = begun.elapsed().as_secs_f64();
    harness::figure("life_3c3", &format!("{many} at 50/s took {took:.2} s"));
    assert!((least..=most).contains(&took), "{took}");
    house.assert_all_redriven_once(&ids).await;
}

/// What a job keeps of its errors stays within 64 KiB, over all of its lives.
#[tokio::test(flavor = "multi_thread")]
async fn the_errors_of_a_redriven_job_are_cut() {
    let house = House::open().await;
    let ids = house.failed(1).await;
    house.heal(&ids).await;
    let errors =
        "insert into reveille.attempt (id, lease, claimed_at, ended_at, attempt, ending, error)
        select o.id, gen_random_uuid(), at, at, n, 'failed',
          jsonb_build_object('code', 'handler_error', 'message', repeat('x', 8000))
        from reveille.outcome o, generate_series(1, 20) n,
          lateral (select now() - interval '1 hour' + n * interval '1 second' as at) s";
    house.client.execute(errors, &[]).await.unwrap();
    let id = house.redriving(json!({"all": true})).await;
    house.over(&id).await;
    let kept = "select sum(octet_length(error ->> 'message')) from reveille.attempt";
    eventually("they are cut", SOON, async || value::<i64>(&house.client, kept).await <= 64 * 1024)
        .await;
}

/// Two equal ones at once: each job goes back once, no sooner than the rate of both allows.
#[tokio::test(flavor = "multi_thread")]
async fn life_3c3_a_redrive_keeps_its_rate_and_two_at_once_move_each_job_once() {
    let (many, rate, least, most) = scaled((60_i64, 15, 1.5, 42), (500, 50, 4.5, 137));
    let house = House::open().await;
    let ids = house.failed(many as usize).await;
    house.heal(&ids).await;
    let begun = Instant::now();
    let body = json!({"filter": {"task": "flaky"}, "rate_per_second": rate});
    let (one, other) = tokio::join!(house.redriving(body.clone()), house.redriving(body));
    let (one, other) = (house.over(&one).await, house.over(&other).await);
    all_end(&house.client, many, SOON).await;
    eventually("all have completed", SOON, async || house.ended("completed").await == many).await;
    let moved = one["moved"].as_i64().unwrap() + other["moved"].as_i64().unwrap();
    assert_eq!(moved, many, "{one} {other}");
    for it in [&one, &other] {
        assert_eq!((text(it, "status"), text(it, "kind")), ("completed", "redrive"));
        assert_eq!(it["skipped"], 0);
    }
    assert!(begun.elapsed().as_secs_f64() >= least, "{:?}", begun.elapsed());
    // Within each second of the starts there are no more than both may move.
    let burst = "select max(n) from (select count(*) over (order by claimed_at
        range between current row and interval '1 second' following) as n from reveille.outcome) w";
    let burst: i64 = value(&house.client, burst).await;
    assert!(burst <= most, "{burst} starts within a second");
    house.assert_all_redriven_once(&ids).await;
    let counted = metric(&house.service, "reveille_redriven_jobs_total{task=\"flaky\"}").await;
    assert_eq!(counted, many as f64);
    let job = house.http.get_job(&ids[0]).await.body;
    assert_eq!((&job["redrives"], &job["attempt_count"]), (&json!(1), &json!(1)), "{job}");
    let attempts = house.http.get(&format!("/jobs/{}/attempts", ids[0])).await.body;
    let ends: Vec<_> =
        attempts["data"].as_array().unwrap().iter().map(|it| &it["outcome"]).collect();
    assert_eq!(ends, ["redriven", "completed"]);
    // Who asked for it is written down.
    let audit = "select count(*) from reveille.audit where action = 'redrive_dead_letters'";
    assert_eq!(value::<i64>(&house.client, audit).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn life_3c4_a_redrive_survives_the_death_of_the_leader() {
    let (many, rate) = scaled((100_i64, 40), (500, 50));
    let mut house = House::open().await;
    let ids = house.failed(many as usize).await;
    house.heal(&ids).await;
    let other = on(&house.database).start().await;
    let id = house.redriving(json!({"all": true, "rate_per_second": rate})).await;
    let path = format!("/operations/{id}");
    let http = other.http();
    let moved = async || http.get(&path).await.body["moved"].as_i64().unwrap_or_default();
    eventually("it has moved 40 of 100", SOON, async || moved().await >= many * 2 / 5).await;
    house.service.kill9().await;
    let (killed, before) = (Instant::now(), moved().await);
    eventually("it goes on", SOON, async || moved().await > before).await;
    let stood = killed.elapsed().as_secs_f64();
    harness::figure("life_3c4", &format!("went on {stood:.1} s after the leader's death"));
    assert!(stood <= 15.0, "{stood}");
    let done = over(&http, &id).await;
    assert_eq!((text(&done, "status"), &done["moved"]), ("completed", &json!(many)), "{done}");
    eventually("all have completed", SOON, async || house.ended("completed").await == many).await;
    // Jobs that the dead one ran were lost, and ran again: no attempt was spent for that.
    let lost = "delete from reveille.attempt where ending = 'lost'";
    house.client.execute(lost, &[]).await.unwrap();
    house.assert_all_redriven_once(&ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_3c4_a_redrive_that_is_stopped_leaves_the_rest_dead() {
    let (many, rate) = scaled((100_i64, 20), (500, 50));
    let house = House::open().await;
    let ids = house.failed(many as usize).await;
    house.heal(&ids).await;
    let id = house.redriving(json!({"all": true, "rate_per_second": rate})).await;
    eventually("it has begun", SOON, async || {
        house.operation(&id).await["moved"].as_i64() >= Some(10)
    })
    .await;
    let stopped = house.stop(&id).await;
    let moved = stopped.body["moved"].as_i64().unwrap();
    assert_eq!((stopped.status, text(&stopped.body, "status")), (200, "stopped"));
    assert!(moved < many, "{stopped:?}");
    let again = house.stop(&id).await;
    assert_eq!((again.status, text(&again.body, "code")), (409, "operation_ended"));
    eventually("what was moved is done", SOON, async || house.ended("completed").await == moved)
        .await;
    // Another one goes on at once, so that the leader has been there since.
    let next = house.redriving(json!({"filter": {"task": "nobody"}})).await;
    house.over(&next).await;
    assert_eq!(house.ended("failed").await, many - moved);
    assert_eq!(house.operation(&id).await["moved"], moved);
    let late = format!(
        "select extract(epoch from max(o.claimed_at) - '{}'::timestamptz)::float8
         from reveille.outcome o where o.state = 'completed'",
        text(&stopped.body, "stopped_at")
    );
    let late: f64 = value(&house.client, &late).await;
    assert!(late <= scaled(5.0, 1.0), "the last one started {late} s after the stop");
    assert_one_place(&house.client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn life_3c5_a_job_whose_key_another_one_holds_is_skipped_and_told() {
    let house = House::open().await;
    let many = scaled(5, 499);
    let mut ids = house.failed(many - 1).await;
    let keyed = json!({"task": "flaky", "payload": {"failures": 1}, "max_attempts": 1,
        "unique_key": "taken"});
    let dead = text(&house.http.post_job(&keyed).await.body, "job_id").to_owned();
    becomes(&house.client, &dead, "failed", SOON).await;
    let free = json!({"task": "flaky", "payload": {"failures": 1}, "max_attempts": 1,
        "unique_key": "free"});
    ids.push(text(&house.http.post_job(&free).await.body, "job_id").to_owned());
    all_end(&house.client, many as i64 + 1, SOON).await;
    let later = json!({"payload": 1, "unique_key": "taken", "delay_seconds": 3600});
    let holder = text(&house.http.post_job(&later).await.body, "job_id").to_owned();
    house.heal(&ids).await;
    let id = house.redriving(json!({"all": true})).await;
    let done = house.over(&id).await;
    assert_eq!((&done["moved"], &done["skipped"]), (&json!(many), &json!(1)), "{done}");
    let skipped = json!([{"job_id": dead, "code": "unique_key_conflict", "holder_id": holder}]);
    assert_eq!(done["skipped_jobs"], skipped);
    let completed = async || house.ended("completed").await == many as i64;
    eventually("the others have completed", SOON, completed).await;
    house.assert_all_redriven_once(&ids).await;
    assert_eq!(text(&house.http.get_job(&dead).await.body, "status"), "failed");
}

/// Nobody waits for a key that an open transaction has locked.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_key_is_locked_holds_up_no_redrive() {
    let house = House::open().await;
    let keyed = json!({"task": "flaky", "payload": {"failures": 1}, "max_attempts": 1,
        "unique_key": "locked"});
    let dead = text(&house.http.post_job(&keyed).await.body, "job_id").to_owned();
    becomes(&house.client, &dead, "failed", SOON).await;
    let ids = house.failed(3).await;
    house.heal(&ids).await;
    let mut locker = house.database.client().await;
    let open = locker.transaction().await.unwrap();
    let lock = "insert into reveille.unique_key (queue, key, id) values ('default', 'locked', gen_random_uuid())
        on conflict (queue, key) do update set id = excluded.id";
    open.execute(lock, &[]).await.unwrap();
    let id = house.redriving(json!({"all": true})).await;
    let done = house.over(&id).await;
    assert_eq!((&done["moved"], &done["skipped"]), (&json!(3), &json!(1)), "{done}");
    assert_eq!(done["skipped_jobs"], json!([{"job_id": dead, "code": "unique_key_busy"}]));
    open.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn life_3c7_a_job_that_fails_again_is_back_in_the_list_from_its_new_end_on() {
    let house = House::open().await;
    let ids = house.failed(1).await;
    let before = house.http.get_job(&ids[0]).await.body;
    assert_eq!(before.get("redrives"), None, "{before}");
    for redrives in 1..=2 {
        let id = house.redriving(json!({"all": true})).await;
        assert_eq!(house.over(&id).await["moved"], 1);
        becomes(&house.client, &ids[0], "failed", SOON).await;
        let job = house.http.get_job(&ids[0]).await.body;
        assert_eq!(job["redrives"], redrives, "{job}");
        assert!(text(&job, "finished_at") > text(&before, "finished_at"));
        // Retention is by the end of the job, which is the new one.
        let kept = format!(
            "select o.ended_at > (select max(a.redriven_at) from reveille.attempt a where a.id = o.id)
             from reveille.outcome o where o.id = '{}'",
            ids[0]
        );
        assert!(value::<bool>(&house.client, &kept).await);
    }
    let letters = house.http.get("/dead-letters").await.body;
    assert_eq!(letters["data"][0]["count"], 1, "{letters}");
    let listed = house.http.get("/jobs?status=failed").await.body;
    assert_eq!(listed["data"][0]["redrives"], 2, "{listed}");
}

/// A job that fails after a redrive was asked for is none of its jobs.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_again_is_not_redriven_by_the_same_redrive() {
    let house = House::open().await;
    house.failed(30).await;
    let (one, other) = tokio::join!(
        house.redriving(json!({"all": true, "rate_per_second": 20})),
        house.redriving(json!({"all": true, "rate_per_second": 10})),
    );
    let moved = house.over(&one).await["moved"].as_i64().unwrap()
        + house.over(&other).await["moved"].as_i64().unwrap();
    all_end(&house.client, 30, SOON).await;
    let most = "select max(n) from (select count(*) as n from reveille.attempt group by id) a";
    assert_eq!((moved, value::<i64>(&house.client, most).await), (30, 1));
}

/// The leader looks for operations by itself once a minute, and this one is told sooner.
#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_another_instance_is_asked_for_wakes_the_leader() {
    let house = House::open().await;
    let ids = house.failed(3).await;
    house.heal(&ids).await;
    let leads = async || {
        let all = house.http.get("/instances").await.body;
        all["data"].as_array().unwrap().iter().any(|it| it["leader"] == true)
    };
    eventually("somebody leads", SOON, leads).await;
    let other = on(&house.database).env("REVEILLE_WORKERS", "0").start().await;
    let asked = other.http().post("/dead-letters/redrive", &json!({"all": true})).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let done = house.over(text(&asked.body["operation"], "id")).await;
    assert_eq!(done["moved"], 3, "{done}");
    let worked = metric(&house.service, "reveille_redriven_jobs_total{task=\"flaky\"}").await;
    assert_eq!(worked, 3.0, "the leader did not do it");
}

/// A deadline counts from the redrive on: the job has all of it, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_redriven_job_has_its_whole_deadline_again() {
    let house = House::open().await;
    let job = json!({"task": "flaky", "payload": {"failures": 1}, "max_attempts": 1,
        "deadline_seconds": 1.5});
    let id = text(&house.http.post_job(&job).await.body, "job_id").to_owned();
    becomes(&house.client, &id, "failed", SOON).await;
    let over =
        format!("select clock_timestamp() > reveille.uuid7_time('{id}') + interval '2 seconds'");
    eventually("its deadline is over", SOON, async || value::<bool>(&house.client, &over).await)
        .await;
    let hang = "update reveille.job set task = 'sleep', payload = '{\"seconds\": 600}'";
    house.client.execute(hang, &[]).await.unwrap();
    let redrive = house.redriving(json!({"all": true})).await;
    assert_eq!(house.over(&redrive).await["moved"], 1);
    all_end(&house.client, 1, SOON).await;
    let job = house.http.get_job(&id).await.body;
    assert_eq!(text(&job["error"], "code"), "deadline_exceeded", "{job}");
    let attempts = house.http.get(&format!("/jobs/{id}/attempts")).await.body;
    assert!(attempts["data"][1]["run_seconds"].as_f64().unwrap() >= 1.0, "{attempts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_lists_redrives_and_stops() {
    let house = House::open().await;
    let ids = house.failed(3).await;
    house.heal(&ids).await;
    let line = async |arguments: &[&str]| {
        let mut line = Command::new(env!("CARGO_BIN_EXE_reveille"));
        let line = line.args(arguments).env_clear().env("REVEILLE_URL", house.service.url());
        let output = line.output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, listed, said) = line(&["dead-letters", "--task", "flaky"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(listed.contains("handler_error") && listed.contains("flaky"), "{listed}");
    let (code, _, said) = line(&["redrive"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--all, or filters"), "{said}");
    let (_, told, _) = line(&["redrive", "--all", "--dry-run"]).await;
    assert_eq!(told, "3 jobs; nothing was changed\n");
    let later = ["redrive", "--task", "flaky", "--delay", "600", "--canary", "--halt-at", "0.5"];
    let (code, told, said) = line(&later).await;
    assert_eq!(code, Some(0), "{said}");
    let id = told.split_ascii_whitespace().next().unwrap().to_owned();
    assert!(told.contains("scheduled") && said.contains("operations stop"), "{told}{said}");
    let (_, listed, _) = line(&["operations"]).await;
    assert!(listed.contains(&id), "{listed}");
    let (_, shown, _) = line(&["operations", "get", &id]).await;
    assert!(shown.contains("halt_at") && shown.contains("scheduled"), "{shown}");
    let (code, shown, _) = line(&["operations", "stop", &id]).await;
    assert!(code == Some(0) && shown.contains("stopped"), "{shown}");
    assert_eq!(line(&["operations", "stop", &id]).await.0, Some(1));
    let (code, told, _) = line(&["redrive", "--all"]).await;
    assert_eq!(code, Some(0));
    let id = told.split_ascii_whitespace().next().unwrap().to_owned();
    assert_eq!(house.over(&id).await["moved"], 3);
    let (_, told, _) = line(&["queues", "purge", "default", "--dry-run", "--json"]).await;
    assert!(told.contains("matched"), "{told}");
}
