//! The binary: everything it can do is listed in `reveille::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    reveille::internals::cli::run()
}
