//! The house stays as it was drawn: imports run downward, and what belongs to one room stays there.

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. A module sees those of the rows before its own, never one beside itself.
const ROWS: &[&[&str]] = &[
    // Of tests only.
    &["made"],
    // Level 0: pure rules. A job lies in a queue.
    &["queue", "spelling"],
    &["job"],
    &["config"],
    // Level 1.
    &["store", "events", "embedded", "shutdown", "supervise", "logging"],
    // Level 2.
    &["submitter", "claiming", "settling", "listener", "explain", "auth"],
    // A handler submits jobs, and so knows the client.
    &["client"],
    &["tasks"],
    // Level 3.
    &["engine", "maintenance", "api", "dashboard"],
    // Level 4: the composition root, and the library around it.
    &["app"],
    &["builder"],
    // Level 5.
    &["cli"],
];

/// Files of more lines than this are everybody's regret.
const LINES_MOST: usize = 400;

struct Source {
    /// Below the repository's root.
    path: PathBuf,
    /// Without comments.
    code: String,
    lines: usize,
}

impl Source {
    /// The first folder or file below `src`; none for `lib.rs` and `main.rs`, which name everything.
    fn module(&self) -> Option<String> {
        let first = self.path.strip_prefix("src").ok()?.iter().next()?;
        let name = Path::new(first).file_stem()?.to_str()?.to_owned();
        (name != "lib" && name != "main").then_some(name)
    }
}

impl Source {
    /// How many modules deep it lies below the crate.
    fn depth(&self) -> usize {
        let folders = self.path.iter().count() - 2;
        folders + usize::from(self.path.file_stem().is_some_and(|stem| stem != "mod"))
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut found) = (vec![root.join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root).unwrap().to_owned();
                found.push(Source {
                    path,
                    code: without_comments(&text),
                    lines: text.lines().count(),
                });
            }
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

fn without_comments(text: &str) -> String {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// The modules of this crate that a text names: `crate::store::…`, `crate::{events, store::…}`.
fn named(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, marker) in code.match_indices("crate::") {
        let rest = &code[at + marker.len()..];
        match rest.strip_prefix('{') {
            Some(list) => names.extend(branches(list)),
            None => names.extend(first_word(rest)),
        }
    }
    names
}

/// What a text names by so many `super::` that they lead out of its module.
fn climbed(code: &str, depth: usize) -> Vec<String> {
    let (marker, mut names, mut rest) = ("super::", Vec::new(), code);
    while let Some(at) = rest.find(marker) {
        let chain = &rest[at..];
        rest = chain.trim_start_matches(marker);
        if (chain.len() - rest.len()) / marker.len() >= depth {
            match rest.strip_prefix('{') {
                Some(list) => names.extend(branches(list)),
                None => names.extend(first_word(rest)),
            }
        }
    }
    names
}

/// The first word of each branch of `{a, b::{c, d}}`, given what follows the brace.
fn branches(list: &str) -> Vec<String> {
    let (mut depth, mut begins, mut names) = (1, true, Vec::new());
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => begins = true,
            _ if begins && !character.is_whitespace() => {
                names.extend(first_word(&list[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
    (!word.is_empty()).then_some(word)
}

fn row_of(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

/// Fails with one line for each fault.
fn none(faults: Vec<String>, rule: &str) {
    assert!(faults.is_empty(), "{rule}\n  {}", faults.join("\n  "));
}

#[test]
fn imports_run_downward() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let Some(module) = source.module() else { continue };
        let Some(row) = row_of(&module) else {
            let file = file!();
            faults.push(format!("src/{module} has no level: give it a place in ROWS of {file}"));
            continue;
        };
        let climbed = climbed(&source.code, source.depth());
        for other in named(&source.code).into_iter().chain(climbed) {
            // What is no module is a macro or an export of `lib.rs`.
            if other != module && row_of(&other).is_some_and(|below| below >= row) {
                faults.push(format!("{} uses {other}", source.path.display()));
            }
        }
    }
    faults.dedup();
    none(faults, "imports run downward only; what two modules share belongs into one below both:");
}

#[test]
fn no_file_is_long() {
    let all = sources("src").into_iter().chain(sources("tests"));
    let long = all.filter(|it| it.lines > LINES_MOST);
    let faults = long.map(|it| format!("{} has {} lines", it.path.display(), it.lines)).collect();
    none(faults, "a file has at most 400 lines; split it by what it is about:");
}

/// Which modules may have these words, and why nobody else.
fn only_in(rooms: &[&str], words: &[&str], rule: &str) {
    let mut faults = Vec::new();
    for source in sources("src") {
        let path = source.path.display().to_string();
        if rooms.iter().any(|room| path.starts_with(&format!("src/{room}"))) {
            continue;
        }
        let found = words.iter().filter(|word| source.code.contains(**word));
        faults.extend(found.map(|word| format!("{path} has {word:?}")));
    }
    none(faults, rule);
}

#[test]
fn sql_stays_in_the_store() {
    // `embedded` makes the database in which the store then finds itself.
    only_in(
        &["store", "embedded"],
        &[
            "tokio_postgres::connect",
            "\"SELECT ",
            "\"INSERT ",
            "\"CREATE ",
            "\"select ",
            "\"insert ",
            "\"update ",
            "\"delete from",
            "\"with ",
            " reveille.job",
        ],
        "SQL is written in sql/<noun>/<verb>.sql and run by src/store:",
    );
}

#[test]
fn the_environment_is_read_by_the_configuration() {
    only_in(
        &["config", "made"],
        &["std::env", "env::var", "env::temp_dir", "env::args", "env::current"],
        "only src/config reads the process's environment; ask it:",
    );
}

#[test]
fn http_statuses_stay_at_the_edge() {
    // The command line's client reads statuses; it decides none.
    only_in(
        &["api", "cli/remote"],
        &["StatusCode"],
        "an HTTP status is decided in src/api; below, an error says what happened:",
    );
}

#[test]
fn the_scan_sees_what_it_looks_for() {
    let code = "use crate::{events, store::{Store, lease}, tasks};\nlet x = crate::api::f(); impl $crate::job::X";
    assert_eq!(named(code), ["events", "store", "tasks", "api", "job"]);
    let code = "use super::super::{app, cli::x};\nuse super::lanes;";
    assert_eq!(climbed(code, 2), ["app", "cli"]);
    assert!(sources("src").len() > 50);
}
