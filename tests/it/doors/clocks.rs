//! Time limits that every door takes or refuses.

use chrono::{SecondsFormat, TimeDelta, Utc};

use super::door::{Answer, Door, House};
use super::{idle, refused};

type Faults = &'static [(&'static str, &'static str)];

const DEADLINE: Faults = &[("/deadline_seconds", "out_of_range")];
const DELAY: Faults = &[("/delay_seconds", "out_of_range")];
const RUN_AT: Faults = &[("/run_at", "out_of_range")];
const TTL: Faults = &[("/queue_ttl_seconds", "out_of_range")];

/// The members of a job, and the faults of its refusal. `SOON` is a time in a minute.
const JOBS: &[(&str, Faults)] = &[
    (r#""deadline_seconds": 1, "timeout_seconds": 2"#, DEADLINE),
    (r#""deadline_seconds": 1, "timeout_seconds": 1.0000001"#, DEADLINE),
    (r#""queue_ttl_seconds": 5, "run_at": "SOON""#, RUN_AT),
    (r#""deadline_seconds": 5, "run_at": "SOON""#, RUN_AT),
    (r#""deadline_seconds": 5, "queue_ttl_seconds": 90, "run_at": "SOON""#, RUN_AT),
    (r#""deadline_seconds": 5, "queue_ttl_seconds": 4, "delay_seconds": 10"#, DELAY),
    (r#""deadline_seconds": 5, "delay_seconds": 10"#, DELAY),
    (r#""queue_ttl_seconds": 5, "delay_seconds": 10"#, DELAY),
    (r#""deadline_seconds": 0"#, DEADLINE),
    (r#""queue_ttl_seconds": -1"#, TTL),
    // Only what is sound by itself is compared.
    (r#""deadline_seconds": 0, "timeout_seconds": 2, "delay_seconds": 3"#, DEADLINE),
    (r#""deadline_seconds": 9, "queue_ttl_seconds": -1, "timeout_seconds": 3"#, TTL),
    (
        r#""deadline_seconds": 1, "timeout_seconds": 2, "delay_seconds": 3"#,
        &[("/deadline_seconds", "out_of_range"), ("/delay_seconds", "out_of_range")],
    ),
    (
        r#""deadline_seconds": "1", "timeout_seconds": 2, "queue_ttl_seconds": []"#,
        &[("/deadline_seconds", "wrong_type"), ("/queue_ttl_seconds", "wrong_type")],
    ),
    // Defaults are clipped: the task's timeout is 900 s.
    (r#""deadline_seconds": 60"#, &[]),
    (r#""deadline_seconds": 2, "timeout_seconds": 2"#, &[]),
    (r#""deadline_seconds": 2.0000000000000000001, "timeout_seconds": 2.0000000000000000002"#, &[]),
    (r#""deadline_seconds": 5, "queue_ttl_seconds": 5, "delay_seconds": 5"#, &[]),
    (r#""queue_ttl_seconds": 90, "run_at": "SOON""#, &[]),
    (r#""queue_ttl_seconds": 1, "run_at": "2020-01-01T00:00:00Z""#, &[]),
    (r#""queue_ttl_seconds": null, "deadline_seconds": null, "timeout_seconds": 3"#, &[]),
    (r#""deadline_seconds": 1, "queue_ttl_seconds": 2"#, &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn life_2c6_limits_that_cannot_be_kept_are_refused_alike_by_every_door() {
    let house = House::open(idle()).await;
    let soon = (Utc::now() + TimeDelta::seconds(60)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let (mut wrong, mut taken) = (Vec::new(), 0);
    for (said, faults) in JOBS {
        let job = format!(r#"{{"payload": 1, {}}}"#, said.replace("SOON", &soon));
        let mut asked = 0;
        for door in Door::ALL {
            let Some(answer) = house.submit(door, &job).await else { continue };
            asked += 1;
            let holds = match &answer {
                Answer::Accepted(_) => faults.is_empty(),
                answer => *answer == refused(faults),
            };
            if !holds {
                wrong.push(format!("{door:?}: {job}: {answer:?}"));
            }
            taken += usize::from(matches!(answer, Answer::Accepted(_)));
        }
        // Rust's types do not hold all of them.
        assert!(asked >= 3, "{job}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(usize::try_from(house.count("reveille.job").await).unwrap(), taken);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_to_do() {
    let house = House::open(idle()).await;
    let guest = &house.guest;
    for (said, advice) in [
        (
            r#"{"deadline_seconds": 1, "timeout_seconds": 2}"#,
            "deadline_seconds must not be less than timeout_seconds; raise it, or lower the other",
        ),
        (
            r#"{"queue_ttl_seconds": 5, "delay_seconds": 10, "deadline_seconds": 5}"#,
            "delay_seconds lies beyond queue_ttl_seconds, so the job would end before it starts; \
             raise that, or let the job start earlier",
        ),
    ] {
        let query = format!("select from reveille.submit(payload => '1', settings => '{said}')");
        let error = guest.batch_execute(&query).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert!(error.detail().unwrap().contains(advice), "{error:?}");
        let mut job: serde_json::Value = serde_json::from_str(said).unwrap();
        job["payload"] = 1.into();
        let answer = house.http.post_job(&job).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["message"]), (422, &advice.into()));
    }
}
