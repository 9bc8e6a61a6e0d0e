//! The schema is what was committed, and every statement fits it.

mod functions;
mod migrating;
mod replacing;
mod statements;
mod upgrading;

use std::path::{Path, PathBuf};

use crate::harness::{self, TestDatabase};

const HEAD: &str = "\
-- The schema, as all migrations and the files of functions make it: for reviewing what a change
-- of either does. Weekly partitions are left out. `make schema` writes this file, and a test
-- compares it.
";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The schema of a migrated database, the same on every PostgreSQL.
async fn dump(database: &TestDatabase) -> String {
    let client = database.client().await;
    client.batch_execute("set search_path = pg_catalog").await.unwrap();
    let rows = client.query(include_str!("dump.sql"), &[]).await.unwrap();
    let objects: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    format!("{HEAD}\n{}\n", objects.join("\n\n"))
}

/// The first line in which two texts differ, for a message that fits a screen.
fn first_difference<'a>(left: &'a str, right: &'a str) -> (usize, &'a str, &'a str) {
    let (mut left, mut right) = (left.lines(), right.lines());
    for number in 1.. {
        let pair = (left.next(), right.next());
        if pair.0 != pair.1 || pair.0.is_none() {
            return (number, pair.0.unwrap_or("(the end)"), pair.1.unwrap_or("(the end)"));
        }
    }
    unreachable!("texts end")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_committed_schema_is_what_is_made() {
    let path: PathBuf = root().join("sql/schema.sql");
    let made = dump(&harness::database().await).await;
    if std::env::var_os("WRITE_SCHEMA").is_some() {
        return std::fs::write(&path, made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let (line, was, is) = first_difference(&committed, &made);
    assert!(
        committed == made,
        "sql/schema.sql is old: run `make schema`, look at what changed, and commit it.\n\
         line {line} of it: {was}\nwhat is made: {is}"
    );
}
