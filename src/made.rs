//! Blocks of committed files that are made from tables of this crate. A test of each table compares
//! its blocks, and with `WRITE_MADE=1` (`make made`) writes them.

use std::fs;
use std::path::Path;

/// The `block` of a file below the repository's root is this text. A block stands between two lines
/// that hold `made by make made: BLOCK` and `end of BLOCK`, as comments of the file's language.
pub(crate) fn holds(file: &str, block: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let committed = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let (begin, end) = (format!("made by make made: {block}"), format!("end of {block}"));
    let lines: Vec<&str> = committed.lines().collect();
    let line = |mark: &str| {
        let mut found = (0..lines.len()).filter(|nth| lines[*nth].contains(mark));
        match (found.next(), found.next()) {
            (Some(nth), None) => nth,
            _ => panic!("{file} needs one line with {mark:?}"),
        }
    };
    let (begin, end) = (line(&begin), line(&end));
    let is = lines[begin + 1..end].join("\n");
    if is == text.trim_end() {
        return;
    }
    // A test that writes is asked for by hand.
    if std::env::var_os("WRITE_MADE").is_some() {
        let parts = [&lines[..=begin], &text.trim_end().lines().collect::<Vec<_>>(), &lines[end..]];
        fs::write(path, parts.concat().join("\n") + "\n").expect("the file can be written");
        return;
    }
    panic!("{file} has another block {block}; write it with `make made`. It is to be:\n{text}");
}
