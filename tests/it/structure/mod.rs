//! The house stays as it was drawn: imports run downward, and what belongs to one room stays there.

mod planted;
mod rules;
mod source;

use std::fs;
use std::path::Path;

use source::{all, files};

/// Fails with one line for each fault.
fn none(mut faults: Vec<String>, rule: &str) {
    faults.sort();
    faults.dedup();
    assert!(faults.is_empty(), "{rule}\n  {}", faults.join("\n  "));
}

#[test]
fn imports_run_downward() {
    none(
        rules::levels(all()),
        "imports run downward only; what two modules share belongs into one below both:",
    );
}

#[test]
fn no_file_is_long() {
    let files = [files("src"), files("tests")].concat();
    none(rules::lengths(&files), "a file has at most 400 lines; split it by what it is about:");
}

#[test]
fn sql_stays_in_the_store() {
    let rule = "SQL is written in sql/<noun>/<verb>.sql and run by src/store:";
    none(rules::sql(all(), &rules::tables()), rule);
}

#[test]
fn the_environment_is_read_by_the_configuration() {
    let rule = "only src/config reads the process's environment; ask it:";
    none(rules::environment(all()), rule);
}

#[test]
fn http_stays_at_the_edge() {
    let rule = "HTTP is spoken and its statuses are decided in src/api; below, an error says what happened:";
    none(rules::http(all()), rule);
}

#[test]
fn only_the_composition_root_spawns_services() {
    none(
        rules::spawns(all()),
        "a service is a loop that its supervisor keeps. It is made anywhere and spawned by src/app (by src/client where there is no \
         service); what ends by itself may be spawned where rules.rs says why:",
    );
}

#[test]
fn the_map_names_what_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = fs::read_to_string(root.join("src/lib.rs")).unwrap();
    let table = map.split("# Where it is decided").nth(1).and_then(|it| it.split("\n\n").next());
    let names: Vec<&str> = table.unwrap().split('`').skip(1).step_by(2).collect();
    let files: Vec<&&str> = names.iter().filter(|it| it.contains('.')).collect();
    assert!(files.len() > 20, "{names:?}");
    let is_there =
        |name: &str| ["", "src"].iter().any(|below| root.join(below).join(name).is_file());
    let gone = files.into_iter().filter(|name| !is_there(name)).map(|it| it.to_string());
    none(
        gone.collect(),
        "the crate's documentation says where things are decided; it names what is not there:",
    );
}
