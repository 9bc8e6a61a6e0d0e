//! What the store promises the engine: a claim lies in leases of a bounded size, and outcomes are settled whole or in part.

use std::collections::HashMap;
use std::time::Duration;

use reveille::Config;
use reveille::NewJob;
use reveille::internals::job::ending::Ending;
use reveille::internals::job::failure::Failure;
use reveille::internals::job::json::Json;
use reveille::internals::job::state::Status;
use reveille::internals::job::submission::OnConflict;
use reveille::internals::job::{LeaseId, WorkerId};
use reveille::internals::queue::{Hold, Holder, Lane, QueueName, TaskName};
use reveille::internals::store::lease::{
    Claim, ClaimRoom, Claimed, LaneClaim, Settled, Settlement,
};
use reveille::internals::store::{Store, Target};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::harness::look::{assert_one_place, value};
use crate::harness::{self, TestDatabase, eventually};

/// A claim of one lane is a statement of its own: with `beside` an empty lane is asked for, too.
async fn claim(
    database: &TestDatabase,
    client: &Client,
    jobs: i64,
    beside: bool,
) -> (Store, Vec<Claimed>) {
    let submitted = format!(
        "select count(*) from generate_series(1, {jobs}) n
         cross join lateral reveille.submit(task => 'noop', payload => to_jsonb(n))"
    );
    assert_eq!(value::<i64>(client, &submitted).await, jobs);
    let (store, claim) =
        claim_waiting(database, client, usize::try_from(jobs).unwrap(), beside).await;
    (store, jobs_of(claim))
}

fn jobs_of(claim: Claim) -> Vec<Claimed> {
    claim.jobs.into_iter().map(|(_, job)| job).collect()
}

async fn claim_waiting(
    database: &TestDatabase,
    client: &Client,
    most: usize,
    beside: bool,
) -> (Store, Claim) {
    let room = ClaimRoom { jobs: most, bytes: 0, largest: 0 };
    let (store, claim, _) = claim_into(database, client, most, beside, room).await;
    (store, claim)
}

async fn claim_into(
    database: &TestDatabase,
    client: &Client,
    most: usize,
    beside: bool,
    mut room: ClaimRoom,
) -> (Store, Claim, ClaimRoom) {
    let target = Target::parse(database.url()).unwrap();
    let store = Store::open(&Config::default(), &target).await.unwrap();
    let lane = Lane {
        queue: QueueName::default(),
        task: TaskName::new("noop").unwrap(),
        priority: value(client, "select priority from reveille.ready limit 1").await,
    };
    let other = Lane { queue: QueueName::new("other").unwrap(), ..lane.clone() };
    let lanes = if beside { vec![lane, other] } else { vec![lane] };
    let asked: Vec<LaneClaim> =
        lanes.into_iter().map(|lane| LaneClaim { lane, bound: None, most }).collect();
    let claim = store.lease_claim(WorkerId(Uuid::now_v7()), &asked, most, &mut room).await.unwrap();
    (store, claim, room)
}

