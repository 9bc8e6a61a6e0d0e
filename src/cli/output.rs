//! Standard output, for what was asked for, and standard error, for what is said about it.
//!
//! `println!` panics when the reader has gone away; these return the error instead, and
//! `stop::explain` ends quietly on it.

use std::io::{self, Write as _};

/// Writes a line to standard output.
pub(super) fn line(text: impl AsRef<str>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref().as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes lines to standard output.
pub(super) fn lines(lines: Vec<String>) -> io::Result<()> {
    lines.into_iter().try_for_each(line)
}

/// Writes text to standard output as it is.
pub(super) fn text(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref())?;
    out.flush()
}

/// Says something beside the output.
pub(super) fn note(text: impl AsRef<str>) {
    // It is only a remark: where it cannot be written, the work goes on.
    let _ = writeln!(io::stderr(), "{}", text.as_ref());
}
