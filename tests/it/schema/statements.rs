//! The files under `sql/`: each can be prepared, and each has its place in the store, with the types that it takes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::root;
use crate::harness;

/// `sql/<noun>/<verb>.sql` as `noun/verb`, with its text.
fn statements() -> BTreeMap<String, String> {
    let files = files_below(&root().join("sql"), "sql").into_iter();
    let named = files.filter_map(|path| {
        let name = path.strip_prefix(root().join("sql")).ok()?.with_extension("");
        let name = name.to_str()?.to_owned();
        let made = name.starts_with("migrations/") || name.starts_with("functions/");
        let statement = name.contains('/') && !made;
        statement.then(|| (name, fs::read_to_string(&path).expect("a file that was listed")))
    });
    named.collect()
}

fn files_below(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a folder of this repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found
}

/// What the store says about a statement: where, and with which types of parameters (none: it takes the text as it is).
struct Mention {
    file: String,
    types: Option<Vec<String>>,
}

fn mentions() -> BTreeMap<String, Vec<Mention>> {
    let mut found: BTreeMap<String, Vec<Mention>> = BTreeMap::new();
    for path in files_below(&root().join("src/store"), "rs") {
        let file = path.strip_prefix(root()).unwrap_or(&path).display().to_string();
        let text = fs::read_to_string(&path).expect("a file that was listed");
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let text: Vec<&str> = text.lines().filter(is_code).collect();
        let text = text.join("\n");
        for (name, types) in typed(&text).into_iter().chain(untyped(&text)) {
            found.entry(name).or_default().push(Mention { file: file.clone(), types });
        }
    }
    found
}

type Named = (String, Option<Vec<String>>);

/// `sql!("noun/verb": UUID, TEXT_ARRAY)`.
fn typed(text: &str) -> Vec<Named> {
    let calls = text.split("sql!(").skip(1).filter_map(|rest| rest.split_once(')'));
    let named = calls.filter_map(|(call, _)| {
        let (name, types) = call.trim().strip_prefix('"')?.split_once('"')?;
        let types = types.trim_start_matches(':').split(',').map(str::trim);
        let types = types.filter(|it| !it.is_empty()).map(str::to_owned).collect();
        (!name.contains('$')).then(|| (name.to_owned(), Some(types)))
    });
    named.collect()
}

/// `include_str!("../../sql/noun/verb.sql")`.
fn untyped(text: &str) -> Vec<Named> {
    let calls = text.split("include_str!(\"").skip(1).filter_map(|rest| rest.split_once('"'));
    let named = calls.filter_map(|(path, _)| {
        let name = path.split_once("/sql/")?.1.strip_suffix(".sql")?;
        Some((name.to_owned(), None))
    });
    named.collect()
}

#[test]
fn the_store_has_a_place_for_every_statement() {
    let mentions = mentions();
    let orphans: Vec<String> =
        statements().into_keys().filter(|name| !mentions.contains_key(name)).collect();
    assert!(
        orphans.is_empty(),
        "sql/{{{}}}.sql: nothing in src/store uses it; use it there, or remove it",
        orphans.join(",")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_prepares_and_takes_what_the_store_gives() {
    let database = harness::database().await;
    let client = database.client().await;
    let mentions = mentions();
    for (name, text) in statements() {
        let prepared = client.prepare(&text).await;
        let prepared = prepared.unwrap_or_else(|error| {
            panic!("sql/{name}.sql cannot be prepared on the migrated schema: {error:?}")
        });
        let takes: Vec<String> = prepared
            .params()
            .iter()
            .map(|it| match it.name().strip_prefix('_') {
                Some(element) => format!("{}_ARRAY", element.to_uppercase()),
                None => it.name().to_uppercase(),
            })
            .collect();
        for Mention { file, types } in mentions.get(&name).into_iter().flatten() {
            let Some(gives) = types else { continue };
            assert_eq!(*gives, takes, "{file} gives sql/{name}.sql other types than it takes");
        }
    }
}
