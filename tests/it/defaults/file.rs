//! `[queue.NAME]` in the file: applied once for each content.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use reveille::internals::store::{Store, Target};
use reveille::{Config, QueueSettings};
use serde_json::{Value, json};

use super::{SOON, call, gives_priority, put, slow_poll};
use crate::harness::cluster::throw_away_dir;
use crate::harness::look::value;
use crate::harness::service::ServiceBuilder;
use crate::harness::{self, Service, TestDatabase, eventually};

/// A file of settings.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        let dir = throw_away_dir();
        fs::create_dir(&dir).unwrap();
        let file = Self(dir.join("reveille.toml"));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    fn service(&self, database: &TestDatabase) -> ServiceBuilder {
        slow_poll(database).env("REVEILLE_CONFIG", self.0.to_str().unwrap())
    }

    /// The settings and sources of a queue, once a service with this file has started and left.
    async fn applied(&self, database: &TestDatabase, queue: &str) -> (Value, Value, String) {
        let mut service = self.service(database).start().await;
        let read = call(&service.http(), "GET", queue, None, None).await.body;
        assert!(service.terminate(SOON).await.success());
        (read["settings"].clone(), read["sources"].clone(), service.stderr())
    }
}

const OLDER: &str = "were applied before, and others since";

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_applied_once_and_a_put_stands_until_it_changes() {
    let database = harness::database().await;
    let first =
        "[queue.mail]\npriority = 1\nmax_attempts = 3\n[queue.mail.retry]\nbase_seconds = 2\n";
    let file = File::new(first);
    let service = file.service(&database).start().await;
    let http = service.http();
    gives_priority(&http, "mail", 1, std::time::Duration::ZERO).await;
    let read = call(&http, "GET", "mail", None, None).await.body;
    let settings = json!({"priority": 1, "max_attempts": 3, "retry": {"base_seconds": 2}});
    assert_eq!(read["settings"], settings);
    assert_eq!(
        (&read["sources"]["retry"], &read["sources"]["timeout_seconds"]),
        (&json!("file"), &json!("default"))
    );
    call(&http, "PATCH", "mail", Some(&json!({"priority": 4})), None).await;

    // Another order, other blanks and another setting are the same content.
    file.write("# A comment.\nworkers = 3\n[queue.mail.retry]\nbase_seconds = 2.0\n\n[queue.mail]\nmax_attempts = 3\npriority = 1\n");
    let (settings, sources, log) = file.applied(&database, "mail").await;
    assert_eq!((&settings["priority"], &sources["priority"]), (&json!(4), &json!("api")));
    assert_eq!((&settings["max_attempts"], &sources["max_attempts"]), (&json!(3), &json!("file")));
    assert!(!log.contains(OLDER) && !log.contains("are applied"), "{log}");

    file.write("[queue.mail]\npriority = 2\n[queue.post]\ntimeout_seconds = 7\n");
    let (settings, sources, log) = file.applied(&database, "mail").await;
    assert_eq!((settings, &sources["priority"]), (json!({"priority": 2}), &json!("file")));
    assert!(log.contains("the settings of queues in the file are applied"), "{log}");
    // It hears of them.
    gives_priority(&http, "mail", 2, SOON).await;

    // A setting that the file no longer gives goes; one that came over HTTP stays.
    call(&http, "PATCH", "post", Some(&json!({"priority": 9})), None).await;
    file.write("[queue.mail]\npriority = 3\n");
    let (settings, sources, _) = file.applied(&database, "post").await;
    assert_eq!((settings, &sources["priority"]), (json!({"priority": 9}), &json!("api")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_older_than_the_one_applied_changes_nothing_and_says_so() {
    let database = harness::database().await;
    let (older, newer) =
        (File::new("[queue.mail]\npriority = 1\n"), File::new("[queue.mail]\npriority = 2\n"));
    older.applied(&database, "mail").await;
    newer.applied(&database, "mail").await;
    let (settings, _, log) = older.applied(&database, "mail").await;
    assert_eq!(settings, json!({"priority": 2}));
    let warning = log.lines().find(|line| line.contains(OLDER)).unwrap();
    assert!(warning.contains("WARN") && warning.contains("PUT /queues/"), "{warning}");
    let (settings, _, log) = newer.applied(&database, "mail").await;
    assert!(settings == json!({"priority": 2}) && !log.contains(OLDER), "{log}");
    // A file without tables says nothing.
    let (settings, _, log) = File::new("workers = 2\n").applied(&database, "mail").await;
    assert!(settings == json!({"priority": 2}) && !log.contains(OLDER), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_takes_away_what_the_last_one_gave() {
    let database = harness::database().await;
    let file = File::new("[queue.mail]\npriority = 1\n");
    file.applied(&database, "mail").await;
    file.write("[queue]\n");
    let (settings, sources, log) = file.applied(&database, "mail").await;
    assert_eq!((settings, &sources["priority"]), (json!({}), &json!("default")), "{log}");
    assert!(log.contains("are applied"), "{log}");
    let (_, _, log) = file.applied(&database, "mail").await;
    assert!(!log.contains("are applied") && !log.contains(OLDER), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_start_with_one_file_one_applies_it() {
    let database = harness::database().await;
    let file = File::new("[queue.mail]\npriority = 1\n[queue.post]\npriority = 2\n");
    let start = || file.service(&database).env("REVEILLE_WORKERS", "0").start();
    let services: [Service; 4] = tokio::join!(start(), start(), start(), start()).into();
    let applied = services.iter().filter(|it| it.stderr().contains("in the file are applied"));
    assert_eq!(applied.count(), 1);
    let client = database.client().await;
    let files = "select count(*) from reveille.settings_file";
    assert_eq!(value::<i64>(&client, files).await, 1);
    for service in &services {
        gives_priority(&service.http(), "post", 2, std::time::Duration::ZERO).await;
    }
    put(&services[0].http(), "mail", &json!({})).await;
}

/// Two that find a content new at once would both apply it.
#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_applied_under_the_lock_of_the_migrations() {
    let database = harness::database().await;
    let (client, mut holder) = (database.client().await, database.client().await);
    let target = Target::parse(database.url()).unwrap();
    let store = Store::open(&Config::default(), &target).await.unwrap();
    let mail = QueueSettings { priority: Some(1), ..QueueSettings::default() };
    let queues = BTreeMap::from([("mail".to_owned(), mail)]);
    let migrating = holder.transaction().await.unwrap();
    let lock = include_str!("../../../sql/schema/migration_lock.sql");
    migrating.batch_execute(lock).await.unwrap();
    let waits = "select count(*) from pg_locks where not granted and relation = 'reveille.migration'::regclass";
    let waiting = async {
        eventually("it waits", SOON, async || value::<i64>(&client, waits).await == 1).await;
        migrating.rollback().await.unwrap();
    };
    let (applied, ()) = tokio::join!(store.queue_settings_file(&queues), waiting);
    assert_eq!(format!("{:?}", applied.unwrap()), "Applied");
    let again = store.queue_settings_file(&queues).await.unwrap();
    assert_eq!(format!("{again:?}"), "Known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_faults_ends_the_start_with_a_line_for_each() {
    let database = harness::database().await;
    let file = File::new(
        "keep_failed_seconds = 100\n[queue.mail]\nprioritty = 1\nmax_attempts = 0\ntimeout_seconds = \"long\"\nkeep_failed_seconds = 101\n\
         [queue.post.retry]\njitter = 2\nstrategie = 1\n[queue.Mail]\npriority = 1\n",
    );
    let mut service = file.service(&database).spawn().await;
    assert!(!service.ended(SOON).await.success());
    service.logged("queue.post.retry.jitter (from ", SOON).await;
    let log = service.stderr();
    for words in [
        "queue.mail.prioritty (from ",
        "did you mean priority?",
        "queue.mail.max_attempts (from ",
        "max_attempts must be a whole number from 1 to 1000",
        "queue.mail.timeout_seconds (from ",
        "write a number, without quotes",
        "queue.post.retry.jitter (from ",
        "queue.post.retry.strategie (from ",
        "did you mean strategy?",
        "queue.Mail (from ",
        "1 to 64 of `a-z 0-9 _ - .`",
    ] {
        assert!(log.contains(words), "no {words:?} in:\n{log}");
    }
    file.write("keep_failed_seconds = 100\n[queue.mail]\nkeep_failed_seconds = 101\n");
    let mut service = file.service(&database).spawn().await;
    assert!(!service.ended(SOON).await.success());
    service.logged("queue.mail.keep_failed_seconds (from ", SOON).await;
    let log = service.stderr();
    assert!(
        log.contains("queue.mail.keep_failed_seconds (from ") && log.contains("which is 100"),
        "{log}"
    );
    let client = database.client().await;
    let files = "select count(*) from reveille.settings_file";
    assert_eq!(value::<i64>(&client, files).await, 0);
}
