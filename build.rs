//! Makes Cargo notice new migrations, which are embedded by a macro, and lists the functions.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

const FUNCTIONS: [&str; 2] = ["sql/functions", "sql/functions/former"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=sql/migrations");
    let mut list = String::from("[\n");
    for folder in FUNCTIONS {
        println!("cargo::rerun-if-changed={folder}");
        for file in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))? {
            let (name, path) = (file.trim_end_matches(".sql"), format!("/{folder}/{file}"));
            let text = format!("include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?}))");
            list += &format!("({name:?}, {text}),\n");
        }
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("functions.rs"), list + "]\n")?;
    Ok(())
}

/// The names of the SQL files in a folder, in their order.
fn files(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".sql") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