fn settlement(job: &Claimed, ending: Ending) -> Settlement {
    Settlement {
        lease: job.lease,
        id: job.id,
        place: job.place,
        attempt: job.attempt,
        ending,
        begun: true,
        keyed: job.keyed,
        timed: job.left.is_some(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_claim_lies_in_leases_that_say_where_each_job_stands() {
    let database = harness::database().await;
    let client = database.client().await;
    for beside in [false, true] {
        large_claim(&database, &client, beside).await;
    }
}

async fn large_claim(database: &TestDatabase, client: &Client, beside: bool) {
    let (_, jobs) = claim(database, client, 430, beside).await;
    assert!(jobs.is_sorted_by_key(|job| (job.run_at, job.id)));
    let mut sizes: HashMap<LeaseId, usize> = HashMap::new();
    for job in &jobs {
        *sizes.entry(job.lease).or_default() += 1;
        let held = "select ids[$2] from reveille.lease where lease = $1";
        let there: Uuid = client.query_one(held, &[&job.lease.0, &job.place]).await.unwrap().get(0);
        assert_eq!(there, job.id.0);
    }
    let mut sizes: Vec<usize> = sizes.into_values().collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [180, 250]);
    assert_one_place(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_keeps_no_more_payloads_than_there_is_room_for() {
    let database = harness::database().await;
    let client = database.client().await;
    let submit = "select count(*) from generate_series(1, 20) n
        cross join lateral reveille.submit(task => 'noop', payload => to_jsonb(lpad(n::text, 99998)))";
    for beside in [false, true] {
        assert_eq!(value::<i64>(&client, submit).await, 20);
        let room = ClaimRoom { jobs: 3, bytes: 450_000, largest: 0 };
        let (_, claim, room) = claim_into(&database, &client, 20, beside, room).await;
        let (beyond, kept): (Vec<_>, Vec<_>) =
            jobs_of(claim).into_iter().partition(|job| job.beyond_room);
        assert_eq!((kept.len(), beyond.len(), room.largest), (3 + 4, 13, 100_000));
        assert!(kept.iter().all(|job| job.payload.as_str().len() == 100_000 && job.place > 0));
        assert!(beyond.iter().all(|job| job.payload.is_null() && job.place > 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_reads_to_the_end_tells_when_more_is_due_and_of_a_paused_queue_that_it_is_held()
 {
    let database = harness::database().await;
    let client = database.client().await;
    let due = "select run_at from reveille.ready where run_at > now()";
    for beside in [false, true] {
        let (_, jobs) = claim(&database, &client, 3, beside).await;
        assert_eq!(jobs.len(), 3);
        let submit = "select count(*) from generate_series(1, 3) n
                      cross join lateral reveille.submit(task => 'noop', payload => 'null', \
                      run_at => case when n = 3 then now() + interval '1 hour' end)";
        value::<i64>(&client, submit).await;

        let pause = "insert into reveille.queue (name, paused_at) values ('default', now())
                     on conflict (name) do update set paused_at = now()";
        client.batch_execute(pause).await.unwrap();
        let (_, paused) = claim_waiting(&database, &client, 9, beside).await;
        assert_eq!((paused.jobs.len(), paused.due.len()), (0, 0), "nothing to wake for");
        let hold = Hold { by: Holder::Pause, until: None };
        assert_eq!(paused.held, [(0, hold)], "the lane beside it is not held");
        client.batch_execute("update reveille.queue set paused_at = null").await.unwrap();

        let (_, full) = claim_waiting(&database, &client, 1, beside).await;
        assert_eq!((full.jobs.len(), full.due.len()), (1, 0), "there may be more that is due now");
        let (_, rest) = claim_waiting(&database, &client, 2, beside).await;
        assert_eq!((rest.jobs.len(), rest.due), (1, vec![(0, value(&client, due).await)]));
        assert_eq!((full.held, rest.held), (Vec::new(), Vec::new()));
        client.batch_execute("with r as (delete from reveille.ready returning id) delete from reveille.job where id in (select id from r)").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_are_answered_one_by_one_unless_all_became_what_was_asked() {
    let database = harness::database().await;
    let client = database.client().await;
    let (store, jobs) = claim(&database, &client, 6, false).await;
    let done = |job| settlement(job, Ending::Completed(Json::null()));
    let completed = Settled::Applied(Some(Status::Completed));

    let whole = [done(&jobs[0]), settlement(&jobs[1], Ending::Release)];
    let settled = store.lease_settle(&whole, true).await.unwrap();
    assert_eq!(settled, [completed, Settled::Applied(None)]);

    let again = Ending::Retry { seconds: 3600.0, failure: Failure::new("handler_error", "no") };
    let mixed = [done(&jobs[0]), settlement(&jobs[2], again), done(&jobs[1]), done(&jobs[3])];
    let settled = store.lease_settle(&mixed, true).await.unwrap();
    let expected = [Settled::AlreadyFinal, Settled::Applied(None), Settled::LeaseLost, completed];
    assert_eq!(settled, expected);

    let cancelled = "update reveille.lease set cancels = ids[1:1] where true";
    client.batch_execute(cancelled).await.unwrap();
    let (first, second) = (&jobs[4], &jobs[5]);
    let settled = store
        .lease_settle(&[settlement(first, Ending::Release), done(second)], true)
        .await
        .unwrap();
    assert_eq!(settled, [Settled::Applied(Some(Status::Cancelled)), completed]);

    let stale = store.lease_settle(&[done(second), done(&jobs[2])], true).await.unwrap();
    assert_eq!(stale, [Settled::AlreadyFinal, Settled::LeaseLost]);
    assert_one_place(&client).await;
    let waiting: i64 = value(&client, "select count(*) from reveille.ready").await;
    assert_eq!(waiting, 2, "the released one and the one to be tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_gives_jobs_as_they_were_submitted_whether_or_not_their_payload_lies_beside() {
    let database = harness::database().await;
    let client = database.client().await;
    for beside in [false, true] {
        submitted_and_claimed(&database, &client, beside).await;
    }
}

async fn submitted_and_claimed(database: &TestDatabase, client: &Client, beside: bool) {
    let library = reveille::Client::connect(database.url()).await.unwrap();
    let large = "x".repeat(200);
    let job = |payload: &str| NewJob::new("noop", payload);
    let each = || {
        [
            job("plain"),
            job(&large),
            job("often").max_attempts(3),
            job("long").timeout(Duration::from_secs(7)),
        ]
    };
    for alone in each() {
        library.submit(alone).await.unwrap();
    }
    library.submit_many(each()).await.unwrap();
    library
        .submit(job("once").unique(format!("a key, {beside}"), OnConflict::Reject))
        .await
        .unwrap();
    let payloads: i64 = value(client, "select count(payload) from reveille.ready").await;
    assert_eq!(payloads, 2, "the plain one, alone and in the list");

    let (_, claim) = claim_waiting(database, client, 20, beside).await;
    let jobs = jobs_of(claim);
    let told = |job: &Claimed| {
        (job.payload.as_str().to_owned(), job.max_attempts, job.timeout_seconds, job.keyed)
    };
    let text = |payload: &str| format!("\"{payload}\"");
    let (plain, large) = ((text("plain"), None, None, false), (text(&large), None, None, false));
    let (often, long) =
        ((text("often"), Some(3), None, false), (text("long"), None, Some(7.0), false));
    let expected = [plain, large, often, long];
    let mut expected = [expected.clone(), expected].concat();
    expected.push((text("once"), None, None, true));
    assert_eq!(jobs.iter().map(told).collect::<Vec<_>>(), expected);
    assert_one_place(client).await;
}

/// It is not listed, and neither ends a queue_ttl_seconds.
#[tokio::test(flavor = "multi_thread")]
async fn life_2c4_a_claim_that_did_not_begin_counts_no_attempt_however_it_ends() {
    let database = harness::database().await;
    let client = database.client().await;
    let (store, jobs) = claim(&database, &client, 4, false).await;
    let unbegun = |job: &Claimed, ending| Settlement { begun: false, ..settlement(job, ending) };
    let failure = || Failure::new("expired", "no attempt began in time");
    let endings = [Ending::Failed(failure()), Ending::Cancelled(failure()), Ending::Release];
    let settlements: Vec<_> =
        jobs.iter().zip(endings).map(|(job, ending)| unbegun(job, ending)).collect();
    let settled = store.lease_settle(&settlements, true).await.unwrap();
    let ended = |status| Settled::Applied(Some(status));
    let expected = [ended(Status::Failed), ended(Status::Cancelled), Settled::Applied(None)];
    assert_eq!(settled, expected);
    // The cancellation of one that is given back is asked for meanwhile.
    let last = &jobs[3];
    let cancel = format!("update reveille.lease set cancels = array['{}'::uuid]", last.id);
    client.batch_execute(&cancel).await.unwrap();
    let back = unbegun(last, Ending::NotStarted { run_at: last.run_at });
    assert_eq!(store.lease_settle(&[back], true).await.unwrap(), [ended(Status::Cancelled)]);

    let untouched = "select count(*) from reveille.outcome
      where attempt = 0 and lease is null and worker is null and claimed_at is null";
    assert_eq!(value::<i64>(&client, untouched).await, 3);
    let back = format!(
        "select attempt || ' ' || (run_at = '{}') || ' ' || reveille.has_begun(id, '-infinity')
         from reveille.ready where id = '{}'",
        jobs[2].run_at, jobs[2].id
    );
    assert_eq!(value::<String>(&client, &back).await, "0 true false");
    assert_eq!(value::<i64>(&client, "select count(*) from reveille.attempt").await, 0);
    assert_one_place(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_of_several_leases_in_any_order_are_those_of_their_jobs() {
    let database = harness::database().await;
    let client = database.client().await;
    let (store, first) = claim(&database, &client, 4, false).await;
    let library = reveille::Client::connect(database.url()).await.unwrap();
    let keyed = NewJob::new("noop", &1).unique("a key", OnConflict::Reject);
    library.submit(keyed).await.unwrap();
    let (_, second) = claim(&database, &client, 6, false).await;
    let (_, last) = claim_waiting(&database, &client, 1, false).await;
    let last = jobs_of(last);
    let stale =
        Settlement { lease: LeaseId(Uuid::now_v7()), ..settlement(&first[1], Ending::Release) };
    let done = |job: &Claimed| {
        let result = Json::from_serialize(&format!("{}", job.id)).unwrap();
        settlement(job, Ending::Completed(result))
    };
    let fail = |job: &Claimed| {
        let words = job.id.to_string();
        settlement(job, Ending::Failed(Failure::new("permanent", &words)))
    };
    let retry = Ending::Retry { seconds: 3600.0, failure: Failure::new("handler_error", "no") };
    let mixed = [
        done(&second[2]),
        stale,
        settlement(&second[4], retry),
        settlement(&last[0], Ending::NotStarted { run_at: last[0].run_at }),
        fail(&first[3]),
        settlement(&second[0], Ending::Release),
        done(&first[0]),
        fail(&second[3]),
        done(&first[2]),
    ];
    let settled = store.lease_settle(&mixed, true).await.unwrap();
    let ended = |status| Settled::Applied(Some(status));
    let (completed, failed) = (ended(Status::Completed), ended(Status::Failed));
    let waits = Settled::Applied(None);
    let expected =
        [completed, Settled::LeaseLost, waits, waits, failed, waits, completed, failed, completed];
    assert_eq!(settled, expected);

    let theirs = "select count(*) from reveille.outcome o where coalesce(o.result #>> '{}', o.error ->> 'message') = o.id::text
                  and (o.state = 'completed') = (o.result is not null)";
    assert_eq!(value::<i64>(&client, theirs).await, 5);
    let rest: Vec<Vec<Uuid>> = client
        .query("select ids from reveille.lease order by ids", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(rest, [vec![first[1].id.0], vec![second[1].id.0, second[5].id.0]]);
    let again = "select attempt, run_at > now() + interval '59 min', run_at = $2 from reveille.ready where id = $1";
    for (job, expected) in [
        (&second[4], (1, true, false)),
        (&last[0], (0, false, true)),
        (&second[0], (0, false, true)),
    ] {
        let row = client.query_one(again, &[&job.id.0, &job.run_at]).await.unwrap();
        assert_eq!((row.get(0), row.get(1), row.get(2)), expected, "{}", job.id);
    }
    let keys: i64 = value(&client, "select count(*) from reveille.unique_key").await;
    assert_eq!((keys, second[0].keyed), (1, true), "it waits again, and keeps its key");
    assert_one_place(&client).await;
}

/// What an outcome becomes is read from its lease once that is locked, not as it was when the statement began.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_that_commits_while_an_outcome_waits_for_its_lease_is_obeyed() {
    let database = harness::database().await;
    let client = database.client().await;
    let (store, jobs) = claim(&database, &client, 2, false).await;
    let mut canceller = harness::cluster::connect(database.url()).await;
    let cancelling = canceller.transaction().await.unwrap();
    cancelling
        .batch_execute("update reveille.lease set cancels = ids[1:1] where true")
        .await
        .unwrap();
    let released = [settlement(&jobs[1], Ending::Release), settlement(&jobs[0], Ending::Release)];
    let settling = tokio::spawn(async move { store.lease_settle(&released, true).await });
    eventually("the outcomes wait", Duration::from_secs(10), async || {
        let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '-- Outcomes%'";
        value::<i64>(&client, waiting).await == 1
    })
    .await;
    cancelling.commit().await.unwrap();
    let settled = settling.await.unwrap().unwrap();
    let cancelled = Settled::Applied(Some(Status::Cancelled));
    assert_eq!(settled, [Settled::Applied(None), cancelled]);
    assert_one_place(&client).await;
}
