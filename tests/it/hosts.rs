//! A URL of several hosts: one that is silent, freezes or takes no writes is passed by for another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reveille::Config;
use reveille::internals::store::{Database, Store, Target};
use serde_json::json;

use crate::harness::look::{listens, value};
use crate::harness::proxy::Mode;
use crate::harness::{self, Cluster, Service, background, eventually};

const SOON: Duration = Duration::from_secs(10);
const KEPT: &str = "select count(*) from reveille.job";

/// Accepts and says nothing, for as long as the test process lives; counts what it accepts.
async fn silent_port() -> (u16, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    background().spawn(async move {
        let mut all = Vec::new();
        while let Ok(accepted) = listener.accept().await {
            all.push(accepted);
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, count)
}

/// `host=… port=… user=… dbname=…` of a proxy.
fn of_proxy(url: &str, word: &str) -> String {
    let value = url.split(' ').find_map(|pair| pair.strip_prefix(&format!("{word}=")));
    value.unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_host_that_accepts_and_says_nothing_is_passed_by() {
    let database = harness::database().await;
    let proxy = database.proxy().await;
    let [port, user, name] = ["port", "user", "dbname"].map(|word| of_proxy(proxy.url(), word));
    let (silent, tried) = silent_port().await;
    let url = format!(
        "postgres://{user}@127.0.0.1:{silent},127.0.0.1:{port}/{name}?connect_timeout=1&target_session_attrs=read-write",
    );
    let service = Service::on(&url).start().await;
    listens(&service).await;
    // From now on the one that was good comes first.
    let before = tried.load(Ordering::Relaxed);
    assert!(before > 0, "the first host was not tried");
    let all = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where application_name = 'reveille' and datname = current_database()";
    assert!(value::<i64>(&database.client().await, all).await > 0);
    eventually("submissions are accepted", SOON, async || {
        service.http().post_job(&json!({"payload": 1})).await.status == 201
    })
    .await;
    let job = service.http().post("/jobs?wait=10", &json!({"payload": 1})).await;
    assert_eq!(job.body["status"], "completed");
    assert_eq!(tried.load(Ordering::Relaxed), before, "tries of the host that says nothing");
}

/// The first host is as a standby is to us: it takes no writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_host_without_writes_is_passed_by_where_the_url_asks_for_one_with() {
    let clusters = [Cluster::start().await, Cluster::start().await];
    let databases = [clusters[0].database().await, clusters[1].database().await];
    let [first, second] = &databases;
    assert_eq!(first.name(), second.name());
    let client = first.client().await;
    client.batch_execute("alter system set default_transaction_read_only = on").await.unwrap();
    client.batch_execute("select pg_reload_conf()").await.unwrap();
    eventually("it takes no writes", SOON, async || {
        let setting = "select current_setting('default_transaction_read_only') = 'on'";
        value::<bool>(&first.client().await, setting).await
    })
    .await;
    let proxies = [first.proxy().await, second.proxy().await];
    let [one, other] = [&proxies[0], &proxies[1]].map(|proxy| of_proxy(proxy.url(), "port"));
    let [user, name] = ["user", "dbname"].map(|word| of_proxy(proxies[0].url(), word));
    let url = format!(
        "postgres://{user}@127.0.0.1:{one},127.0.0.1:{other}/{name}?target_session_attrs=read-write"
    );
    let service = Service::on(&url).start().await;
    let job = service.http().post("/jobs?wait=10", &json!({"payload": 1})).await;
    assert_eq!(job.body["status"], "completed");
    assert_eq!(value::<i64>(&second.client().await, KEPT).await, 1);
}

/// What a frozen primary and a standby that was promoted look like from here.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_freezes_is_left_for_the_one_that_takes_over() {
    let database = harness::database().await;
    let (first, second) = (database.proxy().await, database.proxy().await);
    second.set(Mode::Blackhole);
    let [one, other] = [&first, &second].map(|proxy| of_proxy(proxy.url(), "port"));
    let [user, name] = ["user", "dbname"].map(|word| of_proxy(first.url(), word));
    let url = format!(
        "host=127.0.0.1,127.0.0.1 port={one},{other} user={user} dbname={name} sslmode=disable \
         connect_timeout=1 target_session_attrs=primary"
    );
    let service = Service::on(&url).start().await;
    listens(&service).await;
    second.set(Mode::Pass);
    first.set(Mode::Blackhole);
    let begun = Instant::now();
    eventually("submissions are accepted", Duration::from_secs(15), async || {
        service.http().post_job(&json!({"payload": 1})).await.status == 201
    })
    .await;
    let job = service.http().post("/jobs?wait=10", &json!({"payload": 1})).await;
    assert_eq!(job.body["status"], "completed", "after {:?}", begun.elapsed());
    eventually("it is ready", SOON, async || service.http().get("/readyz").await.status == 200)
        .await;
}

/// A host that freezes while its time limit is longer than that of any step of the listener.
#[tokio::test(flavor = "multi_thread")]
async fn a_listener_leaves_a_host_that_freezes_for_the_other_whatever_the_time_limit() {
    let database = harness::database().await;
    let (first, second) = (database.proxy().await, database.proxy().await);
    second.set(Mode::Blackhole);
    let [one, other] = [&first, &second].map(|proxy| of_proxy(proxy.url(), "port"));
    let [user, name] = ["user", "dbname"].map(|word| of_proxy(first.url(), word));
    let listens_at = format!(
        "host=127.0.0.1,127.0.0.1 port={one},{other} user={user} dbname={name} sslmode=disable connect_timeout=7"
    );
    let service =
        Service::on(database.url()).env("REVEILLE_LISTEN_DATABASE_URL", &listens_at).start().await;
    listens(&service).await;
    second.set(Mode::Pass);
    first.set(Mode::Blackhole);
    service.logged("the listening connection is lost", Duration::from_secs(20)).await;
    eventually("it listens again", Duration::from_secs(15), async || {
        service.stderr().matches("listening for notifications").count() > 1
    })
    .await;
}

/// The session that lies in the pool leads to the host that froze, and nobody has noticed that on it.
#[tokio::test(flavor = "multi_thread")]
async fn once_another_host_has_taken_over_no_statement_goes_to_the_first() {
    let database = harness::database().await;
    let (first, second) = (database.proxy().await, database.proxy().await);
    let [one, other] = [&first, &second].map(|proxy| of_proxy(proxy.url(), "port"));
    let [user, name] = ["user", "dbname"].map(|word| of_proxy(first.url(), word));
    let url = format!(
        "host=127.0.0.1,127.0.0.1 port={one},{other} user={user} dbname={name} sslmode=disable connect_timeout=1"
    );
    let store = Store::open(&Config::default(), &Target::parse(&url).unwrap()).await.unwrap();
    store.worker_list().await.unwrap();
    let read = || first.sent(include_str!("../../sql/worker/list.sql"));
    assert_eq!(read(), 1, "the first host is asked");
    first.set(Mode::Blackhole);
    // Probes have no session yet, and so find out which host is good.
    eventually("the second host is found", SOON, async || {
        store.health().await.database == Database::Writable
    })
    .await;
    store.worker_list().await.unwrap();
}
