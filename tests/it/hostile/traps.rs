//! Functions, operators, casts and tables of a stranger that fit better than those of PostgreSQL, and tell when they are reached.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tokio_postgres::Client;

use crate::harness::look::value;

/// Makes traps in this schema, as the owner of the schema `app`. Each of them counts on, whatever becomes of the transaction.
///
/// The names are those of PostgreSQL's own functions that occur in `sql/`. The types are exact where PostgreSQL's are polymorphic,
/// or are reached by a cast, so that a trap wins wherever both can be seen. `shadows`: also those whose types are PostgreSQL's
/// own, which win where `pg_catalog` comes later in the path.
pub(super) async fn set(app: &Client, schema: &str, shadows: bool) {
    let counter = "create sequence if not exists app.reached minvalue 0;
        select setval('app.reached', 0, false);
        grant usage, select, update on sequence app.reached to public;
        create table if not exists app.loot (trap text, role text, query text);
        grant insert on app.loot to public";
    app.batch_execute(counter).await.unwrap();
    let names: Vec<String> = called().into_iter().collect();
    let rows = app.query(include_str!("traps.sql"), &[&schema, &names, &shadows]).await.unwrap();
    let traps: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert!(traps.len() > 1_000, "only {} traps", traps.len());
    let all = format!("set check_function_bodies = off; {}", traps.join(";"));
    app.batch_execute(&all).await.unwrap();
    app.batch_execute(&casts_and_tables(schema)).await.unwrap();
}

/// What was reached since the traps were set; empty if nothing was.
pub(super) async fn reached(admin: &Client) -> String {
    let count: i64 =
        value(admin, "select case when is_called then last_value + 1 else 0 end from app.reached")
            .await;
    if count == 0 {
        return String::new();
    }
    let seen = "select coalesce(string_agg(l, '; '), 'all rolled back') from (
        select distinct pg_catalog.concat(trap, ' as ', role, ' by ', left(query, 150)) from app.loot limit 20) x (l)";
    let seen: String = value(admin, seen).await;
    format!("{count} times: {seen}")
}

/// Words before a parenthesis in any statement or migration.
fn called() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("sql")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices('(') {
                let word: String = text[..at]
                    .chars()
                    .rev()
                    .take_while(|it| it.is_ascii_alphanumeric() || *it == '_')
                    .collect();
                names.insert(word.chars().rev().collect());
            }
        }
    }
    names
}

fn casts_and_tables(schema: &str) -> String {
    let mut made = format!(
        "create type {schema}.thing as (it text);
         create function {schema}.thing_of(jsonb) returns {schema}.thing language plpgsql
           as $$ begin perform pg_catalog.nextval('app.reached'); return row('x')::{schema}.thing; end $$;
         create function {schema}.thing_of(text) returns {schema}.thing language plpgsql
           as $$ begin perform pg_catalog.nextval('app.reached'); return row('x')::{schema}.thing; end $$;
         create cast (jsonb as {schema}.thing) with function {schema}.thing_of(jsonb) as implicit;
         create cast (text as {schema}.thing) with function {schema}.thing_of(text) as implicit;
         create function {schema}.pg_column_size({schema}.thing) returns integer language plpgsql
           as $$ begin perform pg_catalog.nextval('app.reached'); return 1; end $$;"
    );
    // Reading one of these calls a trap.
    for name in ["job", "ready", "lease", "queue", "pg_class", "pg_stats", "pg_stat_database"] {
        made.push_str(&format!(
            "create view {schema}.{name} as select {schema}.thing_of('x'::text) as it;
             grant select on {schema}.{name} to public;"
        ));
    }
    made
}
