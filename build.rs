//! Lists the SQL that is compiled in: the migrations and the functions.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

const MIGRATIONS: &str = "sql/migrations";
const FUNCTIONS: [&str; 2] = ["sql/functions", "sql/functions/former"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut migrations = Vec::new();
    for (name, text) in files(MIGRATIONS)? {
        let (number, name) = numbered(&name).ok_or(format!("{name}: not named V1__name.sql"))?;
        migrations.push(format!("({number}, {name:?}, {text})"));
    }
    write("migrations", &migrations)?;

    let mut functions = Vec::new();
    for folder in FUNCTIONS {
        functions
            .extend(files(folder)?.into_iter().map(|(name, text)| format!("({name:?}, {text})")));
    }
    write("functions", &functions)
}

/// The number and the name of a migration.
fn numbered(file: &str) -> Option<(u32, &str)> {
    let (number, name) = file.strip_prefix('V')?.split_once("__")?;
    Some((number.parse().ok()?, name))
}

/// The SQL files in a folder in their order: the name of each, and the expression for its text.
fn files(folder: &str) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={folder}");
    let mut files = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        if let Some(name) = file.strip_suffix(".sql") {
            let path = format!("/{folder}/{file}");
            let text = format!("include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))");
            files.push((name.to_owned(), text));
        }
    }
    files.sort();
    Ok(files)
}

/// Writes a list that the crate includes.
fn write(list: &str, items: &[String]) -> Result<(), Box<dyn Error>> {
    let path = Path::new(&env::var("OUT_DIR")?).join(format!("{list}.rs"));
    fs::write(path, format!("[\n{},\n]\n", items.join(",\n")))?;
    Ok(())
}
