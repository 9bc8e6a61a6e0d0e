//! Functions and views are files: what each holds, and that all of them together are the schema's.

use std::fs;

use super::root;
use crate::harness;
use crate::harness::look::value;

fn files() -> Vec<(String, String)> {
    let folders = ["sql/functions", "sql/functions/former"].into_iter();
    let paths = folders.flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let paths = paths.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let files = paths.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(&path).unwrap().replace("\r\n", "\n"))
    });
    files.collect()
}

#[test]
fn every_file_makes_what_its_name_says_and_gives_nothing_to_everybody() {
    let mut faults = Vec::new();
    for (file, text) in files() {
        let Some(name) = file.strip_suffix(".sql") else {
            faults.push(format!("{file} is not SQL"));
            continue;
        };
        let code: String =
            text.lines().filter(|it| !it.starts_with("--")).collect::<Vec<_>>().join("\n");
        let (is, of) = if code.starts_with("create or replace view") {
            ("view", "")
        } else {
            ("function", "function ")
        };
        let begins = [' ', '('].map(|next| format!("create or replace {is} reveille.{name}{next}"));
        if !begins.iter().any(|it| code.starts_with(it.trim_end())) {
            faults.push(format!("{file} does not begin with {}", begins[0]));
        }
        if code.matches("create or replace").count() != 1 {
            faults.push(format!("{file} makes more than one thing"));
        }
        if !code.contains(&format!("\ncomment on {is} reveille.{name} is")) {
            faults.push(format!("{file} has no comment on reveille.{name}"));
        }
        if !code.ends_with(&format!("\nrevoke all on {of}reveille.{name} from public;")) {
            faults.push(format!("{file} does not end with what PUBLIC may not do"));
        }
    }
    assert!(files().len() > 40, "{}", files().len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whether the number of these files may be that of the last release, given what was released: a number and a checksum a line.
fn release_fault(released: &str, number: i32, checksum: &str) -> Option<String> {
    let (last, pinned) = released.lines().filter_map(|line| line.split_once("  ")).next_back()?;
    let last: i32 = last.parse().ok()?;
    match number {
        _ if number < last => Some(format!("{last} was released before {number}")),
        _ if number == last && checksum != pinned => Some(format!(
            "the functions of release {last} changed: raise RELEASE in src/store/functions.rs"
        )),
        _ => None,
    }
}

/// The list holds a number and the `checksum` of this test a line; both join it when they are released.
#[tokio::test(flavor = "multi_thread")]
async fn the_functions_of_a_released_number_stay() {
    let one = "1  a\n2  b\n";
    assert!(release_fault(one, 1, "a").is_some() && release_fault(one, 2, "c").is_some());
    assert!(release_fault(one, 2, "b").is_none() && release_fault(one, 3, "c").is_none());
    let database = harness::database().await;
    let client = database.client().await;
    let number: i32 = value(&client, "select max(release) from reveille.definition").await;
    let checksum = "select encode(sha256(convert_to(string_agg(d.name || ' ' || d.checksum, ',' order by d.name), 'UTF8')), 'hex')
        from reveille.definition d";
    let checksum: String = value(&client, checksum).await;
    let fault = release_fault(include_str!("functions.sha256"), number, &checksum);
    assert_eq!(fault, None, "{number}  {checksum}");
}

/// The files are applied without these checks, since they name each other.
#[tokio::test(flavor = "multi_thread")]
async fn every_function_passes_the_checks_that_it_is_made_without() {
    let database = harness::database().await;
    let client = database.client().await;
    let texts = "select p.oid::regprocedure::text, pg_get_functiondef(p.oid) from pg_proc p
        where p.pronamespace = 'reveille'::regnamespace";
    let rows = client.query(texts, &[]).await.unwrap();
    client
        .batch_execute("set search_path = pg_catalog, pg_temp; set check_function_bodies = on")
        .await
        .unwrap();
    for row in &rows {
        let (name, text): (&str, &str) = (row.get(0), row.get(1));
        let made = client.batch_execute(text).await;
        made.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
    assert!(rows.len() > 40);
}

/// What was made and has no file is of the past, and its migration forgot to drop it.
#[tokio::test(flavor = "multi_thread")]
async fn every_function_and_view_has_its_file() {
    let database = harness::database().await;
    let client = database.client().await;
    let made = "select p.proname::text from pg_proc p where p.pronamespace = 'reveille'::regnamespace
        union all
        select c.relname::text from pg_class c where c.relnamespace = 'reveille'::regnamespace and c.relkind = 'v'
        order by 1";
    let made: Vec<String> =
        client.query(made, &[]).await.unwrap().iter().map(|it| it.get(0)).collect();
    let mut files: Vec<String> = files().into_iter().map(|it| it.0.replace(".sql", "")).collect();
    files.sort();
    assert_eq!(made, files);
}
