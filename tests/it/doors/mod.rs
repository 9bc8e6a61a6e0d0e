//! The three doors of submission have one rule book: the same table goes through all of them.

mod alike;
mod cases;
mod clocks;
mod door;
mod keys;
mod limits;
mod odd;
mod retry;
mod said;
mod settings;

use serde_json::Value;

use cases::{Expected, cases};
use door::{Answer, Door, House};
use reveille::Reveille;

fn idle() -> reveille::Builder {
    Reveille::builder().workers(0)
}

fn refused(faults: &[(&str, &str)]) -> Answer {
    Answer::Refused(faults.iter().map(|(at, code)| ((*at).into(), (*code).into())).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_takes_and_refuses_the_same() {
    let house = House::open(idle()).await;
    let mut wrong = Vec::new();
    for case in cases() {
        for door in Door::ALL {
            let Some(answer) = house.submit(door, &case.job).await else { continue };
            let sql = matches!(door, Door::Sql | Door::SqlMany);
            let difference = match (&case.expected, answer) {
                (Expected::Kept(status, kept, payload), Answer::Accepted(jobs)) => {
                    let (is, text) = house.kept(&jobs[0].id).await;
                    let kept: Value = serde_json::from_str(kept).unwrap();
                    let differs = kept
                        .as_object()
                        .unwrap()
                        .iter()
                        .any(|(name, value)| !same(&is[name], value));
                    let differs = differs || !payload.is_empty() && text != *payload;
                    let said = (&*jobs[0].status, &*jobs[0].outcome) == (*status, "created");
                    (differs || !said).then(|| format!("{jobs:?} {is} {text:.200}"))
                }
                (Expected::Refused(faults), answer) => {
                    (answer != refused(faults)).then(|| format!("{answer:?}"))
                }
                (Expected::Unkeepable(at, code, state), answer) => {
                    let faults = if sql { [("", *state)] } else { [(*at, *code)] };
                    (answer != refused(&faults)).then(|| format!("{answer:?}"))
                }
                (Expected::Kept(..), answer) => Some(format!("{answer:?}")),
            };
            wrong.extend(difference.map(|is| format!("{door:?}: {}: {is}", case.name)));
            house.owner.batch_execute("delete from reveille.unique_key").await.unwrap();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Equal as numbers too: PostgreSQL may write a whole one with a fraction.
fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some() && one.as_f64() == other.as_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_kept_in_order_and_whole_or_not_at_all() {
    let house = House::open(idle()).await;
    let many: Vec<String> = (0..10_001).map(|nth| format!(r#"{{"payload": {nth}}}"#)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let bad = [
        r#"{"payload": 1}"#,
        r#"{"payload": 2, "priority": 10, "tags": [""]}"#,
        r#"{"payload": 3}"#,
        r#"{"payload": 4, "queue": "Q"}"#,
    ];
    for door in [Door::Http, Door::SqlMany, Door::Rust] {
        let before = house.count("reveille.job").await;
        let jobs = house.submit_many(door, &many[..300]).await.unwrap().accepted();
        assert!(jobs.is_sorted_by(|one, next| one.id < next.id), "{door:?}");
        for nth in [0, 1, 150, 299] {
            assert_eq!(house.kept(&jobs[nth].id).await.1, nth.to_string(), "{door:?}");
        }
        let faults = [
            ("/1/priority", "out_of_range"),
            ("/1/tags/0", "invalid_length"),
            ("/3/queue", "invalid_name"),
        ];
        assert_eq!(house.submit_many(door, &bad).await.unwrap(), refused(&faults), "{door:?}");
        let size = refused(&[("", "batch_size")]);
        assert_eq!(house.submit_many(door, &many).await.unwrap(), size, "{door:?}");
        assert_eq!(house.submit_many(door, &[]).await.unwrap(), size, "{door:?}");
        assert_eq!(house.count("reveille.job").await, before + 300, "{door:?}");
    }
    for answer in [house.post("/jobs/batch", "{}").await, house.many("{}").await] {
        assert_eq!(answer, refused(&[("", "wrong_type")]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_that_submits_can_do_nothing_else() {
    let house = House::open(idle()).await;
    let id = house.submit(Door::Sql, r#"{"payload": 1}"#).await.unwrap().accepted().remove(0).id;
    let owner = house.database.client().await;
    let names = "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'reveille'
        union all select format('%I.%I', schemaname, viewname) from pg_views where schemaname = 'reveille'";
    for row in owner.query(names, &[]).await.unwrap() {
        let name: &str = row.get(0);
        for statement in [
            format!("select from {name}"),
            format!("insert into {name} default values"),
            format!("delete from {name}"),
        ] {
            let error = house.guest.batch_execute(&statement).await.expect_err(&statement);
            assert!(
                ["42501", "55000"].contains(&error.code().unwrap().code()),
                "{statement}: {error:?}"
            );
        }
    }
    let allowed =
        "select p.proname::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = 'reveille' and has_function_privilege($1, p.oid, 'execute') order by 1";
    let role: String =
        house.guest.query_one("select current_user::text", &[]).await.unwrap().get(0);
    let rows = owner.query(allowed, &[&role]).await.unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, ["submit", "submit_many"]);
    assert_eq!(house.kept(&id).await.1, "1");
}
