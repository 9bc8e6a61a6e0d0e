//! What a handler says is kept up to a bound, and holds nobody up.

use std::time::Duration;

use reveille::{Backoff, Context, Handler, Json, NewJob, Reveille, TaskError};
use serde_json::{Value, json};

use crate::harness::http::Http;
use crate::harness::look::{all_end, assert_one_place, value};
use crate::harness::{self, Service, TestDatabase, eventually};

const SOON: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
const ERROR_MOST: usize = 8 << 10;

/// Says much, in the way that its payload asks for.
struct Loud;

impl Handler for Loud {
    const NAME: &'static str = "loud";
    type Payload = String;
    type Output = Json;

    fn backoff(&self) -> Backoff {
        Backoff { base: Duration::from_millis(1), ..Backoff::default() }
    }

    async fn run(&self, context: Context, payload: String) -> Result<Json, TaskError> {
        match payload.as_str() {
            "error" => Err(TaskError::retry("é".repeat(32 << 20))),
            "panic" => panic!("{}", "x".repeat(20_000)),
            "nul" => Err(TaskError::permanent("a\0b")),
            "progress" => {
                context.progress(0.5, format!("\0{}", "p".repeat(5000)));
                context.cancelled().await;
                Ok(Json::null())
            }
            length => Ok(Json::from_serialize(&"x".repeat(length.parse().unwrap())).unwrap()),
        }
    }
}

async fn house() -> (TestDatabase, Reveille, Http) {
    let database = harness::database().await;
    let service = Reveille::builder()
        .database_url(database.url())
        .listen(([127, 0, 0, 1], 0))
        .workers(4)
        .task(Loud)
        .start()
        .await
        .unwrap();
    let http = Http::new(&format!("http://{}", service.address().unwrap()));
    (database, service, http)
}

async fn ended(service: &Reveille, http: &Http, job: NewJob) -> Value {
    let id = service.submit(job).await.unwrap().job_id;
    let job = http.get(&format!("/jobs/{id}?wait=20")).await.body;
    assert!(job["finished_at"].is_string(), "{job}");
    job
}

