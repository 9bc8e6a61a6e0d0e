//! A job that waits lies in one place of several, and a claim takes from `ready` alone. So each statement that names
//! `ready` says here what it does about the other places; every other one asks the view `waiting`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Files below `sql`, and why each names `ready`.
const NAME_READY: &[(&str, &str)] = &[
    ("functions/former/insert_rows.sql", "writes jobs without settings, so without a key"),
    ("functions/gates_open.sql", "moves jobs that have their turn from `keyed`"),
    ("functions/gates_yield.sql", "moves jobs that let others pass back to `keyed`"),
    ("functions/insert_jobs.sql", "writes a job to the place where it begins to wait"),
    ("functions/jobs_put_back.sql", "writes a job to the place where it begins to wait"),
    ("functions/submit_checked.sql", "writes jobs without settings that need another place"),
    ("functions/submit_keyed.sql", "writes new content to the place where it begins to wait"),
    ("functions/waiting.sql", "is the view of all places"),
    ("functions/waiting_estimates.sql", "adds up the statistics of all places"),
    ("functions/waiting_lock.sql", "locks a job in whichever place it lies"),
    ("functions/waiting_take.sql", "is the way out of all places"),
    ("gate/holder.sql", "asks when the holder of a turn is tried again; one in `keyed` has none"),
    ("job/submit.sql", "writes jobs without a key"),
    ("job/submit_one.sql", "writes a job without a key"),
    ("job/submit_plain.sql", "writes jobs without settings, so without a key"),
    ("job/submit_plain_one.sql", "writes a job without settings, so without a key"),
    ("lease/claim.sql", "claims; a job in another place may not run"),
    ("lease/claim_lane.sql", "claims; a job in another place may not run"),
    ("lease/claim_suspect.sql", "claims; a job in another place may not run"),
    ("lease/sweep.sql", "claims; a job in another place may not run"),
    ("lease/rescue.sql", "puts back what was claimed: a job that had its turn keeps it"),
    ("lease/settle.sql", "puts back what was claimed: a job that had its turn keeps it"),
    ("ready/lanes.sql", "finds lanes for claims; a job in another place may not run"),
    ("worker/heartbeat.sql", "looks for suspects to claim; one in another place may not run"),
];

fn files(folder: PathBuf, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of this repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            // Applied migrations are history.
            if !path.ends_with("migrations") {
                files(path, found);
            }
        } else if path.extension().is_some_and(|it| it == "sql") && !path.ends_with("schema.sql") {
            found.push(path);
        }
    }
}

/// Whether a statement names the table, and not one whose name goes on.
fn names_ready(text: &str) -> bool {
    let code = text.lines().map(|line| line.split("--").next().unwrap_or_default());
    let code = code.collect::<Vec<_>>().join("\n");
    code.match_indices("reveille.ready").any(|(at, word)| {
        let next = code[at + word.len()..].chars().next();
        next.is_none_or(|it| !it.is_ascii_alphanumeric() && it != '_')
    })
}

#[test]
fn each_statement_that_names_ready_says_what_it_does_about_the_other_places() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut found = Vec::new();
    files(root.clone(), &mut found);
    let said: BTreeMap<&str, &str> = NAME_READY.iter().copied().collect();
    let name = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
    let naming = found.iter().filter(|path| names_ready(&fs::read_to_string(path).unwrap()));
    let mut naming: Vec<String> = naming.map(name).collect();
    naming.sort();
    let silent: Vec<&String> = naming.iter().filter(|it| !said.contains_key(it.as_str())).collect();
    assert!(
        silent.is_empty(),
        "{silent:?} name `ready` only, where a job may wait in `keyed`; ask reveille.waiting, or say in {} why not",
        file!()
    );
    let gone: Vec<&&str> = said.keys().filter(|it| !naming.iter().any(|at| at == **it)).collect();
    assert!(gone.is_empty(), "{gone:?} do not name `ready` any more");
}

#[test]
fn a_statement_that_names_ready_is_found_and_one_that_names_another_table_is_not() {
    assert!(names_ready("select from reveille.ready r") && names_ready("x\nreveille.ready"));
    assert!(!names_ready("reveille.ready_made") && !names_ready("-- as reveille.ready"));
}
