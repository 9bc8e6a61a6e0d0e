//! What every client does: submit, wait, list, and be refused. Needs REVEILLE_URL and REVEILLE_TOKEN.

use std::env;
use std::fmt::Debug;

use reveille_client::apis::configuration::Configuration;
use reveille_client::apis::jobs_api::{cancel_job, get_job, list_jobs, submit_job};
use reveille_client::apis::tasks_api::list_tasks;
use reveille_client::apis::Error;
use reveille_client::models::{
    ConflictPolicy, JobCreate, JobInclude, JobStatus, ProblemDetails, SubmissionOutcome,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// The problem with which the service refuses a call.
fn refused<T: Debug, E: Debug>(answer: Result<T, Error<E>>) -> (u16, ProblemDetails) {
    match answer {
        Err(Error::ResponseError(refusal)) => {
            let problem = serde_json::from_str(&refusal.content);
            (refusal.status.as_u16(), problem.expect("a problem"))
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let variable = |name| env::var(name).expect(name);
    let service = Configuration {
        base_path: variable("REVEILLE_URL"),
        bearer_access_token: Some(variable("REVEILLE_TOKEN")),
        ..Configuration::default()
    };
    let key = format!("rust-{}", Uuid::new_v4());

    let payload = json!({"n": 7, "text": "grüße"});
    let job = JobCreate {
        task: Some("echo".into()),
        tags: Some(vec![key.clone()]),
        ..JobCreate::new(Some(payload.clone()))
    };
    let done = submit_job(&service, job.clone(), Some(20), None, Some(&key)).await.expect("a submission");
    let again = submit_job(&service, job, None, None, Some(&key)).await.expect("its first answer");
    assert_eq!(again.job_id, done.job_id);
    assert_eq!((done.status, done.outcome), (JobStatus::Completed, SubmissionOutcome::Created));
    assert_eq!(done.result, Some(Some(payload.clone())));
    let id = done.job_id.to_string();

    let job = get_job(&service, &id, Some(20), None, None).await.expect("a job");
    assert_eq!((job.payload, job.attempt_count), (Some(Some(payload.clone())), 1));

    let wanted = vec![JobStatus::Completed, JobStatus::Failed];
    let page = list_jobs(
        &service, Some(wanted), None, None, Some(vec![key.clone()]), None, None, None, None,
        Some(vec![JobInclude::Payload]), None, None,
    );
    let page = page.await.expect("a page");
    let found: Vec<_> = page.data.into_iter().map(|job| (job.job_id, job.payload)).collect();
    assert_eq!(found, [(done.job_id, Some(Some(payload)))]);

    let (status, problem) = refused(get_job(&service, &Uuid::nil().to_string(), None, None, None).await);
    assert_eq!((status, problem.code.as_str()), (404, "job_not_found"));

    let both = JobCreate {
        delay_seconds: Some(1.0),
        run_at: Some("2030-01-31T08:00:00Z".parse().expect("a time")),
        ..JobCreate::new(Some(Value::Null))
    };
    let (status, problem) = refused(submit_job(&service, both, None, None, None).await);
    assert_eq!((status, problem.code.as_str()), (422, "validation_failed"));
    assert_eq!(problem.errors.expect("places")[0].pointer, "/delay_seconds");

    let later = JobCreate {
        delay_seconds: Some(600.0),
        unique_key: Some(key),
        on_conflict: Some(ConflictPolicy::Reject),
        ..JobCreate::new(Some(json!(1)))
    };
    let first = submit_job(&service, later.clone(), None, None, None).await.expect("a submission");
    let (status, problem) = refused(submit_job(&service, later, None, None, None).await);
    assert_eq!((status, problem.code.as_str()), (409, "unique_key_conflict"));
    assert_eq!(problem.job_id, Some(first.job_id));
    cancel_job(&service, &first.job_id.to_string()).await.expect("a cancellation");

    let tasks = list_tasks(&service).await.expect("the tasks").data;
    assert!(tasks.iter().any(|task| task.name == "echo"));
}