fn is_cut(error: &Value) -> bool {
    let message = error["message"].as_str().unwrap();
    assert!(message.len() <= ERROR_MOST && message.ends_with(" bytes cut)"), "{message:.100}");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_tens_of_megabytes_is_cut_in_the_job_and_its_history_and_others_go_on() {
    let (database, service, http) = house().await;
    let loud = NewJob::new(Loud::NAME, "error").max_attempts(3);
    let loud = service.submit(loud).await.unwrap().job_id;
    for _ in 0..50 {
        let job = ended(&service, &http, NewJob::new("echo", &1)).await;
        assert_eq!(job["status"], "completed");
    }
    let loud = http.get(&format!("/jobs/{loud}?wait=20")).await.body;
    assert_eq!(
        (&loud["status"], &loud["error"]["code"]),
        (&json!("failed"), &json!("handler_error"))
    );
    assert!(is_cut(&loud["error"]));
    let path = format!("/jobs/{}/attempts", loud["job_id"].as_str().unwrap());
    let attempts = http.get(&path).await.body["data"].as_array().unwrap().clone();
    assert!(attempts.len() == 3 && attempts.iter().all(|attempt| is_cut(&attempt["error"])));
    let panicked = ended(&service, &http, NewJob::new(Loud::NAME, "panic").max_attempts(1)).await;
    assert_eq!(panicked["error"]["code"], "panicked");
    assert!(is_cut(&panicked["error"]));
    // Readers cut as well: what counts is what lies in the database.
    let kept = "select max(octet_length(error ->> 'message')) from
        (select error from reveille.attempt union all select error from reveille.outcome) kept";
    let kept: i32 = value(&database.client().await, kept).await;
    assert!(usize::try_from(kept).unwrap() <= ERROR_MOST, "{kept} bytes are kept");

    // An older service may have kept it whole.
    let grown = "update reveille.attempt set error = jsonb_build_object('code', 'handler_error', 'message', repeat('é', 1000000));
        update reveille.outcome set error = jsonb_build_object('code', 'handler_error', 'message', repeat('é', 1000000))
        where state = 'failed'";
    database.client().await.batch_execute(grown).await.unwrap();
    let attempts = http.get(&path).await.body["data"].as_array().unwrap().clone();
    assert!(attempts.len() == 3 && attempts.iter().all(|attempt| is_cut(&attempt["error"])));
    let listed = http.get("/jobs?status=failed").await.body["data"].as_array().unwrap().clone();
    assert!(listed.len() == 2 && listed.iter().all(|job| is_cut(&job["error"])));
    assert!(is_cut(&http.get_job(loud["job_id"].as_str().unwrap()).await.body["error"]));
    service.shutdown().await;
}

/// A control character has six bytes when it is written out.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_attempts_ends_where_their_errors_come_to_eight_megabytes() {
    let (database, service, http) = house().await;
    let failed = ended(&service, &http, NewJob::new(Loud::NAME, "nul")).await;
    let id = failed["job_id"].as_str().unwrap();
    let grown = format!(
        "insert into reveille.attempt (id, lease, attempt, claimed_at, ended_at, ending, error)
         select '{id}', gen_random_uuid(), n, now() - interval '1 hour' + n * interval '1 second',
           now() - interval '1 hour' + n * interval '1 second', 'failed',
           jsonb_build_object('code', 'handler_error', 'message', repeat(E'\\x01', 8192))
         from generate_series(1, 900) n"
    );
    database.client().await.batch_execute(&grown).await.unwrap();
    let path = format!("/jobs/{id}/attempts");
    let answer = http.request("GET", &path).send().await.unwrap().bytes().await.unwrap();
    assert!(answer.len() < 9 << 20, "{} bytes", answer.len());
    let attempts: Value = serde_json::from_slice(&answer).unwrap();
    let attempts = attempts["data"].as_array().unwrap();
    assert_eq!(attempts.last().unwrap()["error"]["code"], "permanent", "the newest is there");
    assert_eq!(attempts[attempts.len() - 2]["attempt"], 900);
    assert!((100..200).contains(&attempts.len()), "{}", attempts.len());
    service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_character_that_cannot_be_kept_is_replaced_and_progress_is_cut() {
    let (_database, service, http) = house().await;
    let failed = ended(&service, &http, NewJob::new(Loud::NAME, "nul")).await;
    assert_eq!(failed["error"], json!({"code": "permanent", "message": "a\u{fffd}b"}));
    let id = service.submit(NewJob::new(Loud::NAME, "progress")).await.unwrap().job_id.to_string();
    let progress = async || http.get_job(&id).await.body["progress"]["message"].clone();
    eventually("it has reported", SOON, async || progress().await.is_string()).await;
    let message = progress().await;
    let message = message.as_str().unwrap();
    assert!(message.len() <= 1024 && message.starts_with("\u{fffd}ppp"), "{message}");
    assert!(message.ends_with(" bytes cut)"), "{message}");
    http.post(&format!("/jobs/{id}/cancel"), &json!({})).await;
    service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_has_a_megabyte_at_most() {
    let (_database, service, http) = house().await;
    // Two are the quotes.
    for (length, status) in
        [((1 << 20) - 2, "completed"), ((1 << 20) - 1, "failed"), (8 << 20, "failed")]
    {
        let job = ended(&service, &http, NewJob::new(Loud::NAME, &length.to_string())).await;
        assert_eq!(job["status"], status, "{length}");
        if status == "failed" {
            assert_eq!(job["error"]["code"], "result_too_large");
            assert_eq!(job["attempt_count"], 1, "trying again is of no use");
        } else {
            assert_eq!(job["result"].as_str().unwrap().len(), length);
        }
    }
    service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_results_that_the_database_refuses_stop_claims_before_they_fill_the_memory() {
    const JOBS: i64 = 110;
    let (database, service, _) = house().await;
    let client = database.client().await;
    // A sequence goes on whatever becomes of the statement.
    let refusal = "create sequence public.refusals;
        create function public.refuse() returns trigger language plpgsql as $$ begin
          perform pg_catalog.nextval('public.refusals');
          raise exception 'refused for a while' using errcode = 'XX000';
        end $$;
        create trigger refuse before insert on reveille.outcome for each row execute function public.refuse()";
    client.batch_execute(refusal).await.unwrap();
    let job = || NewJob::new(Loud::NAME, &((1 << 20) - 2).to_string());
    service.submit_many((0..JOBS).map(|_| job())).await.unwrap();
    let claimed = async || {
        let held = "select coalesce(sum(cardinality(ids)), 0)::bigint from reveille.lease";
        value::<i64>(&client, held).await
    };
    let refused = async || value::<i64>(&client, "select last_value from public.refusals").await;
    eventually("there is no room", MINUTE, async || claimed().await > 64).await;
    // A round tries them by sixteen, in halves and each alone: 124 tries of the 64.
    let full = refused().await;
    eventually("all were tried twice again", MINUTE, async || refused().await > full + 248).await;
    let claimed = claimed().await;
    assert!(claimed < 90, "{claimed} of them are held, with their results");
    // To drop the trigger would wait for settlements that wait for this.
    let accepts = "create or replace function public.refuse() returns trigger language plpgsql as
        $$ begin return new; end $$";
    client.batch_execute(accepts).await.unwrap();
    all_end(&client, JOBS, MINUTE).await;
    assert_one_place(&client).await;
    service.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_for_good_is_logged_once_with_its_task_and_why() {
    let database = harness::database().await;
    let service = Service::start(database.url()).await;
    let flaky =
        json!({"task": "flaky", "payload": {"failures": 2}, "max_attempts": 2, "queue": "q7"});
    let failed = service.http().post("/jobs?wait=20", &flaky).await.body;
    assert_eq!(failed["status"], "failed");
    service.logged("job failed", SOON).await;
    let log = service.stderr();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("job failed")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    let words = [
        "WARN",
        failed["job_id"].as_str().unwrap(),
        "flaky",
        "q7",
        "handler_error",
        "as was asked for",
    ];
    assert!(words.iter().all(|word| lines[0].contains(word)), "{}", lines[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_the_payload_that_is_not_a_name_is_told() {
    let database = harness::database().await;
    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "4").start().await;
    let http = service.http();
    let wrong = |task: Value| json!({"payload": {"task": task}});
    for (path, task) in [
        ("/jobs", json!("resize image")),
        ("/jobs?wait=10", json!("resize image")),
        ("/jobs", json!(5)),
    ] {
        let job = http.post(path, &wrong(task.clone())).await.body;
        let warning = job["warnings"][0].as_str().unwrap();
        let words = [&*task.to_string(), "1 to 100 of `a-z A-Z 0-9 _ - . :`", "echo"];
        assert!(words.iter().all(|word| warning.contains(word)), "{warning}");
        assert_eq!(job["warnings"].as_array().unwrap().len(), 1);
    }
    let batch = json!([wrong(json!("a b")), wrong(json!("echo")), wrong(Value::Null), {"payload": {"task": "a b"}, "task": "echo"}]);
    let batch = http.post("/jobs/batch", &batch).await.body;
    let counts: Vec<usize> = batch["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| job["warnings"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [1, 0, 0, 0]);
}
