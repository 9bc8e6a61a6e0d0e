//! Tables for people: fixed columns, cells on one line.

use chrono::{DateTime, SecondsFormat, Utc};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::object::Object;

/// Longer cells are cut: a listing is for finding a job, `get` is for reading it.
const WIDEST: usize = 60;

/// A column: its head, the place of its field (`counts.queued` lies in an object), and its least
/// width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column(pub(super) &'static str, pub(super) &'static str, pub(super) usize);

/// A table that may be printed in pieces, page by page; its columns only ever grow.
pub(super) struct Table {
    heads: Vec<&'static str>,
    fields: Vec<&'static str>,
    widths: Vec<usize>,
    headed: bool,
}

impl Table {
    /// A table of cells that the caller makes.
    pub(super) fn new(heads: &[&'static str]) -> Self {
        let widths = heads.iter().map(|head| width(head)).collect();
        Self { heads: heads.to_vec(), fields: Vec::new(), widths, headed: false }
    }

    /// A table of objects.
    pub(super) fn of(columns: &[Column]) -> Self {
        Self {
            heads: columns.iter().map(|column| column.0).collect(),
            fields: columns.iter().map(|column| column.1).collect(),
            widths: columns.iter().map(|column| column.2.max(width(column.0))).collect(),
            headed: false,
        }
    }

    /// The lines of these objects, under the heads if it is the first piece.
    pub(super) fn rows(&mut self, objects: &[Object]) -> Vec<String> {
        let cells = |object: &Object| {
            let cell = |field: &&str| object.at(field).map_or("-".to_owned(), |text| short(&text));
            self.fields.iter().map(cell).collect::<Vec<_>>()
        };
        let rows: Vec<_> = objects.iter().map(cells).collect();
        self.lines(&rows)
    }

    /// The lines of these rows, under the heads if it is the first piece.
    pub(super) fn lines(&mut self, rows: &[Vec<String>]) -> Vec<String> {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| clean(cell, WIDEST)).collect()).collect();
        for row in &rows {
            for (widest, cell) in self.widths.iter_mut().zip(row) {
                *widest = width(cell).max(*widest);
            }
        }
        let heads = (!self.headed).then(|| self.align(self.heads.iter().copied()));
        let body = rows.iter().map(|row| self.align(row.iter().map(String::as_str)));
        let lines = heads.into_iter().chain(body).collect();
        self.headed = true;
        lines
    }

    fn align<'a>(&self, cells: impl Iterator<Item = &'a str>) -> String {
        let padded = cells.zip(&self.widths).map(|(cell, widest)| {
            let padding = " ".repeat(widest.saturating_sub(width(cell)));
            format!("{cell}{padding}")
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

/// A time to the second, so that all of them have one width; any other text as it is.
fn short(text: &str) -> String {
    match text.parse::<DateTime<Utc>>() {
        Ok(time) => time.to_rfc3339_opts(SecondsFormat::Secs, true),
        Err(_) => text.to_owned(),
    }
}

/// How many columns of a terminal a text takes.
fn width(text: &str) -> usize {
    text.width()
}

/// Text that stays on its line and cannot steer the terminal, cut to `most` columns. Anybody may
/// have submitted it.
pub(super) fn clean(text: &str, most: usize) -> String {
    let mut clean = String::new();
    for character in text.chars() {
        if character.is_control() {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    if width(&clean) > most {
        let mut taken = 1;
        let fits = |character: &char| {
            taken += character.width().unwrap_or_default();
            taken <= most
        };
        clean = clean.chars().take_while(fits).collect::<String>() + "…";
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: [&str; 2]) -> Vec<String> {
        cells.map(str::to_owned).to_vec()
    }

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_blanks() {
        let mut table = Table::new(&["ID", "STATUS"]);
        let lines = table.lines(&[row(["1", "queued"]), row(["größer", ""])]);
        assert_eq!(lines, ["ID      STATUS", "1       queued", "größer"]);
    }

    #[test]
    fn columns_line_up_beside_wide_characters_and_those_that_take_no_column() {
        let mut table = Table::new(&["ID", "STATUS"]);
        let lines = table.lines(&[row(["画像", "queued"]), row(["e\u{301}", "failed"])]);
        assert_eq!(lines, ["ID    STATUS", "画像  queued", "e\u{301}     failed"]);
        assert_eq!(clean(&"画".repeat(100), 10), "画画画画…");
    }

    #[test]
    fn a_second_piece_has_no_heads_and_keeps_the_columns() {
        let mut table = Table::new(&["ID", "STATUS"]);
        table.lines(&[row(["123456", "queued"])]);
        assert_eq!(table.lines(&[row(["7", "failed"])]), ["7       failed"]);
        assert!(table.lines(&[]).is_empty());
    }

    #[test]
    fn objects_have_the_columns_that_are_asked_for_and_times_one_width() {
        let text =
            r#"{"id": "a", "counts": {"queued": 3}, "at": "2030-01-31T08:00:00.123456+00:00"}"#;
        let object: Object = serde_json::from_str(text).unwrap();
        let columns = [
            Column("ID", "id", 4),
            Column("QUEUED", "counts.queued", 0),
            Column("AT", "at", 0),
            Column("NONE", "none.of", 0),
        ];
        assert_eq!(
            Table::of(&columns).rows(&[object]),
            ["ID    QUEUED  AT                    NONE", "a     3       2030-01-31T08:00:00Z  -"]
        );
    }

    #[test]
    fn cells_cannot_break_out() {
        assert_eq!(clean("a\n\u{1b}[31mb", 60), "a\\n\\u{1b}[31mb");
        assert_eq!(clean(&"x".repeat(100), 10), format!("{}…", "x".repeat(9)));
    }
}
