//! How the database sorts text, and that it may do so otherwise one day, changes nothing.

use std::collections::HashSet;

use reveille::internals::store::{Target, migrate};
use tokio_postgres::Client;

use crate::harness::look::value;
use crate::harness::{self, Service, TestDatabase};

/// The indexes of text that follow the database's collation, below their partitions' too.
const SORTED_BY_THE_DATABASE: &str = "
    select distinct c.relname::text
    from pg_index i
    join pg_class c on c.oid = coalesce(pg_partition_root(i.indexrelid), i.indexrelid)
    where c.relnamespace = 'reveille'::regnamespace and exists (
      select from unnest(i.indcollation) c (sorts)
      where c.sorts not in (0, (select oid from pg_collation where collname = 'C'))
    )";

async fn column(client: &Client, query: &str) -> HashSet<String> {
    let rows = client.query(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_index_of_text_follows_the_databases_collation() {
    let database = harness::database().await;
    let client = database.client().await;
    let found = column(&client, SORTED_BY_THE_DATABASE).await;
    // Services of earlier releases use these two.
    let known = ["job_tags", "job_unique_key"].map(str::to_owned);
    assert_eq!(found, HashSet::from(known), "give its columns collate \"C\"");
}

/// From here on this database sorts as words what it has sorted as bytes, as after an upgrade of the library that sorts. `false`:
/// this PostgreSQL cannot.
async fn sorts_otherwise_now(database: &TestDatabase) -> bool {
    let client = database.client().await;
    let version: i32 =
        value(&client, "select current_setting('server_version_num')::integer").await;
    let icu = "select exists (select from pg_collation where collprovider = 'i')";
    if version < 150_000 || !value::<bool>(&client, icu).await {
        return false;
    }
    let locale = if version < 170_000 { "daticulocale" } else { "datlocale" };
    let change = format!(
        "update pg_database set datlocprovider = 'i', {locale} = 'en' where datname = current_database()"
    );
    client.batch_execute(&change).await.unwrap();
    assert!(value::<bool>(&database.client().await, "select 'B' > 'a'").await, "it sorts words");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_held_and_jobs_are_found_after_the_database_sorts_otherwise() {
    let database = harness::database().await;
    let client = database.client().await;
    let submit = "select s.outcome from generate_series(1, 1500) n
        cross join lateral (select (array['a', 'B', '-', '_', 'Z'])[n % 5 + 1] || (n / 5) || case n % 2 when 0 then 'X' else 'y' end as word) w
        cross join lateral reveille.submit(payload => '1', queue => 'nobody', unique_key => w.word, tags => array[w.word]) s";
    assert_eq!(column(&client, submit).await, HashSet::from(["created".to_owned()]));
    if !sorts_otherwise_now(&database).await {
        return;
    }
    let client = database.client().await;
    assert_eq!(column(&client, submit).await, HashSet::from(["existing".to_owned()]));

    let service = Service::on(database.url()).env("REVEILLE_WORKERS", "0").start().await;
    let http = service.http();
    let mut missed = Vec::new();
    for word in column(&client, "select unique_key from reveille.job").await.iter().take(150) {
        for filter in ["tag", "unique_key"] {
            let found = http.get(&format!("/jobs?{filter}={word}")).await.body;
            if found["data"].as_array().is_none_or(|jobs| jobs.len() != 1) {
                missed.push(format!("{filter}={word}"));
            }
        }
    }
    assert!(missed.is_empty(), "{} lists miss their job: {missed:?}", missed.len());
}

/// What a corrupt index has let in twice is no reason to refuse the migration.
#[tokio::test(flavor = "multi_thread")]
async fn of_the_rows_of_a_key_that_was_given_away_twice_the_newest_stays() {
    let database = harness::database().await;
    let client = database.client().await;
    client
        .batch_execute(
            "create role reads_jobs; grant usage on schema reveille to reads_jobs; grant select on reveille.jobs to reads_jobs;
             create view public.over_jobs as select job_id, task from reveille.jobs;
             drop index reveille.job_tags_bytes, reveille.job_unique_key_bytes;
             alter table reveille.unique_key drop constraint unique_key_pkey;
             alter table reveille.unique_key alter queue type text collate \"default\", alter key type text collate \"default\";
             insert into reveille.unique_key (queue, key, id)
               select 'q', key, ('00000000-0000-7000-8000-' || lpad(nth::text, 12, '0'))::uuid
               from (values ('a', 1), ('a', 2), ('a', 3), ('b', 4), ('B', 5), ('B', 6)) k (key, nth)",
        )
        .await
        .unwrap();
    database.holds_rows_without_jobs();
    let view = "select pg_get_viewdef('reveille.jobs'::regclass)";
    let before: String = value(&client, view).await;
    client.batch_execute("set search_path = reveille").await.unwrap();
    let migration = include_str!("../../sql/migrations/V29__collations.sql");
    client.batch_execute(&format!("begin; {migration}; commit")).await.unwrap();
    client.batch_execute("reset search_path").await.unwrap();
    let told: String = value(&client, "select current_setting('reveille.keys_held_twice')").await;
    assert_eq!(told, "3");
    let rest = "select key || ' ' || right(id::text, 1) from reveille.unique_key";
    assert_eq!(
        column(&client, rest).await,
        HashSet::from(["a 3", "b 4", "B 6"].map(str::to_owned))
    );
    client
        .batch_execute("create unique index on reveille.unique_key (queue, key)")
        .await
        .expect("each key is there once");
    assert_eq!(value::<String>(&client, view).await, before);
    let granted = "select has_table_privilege('reads_jobs', 'reveille.jobs', 'select')";
    assert!(value::<bool>(&client, granted).await);
    client.batch_execute("drop owned by reads_jobs; drop role reads_jobs").await.unwrap();
}

/// The order of what is listed is a matter of the names alone.
#[tokio::test(flavor = "multi_thread")]
async fn tasks_and_queues_are_listed_in_one_order_everywhere() {
    let cluster = harness::Cluster::shared().await;
    let Some(words) = cluster.database_of_words().await else { return };
    migrate::migrate(&Target::parse(words.url()).unwrap()).await.unwrap();
    let client = words.client().await;
    client
        .batch_execute(
            "insert into reveille.task (name, max_attempts) values ('b', 1), ('A', 1), ('a', 1), ('B', 1);
             insert into reveille.queue (name) values ('b'), ('a_b'), ('ab'), ('a-c')",
        )
        .await
        .unwrap();
    let service = Service::on(words.url()).env("REVEILLE_WORKERS", "0").start().await;
    for path in ["/tasks", "/queues"] {
        let body = service.http().get(path).await.body;
        let all = body["data"].as_array().unwrap_or_else(|| panic!("{body}"));
        let listed: Vec<&str> = all.iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert!(listed.len() >= 4 && listed.is_sorted(), "{path}: {listed:?}");
    }
}
