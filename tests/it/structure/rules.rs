//! The rules. Each answers a line for every place that breaks it.

use super::source::Source;

/// From the ground up. A module sees those of the rows before its own, never one beside itself.
const ROWS: &[&[&str]] = &[
    // Of tests only.
    &["made"],
    // Level 0: pure rules. A job lies in a queue.
    &["queue", "spelling", "caller"],
    &["job"],
    &["config", "operation"],
    // Level 1.
    &["store", "events", "auth", "embedded", "shutdown", "supervise", "logging"],
    // Level 2. A client submits and explains; a handler may take a client.
    &["submitter", "claiming", "settling", "listener", "explain"],
    &["client"],
    &["tasks"],
    // Level 3.
    &["engine", "maintenance", "api"],
    // Level 4: the composition root, and the library around it.
    &["app"],
    &["builder"],
    // Level 5.
    &["cli"],
    // What the binary, the tests and the benches reach for.
    &["internals"],
];

/// Files of more lines than this are everybody's regret.
const LINES_MOST: usize = 400;

/// Who may spawn services: the composition root, and the client of a program that has no service.
const ROOTS: &[&str] = &["app", "client"];

/// Who else spawns, and what, which ends by itself.
const SPAWNS: &[(&str, &str)] = &[
    ("engine/executor/mod.rs", "the jobs of a slot, until none is held"),
    ("submitter/keyed.rs", "a submission whose key is held, until its deadline"),
    ("submitter/repeats/writer.rs", "a submission that left its round, until its deadline"),
    ("api/edge/connection.rs", "a connection of HTTP, until it is closed"),
    ("api/body.rs", "reading a large body"),
    ("api/repeats.rs", "the fingerprint of a large request"),
    ("store/connect.rs", "a connection to PostgreSQL, until its client is dropped"),
    ("store/health.rs", "a question to the database, which is answered in time"),
    ("store/stray.rs", "a statement that nobody waits for, until it is answered"),
    ("embedded/mod.rs", "the processes of the own PostgreSQL"),
    ("embedded/keeper.rs", "the thread that those processes belong to"),
    ("logging/lines.rs", "the thread of the log, which is there before a service"),
];

/// Imports run downward, and never sideways.
pub(super) fn levels(sources: &[Source]) -> Vec<String> {
    let exports: Vec<&(String, String)> = sources.iter().flat_map(|it| &it.exports).collect();
    let mut faults = Vec::new();
    for source in sources {
        let Some(module) = source.module() else { continue };
        let Some(row) = row_of(&module) else {
            faults
                .push(format!("src/{module} has no level: give it a place in ROWS of {}", file!()));
            continue;
        };
        let own = source.paths.iter().filter(|path| path.first().is_some_and(|it| it == "crate"));
        for name in own.filter_map(|path| path.get(1)) {
            let exported = exports.iter().find(|(export, _)| export == name);
            let other = exported.map_or(name, |(_, module)| module);
            if *other != module && row_of(other).is_some_and(|below| below >= row) {
                faults.push(format!("{} uses {other}", source.path));
            }
        }
    }
    faults
}

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// The modules of [`ROWS`].
pub(super) fn modules() -> impl Iterator<Item = &'static str> {
    ROWS.iter().flat_map(|row| row.iter().copied())
}

pub(super) fn lengths(files: &[(String, String)]) -> Vec<String> {
    let lines = files.iter().map(|(path, text)| (path, text.lines().count()));
    let long = lines.filter(|(_, lines)| *lines > LINES_MOST);
    long.map(|(path, lines)| format!("{path} has {lines} lines")).collect()
}

/// The tables of the schema.
pub(super) fn tables() -> Vec<String> {
    let schema = include_str!("../../../sql/schema.sql");
    let names = schema.lines().filter_map(|it| it.strip_prefix("create table ")?.split(' ').next());
    names.map(str::to_owned).collect()
}

