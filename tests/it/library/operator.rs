//! What an operator does from a program: dead letters, redrives, operations and the audit.

use reveille::{
    AuditFilter, Client, ClientError, DeadLetterFilter, NewJob, OperationKind, OperationStatus,
    Redrive, RedriveCanary, Status,
};

use super::SOON;
use crate::harness::look::all_end;
use crate::harness::{self, Service, eventually};

fn of_queue(queue: &str) -> DeadLetterFilter {
    DeadLetterFilter { queue: Some(queue.into()), ..DeadLetterFilter::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_finds_dead_letters_and_redrives_them() {
    let database = harness::database().await;
    let _service = Service::start(database.url()).await;
    let (client, sql) = (Client::connect(database.url()).await.unwrap(), database.client().await);
    let fails = |queue: &str| {
        NewJob::new("flaky", &serde_json::json!({"failures": 1})).queue(queue).max_attempts(1)
    };
    let jobs = (0..7).map(|nth| fails(if nth < 5 { "mail" } else { "post" }));
    let written = client.submit_many(jobs).await.unwrap();
    all_end(&sql, 7, SOON).await;

    let all = client.dead_letters(&DeadLetterFilter::default()).await.unwrap();
    assert_eq!((all.groups.len(), all.others.jobs), (2, 0));
    let mail = client.dead_letters(&of_queue("mail")).await.unwrap().groups;
    let [group] = &mail[..] else { panic!("{mail:?}") };
    assert_eq!((&*group.task, group.count.jobs, group.example), ("flaky", 5, written[4].job_id));
    assert_eq!(group.error.as_ref().unwrap().code, "handler_error");
    let by_family = DeadLetterFilter { family: Some(group.family.clone()), ..of_queue("mail") };
    let redrive = Redrive { delay_seconds: 3600.0, ..Redrive::of(by_family) };
    assert_eq!(client.redrive_matches(&redrive).await.unwrap().jobs, 5);
    assert!(client.operations(None, 10).await.unwrap().operations.is_empty());

    // It is undone before it begins.
    let asked = client.redrive(redrive.clone()).await.unwrap();
    let told = (asked.kind, asked.status, asked.matched.jobs);
    assert_eq!(told, (OperationKind::Redrive, OperationStatus::Scheduled, 5));
    assert!(client.stop_operation(asked.id).await.unwrap());
    assert!(!client.stop_operation(asked.id).await.unwrap());
    let now = Redrive {
        delay_seconds: 0.0,
        canary: Some(RedriveCanary { halt_at: 1.0, ..RedriveCanary::default() }),
        ..redrive
    };
    let id = client.redrive(now.clone()).await.unwrap().id;
    eventually("it is done", SOON, async || {
        let operation = client.operation(id).await.unwrap().unwrap();
        operation.status == OperationStatus::Completed && operation.moved == 5
    })
    .await;
    assert_eq!(client.operation(id).await.unwrap().unwrap().canary, now.canary);
    let first = client.operations(None, 1).await.unwrap();
    assert_eq!((first.operations[0].id, first.next), (id, Some(id)));
    let rest = client.operations(first.next, 1).await.unwrap();
    assert_eq!((rest.operations[0].id, rest.next), (asked.id, None));
    let stopped = &rest.operations[0];
    assert_eq!((stopped.status, stopped.moved), (OperationStatus::Stopped, 0));
    assert!(client.operation(uuid::Uuid::now_v7()).await.unwrap().is_none());
    let post = client.get(written[6].job_id).await.unwrap().unwrap();
    assert_eq!((post.status, post.attempt_count), (Status::Failed, 1));

    let audit = client.audit(&AuditFilter::default()).await.unwrap();
    let actions: Vec<&str> = audit.rows.iter().map(|it| &*it.action).collect();
    assert_eq!(actions, ["redrive_dead_letters", "stop_operation", "redrive_dead_letters"]);
    assert!(audit.rows.iter().all(|it| it.principal.starts_with("role ")), "{audit:?}");
    let one =
        AuditFilter { limit: 1, action: Some("stop_operation".into()), ..AuditFilter::default() };
    let page = client.audit(&one).await.unwrap();
    assert_eq!(page.rows[0].target, format!("operation {}", asked.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_is_not_valid_is_refused_as_over_http() {
    let database = harness::database().await;
    let client = Client::connect(database.url()).await.unwrap();
    let mail = || Redrive::of(of_queue("mail"));
    let canary = |share, halt_at| Some(RedriveCanary { share, halt_at });
    let long = DeadLetterFilter { code: Some("x".repeat(256)), ..DeadLetterFilter::default() };
    let family = DeadLetterFilter { family: Some("7".into()), ..DeadLetterFilter::default() };
    for (redrive, expected) in [
        (Redrive::of(DeadLetterFilter::default()), "/filter missing_field"),
        (Redrive::of(of_queue("Mail")), "/filter/queue invalid_name"),
        (Redrive::of(long), "/filter/code invalid_length"),
        (Redrive::of(family), "/filter/family invalid_value"),
        (Redrive { rate_per_second: 0.0, ..mail() }, "/rate_per_second out_of_range"),
        (Redrive { rate_per_second: f64::NAN, ..mail() }, "/rate_per_second out_of_range"),
        (Redrive { delay_seconds: -1.0, ..mail() }, "/delay_seconds out_of_range"),
        (Redrive { canary: canary(2.0, 0.1), ..mail() }, "/canary/share out_of_range"),
        (Redrive { canary: canary(0.1, -0.1), ..mail() }, "/canary/halt_at out_of_range"),
    ] {
        let matches = client.redrive_matches(&redrive).await.map(|_| ());
        let made = client.redrive(redrive).await.map(|_| ());
        for refused in [matches, made] {
            let Err(ClientError::Invalid(faults)) = refused else { panic!("{refused:?}") };
            let told: Vec<String> =
                faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.code)).collect();
            assert_eq!(told, [expected]);
        }
    }
    let wrong = client.dead_letters(&of_queue("Mail")).await.unwrap_err();
    assert_eq!(wrong.code(), "validation_failed");
    assert!(wrong.to_string().contains("queue"), "{wrong}");
    assert!(client.operations(None, 10).await.unwrap().operations.is_empty());
}
