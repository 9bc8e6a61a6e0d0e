//! A violation of each rule, which the rule must find.

use super::rules;
use super::source::{Source, all};

fn source(path: &str, text: &str) -> Source {
    Source::parse(path, text)
}

fn one(path: &str, text: &str) -> Vec<Source> {
    vec![source(path, text)]
}

#[test]
fn a_module_that_reaches_up_or_sideways_is_found_however_it_writes_that() {
    for text in [
        "use crate::engine::Engine;",
        "use crate::{job::JobId, engine::{self, Load}};",
        "use super::super::super::engine;",
        "fn f() { crate::engine::run() }",
        "fn f() -> impl Fn(crate::engine::Load) {}",
        "mod inner { use super::super::super::super::engine::Load; }",
        "macro_rules! m { () => { $crate::engine::Load } }",
        "fn f() { tokio::select! { _ = crate::engine::run() => {} } }",
        "fn f() { println!(\"{}\", crate::{job::x, engine::y}); }",
    ] {
        let mut faults = rules::levels(&one("src/store/lease/claim.rs", text));
        faults.dedup();
        assert_eq!(faults, ["src/store/lease/claim.rs uses engine"], "{text}");
    }
    let sideways = one("src/store/key.rs", "use crate::events::Events;");
    assert_eq!(rules::levels(&sideways), ["src/store/key.rs uses events"]);
    let climbs = one("src/store/key.rs", "use super::super::events::Events;");
    assert_eq!(rules::levels(&climbs), ["src/store/key.rs uses events"]);
    let unknown = rules::levels(&one("src/attic.rs", ""));
    assert!(unknown[0].contains("src/attic has no level"), "{unknown:?}");
}

#[test]
fn a_module_that_reaches_up_by_a_name_of_the_crate_is_found() {
    let library = source("src/lib.rs", "pub use engine::Load as Work; pub use job::JobId;");
    let store = source("src/store/key.rs", "use crate::{JobId, Work};");
    assert_eq!(rules::levels(&[library, store]), ["src/store/key.rs uses engine"]);
    let api = source("src/api/answers.rs", "#[macro_export] macro_rules! refusals { () => {} }");
    let store = source("src/store/key.rs", "crate::refusals! {}");
    assert_eq!(rules::levels(&[api, store]), ["src/store/key.rs uses api"]);
}

#[test]
fn what_lies_below_is_not_a_fault() {
    let text = "use crate::job::JobId; use super::row::Row; use std::fmt; use self::claim::Claim;
                fn f() { tracing::info!(job.id = %id, store = engine::here); }";
    assert_eq!(rules::levels(&one("src/store/lease/mod.rs", text)), [""; 0]);
}

#[test]
fn every_row_names_a_module() {
    let sources = all();
    let known: Vec<String> = sources.iter().filter_map(Source::module).collect();
    for module in rules::modules() {
        assert!(known.iter().any(|it| it == module), "there is no src/{module}");
    }
}

#[test]
fn a_long_file_is_found() {
    let faults = |lines| rules::lengths(&[("src/job/mod.rs".to_owned(), "\n".repeat(lines))]);
    assert_eq!(faults(401), ["src/job/mod.rs has 401 lines"]);
    assert_eq!(faults(400), [""; 0]);
}

#[test]
fn a_statement_outside_of_the_store_is_found_and_prose_is_not() {
    let tables = rules::tables();
    assert!(tables.contains(&"reveille.job".to_owned()), "{tables:?}");
    let found = |path: &str, text: &str| !rules::sql(&one(path, text), &tables).is_empty();
    for text in [
        "fn f() { run(\"select 1\"); }",
        "fn f() { run(r#\"\n  Insert into x values (1)\"#); }",
        "fn f() { format!(\"update x set y = {}\", 1); }",
        "const A: &str = \"with a as (select) delete\";",
        "const A: &str = \"count of reveille.job\";",
        "fn f() { run(\"listen somewhere\"); }",
        "use tokio_postgres::Client;",
        "fn f() { bb8::Pool::new() }",
    ] {
        assert!(found("src/engine/mod.rs", text), "{text}");
        assert!(!found("src/store/job/mod.rs", text), "{text}");
    }
    for text in [
        "/// select 1 from reveille.job\nfn f() {}",
        "const A: &str = \"with a job of reveille.toml\"; const B: &str = \"update it, listen to it\";",
        "#[cfg(test)] mod tests { const A: &str = \"select 1\"; }",
    ] {
        assert!(!found("src/engine/mod.rs", text), "{text}");
    }
}

#[test]
fn the_environment_read_elsewhere_is_found() {
    for text in [
        "use std::env;",
        "use std::{env, fs};",
        "fn f() { std::env::var(\"X\"); }",
        "fn f() { assert!(env::var(\"X\").is_ok()); }",
    ] {
        assert_eq!(rules::environment(&one("src/cli/mod.rs", text)).len(), 1, "{text}");
        assert!(rules::environment(&one("src/config/layers.rs", text)).is_empty(), "{text}");
    }
    assert!(rules::environment(&one("src/cli/mod.rs", "const V: &str = env!(\"X\");")).is_empty());
}

#[test]
fn http_below_the_edge_is_found() {
    for text in [
        "use http::HeaderMap;",
        "use poem::{Request, Response};",
        "fn f() { poem::Response::builder() }",
        "fn f(status: StatusCode) {}",
        "use reqwest::StatusCode;",
    ] {
        assert!(!rules::http(&one("src/auth.rs", text)).is_empty(), "{text}");
        assert!(rules::http(&one("src/api/guard.rs", text)).is_empty(), "{text}");
    }
}

#[test]
fn a_service_that_is_spawned_elsewhere_is_found() {
    for text in [
        "fn f() { tokio::spawn(supervisor.keep(\"it\", over, start)); }",
        "fn f(tracker: TaskTracker) { tracker.spawn(work()); }",
        "fn f() { std::thread::spawn(work); }",
        "fn f() { tokio::select! { _ = tokio::spawn(work()) => {} } }",
        "use tokio::spawn; fn f() { spawn(work()); }",
    ] {
        assert!(!rules::spawns(&one("src/engine/mod.rs", text)).is_empty(), "{text}");
        assert!(rules::spawns(&one("src/app/loops.rs", text)).is_empty(), "{text}");
    }
    let short = "fn f() { tokio::spawn(work()); }";
    assert!(rules::spawns(&one("src/store/health.rs", short)).is_empty());
    let kept = "fn f() { tokio::spawn(work()); supervisor.keep_until(over, \"it\", start); }";
    assert_eq!(rules::spawns(&one("src/store/health.rs", kept)).len(), 1);
    assert_eq!(rules::spawns(&one("src/store/health.rs", "fn f() {}")).len(), 1);
    let made = "fn f() -> Loop { supervisor.keep_until(over, \"it\", start).boxed() }";
    assert!(rules::spawns(&one("src/engine/mod.rs", made)).is_empty());
}