/// SQL, and the driver that speaks it. `embedded` makes the database in which the store then finds itself.
pub(super) fn sql(sources: &[Source], tables: &[String]) -> Vec<String> {
    let rooms = ["store", "embedded"];
    let drivers = ["tokio_postgres", "bb8", "bb8_postgres"];
    // Who submits within a transaction brings one of the driver.
    let brought = [&rooms[..], &["client/mod.rs", "client/transaction.rs", "lib.rs"]].concat();
    let mut faults = foreign(sources, &brought, &drivers);
    for source in sources.iter().filter(|it| !it.is_in(&rooms)) {
        let statements = source.texts.iter().filter(|text| is_sql(text, tables));
        faults.extend(statements.map(|text| format!("{} has {text:?}", source.path)));
    }
    faults
}

fn is_sql(text: &str, tables: &[String]) -> bool {
    let text = text.trim_start().to_lowercase();
    let begins = |words: &[&str]| words.iter().any(|it| text.starts_with(it));
    let names_a_table = || {
        tables.iter().any(|table| {
            text.match_indices(table.as_str()).any(|(at, _)| {
                let after = text[at + table.len()..].chars().next();
                after.is_none_or(|it| !it.is_alphanumeric() && it != '_' && it != '.')
            })
        })
    };
    begins(&["select ", "insert into ", "delete from ", "truncate ", "lock table "])
        || begins(&["create table ", "create schema ", "create function ", "create index "])
        || begins(&["alter table ", "drop table ", "set local "])
        || text.starts_with("listen ") && text.split(' ').count() == 2
        || text.starts_with("update ") && text.contains(" set ")
        || text.starts_with("with ") && text.contains(" as (")
        || names_a_table()
}

/// The environment of the process.
pub(super) fn environment(sources: &[Source]) -> Vec<String> {
    let reads = |path: &Vec<String>| {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        matches!(names[..], ["std", "env", ..] | ["env", _, ..])
    };
    let mut faults = Vec::new();
    for source in sources.iter().filter(|it| !it.is_in(&["config", "made.rs"])) {
        let found = source.paths.iter().filter(|path| reads(path));
        faults.extend(found.map(|path| format!("{} names {}", source.path, path.join("::"))));
    }
    faults
}

/// HTTP, and its statuses. The command line's client reads statuses; it decides none.
pub(super) fn http(sources: &[Source]) -> Vec<String> {
    let crates = ["http", "http_body_util", "hyper", "hyper_util", "poem", "poem_openapi"];
    let mut faults = foreign(sources, &["api"], &crates);
    let rooms = ["api", "cli/refused.rs", "cli/remote.rs"];
    for source in sources.iter().filter(|it| !it.is_in(&rooms)) {
        let status = |path: &&Vec<String>| path.iter().any(|name| name == "StatusCode");
        let found = source.paths.iter().filter(status);
        faults.extend(found.map(|path| format!("{} names {}", source.path, path.join("::"))));
    }
    faults
}

/// Who names these crates outside of these rooms.
fn foreign(sources: &[Source], rooms: &[&str], crates: &[&str]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|it| !it.is_in(rooms)) {
        let named = |path: &&Vec<String>| path.len() > 1 && crates.contains(&path[0].as_str());
        let found = source.paths.iter().filter(named);
        faults.extend(found.map(|path| format!("{} names {}", source.path, path.join("::"))));
    }
    faults
}

/// Services, and what else is spawned.
pub(super) fn spawns(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|it| !it.is_in(ROOTS)) {
        let calls = |names: &[&str]| source.calls.iter().any(|it| names.contains(&it.as_str()));
        let spawns = calls(&["spawn", "spawn_blocking", "spawn_local", "spawn_on"]);
        let known = SPAWNS.iter().any(|(file, _)| source.is_in(&[file]));
        if spawns && !known {
            faults.push(format!("{} spawns, and has no place in SPAWNS", source.path));
        }
        let supervised = source.paths.iter().any(|path| path.iter().any(|it| it == "supervise"));
        if spawns && (calls(&["keep_until"]) || supervised && calls(&["keep"])) {
            faults.push(format!("{} keeps a loop and spawns", source.path));
        }
        if known && !spawns {
            faults.push(format!("{} has a place in SPAWNS and spawns nothing", source.path));
        }
    }
    faults
}
