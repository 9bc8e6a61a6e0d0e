//! Tables for people: columns as wide as they have to be, cells on one line.

/// Longer cells are cut: a listing is for finding a job, `get` is for reading it.
const WIDEST: usize = 60;

/// A table that may be printed in pieces, page by page; its columns only ever grow.
pub(super) struct Table {
    heads: Vec<String>,
    widths: Vec<usize>,
    headed: bool,
}

impl Table {
    pub(super) fn new(heads: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let heads: Vec<String> = heads.into_iter().map(Into::into).collect();
        let widths = heads.iter().map(|head| width(head)).collect();
        Self { heads, widths, headed: false }
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
        let heads = (!self.headed).then(|| self.align(&self.heads));
        let body = rows.iter().map(|row| self.align(row));
        let lines = heads.into_iter().chain(body).collect();
        self.headed = true;
        lines
    }

    fn align(&self, cells: &[String]) -> String {
        let padded = cells.iter().zip(&self.widths).map(|(cell, widest)| {
            let padding = " ".repeat(widest.saturating_sub(width(cell)));
            format!("{cell}{padding}")
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Text that stays on its line and cannot steer the terminal, whoever submitted it, cut to `most`
/// characters.
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
        clean = clean.chars().take(most - 1).collect::<String>() + "…";
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
        let mut table = Table::new(["ID", "STATUS"]);
        let lines = table.lines(&[row(["1", "queued"]), row(["größer", ""])]);
        assert_eq!(lines, ["ID      STATUS", "1       queued", "größer"]);
    }

    #[test]
    fn a_second_piece_has_no_heads_and_keeps_the_columns() {
        let mut table = Table::new(["ID", "STATUS"]);
        table.lines(&[row(["123456", "queued"])]);
        assert_eq!(table.lines(&[row(["7", "failed"])]), ["7       failed"]);
        assert!(table.lines(&[]).is_empty());
    }

    #[test]
    fn cells_cannot_break_out() {
        assert_eq!(clean("a\n\u{1b}[31mb", 60), "a\\n\\u{1b}[31mb");
        assert_eq!(clean(&"x".repeat(100), 10), format!("{}…", "x".repeat(9)));
    }
}
