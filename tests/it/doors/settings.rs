//! `submit` takes any field in its `settings`, by the name that it has over HTTP; and how many faults are told.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use super::cases::cases;
use super::door::{Answer, Door, House};
use super::{idle, refused};
use crate::harness::look::value;

const CALL: &str = "select job_id::text, status, outcome from reveille.submit";

/// The job as a call whose only parameters are the payload and the settings; `None` if it is no object.
async fn by_settings(house: &House, job: &str) -> Option<Answer> {
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(job).ok()?;
    let payload = members.remove("payload").map(|it| it.get().to_owned());
    let settings = serde_json::to_string(&members).unwrap();
    let call = match payload {
        Some(_) => format!("{CALL}(payload => $1::text::jsonb, settings => $2::text::jsonb)"),
        None => format!("{CALL}(task => $1::text, settings => $2::text::jsonb)"),
    };
    Some(house.rows(&call, &[&payload, &settings]).await)
}

/// How many there are of each, and that is all that can differ.
fn shape(answer: Answer) -> Answer {
    let Answer::Accepted(mut jobs) = answer else { return answer };
    jobs.iter_mut().for_each(|job| job.id.clear());
    Answer::Accepted(jobs)
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_take_any_field_by_the_rules_of_the_other_doors() {
    let house = House::open(idle()).await;
    let owner = house.database.client().await;
    let (mut wrong, mut tried) = (Vec::new(), 0);
    // The payload is a parameter of its own, so the megabytes among the cases show nothing here.
    for case in cases().into_iter().filter(|it| it.job.len() < 10_000) {
        let Some(found) = by_settings(&house, &case.job).await else { continue };
        owner.batch_execute("delete from reveille.unique_key").await.unwrap();
        let expected = house.submit(Door::SqlMany, &case.job).await.unwrap();
        owner.batch_execute("delete from reveille.unique_key").await.unwrap();
        tried += 1;
        if let (Answer::Accepted(here), Answer::Accepted(there)) = (&found, &expected) {
            let (mut here, mut there) =
                (house.kept(&here[0].id).await, house.kept(&there[0].id).await);
            // They were not submitted in the same moment: with a time of its own, the delay differs.
            let (one, other) = (here.0["run_at"].take(), there.0["run_at"].take());
            let (delay, its) = (here.0["delay"].take(), there.0["delay"].take());
            if one != other && delay != its {
                wrong.push(format!("{}: {one} is {other}, {delay} is {its}", case.name));
            }
            if here != there {
                wrong.push(format!("{}: {here:?}\n  is {there:?}", case.name));
            }
        }
        let (found, expected) = (shape(found), shape(expected));
        if found != expected {
            wrong.push(format!("{}: {found:?}\n  is {expected:?}", case.name));
        }
    }
    assert!(tried > 50, "{tried}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_given_twice_is_told_with_all_that_is_wrong() {
    let house = House::open(idle()).await;
    for (arguments, faults) in [
        (
            r#"payload => '1', priority => 3, settings => '{"priority": 3}'"#,
            &[("/priority", "conflicting_fields")][..],
        ),
        (
            r#"payload => '1', priority => 3, tags => '{a}', settings => '{"payload": 2, "priority": 10,
                "colour": 1, "a/b": 1, "unique_key": "", "tags": [""]}'"#,
            &[
                ("/a~1b", "unknown_field"),
                ("/colour", "unknown_field"),
                ("/payload", "unknown_field"),
                ("/priority", "conflicting_fields"),
                ("/tags", "conflicting_fields"),
                ("/unique_key", "invalid_length"),
            ],
        ),
        (
            r#"settings => '{"payload": 1}'"#,
            &[("/payload", "required"), ("/payload", "unknown_field")],
        ),
        (
            r#"payload => '1', run_at => '2026-01-01T00:00:00Z', settings => '{"delay_seconds": 1}'"#,
            &[("/delay_seconds", "conflicting_fields")],
        ),
        ("payload => '1', settings => '[1]'", &[("/settings", "wrong_type")]),
        (r#"payload => '1', settings => '["payload"]'"#, &[("/settings", "wrong_type")]),
        (
            "payload => '1', priority => 10, settings => '1'",
            &[("/priority", "out_of_range"), ("/settings", "wrong_type")],
        ),
    ] {
        let answer = house.rows(&format!("{CALL}({arguments})"), &[]).await;
        assert_eq!(answer, refused(faults), "{arguments}");
    }
    for (arguments, priority) in [
        ("payload => '1', priority => 3, settings => null", 3),
        ("payload => '1', priority => 3, settings => 'null'", 3),
        ("payload => '1', priority => 3, settings => '{}'", 3),
        (r#"payload => '1', priority => 3, settings => '{"priority": null}'"#, 3),
        (r#"payload => '1', priority => null, settings => '{"priority": 3}'"#, 3),
        (r#"payload => 'null', settings => '{"task": "noop"}'"#, 5),
    ] {
        let answer = house.rows(&format!("{CALL}({arguments})"), &[]).await;
        let id = &answer.accepted()[0].id;
        assert_eq!(house.kept(id).await.0["priority"], priority, "{arguments}");
    }
}

/// A hostile list could have millions. The bounds are those of the other doors.
#[tokio::test(flavor = "multi_thread")]
async fn of_what_is_wrong_a_bounded_part_is_told() {
    let house = House::open(idle()).await;
    let faults = |answer| match answer {
        Answer::Refused(faults) => faults,
        Answer::Accepted(_) => panic!("accepted"),
    };
    for tag in ["1", r#""""#] {
        let job = format!(r#"{{"payload": 1, "tags": [{}]}}"#, vec![tag; 60_000].join(","));
        let told = faults(house.submit(Door::SqlMany, &job).await.unwrap());
        assert_eq!(told, faults(house.submit(Door::Http, &job).await.unwrap()));
        assert_eq!(told.len(), 21);
    }
    let unknown: Vec<String> = (0..1_000).map(|nth| format!(r#""x{nth}": 1"#)).collect();
    let job = format!(r#"{{"payload": 1, {}}}"#, unknown.join(","));
    for door in [Door::SqlMany, Door::Http] {
        let told = faults(house.submit(door, &job).await.unwrap());
        assert_eq!(told.len(), 51, "{door:?}");
        assert_eq!(told[0], (String::new(), "unknown_field".to_owned()), "{door:?}");
    }
    let job = r#"{"payload": 1, "tags": [1,1,1,1,1], "priority": 10}"#;
    let jobs = vec![job; 10_000];
    for door in [Door::SqlMany, Door::Http] {
        let told = faults(house.submit_many(door, &jobs).await.unwrap());
        assert_eq!(told.len(), 10_000, "{door:?}");
    }
}

/// What the settings are does not matter here, nor whether a release knows them.
#[tokio::test(flavor = "multi_thread")]
async fn settings_go_with_their_job_through_every_statement() {
    let house = House::open(idle()).await;
    let owner = house.database.client().await;
    let shown = |id: &str| {
        format!(
            "select jsonb_build_array(v.settings, (select r.payload from reveille.ready r where r.id = v.job_id))
             from reveille.jobs v where v.job_id = '{id}'"
        )
    };
    let ids: Vec<String> =
        (1..=4).map(|nth| format!("00000000-0000-7000-8000-00000000000{nth}")).collect();
    let partition = "create table reveille.job_of_then partition of reveille.job for values from (minvalue) to ('01000000-0000-0000-0000-000000000000')";
    owner.batch_execute(partition).await.unwrap();
    let settings = r#"array[null, '{"a": 1}']::jsonb[]"#;
    let arrays = |ids: &[String]| {
        format!("array['{}']::uuid[], '{{q,q}}', '{{t,t}}', '{{5,5}}'", ids.join("','"))
    };
    let statement = include_str!("../../../sql/job/submit.sql");
    let prepare = format!(
        "prepare many as {statement};
         execute many ({}, '{{}}', '{{}}', array['1', '2']::jsonb[], '{{}}', '{{}}', '{{}}', {settings}, '{{}}')",
        arrays(&ids[..2])
    );
    owner.batch_execute(&prepare).await.unwrap();
    let statement = include_str!("../../../sql/job/submit_keyed.sql");
    let prepare = format!(
        "prepare keyed as {statement};
         execute keyed ({}, '{{}}', '{{}}', array['1', '2']::jsonb[], '{{}}', '{{}}', '{{}}', {settings}, '{{a,b}}',
           '{{keep,keep}}', '1s', 'on')",
        arrays(&ids[2..])
    );
    owner.batch_execute(&prepare).await.unwrap();
    for (id, expected) in [
        (&ids[0], serde_json::json!([null, 1])),
        (&ids[1], serde_json::json!([{"a": 1}, null])),
        (&ids[2], serde_json::json!([null, null])),
        (&ids[3], serde_json::json!([{"a": 1}, null])),
    ] {
        let is: Value = value(&owner, &shown(id)).await;
        assert_eq!(is, expected, "{id}");
    }
    let replace = "select outcome from reveille.submit(payload => '3', queue => 'q', unique_key => 'b', on_conflict => 'replace')";
    assert_eq!(value::<String>(&owner, replace).await, "replaced");
    let is: Value = value(&owner, &shown(&ids[3])).await;
    assert_eq!(is, serde_json::json!([null, null]));
}
